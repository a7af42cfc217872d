//! Standard Webhooks (<https://www.standardwebhooks.com>): `v1` (HMAC-SHA256) and `v1a` (ed25519)
//! signatures over `{id}.{timestamp}.{body}`.

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use ed25519_dalek::Signature;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::secrets::BASE64;
use super::unique_header::unique_header;
use super::{AuthError, Secrets};

/// How far a message's time may be from ours, either way, in seconds.
pub const TOLERANCE_SECONDS: u64 = 300;
/// The most bytes of a message's id.
pub const ID_BYTES_MAX: usize = 256;
/// The most signatures in a header, since each is verified with every key, and every ed25519 key hashes
/// the whole body for it. A sender that is replacing its keys sends two per version.
pub const SIGNATURES_MAX: usize = 4;

/// Each header by its current and its older name.
const ID: [&str; 2] = ["webhook-id", "svix-id"];
const TIMESTAMP: [&str; 2] = ["webhook-timestamp", "svix-timestamp"];
const SIGNATURE: [&str; 2] = ["webhook-signature", "svix-signature"];

/// The size of a `v1` signature, an HMAC-SHA256.
const V1_BYTES: usize = 32;

/// A signature with a supported version.
#[derive(Debug)]
enum Signed {
    V1(Vec<u8>),
    V1a(Vec<u8>),
}

/// Whether any of the three headers is present.
pub(super) fn is_attempted(headers: &HeaderMap) -> bool {
    [ID, TIMESTAMP, SIGNATURE]
        .as_flattened()
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// What the headers of a signed message claim, until the body is there.
#[derive(Debug)]
pub struct Claim {
    /// What is signed in front of the body.
    head: String,
    signatures: Vec<Signed>,
}

impl Claim {
    /// Checks everything but the signature, for which the body is needed.
    pub(super) fn read(
        secrets: &Secrets,
        headers: &HeaderMap,
        now_ms: i64,
    ) -> Result<Self, AuthError> {
        let id = checked_id(text(headers, ID)?)?;
        let timestamp = checked_timestamp(text(headers, TIMESTAMP)?, now_ms)?;
        let mut signatures = signatures(text(headers, SIGNATURE)?)?;
        // No body could make one of another size, or without a key of its version, match.
        signatures.retain(|signature| match signature {
            Signed::V1(bytes) => bytes.len() == V1_BYTES && !secrets.hmac.is_empty(),
            Signed::V1a(bytes) => {
                bytes.len() == ed25519_dalek::SIGNATURE_LENGTH && !secrets.ed25519.is_empty()
            }
        });
        if signatures.is_empty() {
            return Err(AuthError::WrongSignature);
        }
        let head = format!("{id}.{timestamp}.");
        Ok(Self { head, signatures })
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// If none matches.
    pub fn verify(&self, secrets: &Secrets, body: &[u8]) -> Result<(), AuthError> {
        let Self { head, signatures } = self;
        if fits_hmac(secrets, signatures, head, body)
            | fits_ed25519(secrets, signatures, head, body)
        {
            Ok(())
        } else {
            Err(AuthError::WrongSignature)
        }
    }
}

/// A header's text; the current name takes precedence.
fn text<'a>(headers: &'a HeaderMap, names: [&'static str; 2]) -> Result<&'a str, AuthError> {
    let [name, _] = names;
    for known_as in names {
        if let Some(value) = unique_header(headers, known_as, known_as)? {
            let rule = "must be ASCII text";
            return HeaderValue::to_str(value).map_err(|_| AuthError::MalformedHeader {
                name: known_as,
                rule,
            });
        }
    }
    Err(AuthError::MissingHeader(name))
}

fn checked_id(id: &str) -> Result<&str, AuthError> {
    let [name, _] = ID;
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(AuthError::MalformedHeader {
            name,
            rule: "must have 1 to 256 characters",
        });
    }
    // With a full stop in the id, one signed text could be read as two different messages.
    if id.contains('.') {
        return Err(AuthError::MalformedHeader {
            name,
            rule: "must not contain a full stop",
        });
    }
    Ok(id)
}

/// Returns the timestamp's text, which is what was signed.
fn checked_timestamp(text: &str, now_ms: i64) -> Result<&str, AuthError> {
    let [name, _] = TIMESTAMP;
    // Only digits, since `parse` would accept a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = match text.parse() {
        Ok(seconds) if digits => seconds,
        Ok(_) | Err(_) => {
            return Err(AuthError::MalformedHeader {
                name,
                rule: "must be whole seconds since 1970",
            });
        }
    };
    let age_ms = now_ms.saturating_sub(seconds.saturating_mul(1_000));
    let distance_ms = age_ms.unsigned_abs();
    if distance_ms <= TOLERANCE_SECONDS * 1_000 {
        return Ok(text);
    }
    let seconds = distance_ms.div_ceil(1_000);
    Err(if age_ms > 0 {
        AuthError::TooOld { seconds }
    } else {
        AuthError::TooNew { seconds }
    })
}

/// The signatures with a supported version; others are ignored.
fn signatures(text: &str) -> Result<Vec<Signed>, AuthError> {
    let [name, _] = SIGNATURE;
    let known: Vec<_> = text
        .split_ascii_whitespace()
        .filter_map(|signature| match signature.split_once(',')? {
            ("v1", encoded) => Some((Signed::V1 as fn(_) -> _, encoded)),
            ("v1a", encoded) => Some((Signed::V1a as fn(_) -> _, encoded)),
            _ => None,
        })
        .collect();
    if known.is_empty() {
        return Err(AuthError::UnknownVersion);
    }
    if known.len() > SIGNATURES_MAX {
        return Err(AuthError::MalformedHeader {
            name,
            rule: "must contain at most 4 signatures",
        });
    }
    // Text that is not base64 matches nothing, and does not affect the signature beside it.
    let decoded = |(version, encoded): (fn(Vec<u8>) -> Signed, &str)| {
        BASE64.decode(encoded).ok().map(version)
    };
    Ok(known.into_iter().filter_map(decoded).collect())
}

/// Verifies every signature with every key, even after a match.
fn fits_hmac(secrets: &Secrets, signatures: &[Signed], head: &str, body: &[u8]) -> bool {
    let mut found = Choice::from(0);
    for key in &secrets.hmac {
        // HMAC accepts keys of any size, so this never fails.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret()) else {
            continue;
        };
        mac.update(head.as_bytes());
        mac.update(body);
        let expected = mac.finalize().into_bytes();
        for signature in signatures {
            if let Signed::V1(given) = signature {
                found |= expected.as_slice().ct_eq(given);
            }
        }
    }
    found.into()
}

/// Keys, signatures and text are all public here, so timing reveals nothing.
fn fits_ed25519(secrets: &Secrets, signatures: &[Signed], head: &str, body: &[u8]) -> bool {
    let signed = |signature: &Signed| match signature {
        Signed::V1a(bytes) => Signature::from_slice(bytes).ok(),
        Signed::V1(_) => None,
    };
    let signatures: Vec<_> = signatures.iter().filter_map(signed).collect();
    if signatures.is_empty() || secrets.ed25519.is_empty() {
        return false;
    }
    let message = [head.as_bytes(), body].concat();
    let fits = |signature| {
        secrets
            .ed25519
            .iter()
            .any(|key| key.verify_strict(&message, signature).is_ok())
    };
    signatures.iter().any(fits)
}

#[cfg(test)]
pub(super) mod tests;
