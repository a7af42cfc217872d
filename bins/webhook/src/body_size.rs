//! The size of a body: one limit for both hosts.

use axum::http::StatusCode;
use runtime::problem::Problem;

/// The largest body, in bytes, as sent and decompressed: the same in one process and on AWS, where all of a
/// delivery is one event for Lambda.
///
/// An event has at most [`EVENT_BYTES_MAX`] (6,291,556) bytes. Up to [`ENVELOPE_BYTES_MAX`] (65,536) are
/// its headers and the like. API Gateway writes a body that is text as a JSON string, which has two bytes
/// for each quote, backslash and line break: at most twice the body. Any other body, such as a compressed
/// one, becomes base64, which has four bytes for three. So (6,291,556 - 65,536) / 2 = 3,113,010 bytes
/// always fit, whatever they are; the limit is the next lower round number. API Gateway answers a larger event with
/// a 413 of its own, without asking us.
pub const BODY_BYTES_MAX: usize = 3_000_000;

/// The largest event of a function that is called for a response: Lambda's own limit.
pub const EVENT_BYTES_MAX: usize = 6_291_556;

/// The most bytes of an event beside its body. API Gateway's own limit for the request line and headers is
/// 10,240 bytes; in the event, a quote takes two bytes, and query and cookies are there twice.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1_024;

pub(crate) fn too_large() -> Problem {
    let detail =
        format!("the body is larger than {BODY_BYTES_MAX} bytes: send fewer entries in a delivery");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_body_fits_into_an_event_whatever_it_is() {
        let left = EVENT_BYTES_MAX - ENVELOPE_BYTES_MAX;
        // The worst text: each byte is escaped by another.
        for worst in ["\"", "\\", "\n"] {
            let text = worst.repeat(BODY_BYTES_MAX);
            let written = serde_json::to_string(&text).unwrap();
            assert!(written.len() <= left, "{worst:?}: {}", written.len());
        }
        let base64 = base64::encoded_len(BODY_BYTES_MAX, true).unwrap();
        assert!(base64 <= left, "{base64}");
    }
}
