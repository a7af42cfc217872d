//! Which statements are taken: exactly one, and one that only reads.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as Standard;

use super::error::{self, SqlError};
use super::scans::{self, ArchiveScan};
use super::value::{self, Value};

/// Longest text of a query in bytes, as Athena's (262,144).
const SQL_BYTES_MAX: usize = 262_144;

/// How deep a statement may be nested, as the engine has it by itself.
const RECURSION_LIMIT: usize = 50;

/// What a statement answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Rows of data, any number of them.
    Rows,
    /// A description: a plan, a list of tables or columns.
    Told,
}

/// A statement that may run.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) statement: Statement,
    pub(super) shape: Shape,
}

/// What a statement reads of the archive.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The places where it reads the archive or the quarantine.
    pub scans: Vec<ArchiveScan>,
    /// The names of all else that it reads, as they are written there.
    pub others: Vec<String>,
    /// Whether these are read when it runs: not for EXPLAIN, which only tells.
    pub runs: bool,
}

/// Finds where a statement reads the archive, without an engine.
///
/// # Errors
/// [`SqlError`] where it is no SQL, or not one statement that only reads.
pub fn scans(sql: &str, values: &[Value]) -> Result<Reading, SqlError> {
    let Allowed { statement, shape } = parse(sql, values)?;
    let (statement, explained) = if let Statement::Explain(explain) = &statement {
        (explain.statement.as_ref(), Some(explain.options.analyze))
    } else {
        (&statement, None)
    };
    let mut reading = Reading {
        scans: Vec::new(),
        others: Vec::new(),
        runs: explained.unwrap_or(shape == Shape::Rows),
    };
    let Statement::Statement(standard) = statement else {
        return Ok(reading);
    };
    let standard = if let Standard::Explain {
        statement, analyze, ..
    } = standard.as_ref()
    {
        reading.runs = *analyze;
        statement.as_ref()
    } else {
        standard.as_ref()
    };
    if let Standard::Query(query) = standard {
        (reading.scans, reading.others) = scans::of(query)?;
    }
    Ok(reading)
}

/// Parses a text, puts values in the place of its `?`, and refuses what is not one statement that
/// reads.
pub(super) fn parse(sql: &str, values: &[Value]) -> Result<Allowed, SqlError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(SqlError::TooLong {
            bytes: sql.len(),
            bytes_max: SQL_BYTES_MAX,
        });
    }
    let mut statements = DFParserBuilder::new(sql)
        .with_recursion_limit(RECURSION_LIMIT)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| error::of_parsing(&error, sql))?;
    let count = statements.len();
    match (statements.pop_front(), count) {
        (Some(mut statement), 1) => match shape(&statement) {
            Some(shape) => {
                value::bind(&mut statement, values)?;
                Ok(Allowed { statement, shape })
            }
            None => Err(SqlError::NotReadOnly(first_words(&statement))),
        },
        _ => Err(SqlError::NotOne(count)),
    }
}

fn shape(statement: &Statement) -> Option<Shape> {
    if let Statement::Explain(explain) = statement {
        return shape(&explain.statement).map(|_| Shape::Told);
    }
    let Statement::Statement(statement) = statement else {
        return None;
    };
    of_standard(statement)
}

fn of_standard(statement: &Standard) -> Option<Shape> {
    if let Standard::Explain { statement, .. } = statement {
        return of_standard(statement).map(|_| Shape::Told);
    }
    if matches!(statement, Standard::Query(_)) {
        return Some(Shape::Rows);
    }
    let tells = matches!(
        statement,
        Standard::ExplainTable { .. }
            | Standard::ShowColumns { .. }
            | Standard::ShowCreate { .. }
            | Standard::ShowDatabases { .. }
            | Standard::ShowFunctions { .. }
            | Standard::ShowSchemas { .. }
            | Standard::ShowTables { .. }
            | Standard::ShowVariable { .. }
            | Standard::ShowViews { .. }
    );
    tells.then_some(Shape::Told)
}

/// `CREATE EXTERNAL TABLE`, `DROP TABLE`: the words in capitals that a statement starts with.
fn first_words(statement: &Statement) -> String {
    let text = statement.to_string();
    let keywords = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase());
    text.split_whitespace()
        .take_while(keywords)
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
