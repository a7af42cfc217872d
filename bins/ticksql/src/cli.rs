//! The command line.

use std::io::{IsTerminal, Read, Write, stdin};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::SQL_BYTES_MAX;
use crate::problem::Problem;

/// Ask the archive of ticks in SQL.
///
/// Tables: price_archive (as stored), price_history (`timestamp` in milliseconds), ticks (with
/// `time`, a timestamp). Give year, month and day in WHERE, so that only those days are read.
#[derive(Debug, Parser)]
#[command(name = "ticksql", version, after_help = EXAMPLES)]
pub struct Cli {
    /// The statement: SELECT, WITH, EXPLAIN, SHOW or DESCRIBE; `-` reads it from standard input
    #[arg(value_name = "SQL")]
    pub sql: Option<String>,

    /// The data folder of tickstream; it may be running
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Rows after which the answer is cut
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub max_rows: usize,

    /// Seconds after which the query is stopped
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub timeout: u64,
}

const EXAMPLES: &str = "\
Examples:
  ticksql \"SELECT token, count(*), avg(price) FROM ticks GROUP BY token\"
  ticksql --format csv \"SELECT * FROM price_history WHERE year = 2026 AND month = 3 AND day = 7\"
  ticksql - < query.sql

The answer goes to standard output, all else to standard error.
Exit code: 0 answered, 1 the query failed, 2 called wrongly.";

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table to look at; NULL is shown as such
    Table,
    /// Comma-separated values with a header; NULL is an empty field, an empty text is ""
    Csv,
    /// One JSON object a line and row
    Jsonl,
    /// One JSON object with columns, rows, row_count, truncated and elapsed_ms
    Json,
}

/// Where a process reads and writes.
pub struct Streams<'a> {
    /// The statement, where the argument is `-` or missing.
    pub input: &'a mut dyn Read,
    /// The answer.
    pub output: &'a mut dyn Write,
    /// What is said about it.
    pub status: &'a mut dyn Write,
}

impl Cli {
    /// The statement, from the argument or from standard input.
    pub(crate) fn statement(&self, input: &mut dyn Read) -> Result<String, Problem> {
        let text = match self.sql.as_deref() {
            Some("-") => read(input)?,
            Some(text) => text.to_owned(),
            // Waiting for a person to type would look like a hang.
            None if stdin().is_terminal() => return Err(Problem::NoStatement),
            None => read(input)?,
        };
        if text.trim().is_empty() {
            Err(Problem::NoStatement)
        } else {
            Ok(text)
        }
    }
}

fn read(input: &mut dyn Read) -> Result<String, Problem> {
    let mut text = String::new();
    // One byte more than is taken, so that a longer text is refused rather than cut.
    input
        .take(SQL_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(Problem::Input)?;
    Ok(text)
}
