//! The command line.

mod hints;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::engine::EngineName;
use crate::size::Size;
pub use hints::parse;

/// Ask the archive of ticks in SQL: on Amazon Athena, or in this process on a data folder.
///
/// Tables: price_archive (as stored), price_history (`timestamp` in milliseconds), ticks (with
/// `time`, a timestamp), quarantine (what could not become a tick). A statement on them needs a
/// condition on year, month and day, so that only those days are read; `:days` writes it from
/// --param from=… --param to=….
#[derive(Debug, Parser)]
#[command(name = "ticksql", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do; without it, the query that follows is run
    #[command(subcommand)]
    pub command: Option<Command>,

    /// A named query, a file, a statement, or `-` for standard input
    #[arg(value_name = "QUERY")]
    pub query: Option<String>,

    /// What goes for all commands
    #[command(flatten)]
    pub options: Options,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a query
    Run {
        /// A named query, a file, a statement, or `-` for standard input
        #[arg(value_name = "QUERY")]
        query: Option<String>,
    },
    /// The named queries and what they take
    List,
    /// The text of a named query, or of a file
    Show {
        /// The query's name, or the file's
        name: String,
    },
    /// The days, files and bytes that a query would read and what that costs, without running it
    Explain {
        /// A named query, a file, a statement, or `-` for standard input
        #[arg(value_name = "QUERY")]
        query: Option<String>,
        /// Tell the engine's own plan, too
        #[arg(long)]
        plan: bool,
    },
    /// Queries of before, with what they read and cost
    History {
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N")]
        count: usize,
    },
    /// Stop a query that runs on Athena
    Cancel {
        /// The query's id, as `history` tells it
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Make Athena's workgroup, database, tables and views where they are missing
    #[cfg(feature = "aws")]
    Init(crate::init::InitArgs),
    /// Ask one question after the other
    ///
    /// A statement ends with a semicolon. `\?` lists the shell's own commands, `\q` leaves. A value of -p
    /// is kept for each statement that takes it. Where standard input is no terminal, the last one ends with
    /// the input, too, and the exit code is that of the last statement that failed.
    Shell,
}

/// What goes for all commands.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What runs the query; without it, the data folder where there is one and the environment
    /// names nothing of AWS, and Athena otherwise
    #[arg(long, env = "TICKSQL_ENGINE", value_enum, global = true)]
    pub engine: Option<EngineName>,

    /// A value for a parameter: name=value; or name:type=value for another type than it looks like
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = pair, global = true)]
    pub params: Vec<(String, String)>,

    /// The data folder of tickstream, which may be running
    #[arg(long, env = "DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// How the answer is written; without it, as the ending of the file says, or as a table
    #[arg(long, short = 'f', value_enum, global = true)]
    pub format: Option<Format>,

    /// A file for the answer, which is there only once it is complete; a pipe or device gets it as it
    /// comes
    #[arg(long, short = 'o', value_name = "FILE", global = true)]
    pub output: Option<PathBuf>,

    /// Draw the answer as a time series; the column to draw, where it is not the obvious one
    #[arg(long, value_name = "COLUMN", num_args = 0..=1, require_equals = true, default_missing_value = "", global = true)]
    pub chart: Option<String>,

    /// Write a page with a plot, the rows and the query, too
    #[arg(long, value_name = "FILE", global = true)]
    pub html: Option<PathBuf>,

    /// Rows after which the answer is cut, 1 or more; without it 10000 for a table, and no limit otherwise
    #[arg(long, value_name = "N", value_parser = row_count, global = true)]
    pub max_rows: Option<usize>,

    /// Refuse a query that would read more, or nobody knows how much: 2GB
    #[arg(long, env = "TICKSQL_MAX_SCAN", value_name = "SIZE", global = true)]
    pub max_scan: Option<Size>,

    /// Run a query that no condition narrows by day
    #[arg(long, global = true)]
    pub full_scan: bool,

    /// Seconds after which the query is stopped, 1 or more
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub timeout: u64,

    /// Memory that a local query may hold before it goes on in temporary files; without it, half of
    /// the machine's
    #[arg(long, env = "TICKSQL_MEMORY", value_name = "SIZE", global = true)]
    pub memory: Option<Size>,

    /// Say nothing but what went wrong
    #[arg(long, short = 'q', global = true)]
    pub quiet: bool,

    /// The service
    #[cfg(feature = "aws")]
    #[command(flatten)]
    pub athena: crate::engine::AthenaSettings,

    /// What is read of the environment besides
    #[command(flatten)]
    pub surroundings: Surroundings,
}

/// What the environment says. None of it needs to be there, and nothing of it is told.
#[derive(Debug, Clone, Default, Args)]
pub struct Surroundings {
    /// Where programs keep what they remember
    #[arg(long, env = "XDG_DATA_HOME", hide = true, global = true)]
    pub xdg_data_home: Option<PathBuf>,
    /// The home folder
    #[arg(long, env = "HOME", hide = true, global = true)]
    pub home: Option<PathBuf>,
    /// A set of credentials by name
    #[arg(long, env = "AWS_PROFILE", hide = true, global = true)]
    pub aws_profile: Option<String>,
    /// Credentials
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide = true, global = true)]
    pub aws_access_key_id: Option<secrecy::SecretString>,
    /// A region
    #[arg(long, env = "AWS_REGION", hide = true, global = true)]
    pub aws_region: Option<String>,
    /// A region
    #[arg(long, env = "AWS_DEFAULT_REGION", hide = true, global = true)]
    pub aws_default_region: Option<String>,
    /// Credentials of a pod
    #[arg(long, env = "AWS_WEB_IDENTITY_TOKEN_FILE", hide = true, global = true)]
    pub aws_web_identity_token_file: Option<PathBuf>,
    /// Credentials of a container
    #[arg(
        long,
        env = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        hide = true,
        global = true
    )]
    pub aws_container_credentials_relative_uri: Option<String>,
}

impl Surroundings {
    /// Whether this environment is made for AWS.
    pub(crate) fn names_aws(&self) -> bool {
        self.aws_profile.is_some()
            || self.aws_access_key_id.is_some()
            || self.aws_region.is_some()
            || self.aws_default_region.is_some()
            || self.aws_web_identity_token_file.is_some()
            || self.aws_container_credentials_relative_uri.is_some()
    }

    /// The folder for what this program remembers.
    pub(crate) fn state_folder(&self) -> Option<PathBuf> {
        let absolute = |path: &PathBuf| path.is_absolute();
        let data = self.xdg_data_home.clone().filter(absolute);
        let at_home = || Some(self.home.as_ref()?.join(".local").join("share"));
        Some(data.or_else(at_home)?.join("ticksql"))
    }
}

const EXAMPLES: &str = "\
Examples:
  ticksql list
  ticksql run candles --param token=BTC --param from=now-1d
  ticksql run candles -p token=BTC -p from=2026-03-07 -p to=2026-03-08 --chart
  ticksql \"SELECT token, count(*) AS ticks FROM ticks WHERE year = 2026 AND month = 3 GROUP BY token\"
  ticksql -o btc.parquet \"SELECT * FROM ticks WHERE :days AND token = 'BTC'\" -p from=now-7d -p to=now
  ticksql explain vwap -p token=BTC -p from=now-7d

The answer goes to standard output, all else to standard error.
Exit code: 0 answered, 1 the query failed, 2 called wrongly or not set up, 3 refused before it ran
(no condition on the day, more than --max-scan, or no statement that only reads), 4 stopped by --timeout, 5 the service or the
storage failed, 6 somebody else stopped it on Athena, 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM.";

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table to look at; NULL is shown as such
    Table,
    /// Comma-separated values with a header; NULL is an empty field, an empty text is ""
    Csv,
    /// Tab-separated values with a header; NULL is \N, and \t, \n, \\ stand for what they do in text
    Tsv,
    /// One JSON object a line and row
    Jsonl,
    /// One JSON object with columns, rows, row_count, truncated and elapsed_ms
    Json,
    /// A table for a text in Markdown; NULL is shown as such
    Markdown,
    /// A Parquet file
    Parquet,
}

impl Format {
    /// The format that a file's ending stands for.
    pub(crate) fn of_ending(ending: &str) -> Option<Self> {
        Some(match ending.to_ascii_lowercase().as_str() {
            "txt" => Self::Table,
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            "jsonl" | "ndjson" => Self::Jsonl,
            "json" => Self::Json,
            "md" | "markdown" => Self::Markdown,
            "parquet" => Self::Parquet,
            _ => return None,
        })
    }

    /// Whether all rows are held before the first is shown, for the sake of their widths.
    pub(crate) fn is_for_reading(self) -> bool {
        matches!(self, Self::Table | Self::Markdown)
    }
}

/// Reads `name=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write name=value".to_owned()),
    }
}

/// Reads a number of rows that is not 0: an answer cut there would have none.
fn row_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rows @ 1..) => Ok(rows),
        Ok(0) | Err(_) => Err("write a whole number from 1 on".to_owned()),
    }
}

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
    fn a_chart_may_name_its_column_and_takes_no_query_for_one() {
        let cli = Cli::try_parse_from(["ticksql", "--chart", "candles"]).unwrap();
        assert_eq!(
            (cli.options.chart.as_deref(), cli.query.as_deref()),
            (Some(""), Some("candles"))
        );
        let cli = Cli::try_parse_from(["ticksql", "run", "candles", "--chart=close"]).unwrap();
        assert_eq!(cli.options.chart.as_deref(), Some("close"));
    }

    #[test]
    fn what_is_remembered_has_its_folder() {
        let of = |data: Option<&str>, home: Option<&str>| {
            let surroundings = Surroundings {
                xdg_data_home: data.map(PathBuf::from),
                home: home.map(PathBuf::from),
                ..Surroundings::default()
            };
            surroundings.state_folder()
        };
        assert_eq!(
            of(Some("/x"), Some("/home/a")),
            Some(PathBuf::from("/x/ticksql"))
        );
        assert_eq!(
            of(Some("x"), Some("/home/a")),
            Some(PathBuf::from("/home/a/.local/share/ticksql"))
        );
        assert_eq!(of(None, None), None);
    }
}
