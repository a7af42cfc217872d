//! The patterns of LIKE. The engine's have `\` as their escape character; Athena's have none, or the one of ESCAPE.

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::call;
use super::refusal::invalid;
use crate::error::SqlError;

/// The engine's pattern for Athena's.
pub(super) fn pattern(
    pattern: Expr,
    escape: Option<&ValueWithSpan>,
    span: Span,
) -> Result<Expr, SqlError> {
    let invalid = |message| invalid(message, span);
    let escape = match escape.map(|escape| &escape.value) {
        None => None,
        Some(Value::SingleQuotedString(text)) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Some(char),
                _ => return Err(invalid("ESCAPE needs exactly one character")),
            }
        }
        Some(_) => return Err(invalid("write ESCAPE with one character in quotes")),
    };
    if let Expr::Value(value) = &pattern
        && let Value::SingleQuotedString(text) = &value.value
    {
        let text = escaped(text, escape).ok_or_else(|| {
            invalid("in a pattern of LIKE, the escape character stands before %, _ or itself")
        })?;
        return Ok(Expr::value(Value::SingleQuotedString(text)));
    }
    let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
    match escape {
        None => Ok(call("replace", vec![pattern, text("\\"), text("\\\\")])),
        Some(_) => Err(invalid(
            "with ESCAPE, this engine takes only a literal as the pattern of LIKE",
        )),
    }
}

fn escaped(pattern: &str, escape: Option<char>) -> Option<String> {
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        if Some(char) == escape {
            let next = chars
                .next()
                .filter(|next| matches!(next, '%' | '_') || Some(*next) == escape)?;
            if matches!(next, '%' | '_' | '\\') {
                text.push('\\');
            }
            text.push(next);
        } else {
            if char == '\\' {
                text.push('\\');
            }
            text.push(char);
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_athena() {
        assert_eq!(escaped(r"a\_b%", None).as_deref(), Some(r"a\\_b%"));
        assert_eq!(escaped("a#_b#%##", Some('#')).as_deref(), Some(r"a\_b\%#"));
        assert_eq!(escaped(r"a\\_b", Some('\\')).as_deref(), Some(r"a\\_b"));
        assert_eq!(escaped("a#b", Some('#')), None);
        assert_eq!(escaped("a#", Some('#')), None);
    }
}
