//! The secrets that are live, read from one comma-separated text.

use std::fmt;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::VerifyingKey;
use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Most secrets that may be live at once; two are enough to replace one by another.
pub const SECRETS_MAX: usize = 8;
/// Least length of a plain secret, in bytes.
pub const PLAIN_BYTES_MIN: usize = 8;

/// What a Standard Webhooks signing key begins with, and its sizes by the specification.
const HMAC_PREFIX: &str = "whsec_";
const HMAC_BYTES_MIN: usize = 24;
const HMAC_BYTES_MAX: usize = 64;
/// What an ed25519 public key begins with.
const PUBLIC_PREFIX: &str = "whpk_";
/// What an ed25519 private key begins with: the sender's alone.
const PRIVATE_PREFIX: &str = "whsk_";
/// The scheme that clients put before a secret by themselves.
const BEARER: &[u8] = b"bearer ";

/// Base64 as senders write it, with its padding or without.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The secrets that are live. Their `Debug` shows how many there are of each kind, and no more.
#[derive(Default)]
pub struct Secrets {
    /// SHA-256 of each plain secret: all have one length, so comparing reveals nothing of it.
    plain: Vec<SecretBox<[u8; 32]>>,
    /// The same of each signing key's text, prefix included: what an operator shows.
    signing: Vec<SecretBox<[u8; 32]>>,
    pub(super) hmac: Vec<SecretSlice<u8>>,
    pub(super) ed25519: Vec<VerifyingKey>,
}

/// What is wrong with a secret: its place in the list, counted from 1, and never the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// Nothing between two commas.
    #[error("secret {0} is empty: remove the comma beside it")]
    Empty(usize),
    /// More secrets than may be live.
    #[error("{0} secrets, and at most {max} may be live: remove those that no sender uses", max = SECRETS_MAX)]
    TooMany(usize),
    /// A plain secret that is easily guessed.
    #[error("secret {0} is shorter than {min} characters", min = PLAIN_BYTES_MIN)]
    TooShort(usize),
    /// HTTP cuts blanks from the ends of a header, so such a secret would never match.
    #[error("secret {0} begins or ends with a blank: remove it")]
    Blank(usize),
    /// Characters that do not travel in a header.
    #[error("secret {0} holds characters other than printable ASCII, which no header can carry")]
    NotAscii(usize),
    /// What follows `whsec_` or `whpk_` is not base64.
    #[error("secret {0} is not base64 after its prefix: copy it again, whole")]
    NotBase64(usize),
    /// A signing key of a wrong size.
    #[error(
        "secret {place}, a signing key, has {bytes} bytes: it must have {HMAC_BYTES_MIN} to {HMAC_BYTES_MAX}"
    )]
    KeySize {
        /// Which secret.
        place: usize,
        /// Its size once decoded.
        bytes: usize,
    },
    /// No point of the curve, or one under which anybody can sign.
    #[error("secret {0} is not a usable ed25519 public key (32 bytes)")]
    PublicKey(usize),
    /// A private key, which only the sender may hold.
    #[error("secret {0} is a private key (whsk_): give the public one (whpk_)")]
    PrivateKey(usize),
}

impl Secrets {
    /// Reads secrets divided by commas: `whsec_…` is a Standard Webhooks signing key (base64),
    /// `whpk_…` an ed25519 public key (base64), and anything else a plain text that the sender
    /// echoes in `Authorization`. An empty text gives no secrets.
    ///
    /// # Errors
    ///
    /// Which secret breaks which rule.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = Self::default();
        if text.trim().is_empty() {
            return Ok(secrets);
        }
        let count = text.split(',').count();
        if count > SECRETS_MAX {
            return Err(SecretsError::TooMany(count));
        }
        for (place, secret) in (1..).zip(text.split(',')) {
            secrets.add(place, secret)?;
        }
        Ok(secrets)
    }

    /// Whether there is no secret at all, so that nobody could be let in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.hmac.is_empty() && self.ed25519.is_empty()
    }

    /// Whether a sender's `Authorization` header holds a plain secret, alone or after `Bearer`. A
    /// signing key is not accepted as an echo: its holder signs.
    #[must_use]
    pub fn is_echo(&self, authorization: Option<&HeaderValue>) -> bool {
        shown(authorization, |given| has(&self.plain, given))
    }

    /// Whether an operator's `Authorization` header holds a secret that is not public: a plain one,
    /// or the text of a signing key (`whsec_…`), alone or after `Bearer`.
    #[must_use]
    pub fn is_operator(&self, authorization: Option<&HeaderValue>) -> bool {
        shown(authorization, |given| {
            has(&self.plain, given) | has(&self.signing, given)
        })
    }

    /// Whether there is a secret that an operator can show: public keys alone are none.
    #[must_use]
    pub fn has_operator(&self) -> bool {
        !self.plain.is_empty() || !self.signing.is_empty()
    }

    fn add(&mut self, place: usize, secret: &str) -> Result<(), SecretsError> {
        if secret.is_empty() {
            return Err(SecretsError::Empty(place));
        }
        if secret.trim() != secret {
            return Err(SecretsError::Blank(place));
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
            self.signing.push(hashed(secret));
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
    Ok(())
}

fn hashed(secret: &str) -> SecretBox<[u8; 32]> {
    SecretBox::new(Box::new(Sha256::digest(secret).into()))
}

/// Looks for what a header shows, as it stands and without its scheme.
fn shown(authorization: Option<&HeaderValue>, find: impl Fn(&[u8]) -> Choice) -> bool {
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

/// Compares with every secret, whether or not one before it fits.
fn has(secrets: &[SecretBox<[u8; 32]>], given: &[u8]) -> Choice {
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
mod tests {
    use super::*;

    const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    // The public key of the secret key 07 07 … 07.
    const PUBLIC: &str = "whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";

    #[track_caller]
    fn check(text: &str, expected: Result<(usize, usize, usize), SecretsError>) {
        let found = Secrets::parse(text).map(|secrets| {
            (
                secrets.plain.len(),
                secrets.hmac.len(),
                secrets.ed25519.len(),
            )
        });
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn secrets_are_told_apart_by_prefix() {
        check("", Ok((0, 0, 0)));
        check("  ", Ok((0, 0, 0)));
        check("12345678", Ok((1, 0, 0)));
        check("two words", Ok((1, 0, 0)));
        check(KEY, Ok((0, 1, 0)));
        check(PUBLIC, Ok((0, 0, 1)));
        check(PUBLIC.trim_end_matches('='), Ok((0, 0, 1)));
        check(&format!("open-sesame,{KEY},{PUBLIC},{KEY}"), Ok((1, 2, 1)));
        check(
            &["12345678"; SECRETS_MAX].join(","),
            Ok((SECRETS_MAX, 0, 0)),
        );
    }

    #[test]
    fn a_bad_secret_is_named_by_its_place() {
        check("open-sesame,", Err(SecretsError::Empty(2)));
        check(",open-sesame", Err(SecretsError::Empty(1)));
        check("open-sesame, other-secret", Err(SecretsError::Blank(2)));
        check("open-sesame\n", Err(SecretsError::Blank(1)));
        check("1234567", Err(SecretsError::TooShort(1)));
        check("open\tsesame", Err(SecretsError::NotAscii(1)));
        check("öffne-dich", Err(SecretsError::NotAscii(1)));
        check(&["12345678"; 9].join(","), Err(SecretsError::TooMany(9)));
    }

    #[test]
    fn a_bad_key_is_refused() {
        let key = |bytes: usize| format!("{HMAC_PREFIX}{}", BASE64.encode(vec![5; bytes]));
        check(&key(24), Ok((0, 1, 0)));
        check(&key(64), Ok((0, 1, 0)));
        check(
            &key(23),
            Err(SecretsError::KeySize {
                place: 1,
                bytes: 23,
            }),
        );
        check(
            &key(65),
            Err(SecretsError::KeySize {
                place: 1,
                bytes: 65,
            }),
        );
        check("whsec_", Err(SecretsError::KeySize { place: 1, bytes: 0 }));
        check("whsec_not base64", Err(SecretsError::NotBase64(1)));
        check(
            "whsk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6=",
            Err(SecretsError::PrivateKey(1)),
        );
        let public = |bytes: &[u8]| format!("{PUBLIC_PREFIX}{}", BASE64.encode(bytes));
        check(&public(&[1; 31]), Err(SecretsError::PublicKey(1)));
        // The neutral element: everything is signed under it.
        let mut weak = [0; 32];
        weak[0] = 1;
        check(&public(&weak), Err(SecretsError::PublicKey(1)));
    }

    #[test]
    fn an_operator_shows_any_secret_that_is_not_public() {
        let public = format!(
            "{PUBLIC_PREFIX}{}",
            BASE64.encode(
                ed25519_dalek::SigningKey::from_bytes(&[3; 32])
                    .verifying_key()
                    .as_bytes()
            )
        );
        let secrets = Secrets::parse(&format!("open-sesame,{KEY},{public}")).unwrap();
        let header = |value: &str| HeaderValue::from_str(value).unwrap();
        let is_operator = |value: &str| secrets.is_operator(Some(&header(value)));
        assert!(is_operator("open-sesame"));
        assert!(is_operator("Bearer open-sesame"));
        assert!(!is_operator("Bearer  open-sesame"));
        assert!(is_operator(&format!("Bearer {KEY}")));
        assert!(!is_operator(&format!("Bearer {public}")));
        assert!(!is_operator(&format!("Bearer {HMAC_PREFIX}")));
        assert!(!is_operator(""));
        assert!(!secrets.is_operator(None));
        assert!(!Secrets::default().is_operator(Some(&HeaderValue::from_static(""))));
        assert!(secrets.is_echo(Some(&header("Bearer open-sesame"))));
        assert!(!secrets.is_echo(Some(&header(&format!("Bearer {KEY}")))));
        assert!(secrets.has_operator());
        assert!(Secrets::parse(KEY).unwrap().has_operator());
        assert!(!Secrets::parse(&public).unwrap().has_operator());
    }

    #[test]
    fn debug_shows_counts_only() {
        let secrets = Secrets::parse(&format!("open-sesame,{KEY}")).unwrap();
        assert_eq!(
            format!("{secrets:?}"),
            "Secrets { plain: 1, hmac: 1, ed25519: 0 }"
        );
    }
}
