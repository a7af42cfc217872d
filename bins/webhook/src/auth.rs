//! Authenticates senders: the `Authorization` echo and Standard Webhooks signatures, on raw bytes.
//! All comparisons with a secret take constant time.

mod active_secrets;
mod operator_token;
mod secrets;
mod standard_webhooks;
mod unique_header;

use axum::http::{HeaderMap, header};

pub use active_secrets::{ActiveSecrets, FixedSecrets, SecretsTooOld};
pub use operator_token::{OPERATOR_TOKEN_BYTES_MIN, OperatorToken, OperatorTokenError};
pub use secrets::{DISTINCT_BYTES_MIN, PLAIN_BYTES_MIN, SECRETS_MAX, Secrets, SecretsError};
pub use standard_webhooks::{Claim, ID_BYTES_MAX, SIGNATURES_MAX, TOLERANCE_SECONDS};
use unique_header::unique_header;

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

/// How far a sender is known by the headers alone.
#[derive(Debug)]
pub enum Sender {
    /// It echoed a secret.
    Known,
    /// It claims to have signed the message, which the body will show.
    Signed(Claim),
}

impl Sender {
    /// Authenticates a delivery by its headers at `now_ms` (epoch ms), before its body is read.
    ///
    /// One valid credential is enough: a signature with any active secret, or a plain secret echoed in
    /// `Authorization`. If there are no secrets, all deliveries are refused; the router decides whether
    /// to check at all. A repeated message is accepted: a sender that missed our 200 must get it, and
    /// storing is idempotent per tick.
    ///
    /// # Errors
    ///
    /// The rule that the headers break. If both a signature and `Authorization` are present and wrong, the
    /// error is that of the signature.
    pub fn of(secrets: &Secrets, headers: &HeaderMap, now_ms: i64) -> Result<Self, AuthError> {
        let authorization = unique_header(headers, header::AUTHORIZATION.as_str(), "authorization");
        if let Ok(Some(value)) = authorization
            && secrets.is_echo(Some(value))
        {
            return Ok(Self::Known);
        }
        if standard_webhooks::is_attempted(headers) {
            return Claim::read(secrets, headers, now_ms).map(Self::Signed);
        }
        Err(match authorization {
            Ok(Some(_)) => AuthError::WrongSecret,
            Ok(None) => AuthError::Missing,
            Err(repeated) => repeated,
        })
    }

    /// Authenticates the delivery by its body, if the headers alone do not.
    ///
    /// # Errors
    ///
    /// If the body is not what was signed.
    pub fn verify(&self, secrets: &Secrets, body: &[u8]) -> Result<(), AuthError> {
        match self {
            Self::Known => Ok(()),
            Self::Signed(claim) => claim.verify(secrets, body),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const NOW_MS: i64 = 1_763_000_000_000;

    fn authenticate(
        secrets: &Secrets,
        headers: &HeaderMap,
        body: &[u8],
        now_ms: i64,
    ) -> Result<(), AuthError> {
        Sender::of(secrets, headers, now_ms)?.verify(secrets, body)
    }

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
            "open-sesame-1234",
            &[("authorization", "open-sesame-1234")],
            plain.clone(),
        );
        check(
            "open-sesame-1234",
            &[("authorization", "Bearer open-sesame-1234")],
            plain.clone(),
        );
        check(
            "open-sesame-1234",
            &[("authorization", "bearer open-sesame-1234")],
            plain.clone(),
        );
        check(
            "Bearer open-sesame-1234",
            &[("authorization", "Bearer open-sesame-1234")],
            plain.clone(),
        );
        // Two secrets are active while one replaces the other.
        check(
            "old-secret-12345,new-secret-12345",
            &[("authorization", "old-secret-12345")],
            plain.clone(),
        );
        check(
            "old-secret-12345,new-secret-12345",
            &[("authorization", "new-secret-12345")],
            plain,
        );
    }

    #[test]
    fn any_other_echo_is_refused() {
        let wrong = Err(AuthError::WrongSecret);
        for value in [
            "open-sesame-123",
            "open-sesame-12345",
            "Open-sesame-1234",
            "",
            "Bearer",
            "Basic open-sesame-1234",
        ] {
            check(
                "open-sesame-1234",
                &[("authorization", value)],
                wrong.clone(),
            );
        }
        check(
            "old-secret-12345,new-secret-12345",
            &[("authorization", "old-secret-12345,new-secret-12345")],
            wrong.clone(),
        );
        // A signing key is not accepted as a password.
        let key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        check(key, &[("authorization", key)], wrong.clone());
        check("", &[("authorization", "")], wrong);
    }

    #[test]
    fn missing_and_repeated_credentials_are_reported() {
        check("open-sesame-1234", &[], Err(AuthError::Missing));
        check(
            "open-sesame-1234",
            &[("content-type", "application/json")],
            Err(AuthError::Missing),
        );
        let twice = [
            ("authorization", "open-sesame-1234"),
            ("authorization", "other-secret"),
        ];
        check(
            "open-sesame-1234",
            &twice,
            Err(AuthError::RepeatedHeader("authorization")),
        );
    }

    #[test]
    fn a_valid_echo_is_accepted_despite_an_invalid_signature() {
        let broken = ("webhook-id", "msg_1");
        check(
            "open-sesame-1234",
            &[broken, ("authorization", "open-sesame-1234")],
            Ok(()),
        );
        let missing = Err(AuthError::MissingHeader("webhook-timestamp"));
        check(
            "open-sesame-1234",
            &[broken, ("authorization", "other-secret")],
            missing.clone(),
        );
        check("open-sesame-1234", &[broken], missing);
    }

    #[test]
    fn what_no_body_could_make_valid_is_refused_without_one() {
        let secrets = Secrets::parse(standard_webhooks::tests::SECRET).unwrap();
        let seconds = NOW_MS / 1_000;
        let signed = standard_webhooks::tests::signed("msg_1", seconds, b"[1]");
        let sender = Sender::of(&secrets, &signed, NOW_MS).unwrap();
        assert!(matches!(&sender, Sender::Signed(_)));
        assert_eq!(sender.verify(&secrets, b"[1]"), Ok(()));
        let changed = |name: &'static str, value: &str| {
            let mut headers = signed.clone();
            headers.insert(name, value.parse().unwrap());
            Sender::of(&secrets, &headers, NOW_MS).unwrap_err()
        };
        let late = (seconds - 301).to_string();
        let late = changed("webhook-timestamp", &late);
        assert!(matches!(late, AuthError::TooOld { .. }));
        let wrong = AuthError::WrongSignature;
        for signature in ["v1,AAAA", "v1,#", "v1a,AAAA"] {
            assert_eq!(changed("webhook-signature", signature), wrong);
        }
        // A signature of the right size, but no key that could have made it.
        let plain = Secrets::parse("open-sesame-1234").unwrap();
        let refused = Sender::of(&plain, &signed, NOW_MS).unwrap_err();
        assert_eq!(refused, wrong);
        for pairs in [&[][..], &[("authorization", "close-sesame-1234")]] {
            assert!(Sender::of(&plain, &headers(pairs), NOW_MS).is_err());
        }
        let echoed = headers(&[("authorization", "open-sesame-1234")]);
        let known = Sender::of(&plain, &echoed, NOW_MS);
        assert!(matches!(known, Ok(Sender::Known)));
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
        let secrets = Secrets::parse("open-sesame-1234").unwrap();
        let refused = headers(&[("authorization", "close-sesame")]);
        let error = authenticate(&secrets, &refused, b"[]", NOW_MS).unwrap_err();
        assert!(!error.message().contains("sesame"), "{}", error.message());
        assert!(!format!("{secrets:?} {error:?}").contains("sesame"));
    }
}
