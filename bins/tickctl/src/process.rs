//! What subcommands share with their process: clock, stop signal, output, and bad input.

use std::io::Write as _;

use tokio_util::sync::CancellationToken;

/// What a subcommand needs from its process.
#[derive(Debug, Clone)]
pub struct ProcessContext {
    /// The wall clock, in milliseconds since the epoch.
    pub now_ms: fn() -> i64,
    /// Cancelled when the user stops the command.
    pub stop: CancellationToken,
}

/// Wrong arguments or an invalid file: exit code 2 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// Not everything could be seen: exit code 3 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unseen(pub String);

/// An exit code of a command that has said everything on stdout: nothing more is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exit code {0}")]
pub struct ExitWith(pub u8);

/// Writes a line to stdout. A closed pipe (`| head`) is not an error.
///
/// # Errors
/// Those of writing, except for a broken pipe.
pub fn print_line(line: &str) -> std::io::Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
