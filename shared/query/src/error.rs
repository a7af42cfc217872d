//! What can be wrong with a query, in words for who wrote it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::Limits;
use super::nearest::nearest;
use super::wording::{in_sql, of_a_condition, shown_place};

/// A place in the text of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The text is not SQL.
    #[error("syntax error{}: {message}", At(*place))]
    Syntax {
        /// What was expected and what was found.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// No statement, or more than one.
    #[error("give exactly one statement, not {0}")]
    NotOne(usize),
    /// The text is too long.
    #[error("a query has at most {bytes_max} bytes, not {bytes}")]
    TooLong {
        /// The length of the text.
        bytes: usize,
        /// The longest that is taken.
        bytes_max: usize,
    },
    /// The statement would change something, or reach outside the archive.
    #[error(
        "`{0}` is refused: the archive is read only; SELECT, WITH, EXPLAIN, SHOW and DESCRIBE are taken"
    )]
    NotReadOnly(String),
    /// There is no table of that name.
    #[error("no table `{name}`{}{}", At(*place), Meant(nearest))]
    UnknownTable {
        /// The name in the query.
        name: String,
        /// Where it stands.
        place: Option<Place>,
        /// The tables nearest to it.
        nearest: Vec<String>,
    },
    /// There is no column of that name in the tables of the query.
    #[error("no column `{name}`{}{}", At(*place), Meant(nearest))]
    UnknownColumn {
        /// The name in the query.
        name: String,
        /// Where it stands.
        place: Option<Place>,
        /// The columns nearest to it.
        nearest: Vec<String>,
    },
    /// The statement is SQL, but means nothing here: an unknown function, types that do not fit.
    #[error("{message}{}", At(*place))]
    Invalid {
        /// What is wrong.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// The query took too long.
    #[error("stopped after {} s: narrow it by year, month, day and token", .0.as_secs_f64())]
    Timeout(Duration),
    /// The operators of the query need more memory than they may have.
    #[error("the query needs more than {} MiB of memory: narrow it by year, month, day and token, or group by fewer values", bytes_max / (1024 * 1024))]
    OutOfMemory {
        /// The limit.
        bytes_max: usize,
    },
    /// A file of the archive cannot be read.
    #[error("{} cannot be read: {cause}; move it out of the archive to go on without it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A file of the archive cannot be read, and looking through the files did not find which.
    #[error("a file of the archive cannot be read: {0}")]
    UnreadableSomewhere(String),
    /// The query failed while it ran: a division by zero, a text that is no number.
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
    pub fn place(&self) -> Option<Place> {
        if let Self::Syntax { place, .. }
        | Self::UnknownTable { place, .. }
        | Self::UnknownColumn { place, .. }
        | Self::Invalid { place, .. } = self
        {
            *place
        } else {
            None
        }
    }

    /// The error with its place in another text, from which the statement was made.
    #[must_use]
    pub fn placed(mut self, in_source: impl Fn(Place) -> Place) -> Self {
        if let Self::Syntax { place, .. }
        | Self::UnknownTable { place, .. }
        | Self::UnknownColumn { place, .. }
        | Self::Invalid { place, .. } = &mut self
        {
            *place = place.map(in_source);
        }
        self
    }
}

/// ` at line 1, column 8`, or nothing.
struct At(Option<Place>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Place { line, column }) => write!(f, " at line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

/// `: did you mean `a` or `b`?`, or nothing.
struct Meant<'a>(&'a [String]);

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
        if names.is_empty() {
            Ok(())
        } else {
            write!(f, ": did you mean {}?", names.join(" or "))
        }
    }
}

/// A table name that a statement has and the catalog has not, with the names nearest to it.
#[derive(Debug)]
pub(super) struct UnknownTable {
    pub(super) name: String,
    pub(super) nearest: Vec<String>,
}

/// A file whose footer cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {cause}", path.display())]
pub(super) struct UnreadableFile {
    pub(super) path: PathBuf,
    pub(super) cause: String,
}

/// How the parser names what is found behind the last word, of which it tells no place.
const AT_THE_END: &str = "found: EOF";

/// The error of a text that is no SQL.
pub(super) fn of_parsing(error: &DataFusionError, sql: &str) -> SqlError {
    let mut error = of_syntax(error);
    if let SqlError::Syntax {
        message,
        place: place @ None,
    } = &mut error
        && message.ends_with(AT_THE_END)
    {
        *message = message.replace(AT_THE_END, "found: the end of the statement");
        *place = Some(end_of(sql));
    }
    error
}

/// The place behind the last word of a text.
fn end_of(sql: &str) -> Place {
    let text = sql.trim_end();
    let last = text.rsplit('\n').next().unwrap_or_default();
    Place {
        line: text.matches('\n').count() as u64 + 1,
        column: last.chars().count() as u64 + 1,
    }
}

fn of_syntax(error: &DataFusionError) -> SqlError {
    let text = message(error);
    match text.rsplit_once(" at Line: ") {
        Some((message, place)) => SqlError::Syntax {
            message: message.to_owned(),
            place: parse_place(place),
        },
        None => SqlError::Syntax {
            message: text,
            place: None,
        },
    }
}

/// Reads `1, Column: 8`, with which the parser ends its messages.
fn parse_place(text: &str) -> Option<Place> {
    let (line, column) = text.split_once(", Column: ")?;
    let digits = |text: &str| text.trim().parse().ok();
    Some(Place {
        line: digits(line)?,
        column: digits(column)?,
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's enum grows")]
pub(super) fn of_planning(
    error: DataFusionError,
    unknown_tables: &[UnknownTable],
    limits: Limits,
) -> SqlError {
    let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
    let place = span
        .map(|span| Place {
            line: span.start.line,
            column: span.start.column,
        })
        .filter(|place| place.line > 0);
    if let [UnknownTable { name, nearest }, ..] = unknown_tables {
        return SqlError::UnknownTable {
            name: name.clone(),
            place,
            nearest: nearest.clone(),
        };
    }
    for error in error.iter() {
        let root = error.find_root();
        if let DataFusionError::SchemaError(schema, _) = root
            && let SchemaError::FieldNotFound {
                field,
                valid_fields,
            } = schema.as_ref()
        {
            let name = field.flat_name();
            let nearest = nearest(field.name(), valid_fields.iter().map(|field| field.name()));
            return SqlError::UnknownColumn {
                name,
                place,
                nearest,
            };
        }
    }
    match error.find_root() {
        DataFusionError::Plan(message)
        | DataFusionError::NotImplemented(message)
        | DataFusionError::Configuration(message) => SqlError::Invalid {
            message: in_sql(message),
            place: place.or_else(|| shown_place(message)),
        },
        DataFusionError::SchemaError(schema, _) => SqlError::Invalid {
            message: schema.to_string(),
            place,
        },
        DataFusionError::SQL(..) => of_syntax(&error),
        _ => of_running(error, limits),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's enum grows")]
pub(super) fn of_running(error: DataFusionError, limits: Limits) -> SqlError {
    if let Some(message) = of_a_condition(&error.strip_backtrace()) {
        return SqlError::Failed(message);
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
        DataFusionError::ArrowError(arrow, _) if of_a_file(arrow) => {
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

fn of_a_file(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::ParquetError(_) | ArrowError::IoError(..) | ArrowError::ExternalError(_)
    )
}

/// The innermost message, without the engine's own prefixes.
#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's enum grows")]
pub(super) fn message(error: &DataFusionError) -> String {
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
