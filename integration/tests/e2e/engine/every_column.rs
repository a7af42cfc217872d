//! Every column of a table, value by value: what the writer was given, what the engine reads, and what the local
//! engine reads.

use std::path::Path;

use app::ports::Quarantined;
use chrono::{DateTime, Datelike as _};
use codec::tick_columns::{COLUMNS, Kind};
use domain::Tick;
use domain::analytics::Anomaly;
use integration::build_folder;
use serde_json::{Map, Value, json};

use crate::sql::analyst::Analyst;

/// A row of a table, as JSON.
pub(crate) type Row = Map<String, Value>;

/// The rows that a table must have after its writers were given some ticks.
pub(crate) fn rows_of_ticks(ticks: &[Tick]) -> Vec<Row> {
    let rows = ticks.iter().map(|tick| {
        let mut text = Vec::new();
        codec::json::write_json(tick, &mut text);
        let json: Row = serde_json::from_slice(&text).unwrap();
        let columns = COLUMNS.iter().map(|column| {
            let value = match (json.get(column.json), column.kind) {
                (None, _) => Value::Null,
                // The nearest double to the exact text.
                (Some(Value::String(text)), Kind::Amount) => json!(text.parse::<f64>().unwrap()),
                (Some(value), _) => value.clone(),
            };
            (column.name.to_owned(), value)
        });
        columns.chain(day(tick.timestamp_ms)).collect()
    });
    rows.collect()
}

/// The rows that the quarantine must have.
pub(crate) fn rows_of_entries(entries: &[Quarantined]) -> Vec<Row> {
    let rows = entries.iter().map(|entry| {
        let mut line = Vec::new();
        entry.append_line(&mut line).unwrap();
        let mut row: Row = serde_json::from_slice(&line).unwrap();
        row.extend(day(entry.received_at_ms));
        row
    });
    rows.collect()
}

/// The rows that the anomalies must have.
pub(crate) fn rows_of_anomalies(anomalies: &[Anomaly]) -> Vec<Row> {
    let rows = anomalies.iter().map(|anomaly| {
        let detection = &anomaly.detection;
        let columns = [
            ("token", json!(anomaly.token)),
            ("quote", json!(anomaly.quote)),
            ("source", json!(anomaly.source)),
            ("tick_id", json!(anomaly.tick_id.to_string())),
            ("ts", json!(anomaly.timestamp_ms)),
            ("price", json!(anomaly.price.to_f64())),
            ("score", json!(anomaly.score)),
            ("kind", json!(detection.kind)),
            ("direction", json!(detection.direction)),
            ("quantity", json!(detection.quantity)),
            ("expected", json!(detection.expected)),
            ("seen", json!(detection.seen)),
            ("window_ms", json!(detection.window_ms)),
            ("message", json!(anomaly.message())),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let day = day(anomaly.timestamp_ms);
        columns.into_iter().chain(day).collect()
    });
    rows.collect()
}

/// The partition of a time.
pub(crate) fn day(time_ms: i64) -> [(String, Value); 3] {
    let day = DateTime::from_timestamp_millis(time_ms).unwrap();
    [
        ("year", json!(day.year())),
        ("month", json!(day.month())),
        ("day", json!(day.day())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// The columns of `sql/tables`, those of the partition last.
fn columns(table: &str) -> Vec<String> {
    let file = build_folder::checkout().join(format!("sql/tables/{table}.sql"));
    let text = std::fs::read_to_string(file).unwrap();
    let (_, declared) = text.split_once('(').unwrap();
    let (declared, _) = declared
        .split_once("STORED AS")
        .or(declared.split_once("ROW FORMAT"))
        .unwrap();
    let names = declared.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// Reads every row of the days in a condition on both engines, and compares them with what was given to the writers.
/// A column that is
/// not in `given` was set by the writer. Returns the number of rows.
pub(crate) async fn agree(
    analyst: &Analyst,
    here: &Path,
    table: &str,
    condition: &str,
    given: &[Row],
) -> usize {
    let columns = columns(table);
    let listed: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    let query = format!(
        "SELECT {} FROM {table} WHERE {condition}",
        listed.join(", ")
    );
    let arguments = ["run", &query, "--max-rows", "100000", "--full-scan"];
    let there = rows(&analyst.run_as("jsonl", &arguments).await.ok());
    let local = rows(&analyst.here_as("jsonl", here, &arguments).await.ok());
    let given = sorted(given.to_vec());
    assert_eq!(there.len(), given.len(), "{table}: rows of the engine");
    assert_eq!(
        local.len(),
        given.len(),
        "{table}: rows of the local engine"
    );
    for ((there, local), given) in there.iter().zip(&local).zip(&given) {
        for name in &columns {
            let (there, local) = (&there[name], &local[name]);
            assert_eq!(
                there, local,
                "{table}.{name}: the engine, the local engine; {given:?}"
            );
            if let Some(given) = given.get(name) {
                assert!(
                    is_same(there, given),
                    "{table}.{name}: read {there}, the writer had {given}"
                );
            }
        }
    }
    there.len()
}

/// The lines of an answer, in the order of their content.
fn rows(lines: &str) -> Vec<Row> {
    sorted(
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_cached_key(|row| {
        let keys = [
            "tick_id",
            "token",
            "ts",
            "ingested_at",
            "sequence",
            "received_at",
            "raw",
            "index",
        ];
        keys.map(|key| row.get(key).map(Value::to_string))
    });
    rows
}

/// Doubles may be written with and without a point.
fn is_same(read: &Value, given: &Value) -> bool {
    read == given || (given.is_f64() && read.as_f64() == given.as_f64())
}
