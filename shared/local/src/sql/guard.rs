//! Which statements are taken: exactly one, and one that only reads.

use datafusion::execution::SessionState;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::Statement as Standard;

use super::error::{self, SqlError};

/// Longest text of a query in bytes, as Athena's (262,144).
const SQL_BYTES_MAX: usize = 262_144;

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

/// Parses a text and refuses what is not one statement that reads.
pub(super) fn parse(sql: &str, state: &SessionState) -> Result<Allowed, SqlError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(SqlError::TooLong {
            bytes: sql.len(),
            bytes_max: SQL_BYTES_MAX,
        });
    }
    let recursion_limit = state.config_options().sql_parser.recursion_limit.get();
    let mut statements = DFParserBuilder::new(sql)
        .with_recursion_limit(recursion_limit)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| error::of_parsing(&error))?;
    let count = statements.len();
    match (statements.pop_front(), count) {
        (Some(statement), 1) => match shape(&statement) {
            Some(shape) => Ok(Allowed { statement, shape }),
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
