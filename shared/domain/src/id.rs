//! The identity of a tick: the same event gives the same id, however often it is delivered.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// 16 bytes, written as 32 lower-case hexadecimal digits: the first half of a SHA-256 over the
/// provider's name and the provider's own identification of the event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TickId([u8; 16]);

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tick id is 32 lower-case hexadecimal digits")]
pub struct TickIdError;

impl TickId {
    /// Derives the id from the provider (`helius`) and the parts that identify the event there
    /// (a transaction's signature, a trade's number). Parts are length-prefixed, so that
    /// `["ab", "c"]` and `["a", "bc"]` differ.
    #[must_use]
    pub fn derive(provider: &str, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(&provider).chain(parts) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        Self(id)
    }

    /// Creates an id from its stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, for keys.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`TickIdError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, TickIdError> {
        let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| TickIdError)?;
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return Err(TickIdError),
                };
                *byte = *byte << 4 | value;
            }
        }
        Ok(Self(id))
    }

    /// The 32 hexadecimal digits, without an allocation.
    #[must_use]
    pub fn hex(&self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            for (digit, value) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
            }
        }
        text
    }
}

impl TryFrom<String> for TickId {
    type Error = TickIdError;
    fn try_from(text: String) -> Result<Self, TickIdError> {
        Self::parse(&text)
    }
}

impl From<TickId> for String {
    fn from(id: TickId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TickId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex()
            .iter()
            .try_for_each(|digit| write!(f, "{}", *digit as char))
    }
}

impl fmt::Debug for TickId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_event_gives_the_same_id() {
        let id = TickId::derive("binance", &["BTCUSDT", "553287559"]);
        assert_eq!(id, TickId::derive("binance", &["BTCUSDT", "553287559"]));
        assert_ne!(id, TickId::derive("binance", &["BTCUSDT", "553287560"]));
        assert_ne!(TickId::derive("a", &["bc"]), TickId::derive("ab", &["c"]));
        assert_eq!(TickId::parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "00", &"g".repeat(32), &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(TickId::parse(text), Err(TickIdError), "{text}");
        }
    }
}
