//! The query runner for analysts: one statement over the archive, its answer on standard output,
//! and all that is said about it on standard error.

pub mod cli;
mod format;
mod problem;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use cli::{Cli, Streams};
use local::sql::{Answer, Limits, LocalSql};
use problem::Problem;

/// The query failed, or is no query.
const EXIT_QUERY: u8 = 1;

/// The command was called wrongly.
const EXIT_USAGE: u8 = 2;

/// Memory that a query's operators may hold: the process does nothing else.
const MEMORY_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Bytes of an answer, for those who ask for many rows.
const ANSWER_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Longest text of a query that is read from standard input.
const SQL_BYTES_MAX: u64 = 262_144;

/// Runs the command and returns the exit code: 0 answered, 1 the query failed, 2 called wrongly.
pub fn run(cli: &Cli, streams: Streams<'_>) -> ExitCode {
    let Streams {
        input,
        output,
        status,
    } = streams;
    match answer(cli, input, output, status) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough (`| head`): that is no failure.
        Err(Problem::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(problem) => {
            // Where standard error is closed, the exit code still tells.
            _ = writeln!(status, "ticksql: {problem}");
            ExitCode::from(problem.exit_code())
        }
    }
}

fn answer(
    cli: &Cli,
    input: &mut dyn io::Read,
    output: &mut dyn Write,
    status: &mut dyn Write,
) -> Result<(), Problem> {
    let sql = cli.statement(input)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(Problem::Start)?;
    let answer = runtime.block_on(async {
        let engine = LocalSql::open(&cli.data_dir, limits(cli)).await?;
        engine.query(&sql).await
    })?;
    format::write(&answer, cli.format, output)?;
    _ = writeln!(status, "{}", summary(&answer, cli.max_rows));
    Ok(())
}

fn limits(cli: &Cli) -> Limits {
    Limits {
        rows_max: cli.max_rows,
        answer_bytes_max: ANSWER_BYTES_MAX,
        time_max: Duration::from_secs(cli.timeout),
        memory_bytes_max: MEMORY_BYTES_MAX,
        queries_max: 1,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    }
}

/// `3 rows in 12 ms, 1 file, 4.2 kB read`, and whether rows are missing.
fn summary(answer: &Answer, rows_max: usize) -> String {
    let count = |number: usize, name: &str| {
        format!("{number} {name}{}", if number == 1 { "" } else { "s" })
    };
    let mut text = format!(
        "{} in {:.0} ms, {}, {} read",
        count(answer.rows, "row"),
        answer.elapsed.as_secs_f64() * 1_000.0,
        count(answer.files, "file"),
        bytes(answer.bytes_read),
    );
    if answer.truncated {
        text += &format!("; there are more rows: give --max-rows above {rows_max}, or a LIMIT");
    }
    text
}

/// A number of bytes with three digits or so.
fn bytes(count: u64) -> String {
    let mut unit = 1;
    for name in ["B", "kB", "MB", "GB"] {
        if count < unit * 1_000 || name == "GB" {
            let whole = unit == 1 || count >= 100 * unit;
            let tenths = if whole {
                String::new()
            } else {
                format!(".{}", count % unit * 10 / unit)
            };
            return format!("{}{tenths} {name}", count / unit);
        }
        unit *= 1_000;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_their_unit() {
        let check = |count, expected: &str| assert_eq!(bytes(count), expected);
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1.0 kB");
        check(99_949, "99.9 kB");
        check(123_456, "123 kB");
        check(4_260_000, "4.2 MB");
        check(5_000_000_000_000, "5000 GB");
    }
}
