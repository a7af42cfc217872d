//! Entries that could not become a tick: the rule they break, the severity, and the entry itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes of a malformed entry that are kept (4 KiB); its full size is recorded separately.
pub const RAW_BYTES_MAX: usize = 4 * 1_024;

/// The most bytes of the message that describes the defect.
const MESSAGE_BYTES_MAX: usize = 300;

/// The rule that an entry breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The body is not JSON, or not JSON that this source sends.
    UnreadableBody,
    /// The body is not UTF-8.
    InvalidUtf8,
    /// There is no source of that name.
    UnknownSource,
    /// A field is missing.
    MissingField,
    /// A field has the wrong type.
    WrongType,
    /// A field occurs twice.
    DuplicateField,
    /// The price is zero, negative, too large or not a decimal number.
    InvalidPrice,
    /// The volume is negative, too large or not a decimal number.
    InvalidVolume,
    /// The event time is missing, before 2000 or not a valid time.
    InvalidTimestamp,
    /// The event time is more than five minutes ahead of our clock.
    FutureTimestamp,
    /// The token or quote is not a valid name.
    InvalidToken,
    /// The event's own identification is missing or too long.
    InvalidId,
    /// The source is not a valid name.
    InvalidSource,
    /// A trade whose two sides cannot be determined.
    AmbiguousTrade,
    /// The analysis or the archive fails for this tick, which is stored.
    Unprocessable,
    /// More parts (accounts, transfers, digits) than exist in practice, which would take long to read.
    TooManyParts,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 16] = [
        Self::UnreadableBody,
        Self::InvalidUtf8,
        Self::UnknownSource,
        Self::MissingField,
        Self::WrongType,
        Self::DuplicateField,
        Self::InvalidPrice,
        Self::InvalidVolume,
        Self::InvalidTimestamp,
        Self::FutureTimestamp,
        Self::InvalidToken,
        Self::InvalidId,
        Self::InvalidSource,
        Self::AmbiguousTrade,
        Self::Unprocessable,
        Self::TooManyParts,
    ];

    /// The code in responses, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnreadableBody => "unreadable_body",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::UnknownSource => "unknown_source",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::DuplicateField => "duplicate_field",
            Self::InvalidPrice => "invalid_price",
            Self::InvalidVolume => "invalid_volume",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::InvalidToken => "invalid_token",
            Self::InvalidId => "invalid_id",
            Self::InvalidSource => "invalid_source",
            Self::AmbiguousTrade => "ambiguous_trade",
            Self::Unprocessable => "unprocessable",
            Self::TooManyParts => "too_many_parts",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            // The whole body is unusable until somebody examines it.
            Self::UnreadableBody | Self::InvalidUtf8 | Self::UnknownSource => Severity::Critical,
            // A valid tick: the defect is ours.
            Self::Unprocessable => Severity::Critical,
            // Once the clocks agree again, a replay succeeds.
            Self::FutureTimestamp | Self::AmbiguousTrade => Severity::Warning,
            Self::MissingField
            | Self::WrongType
            | Self::DuplicateField
            | Self::InvalidPrice
            | Self::InvalidVolume
            | Self::InvalidTimestamp
            | Self::InvalidToken
            | Self::InvalidId
            | Self::InvalidSource
            | Self::TooManyParts => Severity::Error,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad a malformed entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A later replay is likely to succeed.
    Warning,
    /// One price is missing until the entry is repaired.
    Error,
    /// A whole delivery could not be read, or a stored tick could not be processed.
    Critical,
}

/// An entry that could not become a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Malformed {
    /// Position of the entry in its delivery, from 0.
    pub index: usize,
    /// The rule it breaks.
    pub reason: Reason,
    /// A description of the defect, with the value and what to do (at most 300 bytes).
    pub message: String,
    /// The entry as received, truncated to [`RAW_BYTES_MAX`] at a character boundary; bytes that
    /// are not UTF-8 are replaced.
    pub raw: String,
    /// The entry's full size in bytes.
    pub raw_bytes: usize,
}

impl Malformed {
    /// Describes what is wrong with the entry at `index`.
    #[must_use]
    pub fn new(index: usize, reason: Reason, message: impl fmt::Display, raw: &[u8]) -> Self {
        let kept = raw.get(..RAW_BYTES_MAX).unwrap_or(raw);
        let mut message = message.to_string();
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
        let mut text = String::from_utf8_lossy(kept).into_owned();
        text.truncate(text.floor_char_boundary(RAW_BYTES_MAX));
        Self {
            index,
            reason,
            message,
            raw: text,
            raw_bytes: raw.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_entry_is_truncated_and_its_size_kept() {
        let raw = "ü".repeat(RAW_BYTES_MAX);
        let malformed = Malformed::new(3, Reason::InvalidPrice, "no price", raw.as_bytes());
        assert!(malformed.raw.len() <= RAW_BYTES_MAX);
        assert_eq!(malformed.raw_bytes, 2 * RAW_BYTES_MAX);
    }

    #[test]
    fn bytes_that_are_not_text_are_kept_readable() {
        let malformed = Malformed::new(0, Reason::InvalidUtf8, "byte 1", b"a\xff\xfe");
        assert_eq!(malformed.raw, "a\u{fffd}\u{fffd}");
        assert_eq!(malformed.raw_bytes, 3);
    }

    #[test]
    fn reasons_have_one_code_each() {
        let codes: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
