//! Why an entry is refused, before its position in the delivery is known.

use std::fmt::Display;

use domain::Reason;

/// Why an entry is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(reason: Reason, message: impl Display) -> Self {
        Self {
            reason,
            message: message.to_string(),
        }
    }

    pub(crate) fn missing(field: &str) -> Self {
        Self::new(
            Reason::MissingField,
            format_args!("`{field}` is missing: add it"),
        )
    }

    /// A list or text that is longer than those that exist; reading it would take long.
    pub(crate) fn too_many(field: &str, found: usize, max: usize, of: &str) -> Self {
        Self::new(
            Reason::TooManyParts,
            format_args!("`{field}` has {found} {of}, and at most {max} are read: send fewer"),
        )
    }

    /// `expected` follows "must be" in the message, such as `a text`.
    pub(crate) fn wrong_type(field: &str, expected: &str, found: impl Display) -> Self {
        Self::new(
            Reason::WrongType,
            format_args!("`{field}` must be {expected}, not {found}"),
        )
    }
}
