//! The command line.

use clap::{Parser, Subcommand};

use crate::options::Options;

/// Query the archive of ticks in SQL: on Amazon Athena, or in this process on a data folder.
///
/// Tables: price_archive (as stored), price_history (`timestamp` in milliseconds), ticks (with
/// `time`, a timestamp), anomalies (what the analysis found), quarantine (entries that could not become a
/// tick). A statement on them needs a condition on year, month and day, so that only those days are read;
/// `:days` writes it from --param from=… --param to=….
///
/// Named queries on prices have `series`: trades (the default), which alone make candles, averages by volume and
/// volumes, or quotes, the prices of tickers, oracles and price services.
#[derive(Debug, Parser)]
#[command(name = "ticksql", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// What to do. Default: run the query that follows
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// A named query, a file, a statement, or `-` for standard input
    #[arg(value_name = "QUERY")]
    pub(crate) query: Option<String>,

    /// Options for all commands
    #[command(flatten)]
    pub(crate) options: Options,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a query
    Run {
        /// A named query, a file, a statement, or `-` for standard input
        #[arg(value_name = "QUERY")]
        query: Option<String>,
    },
    /// List the named queries and their parameters
    List,
    /// Print the text of a named query or a file
    Show {
        /// The query's name, or the file's
        name: String,
    },
    /// Print the days, files and bytes that a query would read and their cost, without running it
    Explain {
        /// A named query, a file, a statement, or `-` for standard input
        #[arg(value_name = "QUERY")]
        query: Option<String>,
        /// Also print the engine's own plan
        #[arg(long)]
        plan: bool,
    },
    /// List earlier queries, with what they read and cost
    History {
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N")]
        count: usize,
    },
    /// Stop a query that runs on Athena
    Cancel {
        /// The query's id, as `history` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Create Athena's workgroup, database, tables and views if they are missing
    #[cfg(feature = "aws")]
    Init(crate::options::InitArgs),
    /// Run statements interactively
    ///
    /// A statement ends with a semicolon. `\?` lists the shell's commands, `\q` leaves. A value of
    /// -p is kept for every statement that takes it. With -o, all answers go to the file, one after
    /// another. If standard input is not a terminal, the last statement needs no semicolon, and the
    /// exit code is that of the last statement that failed.
    Shell,
}

const EXAMPLES: &str = "\
Examples:
  ticksql list
  ticksql run candles --param token=BTC --param from=now-1d
  ticksql run candles -p token=BTC -p from=2026-03-07 -p to=2026-03-08 --chart
  ticksql \"SELECT token, count(*) AS ticks FROM ticks WHERE year = 2026 AND month = 3 GROUP BY token\"
  ticksql -o btc.parquet \"SELECT * FROM ticks WHERE :days AND token = 'BTC'\" -p from=now-7d -p to=now
  ticksql explain vwap -p token=BTC -p from=now-7d

The answer goes to standard output, everything else to standard error.
Exit code: 0 answered, 1 the query failed, 2 wrong usage or missing setup, 3 refused before it ran (no
condition on the day, more than --max-scan, or a statement that does more than read), 4 stopped by --timeout,
5 the service or the storage failed, 6 stopped by somebody else on Athena, 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_statement_needs_no_command() {
        let cli = Cli::try_parse_from(["ticksql", "--format", "csv", "SELECT 1"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.query.as_deref(), Some("SELECT 1"));
        let cli =
            Cli::try_parse_from(["ticksql", "run", "candles", "-p", "token=BTC", "-f", "csv"])
                .unwrap();
        assert!(
            matches!(cli.command, Some(Command::Run { query: Some(query) }) if query == "candles")
        );
        assert_eq!(cli.options.params, [("token".to_owned(), "BTC".to_owned())]);
    }

    #[test]
    fn a_chart_may_name_its_column_and_does_not_take_the_query_for_it() {
        let cli = Cli::try_parse_from(["ticksql", "--chart", "candles"]).unwrap();
        assert_eq!(
            (cli.options.chart.as_deref(), cli.query.as_deref()),
            (Some(""), Some("candles"))
        );
        let cli = Cli::try_parse_from(["ticksql", "run", "candles", "--chart=close"]).unwrap();
        assert_eq!(cli.options.chart.as_deref(), Some("close"));
    }
}
