//! Refuses statements that would read the whole archive by mistake.

use chrono::{DateTime, Datelike as _, NaiveDate};
use query::{ArchiveScan, day_predicate};
use runtime::clock;

use crate::cli_error::CliError;
use crate::engine::{DayTable, Engine};
use crate::statement::Statement;

/// The first year of which the archive may have days, as its table on Athena has it.
const FIRST_YEAR: i32 = 2000;

/// Conditions that keep at most this many days of the calendar always pass: a quarter of a year is not
/// a mistake, even if the archive is no longer than that.
const NAMED_DAYS_MAX: usize = 92;

/// Refuses a statement that reads a table of the archive with conditions on year, month and day that
/// keep more than half of the days that exist. Returns a note if these days are not known.
pub(crate) async fn check(
    engine: &dyn Engine,
    statement: &Statement,
) -> Result<Option<String>, CliError> {
    if !statement.runs {
        return Ok(None);
    }
    let now = DateTime::from_timestamp_millis(clock::now_ms());
    let today = now.map_or_else(NaiveDate::default, |now| now.date_naive());
    let since_2000 = calendar(today);
    let this_year = calendar(NaiveDate::from_ymd_opt(today.year(), 12, 31).unwrap_or(today));
    let mut note = None;
    for table in DayTable::ALL {
        let scans = statement.scans.iter();
        let scans = scans.filter(|scan| table.is_read_by(scan));
        let wide = scans.filter(|scan| scan.kept_count(&this_year, today) > NAMED_DAYS_MAX);
        let mut wide = wide.peekable();
        if wide.peek().is_none() {
            continue;
        }
        let existing = match engine.existing_days(table).await {
            Ok(days) => days,
            Err(error) => {
                note = Some(format!(
                    "the days of the archive cannot be listed ({error}), so conditions are measured against 2000 to today"
                ));
                Vec::new()
            }
        };
        let (days, measure) = match existing.is_empty() {
            true => (&since_2000, "since 2000"),
            false => (&existing, "that the archive has"),
        };
        for scan in wide {
            if let Some(kept) = kept_if_most(scan, days, today) {
                let position = scan.position;
                return Err(CliError::FullScan {
                    table: scan.table.clone(),
                    position: position.map(|position| statement.source_position(position)),
                    kept,
                    days: days.len(),
                    measure,
                    advice: advice(scan, &since_2000, today),
                });
            }
        }
    }
    Ok(note)
}

/// How many of some days the conditions keep, if it is more than half of them.
fn kept_if_most(scan: &ArchiveScan, days: &[NaiveDate], today: NaiveDate) -> Option<usize> {
    let kept = scan.kept_count(days, today);
    (kept * 2 > days.len()).then_some(kept)
}

/// The days from the first year to a day.
fn calendar(last: NaiveDate) -> Vec<NaiveDate> {
    let first = NaiveDate::from_ymd_opt(FIRST_YEAR, 1, 1).unwrap_or(last);
    let days = first.iter_days().take_while(|day| *day <= last);
    days.collect()
}

/// How to narrow a scan: to fewer days if conditions already narrow it, otherwise by the condition
/// that the statement's own times imply, if it has any.
fn advice(scan: &ArchiveScan, since_2000: &[NaiveDate], today: NaiveDate) -> String {
    if kept_if_most(scan, since_2000, today).is_none() {
        return "query fewer days".to_owned();
    }
    let of_times = match scan.time_range_ms() {
        (Some(from), Some(to)) => day_predicate(from, to),
        _ => None,
    };
    let condition = of_times.unwrap_or_else(|| "year = … AND month = … AND day = …".to_owned());
    format!("add `{condition}` to its WHERE, or `:days` with --param from=… --param to=…")
}
