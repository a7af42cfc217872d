//! The files that a process writes for SQL, read without an SQL engine.

use std::fs::{self, File};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// A row of the archive, with the columns that the tests need.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ArchivedTick {
    pub(crate) tick_id: String,
    pub(crate) price: f64,
    /// Year, month and day of its folder.
    pub(crate) date: (i32, i32, i32),
}

/// All rows of the archive in a data folder, in no particular order.
pub(crate) fn archived(data: &Path) -> Vec<ArchivedTick> {
    let batches = batches(&archive::table_folder(data)).into_iter();
    batches
        .flat_map(|(date, batch)| ticks(&batch, date))
        .collect()
}

/// The ids of the ticks that the anomalies' files in a data folder have, in order.
pub(crate) fn anomalies(data: &Path) -> Vec<String> {
    let mut ids = Vec::new();
    for (_, batch) in batches(&data.join(archive::ANOMALIES_FOLDER)) {
        let column = batch["tick_id"].as_string::<i32>();
        ids.extend(column.iter().map(|id| id.unwrap().to_owned()));
    }
    ids.sort();
    ids
}

/// The rows of a table, each batch with year, month and day of its folder.
fn batches(table: &Path) -> Vec<((i32, i32, i32), RecordBatch)> {
    let mut found = Vec::new();
    for day in archive::days(table).unwrap() {
        let date = (day.year, day.month, day.day);
        for file in archive::day_files(&day.path).unwrap() {
            let file = File::open(day.path.join(file.name)).unwrap();
            let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            for batch in batches.build().unwrap() {
                found.push((date, batch.unwrap()));
            }
        }
    }
    found
}

fn ticks(batch: &RecordBatch, date: (i32, i32, i32)) -> Vec<ArchivedTick> {
    let ids = batch.column_by_name("tick_id").unwrap().as_string::<i32>();
    let prices = batch.column_by_name("price").unwrap();
    let prices = prices.as_primitive::<Float64Type>();
    let row = |(tick_id, price): (Option<&str>, Option<f64>)| ArchivedTick {
        tick_id: tick_id.unwrap().to_owned(),
        price: price.unwrap(),
        date,
    };
    ids.iter().zip(prices.iter()).map(row).collect()
}

/// The entries of the quarantine's files in a data folder, as JSON objects.
pub(crate) fn quarantined(data: &Path) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut folders = vec![data.join("quarantine")];
    while let Some(folder) = folders.pop() {
        let Ok(listed) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in listed {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "jsonl") {
                let text = fs::read_to_string(&path).unwrap();
                entries.extend(
                    text.lines()
                        .map(|line| serde_json::from_str::<Value>(line).unwrap()),
                );
            }
        }
    }
    entries
}
