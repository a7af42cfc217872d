//! A statement as the service takes it.
//!
//! Athena takes parameters only in WHERE, so those elsewhere are written into the text as literals of
//! their types. Emulators take none and keep no views: for them all values are written in, and the
//! views that are read go in front as parts of WITH.

use query::{Position, VIEWS};

use crate::position::{of_offset, offset_of};
use crate::sql_tokens::{SqlToken, SqlTokens};
use crate::statement::Statement;

/// What a service can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) takes_parameters: bool,
    pub(super) keeps_views: bool,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RenderedStatement {
    pub(super) sql: String,
    /// The literals for each `?` of the text.
    pub(super) parameters: Vec<String>,
    /// What differs from the statement, in order.
    edits: Vec<Edit>,
    /// The statement, to count lines in.
    original: String,
}

/// A part of the statement that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edit {
    /// Where they start in the statement, in bytes.
    at: usize,
    removed: usize,
    inserted: usize,
}

impl RenderedStatement {
    pub(super) fn of(statement: &Statement, capabilities: Capabilities) -> Self {
        Self::with_prefix("", statement, capabilities)
    }

    /// The statement that requests the plan of a statement.
    pub(super) fn explaining(statement: &Statement, capabilities: Capabilities) -> Self {
        // EXPLAIN takes no parameters.
        let capabilities = Capabilities {
            takes_parameters: false,
            ..capabilities
        };
        Self::with_prefix("EXPLAIN ", statement, capabilities)
    }

    fn with_prefix(prefix: &str, statement: &Statement, capabilities: Capabilities) -> Self {
        let original = statement.sql.as_str();
        let mut replacements: Vec<(usize, usize, String)> = Vec::new();
        if !prefix.is_empty() {
            replacements.push((0, 0, prefix.to_owned()));
        }
        if !capabilities.keeps_views
            && let Some((at, text)) = views(statement, &SqlTokens::of(original))
        {
            replacements.push((at, 0, text));
        }
        let mut parameters = Vec::new();
        for (placeholder, value) in statement.values() {
            if capabilities.takes_parameters && placeholder.in_where {
                parameters.push(value.literal());
            } else {
                replacements.push((placeholder.offset, 1, placeholder.literal(value)));
            }
        }
        let (mut sql, mut edits, mut copied) = (String::new(), Vec::new(), 0);
        for (at, removed, text) in replacements {
            sql += original.get(copied..at).unwrap_or_default();
            sql += &text;
            copied = at + removed;
            edits.push(Edit {
                at,
                removed,
                inserted: text.len(),
            });
        }
        sql += original.get(copied..).unwrap_or_default();
        Self {
            sql,
            parameters,
            edits,
            original: original.to_owned(),
        }
    }

    /// The position in the statement of a position in what was sent; inside a replacement, where it
    /// begins.
    pub(super) fn source_position(&self, position: athena::error::Position) -> Position {
        let position = Position {
            line: position.line,
            column: position.column,
        };
        let mut at = offset_of(&self.sql, position);
        for edit in &self.edits {
            if at < edit.at {
                break;
            }
            at = if at < edit.at + edit.inserted {
                edit.at
            } else {
                at - edit.inserted + edit.removed
            };
        }
        of_offset(&self.original, at)
    }
}

/// The views that a statement reads as parts of WITH, and where they go.
fn views(statement: &Statement, tokens: &SqlTokens<'_>) -> Option<(usize, String)> {
    let reads = |name: &str| {
        let mut scans = statement.scans.iter();
        scans.any(|scan| scan.table.eq_ignore_ascii_case(name))
    };
    let parts: Vec<String> = VIEWS
        .iter()
        .filter(|view| reads(view.name))
        .map(|view| format!("{} AS (\n{}\n)", view.name, view.query()))
        .collect();
    if parts.is_empty() {
        return None;
    }
    let parts = parts.join(",\n");
    let begins = |token: &&SqlToken<'_>| token.is("WITH") || token.is("SELECT");
    let mut words = tokens.words();
    let first = words.find(begins)?;
    if first.is("SELECT") {
        return Some((first.start, format!("WITH {parts}\n")));
    }
    let next = words.next()?;
    let at = if next.is("RECURSIVE") {
        words.next()?.start
    } else {
        next.start
    };
    Some((at, format!("{parts},\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Query;

    const AWS: Capabilities = Capabilities {
        takes_parameters: true,
        keeps_views: true,
    };

    const EMULATOR: Capabilities = Capabilities {
        takes_parameters: false,
        keeps_views: false,
    };

    fn statement(text: &str, given: &[(&str, &str)]) -> Statement {
        let given: Vec<_> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let bound = Query::parse(text).unwrap().bind(&given, 0).unwrap();
        Statement::of(&bound).unwrap()
    }

    #[test]
    fn parameters_in_where_are_sent_separately_and_others_inline() {
        let statement = statement(
            "SELECT :n, token FROM ticks WHERE year = :y AND token = :t LIMIT :n",
            &[("n", "5"), ("y", "2026"), ("t", "it's")],
        );
        let rendered = RenderedStatement::of(&statement, AWS);
        assert_eq!(
            rendered.sql,
            "SELECT BIGINT '5', token FROM ticks WHERE year = ? AND token = ? LIMIT 5"
        );
        assert_eq!(rendered.parameters, ["BIGINT '2026'", "'it''s'"]);
        let rendered = RenderedStatement::of(
            &statement,
            Capabilities {
                takes_parameters: false,
                ..AWS
            },
        );
        assert_eq!(rendered.sql, statement.rendered());
        assert!(rendered.parameters.is_empty());
    }

    #[test]
    fn positions_are_those_of_the_statement() {
        let statement = statement(
            "SELECT :t,\n  prise FROM ticks WHERE :t = x\n AND y = 1",
            &[("t", "long text")],
        );
        let rendered = RenderedStatement::of(&statement, EMULATOR);
        assert!(
            rendered.sql.starts_with("WITH ticks AS ("),
            "{}",
            rendered.sql
        );
        let check = |word: &str, line, column| {
            let at = rendered.sql.rfind(word).unwrap();
            let before = &rendered.sql[..at];
            let position = athena::error::Position {
                line: 1 + before.matches('\n').count() as u64,
                column: 1 + before.rsplit('\n').next().unwrap().chars().count() as u64,
            };
            assert_eq!(
                rendered.source_position(position),
                Position { line, column },
                "{word}"
            );
        };
        check("prise", 2, 3);
        check(" = x", 2, 27);
        check("y = 1", 3, 6);
        // Inside a replacement.
        check("text'", 2, 26);
        check("long text',", 1, 8);
        let beyond = athena::error::Position {
            line: 99,
            column: 99,
        };
        assert_eq!(
            rendered.source_position(beyond),
            Position {
                line: 3,
                column: 11
            }
        );
    }

    #[test]
    fn views_go_in_front_if_a_service_keeps_none() {
        let check = |text: &str, starts: &str, views: usize| {
            let rendered = RenderedStatement::of(&statement(text, &[]), EMULATOR);
            assert!(rendered.sql.starts_with(starts), "{}", rendered.sql);
            assert_eq!(
                rendered.sql.matches("FROM price_archive\n)").count(),
                views,
                "{}",
                rendered.sql
            );
        };
        check(
            "SELECT * FROM price_history",
            "WITH price_history AS (\nSELECT",
            1,
        );
        check(
            "WITH a AS (SELECT 1 FROM price_history) SELECT * FROM a, ticks",
            "WITH price_history AS (\n",
            2,
        );
        check(
            "EXPLAIN SELECT * FROM ticks",
            "EXPLAIN WITH ticks AS (\n",
            1,
        );
        check(
            "SELECT count(*) AS ticks FROM price_archive",
            "SELECT count(*)",
            0,
        );
        let untouched = RenderedStatement::of(&statement("SELECT * FROM ticks", &[]), AWS);
        assert_eq!(untouched.sql, "SELECT * FROM ticks");
    }
}
