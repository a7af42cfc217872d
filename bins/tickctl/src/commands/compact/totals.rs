//! The totals of all days.

use archive::compaction::Files;
use domain::count_of;

use super::day_report::{Line, Outcome};
use super::units::files;

/// The totals of all days.
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

    /// A description of days and files that could not be processed.
    pub(super) fn failure(&self) -> Option<String> {
        let failed = format!("{} failed", count_of(self.failed as u64, "day"));
        let unreadable = format!(
            "{} cannot be read",
            count_of(self.unreadable as u64, "file")
        );
        let (summary, left) = match (self.failed, self.unreadable) {
            (0, 0) => return None,
            (0, 1) => (unreadable, "it was left unchanged"),
            (1, 0) => (failed, "it was left unchanged"),
            (0, _) => (unreadable, "they were left unchanged"),
            (_, 0) => (failed, "they were left unchanged"),
            (_, _) => (
                format!("{failed}, and {unreadable}"),
                "they were left unchanged",
            ),
        };
        Some(format!("{summary}; {left}"))
    }

    pub(super) fn text(&self, dry_run: bool) -> String {
        let Self {
            days,
            changed,
            before,
            after,
            ..
        } = self;
        let days = count_of(*days as u64, "day");
        let before = files(before.count, before.bytes);
        if dry_run {
            return format!("{changed} of {days} would be compacted: {before}");
        }
        match changed {
            // With failures, there may have been something to compact.
            0 if self.failure().is_some() => format!("0 of {days} compacted"),
            0 => format!("nothing to compact in {days}"),
            _ => format!(
                "{changed} of {days} compacted: {before} -> {}",
                files(after.count, after.bytes)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use archive::compaction::{CompactionError, DayFolder, DayReport, Unreadable};
    use chrono::NaiveDate;

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
            removed: Vec::new(),
            unreadable: Vec::new(),
            finished_earlier: false,
            waiting_until_ms: None,
        }
    }

    #[test]
    fn unreadable_files_and_failed_days_are_reported_and_counted() {
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
            "1 day failed, and 1 file cannot be read; they were left unchanged"
        );
        assert_eq!(
            Totals::default().text(false),
            "nothing to compact in 0 days"
        );
    }

    #[test]
    fn totals_use_singular_and_plural_and_mention_failures() {
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
            Some("1 file cannot be read; it was left unchanged"),
        );
        check(
            totals(2, 0, 3),
            "0 of 2 days compacted",
            Some("3 files cannot be read; they were left unchanged"),
        );
        check(
            totals(2, 1, 0),
            "0 of 2 days compacted",
            Some("1 day failed; it was left unchanged"),
        );
        assert_eq!(
            totals(1, 0, 0).text(true),
            "0 of 1 day would be compacted: 0 files, 0 B"
        );
    }
}
