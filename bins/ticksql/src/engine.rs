//! What runs a statement: Athena, or the local archive. The rest of the program does not know which.
//!
//! The doors to Athena: `athena::open(&AthenaSettings) -> Result<Box<dyn Engine>, EngineError>` and
//! `init::run(&InitArgs, &AthenaSettings, &mut dyn Write) -> Result<(), EngineError>`.

#[cfg(feature = "aws")]
pub(crate) mod athena;
pub(crate) mod local;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::NaiveDate;
use futures_util::stream::BoxStream;
use query::Place;
use tokio_util::sync::CancellationToken;

use crate::money::Bill;
pub(crate) use crate::statement::Statement;

/// Which engine.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
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

/// Runs statements. One is made for a process, or for a shell's whole session.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    fn name(&self) -> EngineName;

    /// The region of the service, where it is one.
    fn region(&self) -> Option<String> {
        None
    }

    /// What a statement would read, without running it.
    async fn estimate(&self, statement: &Statement) -> Result<Estimate, EngineError>;

    /// The engine's own plan of a statement (its EXPLAIN), as text.
    async fn plan(&self, statement: &Statement) -> Result<String, EngineError>;

    /// Runs a statement until its rows can be read. `progress` is told whenever something is new,
    /// at least once a second. When `cancel` fires before that, the query is stopped on the service
    /// and the error is [`EngineError::Cancelled`]; when it fires later, the rows end with it.
    async fn run(
        &self,
        statement: &Statement,
        progress: &(dyn Fn(Progress) + Send + Sync),
        cancel: CancellationToken,
    ) -> Result<Answer, EngineError>;

    /// Tables and views with their columns.
    async fn tables(&self) -> Result<Vec<TableColumns>, EngineError>;

    /// The days for which the archive has files, sorted; for a note where an answer has no rows.
    /// `None` where finding out costs more than it is worth.
    async fn days(&self) -> Result<Option<Vec<NaiveDate>>, EngineError>;

    /// Queries of before, the newest first.
    async fn history(&self, count_max: usize) -> Result<Vec<PastQuery>, EngineError>;

    /// Stops a query that another process started.
    async fn cancel(&self, id: &str) -> Result<(), EngineError>;
}

/// What a statement would read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Days that the conditions leave and the archive has, sorted.
    pub(crate) days: Vec<NaiveDate>,
    /// Files of those days.
    pub(crate) files: usize,
    /// Bytes of those files, once for each time that the statement reads them: an upper bound,
    /// since columns that are not asked for are not read.
    pub(crate) bytes: u64,
    /// Why the bytes are not all that it would read: how much lies behind the rest is not known.
    pub(crate) unknown: Option<String>,
    /// What a person should know about the figures.
    pub(crate) note: Option<String>,
}

/// How far a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) state: State,
    /// How long it waited for its turn.
    pub(crate) queued: Duration,
    /// How long it runs.
    pub(crate) ran: Duration,
    /// What it read so far.
    pub(crate) scanned_bytes: u64,
}

/// The state of a query that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Waits for its turn.
    Queued,
    /// Runs.
    Running,
    /// Is done, and its rows are being read.
    Reading,
}

/// Rows, and what they cost.
pub(crate) struct Answer {
    /// The columns; no two have the same name.
    pub(crate) schema: SchemaRef,
    /// The rows, in their order.
    pub(crate) batches: BoxStream<'static, Result<RecordBatch, EngineError>>,
    /// The figures by now; they are complete when `batches` has ended.
    pub(crate) figures: Arc<dyn Fn() -> Figures + Send + Sync>,
}

/// What a query took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// The service's name for it.
    pub(crate) query_id: Option<String>,
    /// Bytes read of the archive.
    pub(crate) scanned_bytes: u64,
    /// Files looked into, where the engine says so.
    pub(crate) files: Option<usize>,
    /// Whether the answer is one that was kept from an earlier run, for which nothing is billed.
    pub(crate) reused: bool,
    pub(crate) queued: Duration,
    pub(crate) ran: Duration,
}

/// A table or view, for completion and `\d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableColumns {
    pub(crate) name: String,
    /// Name and type of each column.
    pub(crate) columns: Vec<(String, String)>,
}

/// A query that ran before.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct PastQuery {
    pub(crate) engine: EngineName,
    pub(crate) id: String,
    /// When it was sent, milliseconds since the epoch.
    pub(crate) at_ms: i64,
    /// `succeeded`, `failed`, `cancelled`, `running` or `queued`.
    pub(crate) state: String,
    pub(crate) ran_ms: u64,
    pub(crate) scanned_bytes: u64,
    /// Whether the answer was an earlier one's, which costs nothing.
    #[serde(default)]
    pub(crate) reused: bool,
    /// What the query is called, where it was run by a name and that is known here.
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) sql: String,
}

/// Why there is no answer; the kind decides the exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The statement is wrong, or failed while it ran.
    #[error("{message}")]
    Query {
        /// What is wrong, with the nearest names and the place in words.
        message: String,
        /// Where it stands in the statement that was sent.
        place: Option<Place>,
    },
    /// Called wrongly, or something that the engine needs is not there: no archive, no workgroup,
    /// no database. The message says what to do.
    #[error("{0}")]
    Usage(String),
    /// A limit of the workgroup or of this program stopped it.
    #[error("{0}")]
    Refused(String),
    /// `cancel` fired; who fired it knows why.
    #[error("the query was cancelled")]
    Cancelled(Cancelled),
    /// Somebody else stopped it.
    #[error("{0}")]
    StoppedElsewhere(String),
    /// Credentials, permissions, throttling, the network, the service itself. The message says
    /// what to do.
    #[error("{0}")]
    Service(String),
}

/// A query that was told to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cancelled {
    /// The service's name for it.
    pub(crate) query_id: Option<String>,
    /// What it had read by then.
    pub(crate) scanned_bytes: u64,
    /// What that costs, where it costs something.
    pub(crate) bill: Option<Bill>,
    pub(crate) end: End,
}

/// What became of a query that was told to end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// It ended by that.
    #[default]
    Stopped,
    /// It had succeeded before: its answer is not read to the end.
    Succeeded,
    /// Nobody knows, for this reason: it may run on.
    Unknown(String),
}

/// What the command line says about Athena.
#[cfg(feature = "aws")]
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Athena")]
pub struct AthenaSettings {
    /// The workgroup that queries run in
    #[arg(
        long,
        env = "ATHENA_WORKGROUP",
        default_value = "tickstream",
        global = true
    )]
    pub workgroup: String,

    /// The database with the archive's table and views
    #[arg(
        long,
        env = "ATHENA_DATABASE",
        default_value = "tickstream",
        global = true
    )]
    pub database: String,

    /// The archive's folder: for `init` where there is no table yet, and for estimates where the table
    /// does not say its own; another one than the table's is refused
    #[arg(
        long,
        env = "TICKSQL_ARCHIVE",
        value_name = "s3://BUCKET/PREFIX/",
        global = true
    )]
    pub archive: Option<String>,

    /// Write parameters into the statement as literals of their types, for services that take no
    /// execution parameters
    #[arg(long, env = "TICKSQL_RENDER_PARAMS", global = true)]
    pub render_params: bool,

    /// Do not take the answer of an earlier run, even where no day of it can have changed
    #[arg(long, global = true)]
    pub no_reuse: bool,
}
