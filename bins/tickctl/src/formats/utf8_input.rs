//! The input of a replay: UTF-8, with or without a byte order mark.

use std::io::{Cursor, Read};

use domain::{ENCODING_BYTES, utf8_start};

use super::ReadError;

/// The input after its byte order mark, if it has one.
///
/// # Errors
/// [`ReadError::File`] if its first bytes cannot be read, or show another encoding: then no row can be
/// read, and none can be skipped.
pub(super) fn utf8_input(
    mut input: Box<dyn Read + Send>,
) -> Result<Box<dyn Read + Send>, ReadError> {
    let mut head = Vec::with_capacity(ENCODING_BYTES);
    // To the end of the part, since a pipe may pass the bytes on one by one.
    input
        .by_ref()
        .take(ENCODING_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|error| ReadError::File(format!("the input cannot be read: {error}")))?;
    let start = utf8_start(&head)
        .map_err(|error| ReadError::File(format!("{error}: save the file as UTF-8")))?;
    let head = Cursor::new(head.split_off(start));
    Ok(Box::new(head.chain(input)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes bytes on one by one.
    struct OneByOne(Cursor<Vec<u8>>);

    impl Read for OneByOne {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = buffer.len().min(1);
            self.0.read(buffer.get_mut(..length).unwrap_or_default())
        }
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let input = Box::new(OneByOne(Cursor::new(bytes.to_vec())));
        let mut text = Vec::new();
        let mut input = utf8_input(input).map_err(|error| error.to_string())?;
        input.read_to_end(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_nothing_else_is() {
        for (bytes, text) in [
            (&b"\xef\xbb\xbftoken,price"[..], &b"token,price"[..]),
            (b"\xef\xbb\xbf", b""),
            (b"\xef\xbb", b"\xef\xbb"),
            (b"token", b"token"),
            (b"", b""),
        ] {
            assert_eq!(read(bytes).unwrap(), text);
        }
    }

    #[test]
    fn another_encoding_is_named() {
        for bytes in [&b"\xff\xfet\0o\0"[..], b"\xfe\xff\0t\0o", b"t\0o\0k\0"] {
            assert_eq!(
                read(bytes).unwrap_err(),
                "it is UTF-16 text, not UTF-8: save the file as UTF-8"
            );
        }
    }
}
