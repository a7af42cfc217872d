//! SQL split into tokens by sqlparser's tokenizer. It works for any dialect, even for a statement
//! that only Athena can parse.

use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use query::Position;

/// What Athena and the local engine agree on: names of letters, digits and underscores, quoted names in
/// double quotes or backquotes.
#[derive(Debug)]
struct Common;

impl Dialect for Common {
    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        matches!(ch, '"' | '`')
    }
}

/// What ends an open literal, name or comment.
const ENDS: [&str; 4] = ["'", "\"", "`", "*/"];

/// A token, and where its text starts in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SqlToken<'a> {
    pub(crate) token: Token,
    pub(crate) text: &'a str,
    pub(crate) start: usize,
}

impl SqlToken<'_> {
    /// Whether it is white space or a comment.
    pub(crate) fn is_blank(&self) -> bool {
        matches!(self.token, Token::Whitespace(_))
    }

    /// Whether it is a word without quotes.
    pub(crate) fn is_word(&self) -> bool {
        matches!(&self.token, Token::Word(word) if word.quote_style.is_none())
    }

    /// Whether it is this word, in any case and without quotes.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.is_word() && self.text.eq_ignore_ascii_case(word)
    }
}

/// A text in tokens.
#[derive(Debug)]
pub(crate) struct SqlTokens<'a> {
    /// The tokens in order, white space and comments too.
    pub(crate) tokens: Vec<SqlToken<'a>>,
    /// The end of the text that cannot be split: mostly an unclosed literal or comment.
    pub(crate) rest: &'a str,
}

impl<'a> SqlTokens<'a> {
    /// Splits a text.
    pub(crate) fn of(sql: &'a str) -> Self {
        let mut spans = Vec::new();
        let mut tokenizer = Tokenizer::new(&Common, sql).with_unescape(false);
        // The tokens before an error are kept; what follows is the rest.
        _ = tokenizer.tokenize_with_location_into_buf(&mut spans);
        let (mut at, mut position) = (0, Position::START);
        let mut tokens = Vec::with_capacity(spans.len());
        for token in spans {
            let start = at;
            let end = (token.span.end.line, token.span.end.column);
            for char in sql.get(start..).unwrap_or_default().chars() {
                if (position.line, position.column) == end {
                    break;
                }
                at += char.len_utf8();
                position = position.after(char.encode_utf8(&mut [0; 4]));
            }
            tokens.push(SqlToken {
                token: token.token,
                text: sql.get(start..at).unwrap_or_default(),
                start,
            });
        }
        Self {
            tokens,
            rest: sql.get(at..).unwrap_or_default(),
        }
    }

    /// The tokens without white space and comments.
    pub(crate) fn words(&self) -> impl Iterator<Item = &SqlToken<'a>> {
        self.tokens.iter().filter(|token| !token.is_blank())
    }
}

/// Whether a statement is complete: it ends with a semicolon, ignoring white space and comments.
pub(crate) fn is_ended(sql: &str) -> bool {
    let cut = SqlTokens::of(sql);
    if cut.rest.is_empty() {
        return matches!(cut.words().last(), Some(last) if last.token == Token::SemiColon);
    }
    // More lines do not make an invalid text valid.
    let is_open = |end: &str| SqlTokens::of(&format!("{sql}{end}")).rest.is_empty();
    !ENDS.into_iter().any(is_open) && sql.trim_end().ends_with(';')
}

/// Whether a text has nothing but white space and comments, all closed.
pub(crate) fn is_blank(sql: &str) -> bool {
    let cut = SqlTokens::of(sql);
    cut.rest.is_empty() && cut.words().next().is_none()
}

/// A statement on one line, without its comments.
pub(crate) fn on_one_line(sql: &str) -> String {
    let cut = SqlTokens::of(sql);
    let is_comment = |token: &SqlToken<'_>| {
        token.is_blank() && (token.text.starts_with("--") || token.text.starts_with("/*"))
    };
    let texts = cut.tokens.iter().map(|token| match is_comment(token) {
        true => " ",
        false => token.text,
    });
    let text: String = texts.chain([cut.rest]).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words that begin a statement which only reads.
const READING: [&str; 8] = [
    "SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN",
];

/// Whether a statement begins as those do that only read.
pub(crate) fn begins_as_reading(sql: &str) -> bool {
    let cut = SqlTokens::of(sql);
    let mut words = cut.words().skip_while(|token| token.token == Token::LParen);
    words
        .next()
        .is_some_and(|first| READING.iter().any(|word| first.is(word)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        for text in [
            "SELECT 1;",
            "SELECT ';' ; -- done; really\n ",
            "x; /* y */",
            // Invalid, and no further line makes it valid.
            "SELECT $a;",
        ] {
            assert!(is_ended(text), "{text}");
        }
        for text in [
            "",
            "SELECT 1",
            "SELECT ';",
            "SELECT 1 -- ;",
            "a; b",
            "\"x;",
            "`x;",
            "/* x;",
        ] {
            assert!(!is_ended(text), "{text}");
        }
    }

    #[test]
    fn a_text_of_comments_is_blank() {
        for text in ["", " \n", "-- SELECT 1;", "/* a */ -- b"] {
            assert!(is_blank(text), "{text}");
        }
        for text in ["/* a", "'", ";", "-- a\nb"] {
            assert!(!is_blank(text), "{text}");
        }
    }

    #[test]
    fn statements_that_read_are_known_by_their_first_word() {
        for sql in [
            "SELECT 1",
            "-- a\n  with x",
            "/* a */ SELECT 1",
            "(\nValues 1)",
            "((select 1))",
            "show tables",
            "TABLE ticks",
        ] {
            assert!(begins_as_reading(sql), "{sql}");
        }
        for sql in ["", "DROP TABLE x", "-- select\nINSERT INTO x", "\"select\""] {
            assert!(!begins_as_reading(sql), "{sql}");
        }
    }

    #[test]
    fn a_line_has_no_comments() {
        let check = |sql: &str, expected: &str| assert_eq!(on_one_line(sql), expected);
        check(
            "-- what\nSELECT a,\n  b /* c */ FROM t",
            "SELECT a, b FROM t",
        );
        check("SELECT '-- no comment'", "SELECT '-- no comment'");
        check("SELECT 1 -- one\n+ 2", "SELECT 1 + 2");
        check("SELECT 'cut", "SELECT 'cut");
    }

    proptest! {
        /// No part of any text is lost.
        #[test]
        fn the_tokens_add_up_to_the_text(text in "(?s)([a(),?'\"`: \r\n/*$@#-]|SELECT |.){0,40}") {
            let cut = SqlTokens::of(&text);
            let mut joined = String::new();
            for token in &cut.tokens {
                prop_assert_eq!(token.start, joined.len());
                joined += token.text;
            }
            prop_assert_eq!(joined + cut.rest, text);
        }
    }
}
