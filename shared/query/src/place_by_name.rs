//! Where an error is, by what its message names. The plan keeps the places of columns alone, and so knows none for an
//! expression of constants.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::dialect::grammar::AthenaDialect;
use crate::dialect::signatures;
use crate::error::SqlError;
use crate::position::Position;

/// The error with its place in the statement, if it has none, and names a function, a keyword, an operator or a text that
/// the statement has once.
pub(crate) fn placed(mut error: SqlError, sql: &str) -> SqlError {
    if let SqlError::Failed(message) = &error
        && let position @ Some(_) = place(message, sql)
    {
        let message = message.clone();
        return SqlError::Invalid { message, position };
    }
    if let SqlError::Invalid { message, position } = &mut error {
        *position = position.or_else(|| place(message, sql));
    }
    error
}

fn place(message: &str, sql: &str) -> Option<Position> {
    // Behind the colon is what to write instead.
    let (reason, _) = message.split_once(": ").unwrap_or((message, ""));
    let tokens = Tokenizer::new(&AthenaDialect, sql)
        .tokenize_with_location()
        .ok()?;
    let names: Vec<Option<String>> = (0..tokens.len()).map(|at| name(&tokens, at)).collect();
    let named = names.iter().enumerate().filter_map(|(at, name)| {
        let name = name.as_ref()?;
        let is_once = names
            .iter()
            .flatten()
            .filter(|other| *other == name)
            .count()
            == 1;
        let place = whole(reason, name).filter(|_| is_once)?;
        Some((place, at))
    });
    let (_, at) = named.min()?;
    let start = tokens.get(at)?.span.start;
    Position::new(start.line, start.column)
}

/// How a message would name a token.
#[expect(clippy::wildcard_enum_match_arm, reason = "the parser's enum grows")]
fn name(tokens: &[TokenWithSpan], at: usize) -> Option<String> {
    let is_call = matches!(
        tokens.get(at + 1).map(|next| &next.token),
        Some(Token::LParen)
    );
    match &tokens.get(at)?.token {
        Token::Word(word) if word.quote_style.is_some() => None,
        Token::Word(word) if is_call && signatures::is_known(&word.value.to_lowercase()) => {
            Some(word.value.to_lowercase())
        }
        Token::Word(word) if word.keyword != Keyword::NoKeyword => Some(word.value.to_uppercase()),
        Token::SingleQuotedString(text) => Some(format!("'{text}'")),
        Token::Word(_) | Token::Whitespace(_) | Token::Number(..) => None,
        operator => Some(format!("`{operator}`")),
    }
}

/// Where a text has a name that is not a part of a longer one.
fn whole(text: &str, name: &str) -> Option<usize> {
    let is_part = |char: Option<char>| char.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let mut found = text.match_indices(name);
    let place = found.find(|(place, _)| {
        let (before, after) = text.split_at(*place);
        let after = after.strip_prefix(name).unwrap_or_default();
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    });
    place.map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_where_the_statement_has_what_it_names() {
        for (message, sql, column) in [
            (
                "call it as log(double, double), not with (integer)",
                "SELECT log(1)",
                Some(8),
            ),
            (
                "`||` of NULL may be of texts: write `-`",
                "SELECT NULL || 'a' - 1",
                Some(13),
            ),
            (
                "'x' cannot be cast to date: try_cast returns NULL instead",
                "SELECT CAST('x' AS date)",
                Some(13),
            ),
            (
                "UNION cannot compare varchar with double",
                "SELECT 'a' union SELECT 1e0",
                Some(12),
            ),
            (
                "hour takes a timestamp, not a date",
                "SELECT hour(DATE '2026-03-07')",
                Some(8),
            ),
            // Either may be meant.
            (
                "call it as log(double, double), not with (integer)",
                "SELECT log(1), log(2)",
                None,
            ),
            (
                "call it as log(double, double), not with (integer)",
                "WITH a AS (SELECT 1) SELECT \"log\"(1)",
                None,
            ),
            ("a cast to date: write log(1)", "SELECT log(1)", None),
        ] {
            let found = place(message, sql).map(|place| place.column);
            assert_eq!(found, column, "{message}: {sql}");
        }
    }
}
