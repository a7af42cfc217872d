//! What the program does about its own process: secrets in its arguments, and a new start in place.

use std::process::Command;

/// Options whose values are secret.
const SECRET_OPTIONS: [&str; 2] = ["--webhook-secrets", "--operator-token"];

/// Warns if a secret is among the arguments.
pub fn warn_of_secrets_in_arguments() {
    for argument in std::env::args() {
        let name = argument
            .split_once('=')
            .map_or(argument.as_str(), |(name, _)| name);
        if SECRET_OPTIONS.contains(&name) {
            let variable = name
                .trim_start_matches('-')
                .replace('-', "_")
                .to_uppercase();
            tracing::warn!(
                "{name} is among the arguments, which every user of this machine can read: set {variable} or {variable}_FILE instead"
            );
        }
    }
}

/// Replaces this process by a new one with the same arguments, which opens the store again. Only returns if that
/// fails.
#[must_use]
pub fn start_again() -> anyhow::Error {
    tracing::info!("starting again, since the disk accepts writes again");
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let mut command = Command::new(&program);
    command.args(arguments);
    #[cfg(unix)]
    let failed = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let failed = std::io::Error::from(std::io::ErrorKind::Unsupported);
    anyhow::Error::new(failed).context("the store must be opened again: start tickstream again")
}
