//! Options that all commands share.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::environment::Environment;
use crate::size::Size;

/// Options for all commands.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// What runs the query. Default: the data folder if there is one and no AWS variable is set,
    /// otherwise Athena
    #[arg(long, env = "TICKSQL_ENGINE", value_enum, global = true)]
    pub(crate) engine: Option<EngineName>,

    /// A value for a parameter: name=value, or name:type=value to set its type
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = pair, global = true)]
    pub(crate) params: Vec<(String, String)>,

    /// The data folder of tickstream, which may be running
    #[arg(long, env = "DATA_DIR", value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,

    /// How the answer is written. Default: by the file's extension, or a table
    #[arg(long, short = 'f', value_enum, global = true)]
    pub(crate) format: Option<Format>,

    /// Write the answer to a file, which appears once it is complete; a pipe or device gets it at once
    #[arg(long, short = 'o', value_name = "FILE", global = true)]
    pub(crate) output: Option<PathBuf>,

    /// Draw the answer as a time series instead of showing rows; names the column to draw
    #[arg(long, value_name = "COLUMN", num_args = 0..=1, require_equals = true, default_missing_value = "", global = true)]
    pub(crate) chart: Option<String>,

    /// Also write an HTML page with a plot, the rows and the query
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) html: Option<PathBuf>,

    /// Cut the answer after this many rows. Default: 10000 for a table, otherwise no limit
    #[arg(long, value_name = "N", value_parser = row_count, global = true)]
    pub(crate) max_rows: Option<usize>,

    /// Refuse a query that would read more than this, or an unknown amount: 2GB
    #[arg(long, env = "TICKSQL_MAX_SCAN", value_name = "SIZE", global = true)]
    pub(crate) max_scan: Option<Size>,

    /// Run a query even if no condition limits the days that it reads
    #[arg(long, global = true)]
    pub(crate) full_scan: bool,

    /// Stop the query after this many seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..), global = true)]
    pub(crate) timeout: u64,

    /// Memory for a local query before it uses temporary files. Default: half of the machine's
    #[arg(long, env = "TICKSQL_MEMORY", value_name = "SIZE", global = true)]
    pub(crate) memory: Option<Size>,

    /// Print only errors, and a warning if the answer is cut
    #[arg(long, short = 'q', global = true)]
    pub(crate) quiet: bool,

    /// Athena
    #[cfg(feature = "aws")]
    #[command(flatten)]
    pub(crate) athena: AthenaSettings,

    /// Other environment variables
    #[command(flatten)]
    pub(crate) environment: Environment,
}

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineName {
    /// Amazon Athena, over the archive on S3
    Athena,
    /// This process, over the archive of a data folder
    Local,
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Athena => "athena",
            Self::Local => "local",
        })
    }
}

/// Options for Athena.
#[cfg(feature = "aws")]
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Athena")]
pub(crate) struct AthenaSettings {
    /// The workgroup that queries run in
    #[arg(
        long,
        env = "ATHENA_WORKGROUP",
        default_value = "tickstream",
        global = true
    )]
    pub(crate) workgroup: String,

    /// The database that has the archive's tables and views
    #[arg(
        long,
        env = "ATHENA_DATABASE",
        default_value = "tickstream",
        global = true
    )]
    pub(crate) database: String,

    /// The archive's folder, for `init` without a table and for estimates if the table does not name
    /// its folder; a folder other than the table's is refused
    #[arg(
        long,
        env = "TICKSQL_ARCHIVE",
        value_name = "s3://BUCKET/PREFIX/",
        global = true
    )]
    pub(crate) archive: Option<String>,

    /// Write parameters into the statement as typed literals, for services without execution
    /// parameters
    #[arg(long, env = "TICKSQL_RENDER_PARAMS", global = true)]
    pub(crate) render_params: bool,

    /// Run the query again even if Athena has a recent result for it
    #[arg(long, global = true)]
    pub(crate) no_reuse: bool,
}

/// What `ticksql init` takes besides workgroup, database and archive.
#[cfg(feature = "aws")]
#[derive(Debug, Clone, Args)]
pub(crate) struct InitArgs {
    /// Where a new workgroup writes results. Default: athena-results/ in the archive's bucket
    #[arg(long, value_name = "s3://BUCKET/PREFIX/")]
    pub(crate) results: Option<String>,

    /// The most that a query of a new workgroup may read
    #[arg(long, default_value = "10GiB", value_name = "SIZE")]
    pub(crate) scan_limit: Size,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people; NULL is shown as such, control characters as \x1B
    Table,
    /// Comma-separated values with a header; NULL is an empty field, an empty text is ""
    Csv,
    /// Tab-separated values with a header; NULL is \N, and \t, \n, \\ are escapes
    Tsv,
    /// One JSON object per row and line
    Jsonl,
    /// One JSON object with columns, rows, row_count, truncated and elapsed_ms
    Json,
    /// A Markdown table; NULL is shown as such
    Markdown,
    /// A Parquet file
    Parquet,
}

impl Format {
    /// The format of a file's extension.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
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

    /// The names of the formats that a shell can write.
    pub(crate) fn of_shell() -> Vec<String> {
        let formats = Self::value_variants().iter();
        let formats = formats.filter(|format| **format != Self::Parquet);
        formats
            .filter_map(Self::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect()
    }

    /// Whether all rows are held before the first is shown, to align the columns.
    pub(crate) fn is_for_reading(self) -> bool {
        matches!(self, Self::Table | Self::Markdown)
    }
}

/// Parses `name=value`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write name=value".to_owned()),
    }
}

/// Parses a number of rows above 0: an answer that is cut to none would look empty.
fn row_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rows @ 1..) => Ok(rows),
        Ok(0) | Err(_) => Err("write a whole number of at least 1".to_owned()),
    }
}
