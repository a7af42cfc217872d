//! Refuses statements that would read the whole archive by mistake.

use chrono::{DateTime, Datelike as _, NaiveDate};
use query::{ArchiveScan, day_predicate};
use runtime::clock;

use crate::cli_error::CliError;
use crate::engine::{DayTable, Engine};
use crate::statement::Statement;

/// The first day that the archive may have, as its table on Athena has it.
const FIRST_YEAR: i32 = 2000;

/// Conditions that keep at most so many days of the calendar name what they want: a quarter of a year
/// is not a mistake, even if the archive is no longer than that.
const NAMED_DAYS_MAX: usize = 92;

/// What conditions are measured against.
struct Measure {
    days: Vec<NaiveDate>,
    name: &'static str,
}

/// Refuses a statement that reads a table of the archive with conditions on year, month and day that
/// keep more than half of the days that exist. Returns a note if these are not known.
pub(crate) async fn check(
    engine: &dyn Engine,
    statement: &Statement,
) -> Result<Option<String>, CliError> {
    if !statement.runs {
        return Ok(None);
    }
    let now = DateTime::from_timestamp_millis(clock::now_ms());
    let today = now.map_or_else(NaiveDate::default, |now| now.date_naive());
    let this_year = calendar(NaiveDate::from_ymd_opt(today.year(), 12, 31).unwrap_or(today));
    let mut note = None;
    for table in [DayTable::Archive, DayTable::Quarantine] {
        let scans = statement.scans.iter();
        let scans = scans.filter(|scan| scan.is_of_quarantine() == (table == DayTable::Quarantine));
        let mut wide = scans.filter(|scan| kept(scan, &this_year, today) > NAMED_DAYS_MAX);
        let Some(first) = wide.next() else {
            continue;
        };
        let since_2000 = || Measure {
            days: calendar(today),
            name: "since 2000",
        };
        let measure = match engine.existing_days(table).await {
            Ok(days) if days.is_empty() => since_2000(),
            Ok(days) => Measure {
                days,
                name: "that the archive has",
            },
            Err(error) => {
                note = Some(format!(
                    "the days of the archive cannot be listed ({error}), so conditions are measured against 2000 to today"
                ));
                since_2000()
            }
        };
        for scan in std::iter::once(first).chain(wide) {
            refuse_most(scan, &measure, today, statement)?;
        }
    }
    Ok(note)
}

/// Refuses a scan that keeps more than half of the days.
fn refuse_most(
    scan: &ArchiveScan,
    measure: &Measure,
    today: NaiveDate,
    statement: &Statement,
) -> Result<(), CliError> {
    let (kept, days) = (kept(scan, &measure.days, today), measure.days.len());
    if kept * 2 <= days {
        return Ok(());
    }
    Err(CliError::FullScan {
        table: scan.table.clone(),
        position: scan
            .position
            .map(|position| statement.source_position(position)),
        kept,
        days,
        measure: measure.name,
        advice: advice(scan, today),
    })
}

/// How many of some days the conditions keep.
fn kept(scan: &ArchiveScan, days: &[NaiveDate], today: NaiveDate) -> usize {
    let kept = |day: &&NaiveDate| scan.keeps_as_of(**day, today);
    days.iter().filter(kept).count()
}

/// The days from the first year to a day.
fn calendar(last: NaiveDate) -> Vec<NaiveDate> {
    let first = NaiveDate::from_ymd_opt(FIRST_YEAR, 1, 1).unwrap_or(last);
    let days = first.iter_days().take_while(|day| *day <= last);
    days.collect()
}

/// How to narrow a scan: by fewer days if it has a condition on them, otherwise by the one that the
/// statement's own times mean, if it has any.
fn advice(scan: &ArchiveScan, today: NaiveDate) -> String {
    if scan.is_narrowed(today) {
        return "ask for fewer days".to_owned();
    }
    let of_times = match scan.time_range_ms() {
        (Some(from), Some(to)) => day_predicate(from, to),
        _ => None,
    };
    let condition = of_times.unwrap_or_else(|| "year = … AND month = … AND day = …".to_owned());
    format!("add `{condition}` to its WHERE, or `:days` with --param from=… --param to=…")
}
