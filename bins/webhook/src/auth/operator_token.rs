//! The operator's token, which changes the rollout. It is not a secret of the senders: what a provider
//! echoes must not move the rollout.

use std::fmt;

use axum::http::HeaderValue;
use base64::Engine as _;
use secrecy::SecretBox;

use super::Secrets;
use super::secrets::{BASE64, has, hashed, is_quoted, is_simple, shown};

/// The minimum length of the token, in bytes.
pub const OPERATOR_TOKEN_BYTES_MIN: usize = 32;

/// The scheme in which browsers send what a person enters.
const BASIC: &[u8] = b"basic ";

/// The token. `Debug` shows none of it.
pub struct OperatorToken([SecretBox<[u8; 32]>; 1]);

/// Why a token is refused. Never contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorTokenError {
    /// It is easily guessed.
    #[error(
        "it is shorter than {OPERATOR_TOKEN_BYTES_MIN} characters: use a random one, such as the output \
         of `openssl rand -hex 24`"
    )]
    TooShort,
    /// It has few different characters.
    #[error(
        "it has fewer than {min} different characters: use a random one, such as the output of \
         `openssl rand -hex 24`", min = super::DISTINCT_BYTES_MIN
    )]
    TooSimple,
    /// Characters that are not allowed in a header, or that browsers and proxies change.
    #[error("it has characters other than printable ASCII without spaces: use letters and digits")]
    NotAscii,
    /// Quotes around it, which the reader of an env file left in the value.
    #[error("it is in quotes, which are part of the value here: remove them")]
    Quoted,
    /// It is also a sender's.
    #[error(
        "it is also in WEBHOOK_SECRETS, so that a sender could change the rollout: use another one"
    )]
    Shared,
}

impl OperatorToken {
    /// Reads the token; `None` if the text is empty.
    ///
    /// # Errors
    ///
    /// If it is weak, or one of the senders' secrets.
    pub fn parse(text: &str, senders: &Secrets) -> Result<Option<Self>, OperatorTokenError> {
        if text.is_empty() {
            return Ok(None);
        }
        if is_quoted(text) {
            return Err(OperatorTokenError::Quoted);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OperatorTokenError::NotAscii);
        }
        if text.len() < OPERATOR_TOKEN_BYTES_MIN {
            return Err(OperatorTokenError::TooShort);
        }
        if is_simple(text) {
            return Err(OperatorTokenError::TooSimple);
        }
        if senders.contains(text) {
            return Err(OperatorTokenError::Shared);
        }
        Ok(Some(Self([hashed(text)])))
    }

    /// Whether an `Authorization` header contains the token, alone or after `Bearer`. Browsers do not add
    /// such a header by themselves, so that no page can make one of its visitors send it.
    #[must_use]
    pub fn is_sent(&self, authorization: Option<&HeaderValue>) -> bool {
        shown(authorization, |given| has(&self.0, given))
    }

    /// Whether an `Authorization` header contains the token as the password of `Basic`, whatever the
    /// name: that is how a person enters it into a browser.
    #[must_use]
    pub fn is_entered(&self, authorization: Option<&HeaderValue>) -> bool {
        let password = authorization.and_then(|value| {
            let (scheme, encoded) = value.as_bytes().split_at_checked(BASIC.len())?;
            let decoded = BASE64.decode(encoded).ok()?;
            let colon = decoded.iter().position(|byte| *byte == b':')?;
            scheme
                .eq_ignore_ascii_case(BASIC)
                .then(|| decoded.get(colon + 1..).map(<[u8]>::to_vec))?
        });
        password.is_some_and(|password| has(&self.0, &password).into())
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OperatorToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "operator-0123456789-0123456789-0";

    fn parse(text: &str) -> Result<bool, OperatorTokenError> {
        let senders = Secrets::parse("a-senders-secret-of-32-characters").unwrap();
        OperatorToken::parse(text, &senders).map(|token| token.is_some())
    }

    #[test]
    fn a_weak_token_is_refused() {
        assert_eq!(parse(""), Ok(false));
        assert_eq!(TOKEN.len(), OPERATOR_TOKEN_BYTES_MIN);
        assert_eq!(parse(TOKEN), Ok(true));
        let short = TOKEN.split_at(31).0;
        assert_eq!(parse(short), Err(OperatorTokenError::TooShort));
        let simple = "12345".repeat(8);
        assert_eq!(parse(&simple), Err(OperatorTokenError::TooSimple));
        for odd in [
            "operator 0123456789 0123456789 01",
            "öperator-0123456789-0123456789-01",
        ] {
            assert_eq!(parse(odd), Err(OperatorTokenError::NotAscii));
        }
        let quoted = format!("\"{TOKEN}\"");
        assert_eq!(parse(&quoted), Err(OperatorTokenError::Quoted));
        let shared = parse("a-senders-secret-of-32-characters");
        assert_eq!(shared, Err(OperatorTokenError::Shared));
    }

    #[test]
    fn it_is_sent_as_bearer_and_entered_as_a_password() {
        let token = OperatorToken::parse(TOKEN, &Secrets::default());
        let token = token.unwrap().unwrap();
        let header = |value: &str| HeaderValue::from_str(value).unwrap();
        let basic = |name_and_password: &str| {
            header(&format!("Basic {}", BASE64.encode(name_and_password)))
        };
        for sent in [TOKEN.to_owned(), format!("Bearer {TOKEN}")] {
            assert!(token.is_sent(Some(&header(&sent))));
            assert!(!token.is_entered(Some(&header(&sent))));
        }
        for entered in [format!(":{TOKEN}"), format!("ann:{TOKEN}")] {
            assert!(token.is_entered(Some(&basic(&entered))));
            assert!(!token.is_sent(Some(&basic(&entered))));
        }
        let other = TOKEN.replace('0', "1");
        for wrong in ["", "Bearer", "Basic", "Basic #", &other] {
            let wrong = header(wrong);
            assert!(!token.is_sent(Some(&wrong)) && !token.is_entered(Some(&wrong)));
        }
        assert!(!token.is_entered(Some(&basic(TOKEN))), "no colon");
        assert!(!token.is_entered(Some(&basic(&format!("ann:{other}")))));
        assert!(!token.is_sent(None) && !token.is_entered(None));
        assert_eq!(format!("{token:?}"), "OperatorToken");
    }
}
