//! A statement as the service takes it.
//!
//! Athena takes parameters in WHERE alone, so those elsewhere are written into the text as literals
//! of their types. Emulators take none, and keep no views: there all are written in, and the views
//! that are read go in front as parts of WITH.

use query::Place;

use super::words::{Kind, Piece, pieces};
use crate::init::statements::VIEWS;
use crate::statement::Statement;

/// What a service can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) takes_parameters: bool,
    pub(super) keeps_views: bool,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) sql: String,
    /// The literals for each `?` of the text.
    pub(super) parameters: Vec<String>,
    /// What differs from the statement, in order.
    edits: Vec<Edit>,
    /// The statement, to count lines in.
    original: String,
}

/// Some characters of the statement that others were sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edit {
    /// Where they start in the statement, in bytes.
    at: usize,
    removed: usize,
    inserted: usize,
}

impl Sent {
    pub(super) fn of(statement: &Statement, service: Service) -> Self {
        let original = statement.sql.as_str();
        let pieces = pieces(original);
        let mut replacements: Vec<(usize, usize, String)> = Vec::new();
        if !service.keeps_views
            && let Some((at, text)) = views(statement, &pieces)
        {
            replacements.push((at, 0, text));
        }
        let mut parameters = Vec::new();
        let marks = pieces.iter().filter(|piece| piece.kind == Kind::Mark);
        for (mark, value) in marks.zip(&statement.parameters) {
            if service.takes_parameters && mark.clause == "WHERE" {
                parameters.push(value.literal());
            } else {
                replacements.push((mark.start, mark.text.len(), value.literal()));
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

    /// The place in the statement of a place in what was sent; that of something written in is where
    /// it was written.
    pub(super) fn origin_of(&self, place: athena::error::Place) -> Place {
        let mut at = offset(&self.sql, place.line, place.column);
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
        let before = self.original.get(..at).unwrap_or(&self.original);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place {
            line: 1 + before.matches('\n').count() as u64,
            column: 1 + line.chars().count() as u64,
        }
    }
}

/// The views that a statement reads as parts of WITH, and where they go.
fn views(statement: &Statement, pieces: &[Piece<'_>]) -> Option<(usize, String)> {
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
    let mut begin = pieces.iter();
    let first = begin.find(|piece| piece.is("WITH") || piece.is("SELECT"))?;
    if first.is("SELECT") {
        return Some((first.start, format!("WITH {parts}\n")));
    }
    let next = begin.next()?;
    let at = if next.is("RECURSIVE") {
        begin.next()?.start
    } else {
        next.start
    };
    Some((at, format!("{parts},\n")))
}

/// Where a line and column are in a text, in bytes; beyond its end, the end.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let mut start = 0;
    for _ in 1..line {
        let rest = text.get(start..).unwrap_or_default();
        match rest.find('\n') {
            Some(at) => start += at + 1,
            None => return text.len(),
        }
    }
    let rest = text.get(start..).unwrap_or_default();
    let columns = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let within = rest.char_indices().nth(columns);
    start + within.map_or(rest.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Query;

    const AWS: Service = Service {
        takes_parameters: true,
        keeps_views: true,
    };

    const EMULATOR: Service = Service {
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
    fn parameters_in_where_are_sent_beside_and_others_within() {
        let statement = statement(
            "SELECT :n, token FROM ticks WHERE year = :y AND token = :t LIMIT :n",
            &[("n", "5"), ("y", "2026"), ("t", "it's")],
        );
        let sent = Sent::of(&statement, AWS);
        assert_eq!(
            sent.sql,
            "SELECT BIGINT '5', token FROM ticks WHERE year = ? AND token = ? LIMIT BIGINT '5'"
        );
        assert_eq!(sent.parameters, ["BIGINT '2026'", "'it''s'"]);
        let sent = Sent::of(
            &statement,
            Service {
                takes_parameters: false,
                ..AWS
            },
        );
        assert_eq!(sent.sql, statement.rendered());
        assert!(sent.parameters.is_empty());
    }

    #[test]
    fn places_are_those_of_the_statement() {
        let statement = statement(
            "SELECT :t,\n  prise FROM ticks WHERE :t = x\n AND y = 1",
            &[("t", "long text")],
        );
        let sent = Sent::of(&statement, EMULATOR);
        assert!(sent.sql.starts_with("WITH ticks AS ("), "{}", sent.sql);
        let check = |word: &str, line, column| {
            let at = sent.sql.rfind(word).unwrap();
            let before = &sent.sql[..at];
            let place = athena::error::Place {
                line: 1 + before.matches('\n').count() as u64,
                column: 1 + before.rsplit('\n').next().unwrap().chars().count() as u64,
            };
            assert_eq!(sent.origin_of(place), Place { line, column }, "{word}");
        };
        check("prise", 2, 3);
        check(" = x", 2, 27);
        check("y = 1", 3, 6);
        // Inside of what was written in.
        check("text'", 2, 26);
        check("long text',", 1, 8);
        let beyond = athena::error::Place {
            line: 99,
            column: 99,
        };
        assert_eq!(
            sent.origin_of(beyond),
            Place {
                line: 3,
                column: 11
            }
        );
    }

    #[test]
    fn views_go_in_front_where_a_service_keeps_none() {
        let check = |text: &str, starts: &str, views: usize| {
            let sent = Sent::of(&statement(text, &[]), EMULATOR);
            assert!(sent.sql.starts_with(starts), "{}", sent.sql);
            assert_eq!(
                sent.sql.matches("FROM price_archive\n)").count(),
                views,
                "{}",
                sent.sql
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
        let untouched = Sent::of(&statement("SELECT * FROM ticks", &[]), AWS);
        assert_eq!(untouched.sql, "SELECT * FROM ticks");
    }
}
