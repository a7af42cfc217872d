//! What runs a statement: Athena, or the local archive. The rest of the program does not know which.

#[cfg(feature = "aws")]
pub(crate) mod athena;
mod engine_error;
pub(crate) mod local;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::NaiveDate;
use futures_util::stream::BoxStream;
use query::ArchiveScan;
use tokio_util::sync::CancellationToken;

use crate::options::EngineName;
use crate::statement::Statement;
pub(crate) use engine_error::{Cancelled, End, EngineError};

/// Runs statements. One is created for a process, or for a shell's whole session.
#[async_trait]
pub(crate) trait Engine: Send + Sync {
    fn name(&self) -> EngineName;

    /// The region of the service, if it is one.
    fn region(&self) -> Option<String> {
        None
    }

    /// What a statement would read, without running it.
    async fn estimate(&self, statement: &Statement) -> Result<Estimate, EngineError>;

    /// The engine's own plan of a statement (its EXPLAIN), as text.
    async fn plan(&self, statement: &Statement) -> Result<String, EngineError>;

    /// Runs a statement until its rows can be read. `progress` is called whenever something
    /// changes, at least once a second. When `cancel` fires before that, the query is stopped on
    /// the service and the error is [`EngineError::Cancelled`]; when it fires later, the rows end
    /// with it.
    async fn run(
        &self,
        statement: &Statement,
        progress: &(dyn Fn(Progress) + Send + Sync),
        cancel: CancellationToken,
    ) -> Result<Answer, EngineError>;

    /// Tables and views with their columns.
    async fn tables(&self) -> Result<Vec<TableColumns>, EngineError>;

    /// The days for which a table has files, sorted.
    async fn days(&self, table: DayTable) -> Result<Vec<NaiveDate>, EngineError>;

    /// The days that a condition is measured against: those of [`Engine::days`], or if listing them
    /// takes long, those between the first and the last, which are remembered.
    async fn existing_days(&self, table: DayTable) -> Result<Vec<NaiveDate>, EngineError> {
        self.days(table).await
    }

    /// Earlier queries, the newest first.
    async fn history(&self, count_max: usize) -> Result<Vec<PastQuery>, EngineError>;

    /// Stops a query that another process started.
    async fn cancel(&self, id: &str) -> Result<(), EngineError>;
}

/// A table in folders of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DayTable {
    /// The ticks, by the day of the event.
    Archive,
    /// What could not become a tick, by the day of receipt.
    Quarantine,
    /// What the analysis found, by the day of the event.
    Anomalies,
}

impl DayTable {
    /// All tables.
    pub(crate) const ALL: [Self; 3] = [Self::Archive, Self::Quarantine, Self::Anomalies];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Archive => query::PRICE_ARCHIVE,
            Self::Quarantine => query::QUARANTINE,
            Self::Anomalies => query::ANOMALIES,
        }
    }

    /// Whether a scan reads its files.
    pub(crate) fn is_read_by(self, scan: &ArchiveScan) -> bool {
        scan.files_of() == self.name()
    }
}

/// What a statement would read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Days that the conditions leave and the archive has, sorted.
    pub(crate) days: Vec<NaiveDate>,
    /// Files of those days.
    pub(crate) files: usize,
    /// Bytes of those files, once for each time that the statement reads them: an upper bound,
    /// since columns that it does not use are not read.
    pub(crate) bytes: u64,
    /// Why the bytes are not all that it would read: the size of the rest is unknown.
    pub(crate) unknown: Option<String>,
    /// A note for the user about the figures.
    pub(crate) note: Option<String>,
}

/// The progress of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) state: State,
    /// How long it waited for its turn.
    pub(crate) queued: Duration,
    /// How long it has run.
    pub(crate) ran: Duration,
    /// What it has read so far.
    pub(crate) scanned_bytes: u64,
}

/// The state of a query that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Waiting for its turn.
    Queued,
    /// Running.
    Running,
    /// Done; its rows are being read.
    Reading,
}

/// Rows, and what they cost.
pub(crate) struct Answer {
    /// The columns; two may have the same name.
    pub(crate) schema: SchemaRef,
    /// The rows, in their order.
    pub(crate) batches: BoxStream<'static, Result<RecordBatch, EngineError>>,
    /// The current figures; they are complete when `batches` has ended.
    pub(crate) figures: Arc<dyn Fn() -> Figures + Send + Sync>,
}

/// What a query took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// The service's id of it.
    pub(crate) query_id: Option<String>,
    /// Bytes read of the archive.
    pub(crate) scanned_bytes: u64,
    /// Files read, if the engine reports it.
    pub(crate) files: Option<usize>,
    /// Whether the answer is the result of an earlier run, for which nothing is billed.
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
    /// Whether the answer was the result of an earlier run, which costs nothing.
    #[serde(default)]
    pub(crate) reused: bool,
    /// The query's name, if it was run by name and the name is known here.
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) sql: String,
}

#[cfg(test)]
impl PastQuery {
    /// A local query that succeeded, with a long statement.
    pub(crate) fn example(number: u64) -> Self {
        Self {
            engine: EngineName::Local,
            id: format!("id-{number}"),
            at_ms: 1_772_841_600_000,
            state: "succeeded".to_owned(),
            ran_ms: number,
            scanned_bytes: 5,
            reused: false,
            name: None,
            sql: format!("-- what\nSELECT {number}\n  FROM {}", "t".repeat(3_000)),
        }
    }
}
