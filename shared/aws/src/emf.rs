//! Metrics in CloudWatch's embedded metric format: one line of the function's log per invocation.
//! CloudWatch extracts them without a request of ours, so they cannot fail a call.
//!
//! The log costs more than the metrics. So a line has only what is not 0, and nothing that follows
//! from the rest: alarms treat missing data as 0.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use app::ledger::LedgerEntry;
use app::ports::{Clock, LedgerWriter, OutboxId, PortError};
use async_trait::async_trait;
use serde_json::{Value, json};

/// The namespace of all metrics of tickstream.
pub const NAMESPACE: &str = "Tickstream";

/// The only dimension: the name of the function, as in Lambda's own metrics. It begins with the
/// project's name, which distinguishes the projects of one account.
pub const DIMENSION: &str = "FunctionName";

/// The metrics of a delivery, all counts. received = stored + duplicate + rejected + ignored, and
/// the ticks of the cohort are streamed + redriven + pending.
pub const METRICS: [&str; 8] = [
    "Received",
    "Stored",
    "Duplicate",
    "Ignored",
    "Rejected",
    "Streamed",
    "Redriven",
    "Pending",
];

/// Ticks that the stream held twice, and that the analysis counted once.
pub const REPEATED_TICKS: &str = "RepeatedTicks";

/// Ticks behind their pair's newest one, within the allowed lateness.
pub const LATE_TICKS: &str = "LateTicks";

/// Ticks behind their pair's newest one by more than the allowed lateness.
pub const TOO_LATE_TICKS: &str = "TooLateTicks";

/// Records that the analysis read from the stream again: after a cold start, or after another instance.
pub const REPLAYED_RECORDS: &str = "ReplayedRecords";

/// Pairs whose state could not be read, so that their analysis continues after their stored candles, and blocks of
/// candles that could not be read or stored.
pub const STATES_SET_ASIDE: &str = "StatesSetAside";

/// Messages or records that Lambda delivers again although the invocation counts as a success,
/// because the rest of their batch is done.
pub const FAILED_ITEMS: &str = "FailedItems";

/// Deliveries that were judged by secrets read more than a minute ago, or refused because those were read more than 15
/// minutes ago.
pub const STALE_SECRETS: &str = "StaleSecrets";

/// The open shards of the stream, each minute.
pub const OPEN_SHARDS: &str = "OpenShards";

/// Counts of rejected entries by reason: a property of the line, not a metric.
const REJECTED_BY_REASON: &str = "RejectedByReason";

/// Writes the metrics of one function.
pub struct EmfWriter {
    out: Mutex<Box<dyn Write + Send>>,
    function_name: String,
}

impl EmfWriter {
    /// Metrics of a function, such as `tickstream-webhook`, written to `out`. In Lambda that is
    /// standard output, which must have nothing else on the same lines.
    #[must_use]
    pub fn new(out: impl Write + Send + 'static, function_name: impl Into<String>) -> Self {
        Self {
            out: Mutex::new(Box::new(out)),
            function_name: function_name.into(),
        }
    }

    /// Writes counts as metrics of a time, in epoch milliseconds, with further properties.
    ///
    /// # Errors
    /// Those of writing the line.
    pub fn write_counts(
        &self,
        now_ms: i64,
        counts: &[(&str, u64)],
        properties: BTreeMap<&str, Value>,
    ) -> std::io::Result<()> {
        let metrics = counts.iter();
        let metrics: Vec<Value> = metrics.map(|(name, _)| json!({"Name": name})).collect();
        let metadata = json!({
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [[DIMENSION]],
                "Metrics": metrics,
            }],
        });
        let mut line = properties;
        line.insert("_aws", metadata);
        line.insert(DIMENSION, json!(self.function_name));
        line.extend(counts.iter().map(|(name, count)| (*name, json!(count))));
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&bytes)?;
        out.flush()
    }
}

/// Counts what happens in an invocation, and writes it as one line at its end.
pub struct InvocationMetrics {
    writer: EmfWriter,
    clock: Arc<dyn Clock>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl InvocationMetrics {
    /// The metrics of a function, see [`EmfWriter::new`].
    #[must_use]
    pub fn new(
        out: impl Write + Send + 'static,
        clock: Arc<dyn Clock>,
        function_name: impl Into<String>,
    ) -> Self {
        Self {
            writer: EmfWriter::new(out, function_name),
            clock,
            counts: Mutex::default(),
        }
    }

    /// Adds to a metric of the current invocation.
    pub fn add(&self, metric: &'static str, count: u64) {
        if count > 0 {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(metric).or_default() += count;
        }
    }

    /// Ends an invocation: writes what was counted, if anything. A failure is only logged, since the
    /// work is done.
    pub fn flush(&self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts: Vec<(&str, u64)> = std::mem::take(&mut *counts).into_iter().collect();
        if !counts.is_empty()
            && let Err(error) =
                self.writer
                    .write_counts(self.clock.now_ms(), &counts, BTreeMap::new())
        {
            tracing::warn!(error = %error, ?counts, "the metrics of an invocation were not written");
        }
    }
}

/// Writes the ledger counters of deliveries as metrics.
pub struct EmfLedger {
    writer: EmfWriter,
    clock: Arc<dyn Clock>,
}

impl EmfLedger {
    /// The ledger of a function, see [`EmfWriter::new`].
    #[must_use]
    pub fn new(
        out: impl Write + Send + 'static,
        clock: Arc<dyn Clock>,
        function_name: impl Into<String>,
    ) -> Self {
        Self {
            writer: EmfWriter::new(out, function_name),
            clock,
        }
    }

    fn write(&self, entry: &LedgerEntry) -> std::io::Result<()> {
        let offered = entry.streamed + entry.redriven;
        let counts = [
            entry.received,
            entry.stored,
            entry.duplicate,
            entry.ignored,
            entry.rejected(),
            entry.streamed,
            entry.redriven,
            entry.in_cohort.saturating_sub(offered),
        ];
        let counts = METRICS.into_iter().zip(counts);
        let counts: Vec<(&str, u64)> = counts.filter(|(_, count)| *count > 0).collect();
        let mut properties = BTreeMap::new();
        if !entry.rejected_by_reason.is_empty() {
            let by_reason = serde_json::to_value(&entry.rejected_by_reason)?;
            properties.insert(REJECTED_BY_REASON, by_reason);
        }
        self.writer
            .write_counts(self.clock.now_ms(), &counts, properties)
    }
}

#[async_trait]
impl LedgerWriter for EmfLedger {
    /// Never fails: the delivery is stored, and missing metrics are no reason to refuse it.
    async fn commit(
        &self,
        _outbox_id: Option<OutboxId>,
        entry: LedgerEntry,
    ) -> Result<(), PortError> {
        if let Err(error) = self.write(&entry) {
            tracing::warn!(error = %error, entry = ?entry, "the metrics of a delivery were not written");
        }
        Ok(())
    }
}
