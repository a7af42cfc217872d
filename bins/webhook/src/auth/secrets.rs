//! The active secrets, read from a comma-separated text.

use std::collections::HashSet;
use std::fmt;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::VerifyingKey;
use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The most active secrets; two are enough to replace one by another.
pub const SECRETS_MAX: usize = 8;
/// The minimum length of a plain secret, in bytes: a stranger may try as many as the network carries.
pub const PLAIN_BYTES_MIN: usize = 16;
/// The fewest different bytes of a plain secret or a token: one that repeats a few is a placeholder, and
/// easily guessed. Sixteen random hexadecimal digits have ten on average.
pub const DISTINCT_BYTES_MIN: usize = 6;

/// The prefix of a Standard Webhooks signing key, and its sizes according to the specification.
const HMAC_PREFIX: &str = "whsec_";
const HMAC_BYTES_MIN: usize = 24;
const HMAC_BYTES_MAX: usize = 64;
/// The prefix of an ed25519 public key.
const PUBLIC_PREFIX: &str = "whpk_";
/// The prefix of an ed25519 private key, which only the sender may have.
const PRIVATE_PREFIX: &str = "whsk_";
/// The scheme that some clients prepend to a secret.
const BEARER: &[u8] = b"bearer ";

/// Base64, with or without padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The active secrets. `Debug` only shows how many there are of each kind.
#[derive(Default)]
pub struct Secrets {
    /// SHA-256 of each plain secret. Hashes have the same length, so comparisons do not reveal the secret's.
    plain: Vec<SecretBox<[u8; 32]>>,
    pub(super) hmac: Vec<SecretSlice<u8>>,
    pub(super) ed25519: Vec<VerifyingKey>,
}

/// Why a secret is refused, with its position in the list, from 1. Never contains the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// Nothing between two commas.
    #[error("secret {0} is empty: remove the extra comma")]
    Empty(usize),
    /// Too many secrets.
    #[error("there are {0} secrets, but at most {max} are allowed: remove those that no sender uses", max = SECRETS_MAX)]
    TooMany(usize),
    /// A plain secret that is easily guessed.
    #[error(
        "secret {0} is shorter than {min} characters: use a random one, such as the output of \
         `openssl rand -hex 24`", min = PLAIN_BYTES_MIN
    )]
    TooShort(usize),
    /// A plain secret of few different characters.
    #[error(
        "secret {0} has fewer than {min} different characters: use a random one, such as the output of \
         `openssl rand -hex 24`", min = DISTINCT_BYTES_MIN
    )]
    TooSimple(usize),
    /// HTTP trims header values, so such a secret would never match.
    #[error("secret {0} begins or ends with a space: remove it")]
    Blank(usize),
    /// Quotes around a secret: the reader of an env file left them in the value, so no sender's secret is
    /// the same.
    #[error("secret {0} is in quotes, which are part of the value here: remove them")]
    Quoted(usize),
    /// Quotes around all secrets.
    #[error("the list of secrets is in quotes, which are part of the value here: remove them")]
    QuotedList,
    /// Characters that are not allowed in a header.
    #[error("secret {0} has characters other than printable ASCII, which headers cannot contain")]
    NotAscii(usize),
    /// The part after `whsec_` or `whpk_` is not base64.
    #[error("secret {0} is not base64 after its prefix: copy it again completely")]
    NotBase64(usize),
    /// A signing key with an invalid size.
    #[error(
        "secret {place} is a signing key with {bytes} bytes: it must have {HMAC_BYTES_MIN} to {HMAC_BYTES_MAX}"
    )]
    KeySize {
        /// Its position.
        place: usize,
        /// Its decoded size.
        bytes: usize,
    },
    /// Not a point of the curve, or one that makes any signature valid.
    #[error("secret {0} is not a usable ed25519 public key (32 bytes)")]
    PublicKey(usize),
    /// A private key, which only the sender may hold.
    #[error("secret {0} is a private key (whsk_): use the public one (whpk_)")]
    PrivateKey(usize),
}

impl Secrets {
    /// Parses comma-separated secrets: `whsec_…` is a Standard Webhooks signing key (base64), `whpk_…` an
    /// ed25519 public key (base64), and anything else a plain text that the sender echoes in
    /// `Authorization`. An empty text has no secrets.
    ///
    /// # Errors
    ///
    /// The first secret that is invalid, and why.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = Self::default();
        if text.trim().is_empty() {
            return Ok(secrets);
        }
        let count = text.split(',').count();
        if count > SECRETS_MAX {
            return Err(SecretsError::TooMany(count));
        }
        // Each in quotes of its own is reported by its position.
        if count > 1 && domain::is_quoted(text) && !text.split(',').all(domain::is_quoted) {
            return Err(SecretsError::QuotedList);
        }
        for (place, secret) in (1..).zip(text.split(',')) {
            secrets.add(place, secret)?;
        }
        Ok(secrets)
    }

    /// Whether there are no secrets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.hmac.is_empty() && self.ed25519.is_empty()
    }

    /// Whether a sender's `Authorization` header contains a plain secret, alone or after `Bearer`. A
    /// signing key is not accepted: its holder has to sign.
    #[must_use]
    pub fn is_echo(&self, authorization: Option<&HeaderValue>) -> bool {
        shown(authorization, |given| has(&self.plain, given))
    }

    /// Whether a text is one of the plain secrets.
    pub(super) fn contains(&self, text: &str) -> bool {
        has(&self.plain, text.as_bytes()).into()
    }

    fn add(&mut self, place: usize, secret: &str) -> Result<(), SecretsError> {
        if secret.is_empty() {
            return Err(SecretsError::Empty(place));
        }
        if secret.trim() != secret {
            return Err(SecretsError::Blank(place));
        }
        if is_quoted(secret) {
            return Err(SecretsError::Quoted(place));
        }
        let decode = |encoded: &str| {
            BASE64
                .decode(encoded)
                .map_err(|_| SecretsError::NotBase64(place))
        };
        if let Some(encoded) = secret.strip_prefix(HMAC_PREFIX) {
            let key = SecretSlice::from(decode(encoded)?);
            let bytes = key.expose_secret().len();
            if !(HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&bytes) {
                return Err(SecretsError::KeySize { place, bytes });
            }
            self.hmac.push(key);
        } else if let Some(encoded) = secret.strip_prefix(PUBLIC_PREFIX) {
            let key = decode(encoded)?.try_into().ok();
            let key = key.and_then(|bytes: [u8; 32]| VerifyingKey::from_bytes(&bytes).ok());
            let key = key
                .filter(|key| !key.is_weak())
                .ok_or(SecretsError::PublicKey(place))?;
            self.ed25519.push(key);
        } else {
            check_plain(place, secret)?;
            self.plain.push(hashed(secret));
        }
        Ok(())
    }
}

/// Whether a secret, alone or after its scheme, is in quotes. A quote in front of the prefix of a key is
/// enough, since it makes the key a plain secret.
pub(super) fn is_quoted(secret: &str) -> bool {
    let (scheme, token) = secret.split_at_checked(BEARER.len()).unwrap_or_default();
    let is_token_quoted =
        scheme.as_bytes().eq_ignore_ascii_case(BEARER) && domain::is_quoted(token);
    domain::is_quoted(secret) || is_token_quoted || is_key_after_quote(secret)
}

fn is_key_after_quote(secret: &str) -> bool {
    let key = secret.trim_start_matches(['"', '\'', '`']);
    let prefixes = [HMAC_PREFIX, PUBLIC_PREFIX, PRIVATE_PREFIX];
    key.len() < secret.len() && prefixes.iter().any(|prefix| key.starts_with(prefix))
}

fn check_plain(place: usize, secret: &str) -> Result<(), SecretsError> {
    if secret.starts_with(PRIVATE_PREFIX) {
        return Err(SecretsError::PrivateKey(place));
    }
    if !secret
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
    {
        return Err(SecretsError::NotAscii(place));
    }
    if secret.len() < PLAIN_BYTES_MIN {
        return Err(SecretsError::TooShort(place));
    }
    if is_simple(secret) {
        return Err(SecretsError::TooSimple(place));
    }
    Ok(())
}

/// Whether a text has few different bytes.
pub(super) fn is_simple(secret: &str) -> bool {
    let distinct: HashSet<u8> = secret.bytes().collect();
    distinct.len() < DISTINCT_BYTES_MIN
}

pub(super) fn hashed(secret: &str) -> SecretBox<[u8; 32]> {
    SecretBox::new(Box::new(Sha256::digest(secret).into()))
}

/// Compares a header's value, with and without its scheme.
pub(super) fn shown(authorization: Option<&HeaderValue>, find: impl Fn(&[u8]) -> Choice) -> bool {
    let Some(value) = authorization.map(HeaderValue::as_bytes) else {
        return false;
    };
    let mut found = find(value);
    if let Some((scheme, token)) = value.split_at_checked(BEARER.len())
        && scheme.eq_ignore_ascii_case(BEARER)
    {
        found |= find(token);
    }
    found.into()
}

/// Compares with every secret, even after a match.
pub(super) fn has(secrets: &[SecretBox<[u8; 32]>], given: &[u8]) -> Choice {
    let given: [u8; 32] = Sha256::digest(given).into();
    let same = |secret: &SecretBox<[u8; 32]>| secret.expose_secret().ct_eq(&given);
    secrets
        .iter()
        .map(same)
        .fold(Choice::from(0), |any, one| any | one)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Secrets")
            .field("plain", &self.plain.len())
            .field("hmac", &self.hmac.len())
            .field("ed25519", &self.ed25519.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
