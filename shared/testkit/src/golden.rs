//! A small generated archive, its anomalies and its quarantine, and the rows that every named query of `sql/queries/`
//! must return for them on every engine.
//!
//! The expected rows are in `sql/golden/`: `cases.json` names the query and the parameters of each
//! case, as a user types them, and `NAME.csv` has its rows.

mod golden_market;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

pub use golden_market::{anomalies, quarantined, ranges, ticks};

/// The relative tolerance for doubles, since engines sum in different orders.
const TOLERANCE: f64 = 1e-9;

/// Smaller doubles count as 0: they are rounding errors of a difference of equal numbers.
const ZERO_TOLERANCE: f64 = 1e-12;

/// A query with its parameters and its expected rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The name of the case and of its CSV file.
    pub name: String,
    /// The named query.
    pub query: String,
    /// Its parameters, as a user types them; missing ones have their defaults.
    pub parameters: BTreeMap<String, String>,
    /// The columns of the result.
    pub columns: Vec<String>,
    /// The rows in order; `None` is NULL. They contain no empty text.
    pub rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    query: String,
    parameters: BTreeMap<String, String>,
}

/// The folder `sql` of the repository.
#[must_use]
pub fn sql_folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql"))
}

/// Every case.
///
/// # Panics
/// If a file of `sql/golden/` is missing or cannot be read.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a test without its expected rows should fail"
)]
pub fn cases() -> Vec<Case> {
    let folder = sql_folder().join("golden");
    let list = std::fs::read(folder.join("cases.json")).expect("sql/golden/cases.json exists");
    let listed: Vec<Listed> = serde_json::from_slice(&list).expect("sql/golden/cases.json is JSON");
    listed
        .into_iter()
        .map(|case| {
            let path = folder.join(format!("{}.csv", case.name));
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("no expected rows in {}: {error}", path.display()));
            let (columns, rows) = table(&text);
            Case {
                name: case.name,
                query: case.query,
                parameters: case.parameters,
                columns,
                rows,
            }
        })
        .collect()
}

/// Columns and rows of a CSV text. An empty cell is NULL.
#[expect(
    clippy::expect_used,
    reason = "a test without its expected rows should fail"
)]
fn table(text: &str) -> (Vec<String>, Vec<Vec<Option<String>>>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().expect("a line of names");
    let columns = columns.iter().map(str::to_owned).collect();
    let cell = |cell: &str| (!cell.is_empty()).then(|| cell.to_owned());
    let rows = reader
        .records()
        .map(|record| record.expect("a row").iter().map(cell).collect())
        .collect();
    (columns, rows)
}

impl Case {
    /// Compares a result: numbers to nine digits, everything else as text.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, columns: &[String], rows: &[Vec<Option<String>>]) -> Result<(), String> {
        if columns != self.columns {
            return Err(format!(
                "{}: columns {columns:?}, expected {:?}",
                self.name, self.columns
            ));
        }
        for (number, (found, expected)) in rows.iter().zip(&self.rows).enumerate() {
            for ((column, found), expected) in columns.iter().zip(found).zip(expected) {
                if !same(found.as_deref(), expected.as_deref()) {
                    return Err(format!(
                        "{}: row {}, {column}: {found:?}, expected {expected:?}",
                        self.name,
                        number + 1
                    ));
                }
            }
        }
        if rows.len() != self.rows.len() {
            return Err(format!(
                "{}: {} rows, expected {}",
                self.name,
                rows.len(),
                self.rows.len()
            ));
        }
        Ok(())
    }
}

fn same(found: Option<&str>, expected: Option<&str>) -> bool {
    let (Some(found), Some(expected)) = (found, expected) else {
        return found == expected;
    };
    if found == expected {
        return true;
    }
    // Whole numbers are exact.
    if expected.parse::<i64>().is_ok() && found.parse::<i64>().is_ok() {
        return false;
    }
    match (found.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(found), Ok(expected)) => {
            (found - expected).abs() <= (TOLERANCE * expected.abs()).max(ZERO_TOLERANCE)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use domain::{Tick, TickIdentity};

    use super::*;

    #[test]
    fn only_the_last_digits_of_numbers_may_differ() {
        for (found, expected) in [
            ("0.30000000000000004", "0.3"),
            ("3", "3.0"),
            ("1e-17", "0.0"),
            ("a", "a"),
            ("1.5E10", "15000000000.0"),
        ] {
            assert!(same(Some(found), Some(expected)), "{found} {expected}");
        }
        for (found, expected) in [
            (Some("0.3001"), Some("0.3")),
            (Some("1774828800001"), Some("1774828800000")),
            (Some("a"), Some("b")),
            (None, Some("0.0")),
            (Some(""), None),
        ] {
            assert!(!same(found, expected), "{found:?} {expected:?}");
        }
    }

    #[test]
    fn the_archive_covers_the_queries() {
        let ticks = ticks();
        let days: std::collections::BTreeSet<i64> = ticks
            .iter()
            .map(|tick| tick.timestamp_ms / 86_400_000)
            .collect();
        assert_eq!(days.len(), 3, "three days, a month's end between them");
        let set = |of: fn(&Tick) -> TickIdentity| -> std::collections::BTreeSet<_> {
            ticks.iter().map(of).collect()
        };
        let events = set(Tick::identity).len();
        assert_eq!(ticks.len() - events, 7, "copies");
        let ids: std::collections::BTreeSet<_> = ticks.iter().map(|tick| tick.tick_id).collect();
        assert_eq!(events - ids.len(), 3, "one id at two times in two tokens");
        let bursts = ticks.windows(2).filter(|pair| match pair {
            [a, b] => a.order() < b.order() && a.sequence.is_some() && a.tick_id > b.tick_id,
            _ => false,
        });
        assert!(bursts.count() > 10, "numbers in another order than ids");
        assert!(ticks.iter().any(|tick| tick.volume.is_none()));
        let quotes = ticks.iter().filter(|tick| !tick.method.is_trade());
        let with_volume = quotes.clone().filter(|tick| tick.volume.is_some()).count();
        assert!(
            quotes.count() > 60 && with_volume > 2,
            "a wrong filter shows"
        );
        assert!(
            ticks
                .iter()
                .any(|tick| tick.ingested_at_ms < tick.timestamp_ms)
        );
        assert!(ticks.len() < 400, "small enough for an emulator");
    }
}
