//! The query runner for analysts: one statement over the archive, its answer on standard output,
//! and all that is said about it on standard error.

mod ask;
mod choice;
pub mod cli;
mod commands;
mod destination;
mod drawn;
pub mod engine;
mod explain;
mod format;
mod guard;
mod history;
#[cfg(feature = "aws")]
pub mod init;
mod money;
pub mod named;
mod plot;
mod problem;
mod progress;
mod shell;
pub mod size;
mod source;
mod statement;
mod stop;

use std::io::{Read, Write};
use std::process::ExitCode;

use cli::Cli;
use problem::Problem;
use query::Place;

/// Where a process reads and writes.
pub struct Streams<'a> {
    /// The statement, where the argument is `-` or missing.
    pub input: &'a mut dyn Read,
    /// The answer.
    pub output: &'a mut (dyn Write + Send),
    /// What is said about it.
    pub status: &'a mut (dyn Write + Send),
}

/// Runs the command and returns the exit code, as `ticksql --help` tells them.
pub fn run(cli: &Cli, streams: Streams<'_>) -> ExitCode {
    let Streams {
        input,
        output,
        status,
    } = streams;
    // One thread beside this one: it hears signals while this one writes to a slow reader.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let mut outputs = ask::Outputs {
                output,
                status: &mut *status,
            };
            let outcome = runtime.block_on(commands::run(cli, input, &mut outputs));
            // What is still under way in the background holds up nobody.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::from(Problem::Start(error))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.problem.is_reader_gone() => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is closed, the exit code still tells.
            if !failure.is_told {
                _ = status.write_all(failure.told().as_bytes());
            }
            ExitCode::from(failure.problem.exit_code())
        }
    }
}

/// A problem, and the text that it is in.
struct Failure {
    problem: Problem,
    /// The query's text and what it is called, where there is one.
    source: Option<(Option<String>, String)>,
    /// Whether its user has read of it.
    is_told: bool,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            source: None,
            is_told: false,
        }
    }
}

impl Failure {
    fn of(problem: Problem, source: &source::Source) -> Self {
        Self {
            problem,
            source: Some((source.name.clone(), source.text.clone())),
            is_told: false,
        }
    }

    /// The same, of which only the exit code is left to tell.
    fn already_told(self) -> Self {
        Self {
            is_told: true,
            ..self
        }
    }

    /// The message, with the line that it is about and a mark below it.
    fn told(&self) -> String {
        let mut text = match &self.source {
            Some((Some(name), _)) if self.problem.place().is_some() => {
                format!("ticksql: {name}: {}\n", self.problem)
            }
            _ => format!("ticksql: {}\n", self.problem),
        };
        if let (Some(place), Some((_, sql))) = (self.problem.place(), &self.source) {
            text += &marked(sql, place).unwrap_or_default();
        }
        text
    }
}

/// The line of a place, and a mark below the place.
fn marked(text: &str, place: Place) -> Option<String> {
    let line = text
        .lines()
        .nth(usize::try_from(place.line.checked_sub(1)?).ok()?)?;
    let before: String = line
        .chars()
        .take(usize::try_from(place.column.checked_sub(1)?).ok()?)
        .map(|char| if char == '\t' { '\t' } else { ' ' })
        .collect();
    let number = place.line.to_string();
    let beside = " ".repeat(number.len());
    Some(format!("  {number} | {line}\n  {beside} | {before}^\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_is_marked() {
        let marked = |text: &str, line, column| marked(text, Place { line, column });
        assert_eq!(
            marked("SELECT é,\n\ttokn FROM x", 2, 2).unwrap(),
            "  2 | \ttokn FROM x\n    | \t^\n"
        );
        assert_eq!(
            marked("SELECT é, x", 1, 9).unwrap(),
            "  1 | SELECT é, x\n    |         ^\n"
        );
        assert_eq!(marked("SELECT", 2, 1), None);
    }
}
