//! Which statements run: exactly one, and one that only reads.

use datafusion::error::DataFusionError;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as Standard;
use datafusion::sql::sqlparser::parser::Parser;

use crate::dialect::grammar::AthenaDialect;
use crate::dialect::tokens::tokens;
use crate::error::{self, SqlError};
use crate::partition_filter::{self, ArchiveScan};
use crate::value::{self, Value};

/// The longest text of a query in bytes, as Athena's (262,144).
pub const SQL_BYTES_MAX: usize = 262_144;

/// How deep a statement may be nested: the engine's own default.
const RECURSION_LIMIT: usize = 50;

/// What a statement returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Rows of data, any number of them.
    Rows,
    /// A plan, a list of tables or columns.
    Description,
}

/// A statement that may run.
#[derive(Debug)]
pub(crate) struct ReadOnly {
    pub(crate) statement: Statement,
    pub(crate) answers: Answers,
}

/// What a statement reads of the archive.
#[derive(Debug, Clone)]
pub struct ArchiveReads {
    /// Where it reads the archive, the quarantine or the anomalies.
    pub scans: Vec<ArchiveScan>,
    /// The names of everything else that it reads, as they are written there.
    pub others: Vec<String>,
    /// Whether these are read when it runs: EXPLAIN only describes.
    pub runs: bool,
}

/// Finds where a statement reads the archive, without an engine.
///
/// # Errors
/// [`SqlError`] if it is not SQL, or not one statement that only reads.
pub fn archive_scans(sql: &str, values: &[Value]) -> Result<ArchiveReads, SqlError> {
    let ReadOnly { statement, answers } = parse(sql, values)?;
    let (statement, explained) = if let Statement::Explain(explain) = &statement {
        (explain.statement.as_ref(), Some(explain.options.analyze))
    } else {
        (&statement, None)
    };
    let mut reads = ArchiveReads {
        scans: Vec::new(),
        others: Vec::new(),
        runs: explained.unwrap_or(answers == Answers::Rows),
    };
    let Statement::Statement(standard) = statement else {
        return Ok(reads);
    };
    let standard = if let Standard::Explain {
        statement, analyze, ..
    } = standard.as_ref()
    {
        reads.runs = *analyze;
        statement.as_ref()
    } else {
        standard.as_ref()
    };
    if let Standard::Query(query) = standard {
        (reads.scans, reads.others) = partition_filter::scans_of(query)?;
    }
    Ok(reads)
}

/// Parses a text, replaces each `?` by its value, and refuses what is not one statement that reads.
pub(crate) fn parse(sql: &str, values: &[Value]) -> Result<ReadOnly, SqlError> {
    let ReadOnly {
        mut statement,
        answers,
    } = parse_unbound(sql)?;
    value::bind(&mut statement, values)?;
    Ok(ReadOnly { statement, answers })
}

/// As [`parse`], with its `?` as they are.
pub(crate) fn parse_unbound(sql: &str) -> Result<ReadOnly, SqlError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(SqlError::TooLong {
            bytes: sql.len(),
            bytes_max: SQL_BYTES_MAX,
        });
    }
    let parsed = tokens(sql)?.and_then(|tokens| {
        let parser = Parser::new(&AthenaDialect).with_recursion_limit(RECURSION_LIMIT);
        parser.with_tokens_with_locations(tokens).parse_statements()
    });
    let mut statements = parsed.map_err(|error| {
        let error = DataFusionError::SQL(Box::new(error), None);
        error::of_parsing(&error, sql)
    })?;
    let count = statements.len();
    let statement = statements
        .pop()
        .map(|statement| Statement::Statement(Box::new(statement)));
    match (statement, count) {
        (Some(statement), 1) => match answers(&statement) {
            Some(answers) => Ok(ReadOnly { statement, answers }),
            None => Err(SqlError::NotReadOnly(first_words(&statement))),
        },
        _ => Err(SqlError::NotOne(count)),
    }
}

fn answers(statement: &Statement) -> Option<Answers> {
    if let Statement::Explain(explain) = statement {
        return answers(&explain.statement).map(|_| Answers::Description);
    }
    let Statement::Statement(statement) = statement else {
        return None;
    };
    of_standard(statement)
}

fn of_standard(statement: &Standard) -> Option<Answers> {
    if let Standard::Explain { statement, .. } = statement {
        return of_standard(statement).map(|_| Answers::Description);
    }
    if matches!(statement, Standard::Query(_)) {
        return Some(Answers::Rows);
    }
    let describes = matches!(
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
    describes.then_some(Answers::Description)
}

/// The keywords that a statement starts with, such as `DROP TABLE`.
fn first_words(statement: &Statement) -> String {
    let text = statement.to_string();
    let keywords = |word: &&str| word.chars().all(|c| c.is_ascii_uppercase());
    text.split_whitespace()
        .take_while(keywords)
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
