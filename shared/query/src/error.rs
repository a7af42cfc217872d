//! Why a query failed, for the person who wrote it.

use std::path::PathBuf;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use crate::error_text::{debug_position, in_sql, is_spill_limit, predicate_failure};
use crate::limits::Limits;
use crate::position::{Position, at};
use crate::suggestions::{did_you_mean, suggestions};

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The text is not SQL.
    #[error("syntax error{}: {message}", at(*position))]
    Syntax {
        /// What was expected and what was found.
        message: String,
        /// Where.
        position: Option<Position>,
    },
    /// No statement, or more than one.
    #[error("pass exactly one statement, not {0}")]
    NotOne(usize),
    /// The text is too long.
    #[error("a query has at most {bytes_max} bytes, not {bytes}")]
    TooLong {
        /// The length of the text.
        bytes: usize,
        /// The most that is allowed.
        bytes_max: usize,
    },
    /// The statement would change something, or reach outside the archive.
    #[error(
        "`{0}` is refused: the archive is read only; use SELECT, WITH, EXPLAIN, SHOW or DESCRIBE"
    )]
    NotReadOnly(String),
    /// There is no table of that name.
    #[error("no table `{name}`{}{}", at(*position), did_you_mean(suggestions))]
    UnknownTable {
        /// The name in the query.
        name: String,
        /// Where it is.
        position: Option<Position>,
        /// The tables that could be meant.
        suggestions: Vec<String>,
    },
    /// There is no column of that name in the tables of the query.
    #[error("no column `{name}`{}{}", at(*position), did_you_mean(suggestions))]
    UnknownColumn {
        /// The name in the query.
        name: String,
        /// Where it is.
        position: Option<Position>,
        /// The columns that could be meant.
        suggestions: Vec<String>,
    },
    /// The statement is SQL, but not valid here: an unknown function, types that do not fit.
    #[error("{message}{}", at(*position))]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where.
        position: Option<Position>,
    },
    /// The operators of the query need more memory than they may have.
    #[error("the query needs more than {} MiB of memory: narrow it by year, month, day and token, or group by fewer values", bytes_max / (1024 * 1024))]
    OutOfMemory {
        /// The limit.
        bytes_max: usize,
    },
    /// A file of the archive cannot be read.
    #[error("{} cannot be read: {cause}; to query without it, move it out of the archive", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A file of the archive cannot be read, and it is not known which.
    #[error("a file of the archive cannot be read: {0}")]
    UnreadableSomewhere(String),
    /// The query failed while it ran: a division by zero, a text that is not a number.
    #[error("{0}")]
    Failed(String),
    /// The data folder has no archive.
    #[error("there is no archive at {}: start tickstream there first, or name another data folder", .0.display())]
    NoArchive(PathBuf),
    /// The engine itself failed.
    #[error("the query engine failed: {0}")]
    Engine(String),
}

impl SqlError {
    /// Where in the statement it is.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        if let Self::Syntax { position, .. }
        | Self::UnknownTable { position, .. }
        | Self::UnknownColumn { position, .. }
        | Self::Invalid { position, .. } = self
        {
            *position
        } else {
            None
        }
    }

    /// The error with its position in the text from which the statement was generated.
    #[must_use]
    pub fn with_position(mut self, in_source: impl Fn(Position) -> Position) -> Self {
        if let Self::Syntax { position, .. }
        | Self::UnknownTable { position, .. }
        | Self::UnknownColumn { position, .. }
        | Self::Invalid { position, .. } = &mut self
        {
            *position = position.map(in_source);
        }
        self
    }
}

/// A table name that is not in the catalog, with suggestions.
#[derive(Debug)]
pub(crate) struct UnknownTable {
    pub(crate) name: String,
    pub(crate) suggestions: Vec<String>,
}

/// A file whose footer cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {cause}", path.display())]
pub(crate) struct UnreadableFile {
    pub(crate) path: PathBuf,
    pub(crate) cause: String,
}

/// What the parser finds at the end of a text, for which it reports no position.
const FOUND_END: &str = "found: EOF";

/// The error of a text that is not SQL.
pub(crate) fn of_parsing(error: &DataFusionError, sql: &str) -> SqlError {
    let text = message(error);
    // The parser's error is a text that ends with the position.
    let (message, position) = match text.rsplit_once(" at Line: ") {
        Some((message, position)) => (message.to_owned(), parse_position(position)),
        None if text.ends_with(FOUND_END) => (
            text.replace(FOUND_END, "found: the end of the statement"),
            Some(Position::START.after(sql.trim_end())),
        ),
        None => (text, None),
    };
    SqlError::Syntax { message, position }
}

/// Reads `1, Column: 8`.
fn parse_position(text: &str) -> Option<Position> {
    let (line, column) = text.split_once(", Column: ")?;
    Some(Position {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's enum grows")]
pub(crate) fn of_planning(error: DataFusionError, sql: &str, limits: Limits) -> SqlError {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let position = span.and_then(|span| Position::new(span.start.line, span.start.column));
    for error in error.iter() {
        if let DataFusionError::SchemaError(schema, _) = error.find_root()
            && let SchemaError::FieldNotFound {
                field,
                valid_fields,
            } = schema.as_ref()
        {
            let known = valid_fields.iter().map(|field| field.name());
            return SqlError::UnknownColumn {
                name: field.flat_name(),
                position,
                suggestions: suggestions(field.name(), known),
            };
        }
    }
    match error.find_root() {
        DataFusionError::Plan(message)
        | DataFusionError::NotImplemented(message)
        | DataFusionError::Configuration(message) => SqlError::Invalid {
            message: in_sql(message),
            position: position.or_else(|| debug_position(message)),
        },
        DataFusionError::SchemaError(schema, _) => SqlError::Invalid {
            message: schema.to_string(),
            position,
        },
        DataFusionError::SQL(..) => of_parsing(&error, sql),
        _ => of_running(error, limits),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's enum grows")]
pub(crate) fn of_running(error: DataFusionError, limits: Limits) -> SqlError {
    let text = error.strip_backtrace();
    if let Some(message) = predicate_failure(&text) {
        return SqlError::Failed(message);
    }
    if is_spill_limit(&text) {
        return SqlError::OutOfMemory {
            bytes_max: limits.memory_bytes_max,
        };
    }
    if let DataFusionError::External(cause) = error.find_root()
        && let Some(UnreadableFile { path, cause }) = cause.downcast_ref()
    {
        return SqlError::Unreadable {
            path: path.clone(),
            cause: cause.clone(),
        };
    }
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => SqlError::OutOfMemory {
            bytes_max: limits.memory_bytes_max,
        },
        // The Parquet reader's failures also come wrapped as Arrow's.
        DataFusionError::ArrowError(arrow, _) if is_of_a_file(arrow) => {
            SqlError::UnreadableSomewhere(message(&error))
        }
        DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_) => SqlError::UnreadableSomewhere(message(&error)),
        DataFusionError::Internal(_) | DataFusionError::ExecutionJoin(_) => {
            SqlError::Engine(message(&error))
        }
        _ => SqlError::Failed(message(&error)),
    }
}

fn is_of_a_file(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::ParquetError(_) | ArrowError::IoError(..) | ArrowError::ExternalError(_)
    )
}

/// The innermost message, without the engine's own prefixes.
#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's enum grows")]
pub(crate) fn message(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::SQL(parser, _) => {
            let text = parser.to_string();
            text.trim_start_matches("sql parser error: ").to_owned()
        }
        DataFusionError::Plan(text)
        | DataFusionError::Execution(text)
        | DataFusionError::NotImplemented(text)
        | DataFusionError::Configuration(text) => in_sql(text),
        DataFusionError::ArrowError(arrow, _) => in_sql(&arrow.to_string()),
        other => other.strip_backtrace(),
    }
}
