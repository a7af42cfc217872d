//! Logs: one line an event on standard error, so that standard output stays free for answers.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people at a terminal.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl LogFormat {
    /// Text at a terminal, JSON elsewhere.
    #[must_use]
    pub fn detect() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Text
        } else {
            Self::Json
        }
    }
}

/// Standard error, whose failures lose lines and nothing else: a log on a full disk must not end the process, as the
/// subscriber's own report of the failure would.
struct Lossy(std::io::Stderr);

impl std::io::Write for Lossy {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        Ok(self.0.write(line).unwrap_or(line.len()))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        drop(self.0.flush());
        Ok(())
    }
}

/// The filter is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the log filter `{filter}` is not understood: {cause}; try `info` or `warn,webhook=debug`")]
pub struct FilterError {
    filter: String,
    cause: String,
}

/// Starts logging, once a process.
///
/// # Errors
/// [`FilterError`] for a filter that is not understood.
pub fn start(filter: &str, format: LogFormat) -> Result<(), FilterError> {
    let refused = |cause: String| FilterError {
        filter: filter.to_owned(),
        cause,
    };
    let layer = EnvFilter::try_new(filter).map_err(|error| refused(error.to_string()))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(layer)
        .with_writer(|| Lossy(std::io::stderr()));
    let started = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| refused(error.to_string()))
}
