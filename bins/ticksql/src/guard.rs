//! Refuses statements that would read the whole archive by mistake.

use chrono::{DateTime, NaiveDate};
use query::{ArchiveScan, day_predicate};
use runtime::clock;

use crate::problem::Problem;
use crate::statement::Statement;

/// Refuses a statement with a place that reads the archive without a condition on year, month or
/// day, or with one that leaves most days.
pub(crate) fn check(statement: &Statement) -> Result<(), Problem> {
    if !statement.runs {
        return Ok(());
    }
    let now = DateTime::from_timestamp_millis(clock::now_ms());
    let today = now.map_or_else(NaiveDate::default, |now| now.date_naive());
    let mut scans = statement.scans.iter();
    match scans.find(|scan| !scan.is_narrowed(today)) {
        Some(scan) => Err(Problem::FullScan {
            table: scan.table.clone(),
            place: scan.position.map(|place| statement.origin_of(place)),
            missing: missing(scan),
        }),
        None => Ok(()),
    }
}

/// The condition to add: the one that the statement's own times stand for, where it has any.
fn missing(scan: &ArchiveScan) -> String {
    let of_times = match scan.time_range_ms() {
        (Some(from), Some(to)) => day_predicate(from, to),
        _ => None,
    };
    of_times.unwrap_or_else(|| "year = … AND month = … AND day = …".to_owned())
}
