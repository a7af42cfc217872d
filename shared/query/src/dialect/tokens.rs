//! The statement before it is parsed: forms that the parser lacks are written in the ones that it has.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::grammar::AthenaDialect;
use super::refusal::{invalid, refused};
use crate::error::SqlError;

/// Ends the rows of VALUES, at the same depth.
const AFTER_VALUES: [Keyword; 8] = [
    Keyword::ORDER,
    Keyword::LIMIT,
    Keyword::OFFSET,
    Keyword::FETCH,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::AS,
];

/// The tokens of a text, for the parser.
pub(crate) fn tokens(sql: &str) -> Result<Result<Vec<TokenWithSpan>, ParserError>, SqlError> {
    let dialect: &dyn Dialect = &AthenaDialect;
    let tokens = match Tokenizer::new(dialect, sql).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(error) => return Ok(Err(error.into())),
    };
    check(&tokens)?;
    Ok(Ok(rows_in_parentheses(types_in_brackets(tokens))))
}

fn check(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut semicolons = 0;
    let mut cases = 0_usize;
    let is_word = |token: &&TokenWithSpan| !matches!(token.token, Token::Whitespace(_));
    let words: Vec<&TokenWithSpan> = tokens.iter().filter(is_word).collect();
    words.windows(2).try_for_each(text_as_name)?;
    words.windows(4).try_for_each(value_as_rows)?;
    for (place, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::DoubleEq => return Err(refused("`==`", "write =", token.span)),
            Token::SemiColon => semicolons += 1,
            Token::Whitespace(_) => {}
            _ => semicolons = 0,
        }
        if semicolons > 1 {
            return Err(refused("`;;`", "write one semicolon", token.span));
        }
        let next = tokens.get(place + 1).map(|next| &next.token);
        match (&token.token, next) {
            (Token::Number(..) | Token::HexStringLiteral(_), Some(Token::Word(word)))
                if word.quote_style.is_none() && is_number(token) =>
            {
                return Err(refused(
                    "a number and a word without a blank",
                    "put a blank between them",
                    token.span,
                ));
            }
            (Token::HexStringLiteral(digits), _)
                if is_number(token) && i64::from_str_radix(digits, 16).is_err() =>
            {
                return Err(refused("this number", "write decimal digits", token.span));
            }
            (Token::Word(word), _) if word.quote_style == Some('"') && word.value.is_empty() => {
                return Err(refused("the name \"\"", "choose another one", token.span));
            }
            _ => {}
        }
        // The parser takes an END after a statement.
        match keyword(token) {
            Some(Keyword::CASE) => cases += 1,
            Some(Keyword::END) if cases == 0 => {
                return Err(refused("END without CASE", "leave it out", token.span));
            }
            Some(Keyword::END) => cases -= 1,
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a name in single quotes, which the parser accepts.
fn text_as_name(words: &[&TokenWithSpan]) -> Result<(), SqlError> {
    let [before, text] = words else {
        return Ok(());
    };
    let is_name = keyword(before) == Some(Keyword::AS) || before.token == Token::Period;
    match &text.token {
        Token::SingleQuotedString(name) if is_name => {
            let instead = format!("write \"{name}\"");
            Err(refused("a name in single quotes", &instead, text.span))
        }
        _ => Ok(()),
    }
}

/// Refuses `ANY ((SELECT …))`: the parser drops the inner parentheses, which on Athena make it a single value.
fn value_as_rows(words: &[&TokenWithSpan]) -> Result<(), SqlError> {
    use Token as T;
    let [operator, word, outer, inner] = words else {
        return Ok(());
    };
    let compares = matches!(
        operator.token,
        T::Eq | T::Neq | T::Lt | T::LtEq | T::Gt | T::GtEq
    );
    let quantifies = matches!(
        keyword(word),
        Some(Keyword::ANY | Keyword::ALL | Keyword::SOME)
    );
    if compares && quantifies && outer.token == T::LParen && inner.token == T::LParen {
        let message = "ANY and ALL are followed by one pair of parentheses on this engine: write ANY (SELECT …)";
        return Err(invalid(message, inner.span));
    }
    Ok(())
}

/// Whether it is a number such as `1` or `0x1F`, and not bytes such as `X'1F'`.
fn is_number(token: &TokenWithSpan) -> bool {
    match &token.token {
        Token::HexStringLiteral(digits) => {
            let columns = token
                .span
                .end
                .column
                .saturating_sub(token.span.start.column);
            usize::try_from(columns) == Ok(digits.len() + 2)
        }
        _ => true,
    }
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.keyword),
        _ => None,
    }
}

/// `array(bigint)` as `array<bigint>`, which the parser takes everywhere.
fn types_in_brackets(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut rewritten = Vec::with_capacity(tokens.len());
    // For each open parenthesis, whether it is of a type.
    let mut open = Vec::new();
    let mut follows_array = false;
    for mut token in tokens {
        let is_array = keyword(&token) == Some(Keyword::ARRAY);
        match token.token {
            Token::LParen => {
                if follows_array {
                    token.token = Token::Lt;
                }
                open.push(follows_array);
            }
            Token::RParen if open.pop() == Some(true) => token.token = Token::Gt,
            _ => {}
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            follows_array = is_array;
        }
        rewritten.push(token);
    }
    rewritten
}

/// `VALUES 1, 2` as `VALUES (1), (2)`.
fn rows_in_parentheses(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut rewritten: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut depth = 0_usize;
    // The depths of VALUES whose rows are being read, with the start of the row in `rewritten`.
    let mut values: Vec<(usize, usize)> = Vec::new();
    for token in tokens {
        let ends = match &token.token {
            Token::Comma => values.last().is_some_and(|(of, _)| *of == depth),
            Token::RParen => values.last().is_some_and(|(of, _)| *of == depth),
            Token::SemiColon | Token::EOF => !values.is_empty(),
            _ => {
                values.last().is_some_and(|(of, _)| *of == depth)
                    && keyword(&token).is_some_and(|it| AFTER_VALUES.contains(&it))
            }
        };
        if ends && let Some((of, start)) = values.pop() {
            enclose(&mut rewritten, start);
            if token.token == Token::Comma {
                values.push((of, rewritten.len() + 1));
            }
        }
        match &token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        let begins = keyword(&token) == Some(Keyword::VALUES);
        rewritten.push(token);
        if begins {
            values.push((depth, rewritten.len()));
        }
    }
    if let Some((_, start)) = values.pop() {
        enclose(&mut rewritten, start);
    }
    rewritten
}

/// Puts a row in parentheses unless it is a list in parentheses, or ROW(…).
fn enclose(tokens: &mut Vec<TokenWithSpan>, start: usize) {
    let row = tokens.get(start..).unwrap_or_default();
    let mut words = row
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)));
    let Some(first) = words.next() else {
        return;
    };
    let mut depth = 0_i32;
    let mut closes_early = false;
    let last = row
        .iter()
        .rposition(|token| !matches!(token.token, Token::Whitespace(_)));
    for (place, token) in row.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => continue,
        }
        if depth == 0 && Some(place) != last {
            closes_early = true;
        }
    }
    let opens = first.token == Token::LParen || keyword(first) == Some(Keyword::ROW);
    if opens && !closes_early {
        return;
    }
    let span = first.span;
    let at = |token| TokenWithSpan {
        token,
        span: Span::new(span.start, span.start),
    };
    tokens.insert(start, at(Token::LParen));
    tokens.push(at(Token::RParen));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(sql: &str) -> String {
        let tokens = tokens(sql).unwrap().unwrap();
        tokens
            .iter()
            .map(|token| token.token.to_string())
            .filter(|text| text != "EOF")
            .collect()
    }

    #[test]
    fn rows_without_parentheses_get_them() {
        assert_eq!(
            rewritten("VALUES 1, 'a', (2), (1) + 2 ORDER BY 1"),
            "VALUES( 1),( 'a'), (2),( (1) + 2 )ORDER BY 1"
        );
        assert_eq!(
            rewritten("SELECT * FROM (VALUES 1, f(2, 3)) AS t (k)"),
            "SELECT * FROM (VALUES( 1),( f(2, 3))) AS t (k)"
        );
        assert_eq!(rewritten("VALUES (1, 2), (3, 4)"), "VALUES (1, 2), (3, 4)");
        assert_eq!(
            rewritten("VALUES ROW(1, 2), ROW(3, 4)"),
            "VALUES ROW(1, 2), ROW(3, 4)"
        );
        assert_eq!(
            rewritten("SELECT CAST(x AS array(array(bigint)))"),
            "SELECT CAST(x AS array<array<bigint>>)"
        );
    }
}
