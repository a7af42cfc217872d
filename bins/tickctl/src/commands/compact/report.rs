//! What is told of a day, to people and to scripts.

use std::time::Duration;

use archive::compaction::{CompactionError, DayFolder, DayPlan, DayReport, Files, Unreadable};
use chrono::{DateTime, NaiveDate, SecondsFormat};
use serde::Serialize;

/// What became of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// New files took the place of old ones.
    Compacted,
    /// It is as it should be.
    Unchanged,
    /// Replaced files stay for a while, and nothing is done before they are gone.
    Waiting,
    /// It would be compacted.
    Planned,
    /// It failed, and is as it was.
    Failed,
}

/// A day, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    day: NaiveDate,
    folder: String,
    outcome: Outcome,
    files_before: usize,
    bytes_before: u64,
    files_after: usize,
    bytes_after: u64,
    /// Of a plan: the files of before that would be sorted and merged.
    files_to_merge: usize,
    bytes_to_merge: u64,
    files_written: usize,
    bytes_written: u64,
    rows_written: u64,
    duplicates: u64,
    unreadable: Vec<Broken>,
    finished_earlier: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_until_ms: Option<i64>,
    elapsed_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Broken {
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
        let broken = |file: &Unreadable| Broken {
            name: file.name.clone(),
            cause: file.cause.clone(),
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
            unreadable: report.unreadable.iter().map(broken).collect(),
            finished_earlier: report.finished_earlier,
            waiting_until_ms: report.waiting_until_ms,
            elapsed_ms: elapsed.as_millis(),
            ..Self::new(day, outcome)
        }
    }

    /// The files after are those before: nothing was done. How many would become of those that are
    /// merged, nobody knows before they are read.
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

    /// What somebody should look at.
    pub(super) fn problems(&self) -> Vec<String> {
        let broken = |file: &Broken| {
            format!(
                "{}: {}; it is left as it is: restore or remove it",
                file.name, file.cause
            )
        };
        let failed = self
            .error
            .iter()
            .map(|error| format!("{}: {error}", self.day));
        self.unreadable.iter().map(broken).chain(failed).collect()
    }

    /// The day in a line for people; none where there is nothing to tell.
    pub(super) fn text(&self) -> Option<String> {
        let before = files(self.files_before, self.bytes_before);
        let told = match self.outcome {
            Outcome::Compacted => {
                let duplicates = match self.duplicates {
                    0 => String::new(),
                    rows => format!(", {rows} duplicates left out"),
                };
                format!(
                    "{before} -> {}; {} ticks written{duplicates}, {} ms",
                    files(self.files_after, self.bytes_after),
                    self.rows_written,
                    self.elapsed_ms
                )
            }
            Outcome::Planned if self.files_to_merge == 0 => {
                format!("{before}; would finish what an earlier run left")
            }
            Outcome::Planned => format!(
                "{before}; would sort and merge {}",
                files(self.files_to_merge, self.bytes_to_merge)
            ),
            Outcome::Waiting => format!("{before}; nothing is done before then"),
            Outcome::Unchanged if self.finished_earlier => {
                format!("{before}; finished what an earlier run left")
            }
            Outcome::Unchanged | Outcome::Failed => return None,
        };
        let until = self
            .waiting_until_ms
            .and_then(DateTime::from_timestamp_millis);
        let waiting = until.map(|until| {
            let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
            format!("; replaced files stay until {until}, for queries that read them")
        });
        Some(format!(
            "{}  {told}{}",
            self.day,
            waiting.unwrap_or_default()
        ))
    }
}

/// All days together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    days: usize,
    changed: usize,
    before: Files,
    after: Files,
    failed: usize,
    unreadable: usize,
}

impl Totals {
    pub(super) fn add(&mut self, line: &Line) {
        self.days += 1;
        self.failed += usize::from(line.outcome == Outcome::Failed);
        self.unreadable += line.unreadable.len();
        if matches!(line.outcome, Outcome::Compacted | Outcome::Planned) {
            self.changed += 1;
            self.before.count += line.files_before;
            self.before.bytes += line.bytes_before;
            self.after.count += line.files_after;
            self.after.bytes += line.bytes_after;
        }
    }

    /// What was left as it was, though there may have been something to do.
    pub(super) fn failure(&self) -> Option<String> {
        let failed = format!("{} failed", counted(self.failed, "day"));
        let unreadable = format!("{} cannot be read", counted(self.unreadable, "file"));
        let (told, left) = match (self.failed, self.unreadable) {
            (0, 0) => return None,
            (0, 1) => (unreadable, "it is left as it was"),
            (1, 0) => (failed, "it is left as it was"),
            (0, _) => (unreadable, "they are left as they were"),
            (_, 0) => (failed, "they are left as they were"),
            (_, _) => (
                format!("{failed}, and {unreadable}"),
                "they are left as they were",
            ),
        };
        Some(format!("{told}; {left}"))
    }

    pub(super) fn text(&self, dry_run: bool) -> String {
        let Self {
            days,
            changed,
            before,
            after,
            ..
        } = self;
        let days = counted(*days, "day");
        let before = files(before.count, before.bytes);
        if dry_run {
            return format!("{changed} of {days} would be compacted: {before}");
        }
        match changed {
            // What could not be done is not nothing: `failure` tells it.
            0 if self.failure().is_some() => format!("0 of {days} compacted"),
            0 => format!("nothing to compact in {days}"),
            _ => format!(
                "{changed} of {days} compacted: {before} -> {}",
                files(after.count, after.bytes)
            ),
        }
    }
}

fn files(count: usize, bytes: u64) -> String {
    format!("{}, {}", counted(count, "file"), size(bytes))
}

fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// With three digits at least, in decimal units.
#[expect(clippy::cast_precision_loss, reason = "shown with a tenth")]
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
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
            unreadable: Vec::new(),
            finished_earlier: false,
            waiting_until_ms: None,
        }
    }

    #[test]
    fn a_day_is_told_in_a_line() {
        let mut report = report();
        let elapsed = Duration::from_millis(4_200);
        let line = Line::of_report(&day(), &report, elapsed);
        assert_eq!(
            line.text().unwrap(),
            "2026-03-07  288 files, 48.2 MB -> 1 file, 21.0 MB; 1000000 ticks written, 12 \
             duplicates left out, 4200 ms"
        );
        report.waiting_until_ms = Some(1_760_000_000_000);
        let line = Line::of_report(&day(), &report, elapsed);
        let text = line.text().unwrap();
        assert!(
            text.ends_with("stay until 2025-10-09T08:53:20Z, for queries that read them"),
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
    fn a_plan_tells_what_would_be_merged_and_writes_nothing() {
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
                .ends_with("would finish what an earlier run left")
        );
        let line = Line::of_plan(&day(), &plan(Files::default(), false));
        assert_eq!((line.outcome, line.text()), (Outcome::Unchanged, None));
    }

    #[test]
    fn broken_files_and_failed_days_are_told_and_counted() {
        let mut report = report();
        report.unreadable.push(Unreadable {
            name: "year=2026/month=03/day=07/cut.parquet".to_owned(),
            cause: "EOF".to_owned(),
        });
        let mut totals = Totals::default();
        let line = Line::of_report(&day(), &report, Duration::ZERO);
        totals.add(&line);
        assert!(line.problems()[0].starts_with("year=2026/month=03/day=07/cut.parquet: EOF; "));
        let line = Line::of_error(&day(), &CompactionError::Stopped);
        totals.add(&line);
        assert_eq!((totals.failed, totals.unreadable), (1, 1));
        assert!(line.problems()[0].starts_with("2026-03-07: "));
        assert_eq!(
            totals.text(false),
            "1 of 2 days compacted: 288 files, 48.2 MB -> 1 file, 21.0 MB"
        );
        assert_eq!(
            totals.failure().unwrap(),
            "1 day failed, and 1 file cannot be read; they are left as they were"
        );
        assert_eq!(
            Totals::default().text(false),
            "nothing to compact in 0 days"
        );
    }

    #[test]
    fn one_day_is_no_days_and_a_file_passed_over_is_not_nothing() {
        let totals = |days, failed, unreadable| Totals {
            days,
            failed,
            unreadable,
            ..Totals::default()
        };
        let check = |totals: Totals, text: &str, failure: Option<&str>| {
            assert_eq!(totals.text(false), text);
            assert_eq!(totals.failure().as_deref(), failure);
        };
        check(totals(1, 0, 0), "nothing to compact in 1 day", None);
        check(
            totals(1, 0, 1),
            "0 of 1 day compacted",
            Some("1 file cannot be read; it is left as it was"),
        );
        check(
            totals(2, 0, 3),
            "0 of 2 days compacted",
            Some("3 files cannot be read; they are left as they were"),
        );
        check(
            totals(2, 1, 0),
            "0 of 2 days compacted",
            Some("1 day failed; it is left as it was"),
        );
        assert_eq!(
            totals(1, 0, 0).text(true),
            "0 of 1 day would be compacted: 0 files, 0 B"
        );
    }
}
