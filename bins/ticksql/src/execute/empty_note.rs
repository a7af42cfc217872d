//! Why an answer is empty, as far as that is known.

use chrono::NaiveDate;
use domain::count_of;

use super::Execution;
use crate::engine::DayTable;
use crate::options::EngineName;
use crate::outputs::Outputs;

const EMPTY_ON_ATHENA: &str = "the archive has no files yet: it receives only the ticks in the rollout's share; `just status` shows the share, and docs/athena.md says how to raise it";

impl Execution<'_> {
    /// Writes why an answer has no rows or read no files.
    pub(super) async fn note_on_empty(&self, rows: usize, outputs: &mut Outputs<'_>) {
        // An empty range has already been reported.
        if self.bound.range_is_empty {
            return;
        }
        let of_days = self.note_on_days().await;
        let of_tokens = || self.bound.note_on_tokens().filter(|_| rows == 0);
        if let Some(note) = of_days.or_else(of_tokens) {
            _ = writeln!(outputs.status, "note: {note}");
        }
    }

    /// Which days the archive has, if it has none of those requested.
    async fn note_on_days(&self) -> Option<String> {
        let scans = &self.statement.scans;
        // The other tables have days of their own.
        if scans.is_empty() || !scans.iter().all(|scan| DayTable::Archive.is_read_by(scan)) {
            return None;
        }
        let days = self.engine.days(DayTable::Archive).await.ok()?;
        let kept = |day: &NaiveDate| scans.iter().any(|scan| scan.keeps(*day));
        match (days.first(), days.last()) {
            (Some(first), Some(last)) if !days.iter().any(kept) => Some(format!(
                "the archive has none of the requested days; it has {}, from {first} to {last}",
                count_of(days.len() as u64, "day")
            )),
            (Some(_), Some(_)) => None,
            _ => Some(match self.engine.name() {
                EngineName::Local => "the archive has no files yet".to_owned(),
                EngineName::Athena => EMPTY_ON_ATHENA.to_owned(),
            }),
        }
    }
}
