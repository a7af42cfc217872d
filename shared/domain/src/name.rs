//! Names of tokens and sources, validated when they are created.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest token or source name in bytes. A Solana mint has at most 44.
const NAME_BYTES_MAX: usize = 64;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// More than 64 bytes.
    #[error("a name has at most {NAME_BYTES_MAX} bytes, but this one has {0}")]
    TooLong(usize),
    /// A character that is not allowed.
    #[error(
        "a name has only ASCII letters (A to Z, a to z), digits (0 to 9) and . _ : $ + -, but this one has {0:?}"
    )]
    Character(char),
}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(text.len()));
    }
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '$' | '+' | '-');
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(NameError::Character(c)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Validates a name.
            ///
            /// # Errors
            /// [`NameError`] says which rule the text breaks.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(&text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A priced asset, or the currency of a price: a mint address on Solana, a currency code
    /// elsewhere (`BTC`, `USD`). Case matters.
    Token
}
name! {
    /// The origin of a price: `provider:venue`, such as `helius:jupiter` or `binance:spot`.
    SourceName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(Token::new("So11111111111111111111111111111111111111112").is_ok());
        assert!(SourceName::new("helius:pump_amm").is_ok());
        assert_eq!(Token::new(""), Err(NameError::Empty));
        assert_eq!(Token::new(&"a".repeat(65)), Err(NameError::TooLong(65)));
        assert_eq!(Token::new("a b"), Err(NameError::Character(' ')));
        assert_eq!(Token::new("a\0"), Err(NameError::Character('\0')));
        assert_eq!(Token::new("ü"), Err(NameError::Character('ü')));
        // Letters and digits of other scripts.
        for text in ["日本", "ВТС", "٣"] {
            let refused = Token::new(text).unwrap_err().to_string();
            assert!(
                refused.contains("only ASCII letters (A to Z, a to z)"),
                "{refused}"
            );
        }
    }
}
