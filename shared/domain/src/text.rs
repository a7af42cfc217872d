//! Texts from outside: their encoding, the byte order mark in front of them, and quotes around them.

/// The byte order mark (U+FEFF) in UTF-8. Some programs write it in front of a text, of which it is
/// not a part; RFC 8259 lets a reader of JSON skip it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes that show the encoding of a text.
pub const ENCODING_BYTES: usize = 4;

/// Why bytes cannot be read as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Another encoding, which the first bytes show.
    #[error("it is {0} text, not UTF-8")]
    Other(&'static str),
    /// A byte that UTF-8 does not allow.
    #[error("it is not valid UTF-8 from byte {0} on")]
    Invalid(usize),
}

/// The text of bytes in UTF-8, without a byte order mark in front of it.
///
/// # Errors
/// [`EncodingError`] if it is not UTF-8.
pub fn utf8_text(bytes: &[u8]) -> Result<&str, EncodingError> {
    let start = utf8_start(bytes)?;
    let text = bytes.get(start..).unwrap_or_default();
    std::str::from_utf8(text).map_err(|error| EncodingError::Invalid(start + error.valid_up_to()))
}

/// Where a text begins: after its byte order mark, if it has one. `head` is the whole text, or at least
/// its first [`ENCODING_BYTES`].
///
/// # Errors
/// [`EncodingError::Other`] if the first bytes show another encoding.
pub fn utf8_start(head: &[u8]) -> Result<usize, EncodingError> {
    match head {
        [0xef, 0xbb, 0xbf, ..] => Ok(BYTE_ORDER_MARK.len()),
        // The mark in other encodings, and ASCII in them: no text has a zero among its first characters.
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [_, 0, 0, 0, ..] | [0, 0, 0, _, ..] => {
            Err(EncodingError::Other("UTF-32"))
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, ..] | [0, _, ..] => {
            Err(EncodingError::Other("UTF-16"))
        }
        _ => Ok(0),
    }
}

/// Whether a text begins and ends with the same quotation mark, as readers of env files leave it around a
/// value.
#[must_use]
pub fn is_quoted(text: &str) -> bool {
    ['"', '\'', '`'].into_iter().any(|mark| {
        let inside = text.strip_prefix(mark);
        inside.is_some_and(|inside| inside.ends_with(mark))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, unit: impl Fn(char) -> Vec<u8>) -> Vec<u8> {
        text.chars().flat_map(unit).collect()
    }

    #[test]
    fn a_byte_order_mark_is_skipped_once() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"[]", "[]"),
            (b"\xef\xbb\xbf", ""),
            (b"\xef\xbb\xbf[]", "[]"),
            (b"\xef\xbb\xbf\xef\xbb\xbf[]", "\u{feff}[]"),
            (b" \xef\xbb\xbf[]", " \u{feff}[]"),
        ] {
            assert_eq!(utf8_text(bytes), Ok(text));
        }
    }

    #[test]
    fn other_encodings_are_named() {
        let le_16 = |c: char| (c as u16).to_le_bytes().to_vec();
        let be_16 = |c: char| (c as u16).to_be_bytes().to_vec();
        let le_32 = |c: char| (c as u32).to_le_bytes().to_vec();
        let be_32 = |c: char| (c as u32).to_be_bytes().to_vec();
        for text in ["[1]", "\u{feff}[1]"] {
            for bytes in [encoded(text, le_16), encoded(text, be_16)] {
                assert_eq!(utf8_text(&bytes), Err(EncodingError::Other("UTF-16")));
            }
            for bytes in [encoded(text, le_32), encoded(text, be_32)] {
                assert_eq!(utf8_text(&bytes), Err(EncodingError::Other("UTF-32")));
            }
        }
    }

    #[test]
    fn an_invalid_byte_is_counted_from_the_start() {
        for (bytes, at) in [
            (&b"ab\xff"[..], 2),
            (b"\xef\xbb\xbfab\xff", 5),
            (b"\xef\xbb", 0),
        ] {
            assert_eq!(utf8_text(bytes), Err(EncodingError::Invalid(at)));
        }
    }

    #[test]
    fn quotes_are_found_only_around_a_text() {
        for text in ["\"a\"", "'a'", "`a`", "''", "\"\"", "'a','b'"] {
            assert!(is_quoted(text), "{text}");
        }
        for text in ["", "a", "\"", "'", "\"a", "a'", "\"a'", "a\"b"] {
            assert!(!is_quoted(text), "{text}");
        }
    }
}
