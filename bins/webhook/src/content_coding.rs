//! How a body is coded (`Content-Encoding`): as it is, or compressed with gzip.
//!
//! <https://www.rfc-editor.org/rfc/rfc9110#name-content-encoding>, <https://www.rfc-editor.org/rfc/rfc1952>

use std::io::{self, BufRead, ErrorKind, Read};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use runtime::problem::Problem;

/// What is accepted, for the sender.
const ACCEPTED: &str = "gzip, identity";

/// The bytes that are decoded at a time to measure a body.
const CHUNK_BYTES: usize = 16 * 1_024;

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

    /// The size of the decoded body. Nothing is kept of it, so memory for it can be reserved first.
    ///
    /// # Errors
    /// [`DecodeError`] if it cannot be decoded, or has more than `bytes_max`.
    pub(crate) fn decoded_bytes(self, sent: &[u8], bytes_max: usize) -> Result<usize, DecodeError> {
        match self {
            Self::Identity => Ok(sent.len()),
            Self::Gzip => measure(MultiGzDecoder::new(sent), bytes_max),
        }
    }

    /// The decoded body, which has this size.
    ///
    /// # Errors
    /// [`DecodeError::Corrupt`] if it cannot be decoded.
    pub(crate) fn decode(self, sent: Bytes, decoded_bytes: usize) -> Result<Bytes, DecodeError> {
        match self {
            Self::Identity => Ok(sent),
            Self::Gzip => {
                let mut body = Vec::with_capacity(decoded_bytes);
                MultiGzDecoder::new(&*sent)
                    .take(decoded_bytes as u64)
                    .read_to_end(&mut body)
                    .map_err(|error| corrupt(&error))?;
                Ok(Bytes::from(body))
            }
        }
    }
}

/// Decodes up to the limit and no further: a few kilobytes of gzip may stand for gigabytes.
fn measure(
    mut decoder: MultiGzDecoder<impl BufRead>,
    bytes_max: usize,
) -> Result<usize, DecodeError> {
    let mut chunk = [0; CHUNK_BYTES];
    let mut total = 0;
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(total),
            Ok(bytes) => total += bytes,
            Err(error) => return Err(corrupt(&error)),
        }
        if total > bytes_max {
            return Err(DecodeError::TooLarge);
        }
    }
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
        let bytes = ContentCoding::Gzip.decoded_bytes(sent, BYTES_MAX)?;
        let body = ContentCoding::Gzip.decode(Bytes::copy_from_slice(sent), bytes)?;
        assert_eq!(body.len(), bytes);
        Ok(body)
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
        let bomb = gzip(&vec![b' '; BYTES_MAX + 2 * CHUNK_BYTES]);
        assert!(bomb.len() < 10_000, "{} bytes", bomb.len());
        let members = [&largest[..], &gzip(b" ")].concat();
        // What follows the limit is not looked at: otherwise, this would be corrupt.
        let garbage = [&bomb[..], b"garbage"].concat();
        for body in [bomb, members, garbage] {
            assert_eq!(decoded(&body), Err(DecodeError::TooLarge));
        }
    }
}
