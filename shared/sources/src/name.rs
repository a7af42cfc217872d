//! Names of tokens and sources that are not literally in the delivery.

use domain::{NameError, Reason, SourceName, Token};

use crate::described::SHOWN_CHARS_MAX;
use crate::refused::Refused;

pub(crate) fn token(name: &str) -> Result<Token, Refused> {
    Token::new(name).map_err(|error| refused(Reason::InvalidToken, "token", name, error))
}

/// `provider:venue`, such as `binance:spot`.
pub(crate) fn source(name: &str) -> Result<SourceName, Refused> {
    SourceName::new(name).map_err(|error| refused(Reason::InvalidSource, "source", name, error))
}

fn refused(reason: Reason, what: &str, name: &str, error: NameError) -> Refused {
    let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
    Refused::new(reason, format_args!("the {what} `{shown}`: {error}"))
}
