//! What can go wrong, and with which exit code.

use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use query::{Place, SqlError};

use crate::ask::counted;
use crate::engine::{Cancelled, End, EngineError};
use crate::money::had_read;
use crate::named::{HeaderError, ParameterError};
use crate::size::Size;
use crate::stop::Reason;

/// The query failed, or is no query.
const EXIT_QUERY: u8 = 1;

/// The command was called wrongly, or what it needs is not set up.
const EXIT_USAGE: u8 = 2;

/// Refused before it ran: it would read too much.
const EXIT_REFUSED: u8 = 3;

/// Stopped by `--timeout`.
const EXIT_TIMEOUT: u8 = 4;

/// The service or the storage failed.
const EXIT_SERVICE: u8 = 5;

/// Somebody else stopped the query on the service.
const EXIT_ELSEWHERE: u8 = 6;

/// What a shell reports for a process that SIGHUP ended.
const EXIT_HUNG_UP: u8 = 129;

/// What a shell reports for a process that SIGINT ended.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// What a shell reports for a process that SIGTERM ended.
pub(crate) const EXIT_TERMINATED: u8 = 143;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Parameter(#[from] ParameterError),
    #[error("{source_name}: {error}")]
    Header {
        source_name: String,
        error: HeaderError,
    },
    #[error(
        "no statement: give one as the argument, or `-` and the statement on standard input; `ticksql --help` has examples"
    )]
    NoStatement,
    #[error(
        "there is no query `{name}`{}: `ticksql list` tells which there are; a statement has more than one word",
        meant(nearest)
    )]
    NoQuery { name: String, nearest: Vec<String> },
    #[error("{} cannot be read: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("the statement on standard input cannot be read: {0}")]
    Input(io::Error),
    #[error("{0}")]
    Usage(String),
    #[error(
        "`{table}`{} is read whole, or most of it, since its conditions leave more than half of the days since 2000: add `{missing}` to its WHERE, or `:days` with --param from=… --param to=…; --full-scan runs it as it is",
        at(*place)
    )]
    FullScan {
        table: String,
        place: Option<Place>,
        missing: String,
    },
    #[error(
        "it would read up to {estimated} in {} of {}, more than the {allowed} of --max-scan: narrow it by day, or allow more",
        counted(*files, "file"),
        counted(*days, "day")
    )]
    TooMuch {
        estimated: Size,
        files: usize,
        days: usize,
        allowed: Size,
    },
    #[error("{unknown}, and --max-scan allows {allowed}: without --max-scan it runs")]
    NotKnown { unknown: String, allowed: Size },
    #[error("{}", stopped(*reason, cancelled))]
    Stopped {
        reason: Reason,
        cancelled: Cancelled,
    },
    #[error("the answer cannot be written: {0}")]
    Output(io::Error),
    #[error("{} cannot be written: {error}", path.display())]
    OutputFile { path: PathBuf, error: io::Error },
    #[error("the answer cannot be shown: {0}")]
    Show(String),
    #[error("could not start: {0}")]
    Start(io::Error),
}

impl Problem {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Engine(error) => match error {
                EngineError::Query { .. } => EXIT_QUERY,
                EngineError::Usage(_) => EXIT_USAGE,
                EngineError::Refused(_) => EXIT_REFUSED,
                EngineError::Cancelled(_) => EXIT_TIMEOUT,
                EngineError::StoppedElsewhere(_) => EXIT_ELSEWHERE,
                EngineError::Service(_) => EXIT_SERVICE,
            },
            Self::Parameter(_)
            | Self::Header { .. }
            | Self::NoStatement
            | Self::NoQuery { .. }
            | Self::File { .. }
            | Self::Input(_)
            | Self::Usage(_) => EXIT_USAGE,
            Self::FullScan { .. } | Self::TooMuch { .. } | Self::NotKnown { .. } => EXIT_REFUSED,
            Self::Stopped { reason, .. } => reason.exit_code(),
            Self::Output(_) | Self::OutputFile { .. } | Self::Show(_) | Self::Start(_) => {
                EXIT_QUERY
            }
        }
    }

    /// Where in the text it is.
    pub(crate) fn place(&self) -> Option<Place> {
        if let Self::Engine(EngineError::Query { place, .. }) | Self::FullScan { place, .. } = self
        {
            *place
        } else {
            None
        }
    }

    /// Why the query was stopped from here, if it was.
    pub(crate) fn reason(&self) -> Option<Reason> {
        if let Self::Stopped { reason, .. } = self {
            Some(*reason)
        } else {
            None
        }
    }

    /// Whether the reader has seen enough (`| head`), which is no failure.
    pub(crate) fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl Reason {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => EXIT_INTERRUPTED,
            Self::Terminate => EXIT_TERMINATED,
            Self::HangUp => EXIT_HUNG_UP,
            Self::Timeout(_) => EXIT_TIMEOUT,
        }
    }
}

fn meant(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", names.join(" or "))
    }
}

fn at(place: Option<Place>) -> String {
    place.map_or_else(String::new, |place| {
        format!(" at line {}, column {}", place.line, place.column)
    })
}

fn stopped(reason: Reason, cancelled: &Cancelled) -> String {
    let mut text = match reason {
        Reason::Interrupt => "interrupted".to_owned(),
        Reason::Terminate => "told to end".to_owned(),
        Reason::HangUp => "hung up: the terminal or session is gone".to_owned(),
        Reason::Timeout(after) => format!(
            "stopped after {} s: narrow it by year, month, day and token, or give --timeout",
            after.as_secs_f64()
        ),
    };
    let Cancelled {
        query_id,
        scanned_bytes,
        bill,
        end,
    } = cancelled;
    text += &match (end, query_id) {
        (End::Stopped, None) => String::new(),
        (End::Stopped, Some(id)) => format!("; query {id} is cancelled"),
        (End::Succeeded, id) => format!(
            "; query {} had succeeded, and its answer is not read to the end",
            id.as_deref().unwrap_or_default()
        ),
        (End::Unknown(why), Some(id)) => {
            format!("; {why}, so query {id} may still run: stop it by `ticksql cancel {id}`")
        }
        (End::Unknown(why), None) => format!(
            "; {why}, so the query may run: `ticksql history` tells its id, and `ticksql cancel ID` stops it"
        ),
    };
    if *scanned_bytes > 0 || bill.is_some() {
        text += &format!("; {}", had_read(*scanned_bytes, *bill));
    }
    text
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<ArrowError> for Problem {
    fn from(error: ArrowError) -> Self {
        if let ArrowError::IoError(_, error) = error {
            Self::Output(error)
        } else {
            Self::Show(error.to_string())
        }
    }
}

impl From<ParquetError> for Problem {
    fn from(error: ParquetError) -> Self {
        Self::Show(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Bill;

    #[test]
    fn a_query_that_was_stopped_tells_what_became_of_it_and_what_it_costs() {
        let check = |query_id: Option<&str>, scanned_bytes, end, expected: &str| {
            let cancelled = Cancelled {
                query_id: query_id.map(str::to_owned),
                scanned_bytes,
                bill: query_id.map(|_| Bill::of_scanned(scanned_bytes)),
                end,
            };
            assert_eq!(stopped(Reason::Interrupt, &cancelled), expected);
        };
        check(None, 0, End::Stopped, "interrupted");
        check(
            None,
            4_200_000,
            End::Stopped,
            "interrupted; it had read 4.2 MB",
        );
        check(
            Some("q1"),
            1_200_000_000,
            End::Stopped,
            "interrupted; query q1 is cancelled; it had read 1.2 GB: 1.2 GB billed, $0.006000",
        );
        check(
            Some("q1"),
            12,
            End::Succeeded,
            "interrupted; query q1 had succeeded, and its answer is not read to the end; it had \
             read 12 B: 10.0 MB billed, $0.000050",
        );
        let unknown = || End::Unknown("Athena has not answered".to_owned());
        let cancelled = Cancelled {
            end: unknown(),
            ..Cancelled::default()
        };
        let told = stopped(Reason::Terminate, &cancelled);
        assert!(
            told.contains("may run") && told.contains("ticksql history"),
            "{told}"
        );
        let cancelled = Cancelled {
            query_id: Some("q1".to_owned()),
            ..cancelled
        };
        let told = stopped(Reason::Terminate, &cancelled);
        assert!(
            told.contains("may still run") && told.contains("ticksql cancel q1"),
            "{told}"
        );
    }
}
