//! What can go wrong, with the message and the exit code.

use std::io;
use std::path::PathBuf;

use arrow::error::ArrowError;
use domain::count_of;
use parquet::errors::ParquetError;
use query::{Position, SqlError, at, did_you_mean};

use crate::athena_bill::had_read;
use crate::engine::{Cancelled, End, EngineError};
use crate::exit_code;
use crate::named::{HeaderError, ParameterError};
use crate::size::Size;
use crate::stop_reason::StopReason;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
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
        "no statement: pass one as the argument, or `-` to read it from standard input; `ticksql --help` has examples"
    )]
    NoStatement,
    #[error(
        "no query `{name}`{} (`ticksql list` shows them all)",
        did_you_mean(suggestions)
    )]
    NoQuery {
        name: String,
        suggestions: Vec<String>,
    },
    #[error("cannot read {}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("cannot read the statement on standard input: {0}")]
    Input(io::Error),
    #[error("{0}")]
    Usage(String),
    #[error(
        "all or most of `{table}`{} would be read: its conditions keep {kept} of the {} {measure}; {advice}, or pass --full-scan",
        at(*position),
        count_of(*days as u64, "day"),
    )]
    FullScan {
        table: String,
        position: Option<Position>,
        /// Days that the conditions keep.
        kept: usize,
        /// All days that they are measured against.
        days: usize,
        /// What those days are.
        measure: &'static str,
        /// How to narrow it.
        advice: String,
    },
    #[error(
        "the query would read up to {estimated} in {} of {}, more than the {allowed} of --max-scan: query fewer days, or allow more",
        count_of(*files as u64, "file"),
        count_of(*days as u64, "day")
    )]
    TooMuch {
        estimated: Size,
        files: usize,
        days: usize,
        allowed: Size,
    },
    #[error("{unknown}, and --max-scan allows {allowed}: omit --max-scan to run the query")]
    NotKnown { unknown: String, allowed: Size },
    #[error("{}", stopped(*reason, cancelled))]
    Stopped {
        reason: StopReason,
        cancelled: Cancelled,
    },
    #[error("cannot write the answer: {0}")]
    Output(io::Error),
    #[error("cannot write {}: {error}", path.display())]
    OutputFile { path: PathBuf, error: io::Error },
    #[error("cannot show the answer: {0}")]
    Show(String),
    #[error("could not start: {0}")]
    Start(io::Error),
}

impl CliError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Engine(error) => match error {
                EngineError::Query { .. } => exit_code::QUERY,
                EngineError::Usage(_) => exit_code::USAGE,
                EngineError::Refused(_) => exit_code::REFUSED,
                EngineError::Cancelled(_) => exit_code::TIMEOUT,
                EngineError::StoppedElsewhere(_) => exit_code::STOPPED_ELSEWHERE,
                EngineError::Service(_) => exit_code::SERVICE,
            },
            Self::Parameter(_)
            | Self::Header { .. }
            | Self::NoStatement
            | Self::NoQuery { .. }
            | Self::File { .. }
            | Self::Input(_)
            | Self::Usage(_) => exit_code::USAGE,
            Self::FullScan { .. } | Self::TooMuch { .. } | Self::NotKnown { .. } => {
                exit_code::REFUSED
            }
            Self::Stopped { reason, .. } => reason.exit_code(),
            Self::Output(_) | Self::OutputFile { .. } | Self::Show(_) | Self::Start(_) => {
                exit_code::QUERY
            }
        }
    }

    /// Where in the text it is.
    pub(crate) fn position(&self) -> Option<Position> {
        if let Self::Engine(EngineError::Query { position, .. }) | Self::FullScan { position, .. } =
            self
        {
            *position
        } else {
            None
        }
    }

    /// Why the query was stopped from here, if it was.
    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        if let Self::Stopped { reason, .. } = self {
            Some(*reason)
        } else {
            None
        }
    }

    /// Whether the reader has left (`| head`), which is not a failure.
    pub(crate) fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn stopped(reason: StopReason, cancelled: &Cancelled) -> String {
    let mut text = match reason {
        StopReason::Interrupt => "interrupted".to_owned(),
        StopReason::Terminate => "terminated".to_owned(),
        StopReason::HangUp => "hung up: the terminal or session has ended".to_owned(),
        StopReason::Timeout(after) => format!(
            "stopped after {} s: narrow the query by year, month, day and token, or raise --timeout",
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
            "; query {} had already succeeded, and its answer was not read to the end",
            id.as_deref().unwrap_or_default()
        ),
        (End::Unknown(why), Some(id)) => {
            format!("; {why}, so query {id} may still run: stop it with `ticksql cancel {id}`")
        }
        (End::Unknown(why), None) => format!(
            "; {why}, so the query may still run: `ticksql history` shows its id, `ticksql cancel ID` stops it"
        ),
    };
    if *scanned_bytes > 0 || bill.is_some() {
        text += &format!("; {}", had_read(*scanned_bytes, *bill));
    }
    text
}

impl From<SqlError> for CliError {
    fn from(error: SqlError) -> Self {
        Self::Engine(EngineError::from(error))
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<ArrowError> for CliError {
    fn from(error: ArrowError) -> Self {
        if let ArrowError::IoError(_, error) = error {
            Self::Output(error)
        } else {
            Self::Show(error.to_string())
        }
    }
}

impl From<ParquetError> for CliError {
    fn from(error: ParquetError) -> Self {
        Self::Show(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::athena_bill::Bill;

    #[test]
    fn a_stopped_query_reports_its_end_and_its_cost() {
        let check = |query_id: Option<&str>, scanned_bytes, end, expected: &str| {
            let cancelled = Cancelled {
                query_id: query_id.map(str::to_owned),
                scanned_bytes,
                bill: query_id.map(|_| Bill::of_scanned(scanned_bytes)),
                end,
            };
            assert_eq!(stopped(StopReason::Interrupt, &cancelled), expected);
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
            "interrupted; query q1 had already succeeded, and its answer was not read to the end; it had \
             read 12 B: 10.0 MB billed, $0.000050",
        );
        let unknown = || End::Unknown("Athena has not answered".to_owned());
        let cancelled = Cancelled {
            end: unknown(),
            ..Cancelled::default()
        };
        let message = stopped(StopReason::Terminate, &cancelled);
        assert!(
            message.contains("may still run") && message.contains("ticksql history"),
            "{message}"
        );
        let cancelled = Cancelled {
            query_id: Some("q1".to_owned()),
            ..cancelled
        };
        let message = stopped(StopReason::Terminate, &cancelled);
        assert!(
            message.contains("may still run") && message.contains("ticksql cancel q1"),
            "{message}"
        );
    }
}
