//! Authenticates senders: the `Authorization` echo and Standard Webhooks signatures, on raw bytes.
//! All comparisons with a secret take constant time.

mod secrets;
mod standard_webhooks;
mod unique_header;

use axum::http::{HeaderMap, header};

pub use secrets::{PLAIN_BYTES_MIN, SECRETS_MAX, Secrets, SecretsError};
use unique_header::unique_header;

pub use standard_webhooks::{ID_BYTES_MAX, SIGNATURES_MAX, TOLERANCE_SECONDS};

/// Why a sender is not authenticated. No message contains a secret, a signature or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There are no credentials.
    #[error(
        "no credentials: send a secret in Authorization, or webhook-id, webhook-timestamp and \
         webhook-signature (or the svix-* names of the three)"
    )]
    Missing,
    /// A signed message lacks one of its three headers.
    #[error("a signed message needs the header {0}")]
    MissingHeader(&'static str),
    /// A header that must be unique is repeated, so it is unclear which one counts.
    #[error("the header {0} is repeated: send it once")]
    RepeatedHeader(&'static str),
    /// A header has an invalid value.
    #[error("the header {name} {rule}")]
    MalformedHeader {
        /// The header's name.
        name: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The message was signed too long ago.
    #[error(
        "the message was signed {seconds} s ago, and {max} s are allowed: sign each attempt again",
        max = TOLERANCE_SECONDS
    )]
    TooOld {
        /// How long ago.
        seconds: u64,
    },
    /// The message was signed in the future.
    #[error(
        "the message is dated {seconds} s ahead, and {max} s are allowed: set the sender's clock",
        max = TOLERANCE_SECONDS
    )]
    TooNew {
        /// How far ahead.
        seconds: u64,
    },
    /// No signature has a supported version.
    #[error("webhook-signature contains no v1 or v1a signature")]
    UnknownVersion,
    /// None of the signatures matches.
    #[error(
        "no signature matches this id, timestamp and body with an active secret: sign \
         \"{{id}}.{{timestamp}}.{{body}}\" over the body's raw bytes"
    )]
    WrongSignature,
    /// `Authorization` contains none of the secrets.
    #[error("Authorization contains no active secret")]
    WrongSecret,
}

impl AuthError {
    /// The message for the caller: the broken rule, and never a part of a secret.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }
}

/// Authenticates a delivery of `body` at `now_ms` (epoch ms).
///
/// One valid credential is enough: a signature with any active secret, or a plain secret echoed in
/// `Authorization`. If there are no secrets, all deliveries are refused; the router decides whether to
/// check at all. A repeated message is accepted: a sender that missed our 200 must get it, and storing
/// is idempotent per tick.
///
/// # Errors
///
/// The rule that the headers break. If both a signature and `Authorization` are present and wrong, the
/// error is that of the signature.
pub fn authenticate(
    secrets: &Secrets,
    headers: &HeaderMap,
    body: &[u8],
    now_ms: i64,
) -> Result<(), AuthError> {
    let signed = standard_webhooks::is_attempted(headers);
    let authorization = unique_header(headers, header::AUTHORIZATION.as_str(), "authorization");
    let error = if signed {
        match standard_webhooks::verify(secrets, headers, body, now_ms) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        }
    } else {
        AuthError::WrongSecret
    };
    match authorization {
        Ok(Some(value)) if secrets.is_echo(Some(value)) => Ok(()),
        Ok(None) if !signed => Err(AuthError::Missing),
        Err(repeated) if !signed => Err(repeated),
        Ok(_) | Err(_) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const NOW_MS: i64 = 1_763_000_000_000;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(secrets: &str, pairs: &[(&'static str, &str)], expected: Result<(), AuthError>) {
        let secrets = Secrets::parse(secrets).unwrap();
        let found = authenticate(&secrets, &headers(pairs), b"[]", NOW_MS);
        assert_eq!(found, expected, "{pairs:?}");
    }

    #[test]
    fn an_echoed_secret_is_accepted() {
        let plain = Ok(());
        check(
            "open-sesame",
            &[("authorization", "open-sesame")],
            plain.clone(),
        );
        check(
            "open-sesame",
            &[("authorization", "Bearer open-sesame")],
            plain.clone(),
        );
        check(
            "open-sesame",
            &[("authorization", "bearer open-sesame")],
            plain.clone(),
        );
        check(
            "Bearer open-sesame",
            &[("authorization", "Bearer open-sesame")],
            plain.clone(),
        );
        // Two secrets are active while one replaces the other.
        check(
            "old-secret,new-secret",
            &[("authorization", "old-secret")],
            plain.clone(),
        );
        check(
            "old-secret,new-secret",
            &[("authorization", "new-secret")],
            plain,
        );
    }

    #[test]
    fn any_other_echo_is_refused() {
        let wrong = Err(AuthError::WrongSecret);
        for value in [
            "open-sesam",
            "open-sesame1",
            "Open-sesame",
            "",
            "Bearer",
            "Basic open-sesame",
        ] {
            check("open-sesame", &[("authorization", value)], wrong.clone());
        }
        check(
            "old-secret,new-secret",
            &[("authorization", "old-secret,new-secret")],
            wrong.clone(),
        );
        // A signing key is not accepted as a password.
        let key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        check(key, &[("authorization", key)], wrong.clone());
        check("", &[("authorization", "")], wrong);
    }

    #[test]
    fn missing_and_repeated_credentials_are_reported() {
        check("open-sesame", &[], Err(AuthError::Missing));
        check(
            "open-sesame",
            &[("content-type", "application/json")],
            Err(AuthError::Missing),
        );
        let twice = [
            ("authorization", "open-sesame"),
            ("authorization", "other-secret"),
        ];
        check(
            "open-sesame",
            &twice,
            Err(AuthError::RepeatedHeader("authorization")),
        );
    }

    #[test]
    fn a_valid_echo_is_accepted_despite_an_invalid_signature() {
        let broken = ("webhook-id", "msg_1");
        check(
            "open-sesame",
            &[broken, ("authorization", "open-sesame")],
            Ok(()),
        );
        let missing = Err(AuthError::MissingHeader("webhook-timestamp"));
        check(
            "open-sesame",
            &[broken, ("authorization", "other-secret")],
            missing.clone(),
        );
        check("open-sesame", &[broken], missing);
    }

    #[test]
    fn a_repeated_message_is_accepted() {
        let secrets = Secrets::parse(standard_webhooks::tests::SECRET).unwrap();
        for body in [b"[1]", b"[1]", b"[2]"] {
            let headers = standard_webhooks::tests::signed("msg_1", NOW_MS / 1_000, body);
            assert_eq!(authenticate(&secrets, &headers, body, NOW_MS), Ok(()));
        }
        let headers = standard_webhooks::tests::signed("msg_1", NOW_MS / 1_000, b"[1]");
        assert_eq!(
            authenticate(&secrets, &headers, b"[2]", NOW_MS),
            Err(AuthError::WrongSignature)
        );
    }

    #[test]
    fn error_messages_contain_no_secret() {
        let secrets = Secrets::parse("open-sesame").unwrap();
        let refused = headers(&[("authorization", "close-sesame")]);
        let error = authenticate(&secrets, &refused, b"[]", NOW_MS).unwrap_err();
        assert!(!error.message().contains("sesame"), "{}", error.message());
        assert!(!format!("{secrets:?} {error:?}").contains("sesame"));
    }
}
