//! Who may deliver: the `Authorization` echo and Standard Webhooks signatures, on raw bytes.
//! All comparisons with a secret take the same time wherever they differ.

mod secrets;
mod seen;
mod standard;

use axum::http::{HeaderMap, HeaderValue, header};

pub use secrets::{PLAIN_BYTES_MIN, SECRETS_MAX, Secrets, SecretsError};
pub use seen::{SEEN_IDS_MAX, SeenIds};
pub use standard::{ID_BYTES_MAX, SIGNATURES_MAX, TOLERANCE_SECONDS};

/// Who delivers, as far as the headers prove it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The id of a signed message; an `Authorization` echo has none.
    pub id: Option<String>,
    /// Whether this id came with this very body before, within the time that a signature is
    /// good for: a sender's retry or a replay, which look alike.
    pub replayed: bool,
    /// Whether this id came before with another body: a fault of the sender.
    pub id_reused: bool,
}

/// Why a delivery's sender is not known. No message repeats a secret, a signature or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The headers do not try to prove anything.
    #[error(
        "no credentials: send a secret in Authorization, or webhook-id, webhook-timestamp and \
         webhook-signature (or the svix-* names of the three)"
    )]
    Missing,
    /// A signed message lacks one of its three headers.
    #[error("a signed message needs the header {0}")]
    MissingHeader(&'static str),
    /// A header that may come once comes more often, so that it is unclear which one counts.
    #[error("the header {0} comes more than once")]
    RepeatedHeader(&'static str),
    /// A header holds what it must not.
    #[error("the header {name} {rule}")]
    MalformedHeader {
        /// The header's name.
        name: &'static str,
        /// What it must hold.
        rule: &'static str,
    },
    /// The message was signed too long ago.
    #[error(
        "the message was signed {seconds} s ago, and {max} s are allowed: sign each attempt anew",
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
    /// None of the signatures is of a version that we know.
    #[error("webhook-signature holds no v1 and no v1a signature")]
    UnknownVersion,
    /// None of the signatures fits.
    #[error(
        "no signature fits this id, timestamp and body under a secret that is live: sign \
         \"{{id}}.{{timestamp}}.{{body}}\" over the body's raw bytes"
    )]
    WrongSignature,
    /// `Authorization` holds none of the secrets.
    #[error("Authorization holds no secret that is live")]
    WrongSecret,
}

impl AuthError {
    /// What the caller may read: which rule was broken, and never a part of a secret.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }
}

/// Finds out who delivers `body`, at `now_ms` (epoch ms).
///
/// One valid credential is enough: a signature under any live secret, or a plain secret echoed in
/// `Authorization`. Without any secret nobody is let in; whether to ask at all is the router's
/// decision.
///
/// A replay is no error. A sender that missed our 200 sends the same id and body again and must
/// get its 200, and storing is idempotent by tick; so [`SeenIds`] only informs. Nor is a known id
/// with another body one: whoever made its signature holds a secret, so nothing is gained by
/// refusing, while the ticks of a sender that numbers its messages badly would be lost. It shows
/// as [`Caller::id_reused`].
///
/// # Errors
///
/// Which rule the headers break. If a signature and an `Authorization` are both there and both
/// wrong, the signature's error is given.
pub fn authenticate(
    secrets: &Secrets,
    headers: &HeaderMap,
    body: &[u8],
    now_ms: i64,
    seen: &SeenIds,
) -> Result<Caller, AuthError> {
    let signed = standard::is_attempted(headers);
    let authorization = only(headers, header::AUTHORIZATION.as_str(), "authorization");
    let error = if signed {
        match standard::verify(secrets, headers, body, now_ms) {
            Ok(id) => {
                let sighting = seen.note(&id, body, now_ms);
                return Ok(Caller {
                    replayed: sighting == seen::Sighting::SameBody,
                    id_reused: sighting == seen::Sighting::OtherBody,
                    id: Some(id),
                });
            }
            Err(error) => error,
        }
    } else {
        AuthError::WrongSecret
    };
    match authorization {
        Ok(Some(value)) if secrets.is_echo(Some(value)) => Ok(Caller::default()),
        Ok(None) if !signed => Err(AuthError::Missing),
        Err(repeated) if !signed => Err(repeated),
        Ok(_) | Err(_) => Err(error),
    }
}

/// The one value of a header that must not be repeated.
fn only<'a>(
    headers: &'a HeaderMap,
    name: &str,
    told_as: &'static str,
) -> Result<Option<&'a HeaderValue>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(AuthError::RepeatedHeader(told_as));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
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
    fn check(secrets: &str, pairs: &[(&'static str, &str)], expected: Result<Caller, AuthError>) {
        let secrets = Secrets::parse(secrets).unwrap();
        let found = authenticate(
            &secrets,
            &headers(pairs),
            b"[]",
            NOW_MS,
            &SeenIds::default(),
        );
        assert_eq!(found, expected, "{pairs:?}");
    }

    #[test]
    fn an_echoed_secret_is_let_in() {
        let plain = Ok(Caller::default());
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
        // Two secrets live at once, while one replaces the other.
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
        // A signing key is no password.
        let key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        check(key, &[("authorization", key)], wrong.clone());
        check("", &[("authorization", "")], wrong);
    }

    #[test]
    fn missing_and_repeated_credentials_are_told() {
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
    fn an_echo_counts_beside_a_broken_signature() {
        let broken = ("webhook-id", "msg_1");
        check(
            "open-sesame",
            &[broken, ("authorization", "open-sesame")],
            Ok(Caller::default()),
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
    fn a_replay_is_told_but_let_in() {
        let secrets = Secrets::parse(standard::tests::SECRET).unwrap();
        let seen = SeenIds::default();
        let deliver = |body: &[u8]| {
            let headers = standard::tests::signed("msg_1", NOW_MS / 1_000, body);
            authenticate(&secrets, &headers, body, NOW_MS, &seen).unwrap()
        };
        let caller = |replayed, id_reused| Caller {
            id: Some("msg_1".into()),
            replayed,
            id_reused,
        };
        assert_eq!(deliver(b"[1]"), caller(false, false));
        assert_eq!(deliver(b"[1]"), caller(true, false));
        assert_eq!(deliver(b"[2]"), caller(false, true));
    }

    #[test]
    fn a_refused_message_is_not_remembered() {
        let secrets = Secrets::parse(standard::tests::SECRET).unwrap();
        let seen = SeenIds::default();
        let headers = standard::tests::signed("msg_1", NOW_MS / 1_000, b"[1]");
        let refused = authenticate(&secrets, &headers, b"[2]", NOW_MS, &seen);
        assert_eq!(refused, Err(AuthError::WrongSignature));
        let caller = authenticate(&secrets, &headers, b"[1]", NOW_MS, &seen).unwrap();
        assert!(!caller.replayed && !caller.id_reused);
    }

    #[test]
    fn messages_hold_no_secret() {
        let secrets = Secrets::parse("open-sesame").unwrap();
        let refused = headers(&[("authorization", "close-sesame")]);
        let error =
            authenticate(&secrets, &refused, b"[]", NOW_MS, &SeenIds::default()).unwrap_err();
        assert!(!error.message().contains("sesame"), "{}", error.message());
        assert!(!format!("{secrets:?} {error:?}").contains("sesame"));
    }
}
