//! The books as metrics: one line of CloudWatch's embedded metric format a delivery.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use app::ledger::LedgerEntry;
use app::ports::{Clock, LedgerWriter, OutboxId, PortError};
use async_trait::async_trait;
use domain::Reason;
use serde::Serialize;

/// The namespace of all metrics of tickstream.
pub const NAMESPACE: &str = "Tickstream";

/// The one dimension: the name of the function that counts, as in Lambda's own metrics. It begins
/// with the project's name, so that projects in one account are told apart.
pub const DIMENSION: &str = "FunctionName";

/// The metrics, all counts. received = stored + duplicate + rejected + ignored, and
/// in cohort = streamed + redriven + pending.
pub const METRICS: [&str; 9] = [
    "Received",
    "Stored",
    "Duplicate",
    "Ignored",
    "Rejected",
    "InCohort",
    "Streamed",
    "Redriven",
    "Pending",
];

/// Writes the books as metrics. CloudWatch reads them from the function's log without a call of
/// ours, so that they cost a delivery nothing and cannot fail it.
pub struct EmfLedger {
    out: Mutex<Box<dyn Write + Send>>,
    clock: Arc<dyn Clock>,
    function_name: String,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    metadata: Metadata,
    #[serde(rename = "FunctionName")]
    function_name: &'a str,
    #[serde(flatten)]
    counts: BTreeMap<&'static str, u64>,
    #[serde(
        rename = "RejectedByReason",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    rejected_by_reason: &'a BTreeMap<Reason, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    /// Epoch milliseconds.
    timestamp: i64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: [Metric; METRICS.len()],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

impl EmfLedger {
    /// The books of a function, such as `tickstream-webhook`, written to `out`: in Lambda, standard output,
    /// which must carry nothing else on the same lines.
    #[must_use]
    pub fn new(
        out: impl Write + Send + 'static,
        clock: Arc<dyn Clock>,
        function_name: impl Into<String>,
    ) -> Self {
        Self {
            out: Mutex::new(Box::new(out)),
            clock,
            function_name: function_name.into(),
        }
    }

    fn write(&self, entry: &LedgerEntry) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&line(entry, self.clock.now_ms(), &self.function_name))?;
        line.push(b'\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&line)?;
        out.flush()
    }
}

#[async_trait]
impl LedgerWriter for EmfLedger {
    /// Never fails: the delivery is stored, and metrics are no reason to refuse it.
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

fn line<'a>(entry: &'a LedgerEntry, now_ms: i64, function_name: &'a str) -> Line<'a> {
    let offered = entry.streamed + entry.redriven;
    let counts = [
        entry.received,
        entry.stored,
        entry.duplicate,
        entry.ignored,
        entry.rejected(),
        entry.in_cohort,
        entry.streamed,
        entry.redriven,
        entry.in_cohort.saturating_sub(offered),
    ];
    Line {
        metadata: Metadata {
            timestamp: now_ms,
            cloud_watch_metrics: [Directive {
                namespace: NAMESPACE,
                dimensions: [[DIMENSION]],
                metrics: METRICS.map(|name| Metric {
                    name,
                    unit: "Count",
                }),
            }],
        },
        function_name,
        counts: METRICS.into_iter().zip(counts).collect(),
        rejected_by_reason: &entry.rejected_by_reason,
    }
}
