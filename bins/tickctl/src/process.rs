//! What subcommands share with their process: clock, stop signal, output, and bad input.

use std::collections::BTreeSet;
use std::io::Write as _;

use domain::Token;
use tokio_util::sync::CancellationToken;

/// The exit code of a failure: of the server or the network, differences, or errors under load.
pub(crate) const EXIT_FAILED: u8 = 1;

/// The exit code for wrong arguments or an invalid file; clap uses the same for wrong options.
pub(crate) const EXIT_BAD_INPUT: u8 = 2;

/// The exit code if something could not be seen, or there was nothing to see.
pub(crate) const EXIT_UNSEEN: u8 = 3;

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

/// Not everything could be seen, or there was nothing to see: exit code 3 instead of 1.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExitUnseen(pub String);

/// An exit code of a command that has said everything on stdout: nothing more is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("exit code {0}")]
pub struct ExitWith(pub u8);

/// The tokens of an option `--tokens`.
///
/// # Errors
/// [`BadInput`] if one cannot be a token.
pub(crate) fn selected_tokens(texts: &[String]) -> Result<BTreeSet<Token>, BadInput> {
    let read = |text: &String| {
        Token::new(text).map_err(|error| BadInput(format!("--tokens {text}: {error}")))
    };
    texts.iter().map(read).collect()
}

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
