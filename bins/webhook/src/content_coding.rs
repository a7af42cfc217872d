//! How a body is coded (`Content-Encoding`): as it is, or compressed with gzip.
//!
//! <https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding>, <https://www.rfc-editor.org/rfc/rfc1952>

use std::io::{self, ErrorKind, Read};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use runtime::problem::Problem;

use crate::body_size::BODY_BYTES_MAX;

/// What is accepted, for the sender.
const ACCEPTED: &str = "gzip, identity";

/// The largest body that is compressed, in bytes as sent. Gzip can hold blocks that decode to nothing, and each
/// takes time: at this size, 40 ms. JSON is a third of its size or less when it is compressed.
pub(crate) const COMPRESSED_BYTES_MAX: usize = BODY_BYTES_MAX / 2;

/// How many times larger a decoded body usually is; a larger one takes more memory as it is decoded.
const EXPECTED_RATIO: usize = 4;

/// How a body is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentCoding {
    /// As it is.
    Identity,
    /// Compressed with gzip, in one member or several.
    Gzip,
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// It has more bytes than are allowed; the rest was not decoded.
    #[error("decoded, the body is too large")]
    TooLarge,
    /// It has more bytes than a compressed body may have.
    #[error("compressed, the body is too large")]
    LargeCompressed,
    /// It is not what its coding says.
    #[error("{0}")]
    Corrupt(String),
}

impl ContentCoding {
    /// The coding that the headers name. Names are compared without regard to case, and several are a list
    /// in the order in which they were applied.
    ///
    /// # Errors
    /// 415 for another coding, or for more than one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut coding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let names = value.to_str().map_err(|_| unsupported("it"))?;
            for name in names.split(',').map(str::trim) {
                let is = |known: &str| name.eq_ignore_ascii_case(known);
                if name.is_empty() || is("identity") {
                    continue;
                }
                if !is("gzip") && !is("x-gzip") {
                    let shown: String = name.chars().take(40).collect();
                    return Err(unsupported(&format!("`{shown}`")));
                }
                if coding == Self::Gzip {
                    return Err(unsupported("a body that is compressed twice"));
                }
                coding = Self::Gzip;
            }
        }
        Ok(coding)
    }

    /// The decoded body.
    ///
    /// # Errors
    /// [`DecodeError`] if it cannot be decoded, or has more than `bytes_max`. It is decoded up to the limit and no
    /// further: a few kilobytes of gzip may stand for gigabytes.
    pub(crate) fn decode(self, sent: &Bytes, bytes_max: usize) -> Result<Bytes, DecodeError> {
        match self {
            Self::Identity => Ok(sent.clone()),
            Self::Gzip => gunzip(sent, bytes_max),
        }
    }
}

fn gunzip(sent: &[u8], bytes_max: usize) -> Result<Bytes, DecodeError> {
    if sent.len() > COMPRESSED_BYTES_MAX {
        return Err(DecodeError::LargeCompressed);
    }
    let mut body = Vec::with_capacity(sent.len().saturating_mul(EXPECTED_RATIO).min(bytes_max));
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    MultiGzDecoder::new(sent)
        .take(most.saturating_add(1))
        .read_to_end(&mut body)
        .map_err(|error| corrupt(&error))?;
    if body.len() > bytes_max {
        return Err(DecodeError::TooLarge);
    }
    Ok(Bytes::from(body))
}

fn corrupt(error: &io::Error) -> DecodeError {
    let cause = if error.kind() == ErrorKind::UnexpectedEof {
        "it ends too early".to_owned()
    } else {
        error.to_string()
    };
    DecodeError::Corrupt(format!(
        "`Content-Encoding` says gzip, and the body is not valid gzip: {cause}"
    ))
}

fn unsupported(what: &str) -> Problem {
    let detail = format!(
        "`Content-Encoding`: {what} is not supported; send the body uncompressed, or compressed once with gzip"
    );
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).accept_encoding(ACCEPTED)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;
    use axum::response::IntoResponse as _;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[track_caller]
    fn check(values: &[&'static [u8]], expected: Option<ContentCoding>) {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append(header::CONTENT_ENCODING, value);
        }
        assert_eq!(ContentCoding::of(&headers).ok(), expected, "{values:?}");
    }

    #[test]
    fn codings_are_named_in_any_case_and_as_a_list() {
        let (identity, gzip) = (Some(ContentCoding::Identity), Some(ContentCoding::Gzip));
        check(&[], identity);
        for value in [&b"identity"[..], b"Identity", b"IDENTITY", b"", b" , "] {
            check(&[value], identity);
        }
        for value in [
            &b"gzip"[..],
            b"GZIP",
            b"Gzip",
            b"x-gzip",
            b"X-GZip",
            b"gzip, identity",
            b"identity,gzip",
            b" gzip ,, ",
        ] {
            check(&[value], gzip);
        }
        check(&[b"identity", b"gzip"], gzip);
        for value in [
            &b"br"[..],
            b"deflate",
            b"zstd",
            b"compress",
            b"gzip;q=1",
            b"gzip, br",
            b"gzip, gzip",
            b"\xff",
        ] {
            check(&[value], None);
        }
        check(&[b"gzip", b"gzip"], None);
    }

    #[test]
    fn a_refusal_names_what_is_accepted() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        let response = ContentCoding::of(&headers).unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(
            response.headers()[header::ACCEPT_ENCODING],
            "gzip, identity"
        );
    }

    const BYTES_MAX: usize = 1_024 * 1_024;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(sent: &[u8]) -> Result<Bytes, DecodeError> {
        ContentCoding::Gzip.decode(&Bytes::copy_from_slice(sent), BYTES_MAX)
    }

    #[test]
    fn members_are_decoded_one_after_another() {
        assert_eq!(decoded(&gzip(b"")).unwrap(), "");
        assert_eq!(decoded(&gzip(b"[1]")).unwrap(), "[1]");
        let members = [gzip(b"[1,"), gzip(b""), gzip(b"2]")].concat();
        assert_eq!(decoded(&members).unwrap(), "[1,2]");
    }

    #[test]
    fn what_is_not_gzip_as_a_whole_is_refused() {
        let whole = gzip(b"[1,2,3]");
        for length in 0..whole.len() {
            let error = decoded(&whole[..length]).unwrap_err().to_string();
            assert!(error.contains("not valid gzip"), "{length}: {error}");
        }
        let mut wrong_sum = whole.clone();
        wrong_sum[whole.len() - 8] ^= 1;
        let mut wrong_size = whole.clone();
        wrong_size[whole.len() - 1] ^= 1;
        for body in [
            b"[1,2,3]".to_vec(),
            [&whole[..], b"\0"].concat(),
            [&whole[..], b"[1,2,3] and more"].concat(),
            wrong_sum,
            wrong_size,
        ] {
            assert!(
                matches!(decoded(&body), Err(DecodeError::Corrupt(_))),
                "{body:?}"
            );
        }
    }

    #[test]
    fn decoding_ends_at_the_limit() {
        let largest = gzip(&vec![b' '; BYTES_MAX]);
        assert_eq!(decoded(&largest).unwrap().len(), BYTES_MAX);
        let bomb = gzip(&vec![b' '; 2 * BYTES_MAX]);
        assert!(bomb.len() < 10_000, "{} bytes", bomb.len());
        let members = [&largest[..], &gzip(b" ")].concat();
        // What follows the limit is not looked at: otherwise, this would be corrupt.
        let garbage = [&bomb[..], b"garbage"].concat();
        for body in [bomb, members, garbage] {
            assert_eq!(decoded(&body), Err(DecodeError::TooLarge));
        }
    }

    /// Fixed blocks without any content, of 10 bits each.
    fn empty_blocks(bytes: usize) -> Vec<u8> {
        let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        // Four blocks: not the last (0), fixed (10), the end of the block (0000000).
        let four = [0x02, 0x08, 0x20, 0x80, 0x00];
        while stream.len() + four.len() + 10 <= bytes {
            stream.extend(four);
        }
        stream.extend([3, 0]);
        stream.extend([0; 8]);
        stream
    }

    #[test]
    fn blocks_without_content_are_limited_by_the_compressed_size() {
        let most = empty_blocks(COMPRESSED_BYTES_MAX);
        assert!(most.len() > COMPRESSED_BYTES_MAX - 10);
        assert_eq!(decoded(&most).unwrap(), "");
        let more = empty_blocks(COMPRESSED_BYTES_MAX + 20);
        assert!(more.len() > COMPRESSED_BYTES_MAX);
        assert_eq!(decoded(&more), Err(DecodeError::LargeCompressed));
    }

    /// The other backend of `flate2` takes seconds for the blocks above; it has another name for this error.
    #[test]
    fn the_backend_is_the_quick_one() {
        let mut inflate = flate2::Decompress::new(false);
        let broken = inflate.decompress(&[7], &mut [0; 8], flate2::FlushDecompress::Finish);
        let error = broken.unwrap_err().to_string();
        assert!(error.contains("invalid block type"), "{error}");
    }
}
