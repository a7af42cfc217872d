//! Whether Athena may return the answer of an earlier run: no file that it read can have changed.

use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use query::ArchiveScan;

use crate::engine::DayTable;
use crate::sql_tokens::SqlTokens;
use crate::statement::Statement;

/// How old a reused result may be. Closed days change occasionally, when ticks arrive very late or are
/// replayed.
pub(super) const REUSE_AGE: Duration = Duration::from_secs(3_600);

/// How long after its end a day still gets files regularly: Firehose holds ticks for up
/// to 15 minutes, and retries.
const LATE_MS: i64 = 3_600_000;

/// The last day that the table's partitions may have.
const LAST_YEAR: i32 = 2099;

/// Words whose answer differs from run to run.
const CHANGING: [&str; 12] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "now",
    "rand",
    "random",
    "shuffle",
    "uuid",
    "tablesample",
];

/// Whether a statement reads only days that are over, and its result depends on nothing else.
pub(super) fn is_closed(statement: &Statement, now_ms: i64) -> bool {
    if statement.scans.is_empty() || !statement.runs {
        return false;
    }
    let tokens = SqlTokens::of(&statement.sql);
    let changes = |word: &&str| tokens.words().any(|token| token.is(word));
    if CHANGING.iter().any(changes) {
        return false;
    }
    // It is unknown when other tables change.
    let of_ticks =
        |scan: &ArchiveScan| scan.database.is_none() && DayTable::Archive.is_read_by(scan);
    if statement
        .others
        .as_ref()
        .is_none_or(|others| !others.is_empty())
        || !statement.scans.iter().all(of_ticks)
    {
        return false;
    }
    let Some(first_open) = day_of(now_ms.saturating_sub(LATE_MS)) else {
        return false;
    };
    let Some(last) = NaiveDate::from_ymd_opt(LAST_YEAR, 12, 31) else {
        return false;
    };
    let mut open = first_open.iter_days().take_while(|day| *day <= last);
    !open.any(|day| statement.scans.iter().any(|scan| scan.keeps(day)))
}

fn day_of(ms: i64) -> Option<NaiveDate> {
    Some(DateTime::from_timestamp_millis(ms)?.date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::Query;

    /// 2026-03-08T01:30:00Z.
    const NOW_MS: i64 = 1_772_933_400_000;

    fn closed(sql: &str, now_ms: i64) -> bool {
        let bound = Query::parse(sql).unwrap().bind(&[], 0).unwrap();
        is_closed(&Statement::of(&bound).unwrap(), now_ms)
    }

    #[test]
    fn only_days_that_are_over_are_closed() {
        let check = |condition: &str, expected| {
            let sql = format!("SELECT price FROM ticks WHERE {condition}");
            assert_eq!(closed(&sql, NOW_MS), expected, "{condition}");
        };
        check("year = 2026 AND month = 3 AND day = 7", true);
        check("year = 2026 AND month = 3 AND day = 8", false);
        check("year = 2026 AND month = 2", true);
        check("year = 2026 AND month = 3", false);
        check("year < 2026", true);
        check("year = 2030 AND month = 1", false);
        check("token = 'BTC'", false);
        check(
            "year = 2026 AND month = 3 AND day = 7 OR token = 'BTC'",
            false,
        );
    }

    #[test]
    fn a_day_stays_open_for_an_hour() {
        let sql = "SELECT price FROM ticks WHERE year = 2026 AND month = 3 AND day = 7";
        let midnight = NOW_MS - 5_400_000;
        assert!(!closed(sql, midnight));
        assert!(!closed(sql, midnight + LATE_MS - 1));
        assert!(closed(sql, midnight + LATE_MS));
    }

    #[test]
    fn what_changes_by_itself_is_never_closed() {
        let check = |sql: &str, expected| assert_eq!(closed(sql, NOW_MS), expected, "{sql}");
        check("SELECT now() FROM ticks WHERE year = 2025", false);
        check("SELECT current_date FROM ticks WHERE year = 2025", false);
        check(
            "SELECT 'now', \"random\" FROM ticks WHERE year = 2025",
            true,
        );
        check("SELECT 1 FROM ticks, quarantine WHERE year = 2025", false);
        check(
            "SELECT 1 FROM ticks JOIN other.mine USING (token) WHERE year = 2025",
            false,
        );
        check(
            "WITH a AS (SELECT * FROM ticks WHERE year = 2025) SELECT * FROM a",
            true,
        );
        check("SELECT a AS b FROM ticks, b WHERE year = 2025", false);
        check("SELECT 1 FROM other.ticks WHERE year = 2025", false);
        check("SELECT 1", false);
        check("EXPLAIN SELECT 1 FROM ticks WHERE year = 2025", false);
    }
}
