//! The summary of a query that was answered.

use std::io::Write;
use std::time::Duration;

use domain::count_of;

use crate::athena_bill::Bill;
use crate::engine::Figures;
use crate::options::EngineName;
use crate::size::Size;

/// The figures of an answer once it is written.
pub(crate) struct QuerySummary {
    pub(super) engine: EngineName,
    pub(super) rows: usize,
    pub(super) truncated: bool,
    pub(super) elapsed: Duration,
    pub(super) figures: Figures,
}

impl QuerySummary {
    /// Writes the summary; with `--quiet`, only a note if rows are missing. A cut answer
    /// must not look complete.
    pub(crate) fn report(&self, quiet: bool, status: &mut (dyn Write + Send)) {
        // If standard error is closed, the exit code still reports it.
        _ = match (quiet, self.truncated) {
            (false, _) => writeln!(status, "{}", self.message()),
            (true, true) => writeln!(status, "note: {}", self.cut()),
            (true, false) => Ok(()),
        };
    }

    /// `3 rows in 12 ms, 1 file, 4.2 kB read`, with what it cost, and whether rows are missing.
    pub(crate) fn message(&self) -> String {
        let Figures {
            query_id,
            scanned_bytes,
            files,
            reused,
            queued,
            ..
        } = &self.figures;
        let mut text = format!(
            "{} in {}",
            count_of(self.rows as u64, "row"),
            seconds(self.elapsed)
        );
        if !queued.is_zero() {
            text += &format!(" (queued {})", seconds(*queued));
        }
        if let Some(files) = files {
            text += &format!(", {}", count_of(*files as u64, "file"));
        }
        let scanned = Size(*scanned_bytes);
        text += &match self.engine {
            EngineName::Local => format!(", {scanned} read"),
            EngineName::Athena if *reused => {
                let bill = Bill::NOTHING;
                format!(", {scanned} scanned, {bill}: the result of an earlier run")
            }
            EngineName::Athena => {
                let bill = Bill::of_scanned(*scanned_bytes);
                format!(", {scanned} scanned, {bill}")
            }
        };
        if let Some(id) = query_id {
            text += &format!(", query {id}");
        }
        if self.truncated {
            text += &format!("; {}", self.cut());
        }
        text
    }

    /// That rows are missing, and how to get them.
    fn cut(&self) -> String {
        format!(
            "the answer is cut at {}: pass --max-rows above {}, or a LIMIT",
            count_of(self.rows as u64, "row"),
            self.rows
        )
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.0} ms", time.as_secs_f64() * 1_000.0)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_has_the_cost() {
        let message = |engine, scanned_bytes, reused| {
            let summary = QuerySummary {
                engine,
                rows: 1,
                truncated: false,
                elapsed: Duration::from_millis(12),
                figures: Figures {
                    scanned_bytes,
                    reused,
                    ..Figures::default()
                },
            };
            summary.message()
        };
        assert_eq!(
            message(EngineName::Local, 4_200, false),
            "1 row in 12 ms, 4.2 kB read"
        );
        assert_eq!(
            message(EngineName::Athena, 20_000_000, false),
            "1 row in 12 ms, 20.0 MB scanned, 20.0 MB billed, $0.000100"
        );
        assert_eq!(
            message(EngineName::Athena, 0, false),
            "1 row in 12 ms, 0 B scanned, nothing billed"
        );
        let reused = message(EngineName::Athena, 0, true);
        assert!(reused.ends_with("nothing billed: the result of an earlier run"));
    }
}
