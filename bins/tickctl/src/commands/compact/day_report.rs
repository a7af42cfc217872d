//! The report of a day, as a line of text or as JSON.

use std::time::Duration;

use app::time_text::time_text;
use archive::compaction::{
    CompactionError, DayFolder, DayPlan, DayReport, Files, Removed, Unreadable,
};
use chrono::{DateTime, NaiveDate, SecondsFormat};
use domain::count_of;
use serde::Serialize;

use super::units::files;

/// How many removed rows the text names; JSON has all that the report names.
const REMOVED_SHOWN_MAX: usize = 10;

/// The outcome of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// New files replaced old ones.
    Compacted,
    /// It needs no compaction.
    Unchanged,
    /// Replaced files are still kept for queries; nothing is done before they are removed.
    Waiting,
    /// It would be compacted.
    Planned,
    /// It failed and is unchanged.
    Failed,
}

/// A day, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    day: NaiveDate,
    folder: String,
    pub(super) outcome: Outcome,
    pub(super) files_before: usize,
    pub(super) bytes_before: u64,
    pub(super) files_after: usize,
    pub(super) bytes_after: u64,
    /// In a plan: the existing files that would be sorted and merged.
    files_to_merge: usize,
    bytes_to_merge: u64,
    files_written: usize,
    bytes_written: u64,
    rows_written: u64,
    duplicates: u64,
    /// The first of the duplicates.
    removed: Vec<RemovedTick>,
    pub(super) unreadable: Vec<UnreadableFile>,
    finished_earlier: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_until_ms: Option<i64>,
    elapsed_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What identifies a tick of which a copy was removed.
#[derive(Debug, Serialize)]
struct RemovedTick {
    token: Option<String>,
    quote: Option<String>,
    timestamp: Option<i64>,
    tick_id: String,
}

impl RemovedTick {
    /// Files of other writers may contain any text.
    fn text(&self) -> String {
        let name = |name: &Option<String>| {
            let name = name.as_deref().unwrap_or("NULL");
            name.escape_debug().to_string()
        };
        let time = self.timestamp.and_then(DateTime::from_timestamp_millis);
        let time = time.map_or("NULL".to_owned(), |time| {
            time.to_rfc3339_opts(SecondsFormat::Millis, true)
        });
        let tick_id = self.tick_id.escape_debug();
        let (token, quote) = (name(&self.token), name(&self.quote));
        format!("{token}/{quote} at {time}, tick_id {tick_id}")
    }
}

#[derive(Debug, Serialize)]
pub(super) struct UnreadableFile {
    name: String,
    cause: String,
}

impl Line {
    fn new(day: &DayFolder, outcome: Outcome) -> Self {
        Self {
            day: day.day,
            folder: day.folder.clone(),
            outcome,
            files_before: 0,
            bytes_before: 0,
            files_after: 0,
            bytes_after: 0,
            files_to_merge: 0,
            bytes_to_merge: 0,
            files_written: 0,
            bytes_written: 0,
            rows_written: 0,
            duplicates: 0,
            removed: Vec::new(),
            unreadable: Vec::new(),
            finished_earlier: false,
            waiting_until_ms: None,
            elapsed_ms: 0,
            error: None,
        }
    }

    pub(super) fn of_report(day: &DayFolder, report: &DayReport, elapsed: Duration) -> Self {
        let changed = report.before != report.after || report.duplicates > 0;
        let outcome = match report.waiting_until_ms {
            _ if changed || report.written != Files::default() => Outcome::Compacted,
            Some(_) => Outcome::Waiting,
            None => Outcome::Unchanged,
        };
        let broken = |file: &Unreadable| UnreadableFile {
            name: file.name.clone(),
            cause: file.cause.clone(),
        };
        let removed = |tick: &Removed| RemovedTick {
            token: tick.token.clone(),
            quote: tick.quote.clone(),
            timestamp: tick.timestamp_ms,
            tick_id: tick.tick_id.clone(),
        };
        Self {
            files_before: report.before.count,
            bytes_before: report.before.bytes,
            files_after: report.after.count,
            bytes_after: report.after.bytes,
            files_written: report.written.count,
            bytes_written: report.written.bytes,
            rows_written: report.rows,
            duplicates: report.duplicates,
            removed: report.removed.iter().map(removed).collect(),
            unreadable: report.unreadable.iter().map(broken).collect(),
            finished_earlier: report.finished_earlier,
            waiting_until_ms: report.waiting_until_ms,
            elapsed_ms: elapsed.as_millis(),
            ..Self::new(day, outcome)
        }
    }

    /// The files after are those before, since nothing was done. The number of merged files is not
    /// known before the files are read.
    pub(super) fn of_plan(day: &DayFolder, plan: &DayPlan) -> Self {
        let outcome = match plan.rewritten.count {
            0 if !plan.unfinished => Outcome::Unchanged,
            _ => Outcome::Planned,
        };
        Self {
            files_before: plan.before.count,
            bytes_before: plan.before.bytes,
            files_after: plan.before.count,
            bytes_after: plan.before.bytes,
            files_to_merge: plan.rewritten.count,
            bytes_to_merge: plan.rewritten.bytes,
            finished_earlier: plan.unfinished,
            ..Self::new(day, outcome)
        }
    }

    pub(super) fn of_error(day: &DayFolder, error: &CompactionError) -> Self {
        Self {
            error: Some(error.to_string()),
            ..Self::new(day, Outcome::Failed)
        }
    }

    /// Problems that need attention.
    pub(super) fn problems(&self) -> Vec<String> {
        let broken = |file: &UnreadableFile| {
            format!(
                "{}: {}; the file was left unchanged: restore or remove it",
                file.name, file.cause
            )
        };
        let failed = self
            .error
            .iter()
            .map(|error| format!("{}: {error}", self.day));
        self.unreadable.iter().map(broken).chain(failed).collect()
    }

    /// The day as a line of text, with a line for each removed tick that is named; none if there is
    /// nothing to report.
    pub(super) fn text(&self) -> Option<String> {
        let before = files(self.files_before, self.bytes_before);
        let summary = match self.outcome {
            Outcome::Compacted => {
                let duplicates = match self.duplicates {
                    0 => String::new(),
                    rows => format!(", {} removed", count_of(rows, "duplicate")),
                };
                format!(
                    "{before} -> {}; {} written{duplicates}, {} ms",
                    files(self.files_after, self.bytes_after),
                    count_of(self.rows_written, "tick"),
                    self.elapsed_ms
                )
            }
            Outcome::Planned if self.files_to_merge == 0 => {
                format!("{before}; would complete an interrupted run")
            }
            Outcome::Planned => format!(
                "{before}; would sort and merge {}",
                files(self.files_to_merge, self.bytes_to_merge)
            ),
            Outcome::Waiting => format!(
                "{before}; waiting for queries that may read replaced \
                files"
            ),
            Outcome::Unchanged if self.finished_earlier => {
                format!("{before}; completed an interrupted run")
            }
            Outcome::Unchanged | Outcome::Failed => return None,
        };
        let waiting = self.waiting_until_ms.map(|until_ms| {
            let until = time_text(until_ms);
            format!("; replaced files are kept until {until} for queries that read them")
        });
        let waiting = waiting.unwrap_or_default();
        let mut text = format!("{}  {summary}{waiting}", self.day);
        for tick in self.removed.iter().take(REMOVED_SHOWN_MAX) {
            text.push_str("\n  removed a copy of ");
            text.push_str(&tick.text());
        }
        let shown = self.removed.len().min(REMOVED_SHOWN_MAX) as u64;
        let more = self.duplicates.saturating_sub(shown);
        if more > 0 {
            text.push_str(&format!("\n  and {more} more"));
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> DayFolder {
        DayFolder {
            day: NaiveDate::from_ymd_opt(2026, 3, 7).unwrap(),
            folder: "year=2026/month=03/day=07".to_owned(),
        }
    }

    fn count(count: usize, bytes: u64) -> Files {
        Files { count, bytes }
    }

    fn report() -> DayReport {
        DayReport {
            before: count(288, 48_200_000),
            after: count(1, 21_000_000),
            written: count(1, 21_000_000),
            rows: 1_000_000,
            duplicates: 12,
            removed: vec![
                Removed {
                    token: Some("BTC".to_owned()),
                    quote: Some("USD".to_owned()),
                    timestamp_ms: Some(1_772_841_600_123),
                    tick_id: "000102030405060708090a0b0c0d0e0f".to_owned(),
                },
                Removed {
                    token: Some("\u{1b}[31m".to_owned()),
                    quote: None,
                    timestamp_ms: None,
                    tick_id: "7".to_owned(),
                },
            ],
            unreadable: Vec::new(),
            finished_earlier: false,
            waiting_until_ms: None,
        }
    }

    #[test]
    fn a_day_is_reported_in_a_line() {
        let mut report = report();
        let elapsed = Duration::from_millis(4_200);
        let line = Line::of_report(&day(), &report, elapsed);
        assert_eq!(
            line.text().unwrap(),
            "2026-03-07  288 files, 48.2 MB -> 1 file, 21.0 MB; 1000000 ticks written, 12 \
             duplicates removed, 4200 ms\n  \
             removed a copy of BTC/USD at 2026-03-07T00:00:00.123Z, tick_id \
             000102030405060708090a0b0c0d0e0f\n  \
             removed a copy of \\u{1b}[31m/NULL at NULL, tick_id 7\n  \
             and 10 more"
        );
        report.duplicates = 0;
        report.removed.clear();
        report.waiting_until_ms = Some(1_760_000_000_000);
        let line = Line::of_report(&day(), &report, elapsed);
        let text = line.text().unwrap();
        assert!(
            text.ends_with("kept until 2025-10-09T08:53:20Z for queries that read them"),
            "{text}"
        );
        report.after = report.before;
        report.written = Files::default();
        report.duplicates = 0;
        let line = Line::of_report(&day(), &report, elapsed);
        assert_eq!(line.outcome, Outcome::Waiting);
        report.waiting_until_ms = None;
        let line = Line::of_report(&day(), &report, elapsed);
        assert_eq!((line.outcome, line.text()), (Outcome::Unchanged, None));
    }

    #[test]
    fn a_plan_shows_what_would_be_merged_and_writes_nothing() {
        let plan = |rewritten, unfinished| DayPlan {
            before: count(28, 5_000_000),
            rewritten,
            unfinished,
        };
        let line = Line::of_plan(&day(), &plan(count(27, 4_200_000), false));
        assert_eq!(
            line.text().unwrap(),
            "2026-03-07  28 files, 5.0 MB; would sort and merge 27 files, 4.2 MB"
        );
        let json = serde_json::to_value(&line).unwrap();
        assert_eq!(
            (&json["files_to_merge"], &json["files_written"]),
            (&27.into(), &0.into())
        );
        let line = Line::of_plan(&day(), &plan(Files::default(), true));
        assert!(
            line.text()
                .unwrap()
                .ends_with("would complete an interrupted run")
        );
        let line = Line::of_plan(&day(), &plan(Files::default(), false));
        assert_eq!((line.outcome, line.text()), (Outcome::Unchanged, None));
    }
}
