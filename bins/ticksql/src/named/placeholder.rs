//! Finds placeholders in SQL: outside of literals, quoted names and comments.

use query::{Position, Value};
use sqlparser::tokenizer::Token as SqlKind;

use super::days_placeholder::DAYS;
use super::header::HeaderError;
use crate::sql_tokens::{SqlToken, SqlTokens};

/// A part of a query's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Text(String),
    /// `:name`.
    Placeholder(Placeholder),
    /// `:days`.
    Days,
}

/// `:name`, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placeholder {
    pub(super) name: String,
    pub(super) context: PlaceholderContext,
    pub(super) in_where: bool,
}

/// What is around a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaceholderContext {
    /// In an IN list, which may have several values.
    InList,
    /// After a comparison operator.
    Compared,
    /// After LIMIT, OFFSET or FETCH FIRST: Trino takes only a bare integer there.
    RowCount,
    /// Anywhere else.
    Alone,
}

impl PlaceholderContext {
    /// How a value is written there.
    pub(crate) fn literal(self, value: &Value) -> String {
        match (self, value) {
            (Self::RowCount, Value::Bigint(rows)) => rows.to_string(),
            _ => value.literal(),
        }
    }
}

/// The parts of a text that starts at a line, each with its position.
pub(super) fn tokens(text: &str, first_line: u64) -> Result<Vec<(Position, Token)>, HeaderError> {
    let mut found: Vec<(Position, Token)> = Vec::new();
    let mut position = Position {
        line: first_line,
        column: 1,
    };
    let cut = SqlTokens::of(text);
    let mut context = Context::default();
    let mut rest = cut.tokens.as_slice();
    while let [first, more @ ..] = rest {
        let (token, text) = match more {
            [name, more @ ..] if context.takes_placeholder(first) && is_name(name) => {
                let token = if name.text.eq_ignore_ascii_case(DAYS) {
                    Token::Days
                } else {
                    Token::Placeholder(context.placeholder(name.text))
                };
                context.pass(name);
                rest = more;
                (token, format!(":{}", name.text))
            }
            _ => {
                if matches!(&first.token, SqlKind::Placeholder(mark) if mark.starts_with('?')) {
                    return Err(HeaderError::NoName {
                        line: position.line,
                    });
                }
                context.pass(first);
                rest = more;
                (Token::Text(first.text.to_owned()), first.text.to_owned())
            }
        };
        push(&mut found, position, token);
        position = position.after(&text);
    }
    if !cut.rest.is_empty() {
        push(&mut found, position, Token::Text(cut.rest.to_owned()));
    }
    Ok(found)
}

/// Adds a part; text after text is one part.
fn push(found: &mut Vec<(Position, Token)>, position: Position, token: Token) {
    match (token, found.last_mut()) {
        (Token::Text(more), Some((_, Token::Text(text)))) => text.push_str(&more),
        (token, _) => found.push((position, token)),
    }
}

/// Whether a token can name a parameter.
fn is_name(token: &SqlToken<'_>) -> bool {
    token.is_word() && token.text.is_ascii()
}

/// Words that begin a clause.
const CLAUSES: [&str; 17] = [
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "WINDOW",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "QUALIFY",
    "FETCH",
    "WITH",
    "VALUES",
    "ON",
];

/// What was read before a token.
#[derive(Default)]
struct Context<'a> {
    /// The open brackets, and what is outside of all of them.
    outer: BracketScope,
    brackets: Vec<BracketScope>,
    /// The token right before.
    adjacent: Option<SqlKind>,
    /// The last two tokens, ignoring white space and comments.
    last: &'a str,
    before_last: &'a str,
}

/// What a bracket holds.
#[derive(Debug, Clone, Copy, Default)]
struct BracketScope {
    /// Whether it is an IN list.
    is_list: bool,
    /// Whether a SELECT was seen in it: only then do its words begin clauses.
    selects: bool,
    in_where: bool,
}

impl<'a> Context<'a> {
    fn scope(&mut self) -> &mut BracketScope {
        self.brackets.last_mut().unwrap_or(&mut self.outer)
    }

    fn pass(&mut self, token: &SqlToken<'a>) {
        self.adjacent = Some(token.token.clone());
        if token.is_blank() {
            return;
        }
        if token.token == SqlKind::LParen {
            let is_list = self.last.eq_ignore_ascii_case("in");
            // A bracket is in the clause around it until a SELECT says otherwise.
            let in_where = self.scope().in_where;
            self.brackets.push(BracketScope {
                is_list,
                selects: false,
                in_where,
            });
        } else if token.token == SqlKind::RParen {
            self.brackets.pop();
        } else if let Some(word) = CLAUSES.into_iter().find(|word| token.is(word)) {
            let scope = self.scope();
            if word == "SELECT" {
                scope.selects = true;
                // What follows are columns, not the values of a list.
                scope.is_list = false;
            }
            if scope.selects {
                scope.in_where = word == "WHERE";
            }
        }
        self.before_last = self.last;
        self.last = token.text;
    }

    /// Whether a token is a colon that may begin a placeholder: not one right after a word, a number or
    /// a bracket, as in `list[a:b]`.
    fn takes_placeholder(&self, token: &SqlToken<'_>) -> bool {
        let follows = matches!(
            self.adjacent,
            Some(SqlKind::Word(_) | SqlKind::Number(..) | SqlKind::RBracket | SqlKind::RParen)
        );
        token.token == SqlKind::Colon && !follows
    }

    fn placeholder(&mut self, name: &str) -> Placeholder {
        let scope = *self.scope();
        let is_last = |words: &[&str]| {
            words
                .iter()
                .any(|word| self.last.eq_ignore_ascii_case(word))
        };
        let fetches = self.before_last.eq_ignore_ascii_case("fetch") && is_last(&["first", "next"]);
        let context = if scope.is_list && is_last(&["(", ","]) {
            PlaceholderContext::InList
        } else if is_last(&["=", "<", ">", "<=", ">=", "<>", "!="]) {
            PlaceholderContext::Compared
        } else if fetches || is_last(&["limit", "offset"]) {
            PlaceholderContext::RowCount
        } else {
            PlaceholderContext::Alone
        };
        Placeholder {
            name: name.to_owned(),
            context,
            in_where: scope.in_where,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placeholders(text: &str) -> Vec<Placeholder> {
        let tokens = tokens(text, 1).unwrap().into_iter();
        tokens
            .filter_map(|(_, token)| match token {
                Token::Placeholder(placeholder) => Some(placeholder),
                Token::Days | Token::Text(_) => None,
            })
            .collect()
    }

    #[test]
    fn placeholders_are_outside_literals_names_and_comments() {
        let check = |text: &str, expected: &[&str]| {
            let names: Vec<_> = placeholders(text).into_iter().map(|p| p.name).collect();
            assert_eq!(names, expected, "{text}");
        };
        check("SELECT :a,:b", &["a", "b"]);
        check("a = :a_1;", &["a_1"]);
        check("(:a)", &["a"]);
        check("a=:a+:b", &["a", "b"]);
        check("':a' 'it''s :a' :b", &["b"]);
        check("\":a\" \"x\"\":a\" `:a` :b", &["b"]);
        check("-- :a\n:b -- :c", &["b"]);
        check("/* :a\n :b */ :c /* :d", &["c"]);
        check("x::bigint, :a::bigint, CAST(x AS y)::z", &["a"]);
        check("list[a:b], list[f(1):b]", &[]);
        check("list[1:2], list[1:b]", &[]);
        check("12:30 : x", &[]);
        check("'an open literal :a", &[]);
        let days = tokens(":DAYS and :days", 1).unwrap();
        let days = days.iter().filter(|(_, token)| *token == Token::Days);
        assert_eq!(days.count(), 2);
    }

    #[test]
    fn a_placeholder_knows_its_context() {
        use PlaceholderContext::{Alone, Compared, InList, RowCount};
        let check = |text: &str, expected: &[PlaceholderContext]| {
            let found: Vec<_> = placeholders(text).iter().map(|p| p.context).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("x IN (:a)", &[InList]);
        check(
            "x not in\n( -- these\n :a /* two */, 'b', :c )",
            &[InList, InList],
        );
        check("x IN (lower(:a), :b || :c)", &[Alone, InList, Alone]);
        check(
            "x IN (SELECT y FROM z WHERE y = :a AND q IN (:b))",
            &[Compared, InList],
        );
        check("x IN (SELECT y, :a FROM z)", &[Alone]);
        check("(:a = '' OR x = :a)", &[Alone, Compared]);
        check("x <> :a AND y >= /* at least */ :b", &[Compared, Compared]);
        check("\"in\" (:a), begin (:b), f(x, :c)", &[Alone, Alone, Alone]);
        check(
            "SELECT :a LIMIT :b OFFSET -- rows\n :c",
            &[Alone, RowCount, RowCount],
        );
        check("(SELECT 1) limit :a", &[RowCount]);
        check("VALUES 1 FETCH FIRST :a ROWS ONLY", &[RowCount]);
        check("SELECT first :a, \"limit\" :b", &[Alone, Alone]);
    }

    #[test]
    fn a_placeholder_knows_whether_it_is_in_where() {
        let check = |sql: &str, expected: &[bool]| {
            let found: Vec<_> = placeholders(sql).iter().map(|p| p.in_where).collect();
            assert_eq!(found, expected, "{sql}");
        };
        check("SELECT :a FROM t WHERE a = :a", &[false, true]);
        check(
            "select :a from t where (a = :a or (b = :a))",
            &[false, true, true],
        );
        check(
            "SELECT a FROM t WHERE a IN (SELECT :a FROM u WHERE b = :a) AND c = :a",
            &[false, true, true],
        );
        check("SELECT 'a' FROM t LIMIT :a", &[false]);
        check(
            "WITH a AS (SELECT x FROM t WHERE y = :a) SELECT :a FROM a",
            &[true, false],
        );
        // The WHERE of a FILTER is not the statement's.
        check("SELECT count(*) FILTER (WHERE a = :a) FROM t", &[false]);
        check(
            "SELECT extract(year FROM :a) FROM t WHERE extract(year FROM :a) = :a",
            &[false, true, true],
        );
        check(
            "SELECT a FROM t JOIN u ON t.a = :a WHERE b = :a",
            &[false, true],
        );
        check(
            "SELECT a FROM t WHERE b = :a GROUP BY a HAVING count(*) > :a",
            &[true, false],
        );
        check(
            "SELECT a FROM t WHERE b = :a UNION ALL SELECT :a FROM t",
            &[true, false],
        );
        check("VALUES (:a)", &[false]);
    }

    #[test]
    fn tokens_know_their_positions() {
        let tokens = tokens("é :a\n  'x\ny' :b", 5).unwrap();
        let positions: Vec<_> = tokens
            .iter()
            .filter(|(_, token)| !matches!(token, Token::Text(_)))
            .map(|(position, _)| (position.line, position.column))
            .collect();
        assert_eq!(positions, [(5, 3), (7, 4)]);
    }

    proptest! {
        /// No part of any text is lost.
        #[test]
        fn the_tokens_add_up_to_the_text(text in "(?s)([a:' \n\"/*-]|.){0,60}") {
            prop_assume!(!text.contains('?'));
            let mut joined = String::new();
            for (_, token) in tokens(&text, 1).unwrap() {
                match token {
                    Token::Text(text) => joined.push_str(&text),
                    Token::Placeholder(Placeholder { name, .. }) => joined.push_str(&format!(":{name}")),
                    Token::Days => joined.push_str(":days"),
                }
            }
            prop_assert_eq!(joined.to_lowercase(), text.to_lowercase());
        }
    }
}
