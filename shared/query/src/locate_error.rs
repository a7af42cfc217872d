//! Finds where in a statement an error is, from what its message names. Plans keep the positions of columns only, so an
//! error in an expression of constants comes without one.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::dialect::grammar::AthenaDialect;
use crate::dialect::signatures;
use crate::error::SqlError;
use crate::position::Position;

/// Adds a position to an error that has none, if its message names a function, keyword, operator or text that occurs
/// exactly once in the statement.
pub(crate) fn located(mut error: SqlError, sql: &str) -> SqlError {
    if let SqlError::Failed(message) = &error
        && let position @ Some(_) = position_of(message, sql)
    {
        let message = message.clone();
        return SqlError::Invalid { message, position };
    }
    if let SqlError::Invalid { message, position } = &mut error {
        *position = position.or_else(|| position_of(message, sql));
    }
    error
}

fn position_of(message: &str, sql: &str) -> Option<Position> {
    // What follows the colon is advice.
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
        let start = find_word(reason, name).filter(|_| is_once)?;
        Some((start, at))
    });
    let (_, at) = named.min()?;
    let start = tokens.get(at)?.span.start;
    Position::new(start.line, start.column)
}

/// The form in which a message names a token.
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

/// The index of a name in a text, if it is not part of a longer word.
fn find_word(text: &str, name: &str) -> Option<usize> {
    let is_part = |char: Option<char>| char.is_some_and(|it| it.is_alphanumeric() || it == '_');
    let mut found = text.match_indices(name);
    let index = found.find(|(index, _)| {
        let (before, after) = text.split_at(*index);
        let after = after.strip_prefix(name).unwrap_or_default();
        !is_part(before.chars().next_back()) && !is_part(after.chars().next())
    });
    index.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_located_by_what_its_message_names() {
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
            let found = position_of(message, sql).map(|position| position.column);
            assert_eq!(found, column, "{message}: {sql}");
        }
    }
}
