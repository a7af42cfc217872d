//! Parses the token names of clients.

use app::ports::Topic;
use domain::{NameError, Token, aliases};

/// Most tokens that one request may name.
pub(crate) const TOKENS_MAX: usize = 200;

/// Why names are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokensError {
    /// Too many.
    #[error(
        "{0} tokens are named, but at most {TOKENS_MAX} are allowed: name fewer, or none for all"
    )]
    TooMany(usize),
    /// One is not a valid name.
    #[error("token {place} is not a valid name: {why}")]
    Name { place: usize, why: NameError },
}

/// Parses names: mint addresses, symbols of known mints, or names as in the sources.
pub(crate) fn read<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<Vec<Token>, TokensError> {
    let count = names.clone().count();
    if count > TOKENS_MAX {
        return Err(TokensError::TooMany(count));
    }
    let read = |(place, name): (usize, &str)| {
        let name = aliases::mint_of(name).unwrap_or(name);
        Token::new(name).map_err(|why| TokensError::Name { place, why })
    };
    let mut tokens: Vec<Token> = (1..).zip(names).map(read).collect::<Result<_, _>>()?;
    tokens.sort();
    tokens.dedup();
    Ok(tokens)
}

/// The topics of tokens; no tokens mean all.
pub(crate) fn topics(tokens: &[Token]) -> Vec<Topic> {
    if tokens.is_empty() {
        return vec![Topic::All];
    }
    tokens.iter().cloned().map(Topic::Token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_merged_and_symbols_of_known_mints_are_resolved() {
        let tokens = read(["BTC", "sol", "SOL", "BTC"].into_iter()).unwrap();
        let names: Vec<&str> = tokens.iter().map(Token::as_str).collect();
        assert_eq!(names, ["BTC", aliases::SOL_MINT]);
        assert_eq!(topics(&[]), [Topic::All]);
        assert_eq!(topics(&tokens).len(), 2);
    }

    #[test]
    fn invalid_names_are_refused_with_their_position() {
        let refused = read(["BTC", "a b"].into_iter()).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("token 2 is not a valid name"),
            "{refused}"
        );
        assert!(read([""].into_iter()).is_err());
        let many = ["A"; TOKENS_MAX + 1];
        assert_eq!(
            read(many.into_iter()),
            Err(TokensError::TooMany(TOKENS_MAX + 1))
        );
        assert!(read(["A"; TOKENS_MAX].into_iter()).is_ok());
    }
}
