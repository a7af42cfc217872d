//! Files of older and newer releases, and of other writers, in one day.

use std::sync::Arc;

use archive::Archive;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use codec::columnar::record_batch;
use domain::{Quality, Tick};

use crate::test_archive::{TestArchive, batches, foreign, sorted};
use testkit::market::{DAY_MS, market, tick};
use testkit::release_1_0;

/// A batch without a column.
fn without(batch: &RecordBatch, name: &str) -> RecordBatch {
    let schema = batch.schema();
    let others: Vec<usize> = (0..schema.fields().len())
        .filter(|index| schema.field(*index).name() != name)
        .collect();
    batch.project(&others).unwrap()
}

/// A batch with one column more.
fn with(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let field = Field::new(name, column.data_type().clone(), true);
    let mut fields: Vec<Field> = batch
        .schema()
        .fields()
        .iter()
        .map(|f| (**f).clone())
        .collect();
    fields.push(field);
    let mut columns = batch.columns().to_vec();
    columns.push(column);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn column(room: &TestArchive, name: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    for file in room.files("07") {
        for batch in batches(&room.day("07").join(file)) {
            let column = batch.column_by_name(name).unwrap();
            let column = arrow::compute::cast(column, &DataType::Utf8).unwrap();
            let column = column.as_string::<i32>();
            values.extend(column.iter().map(|value| value.map(str::to_owned)));
        }
    }
    values
}

fn part(ticks: &[Tick], range: std::ops::Range<usize>) -> RecordBatch {
    record_batch(&ticks[range]).unwrap()
}

#[tokio::test]
async fn missing_columns_of_older_files_are_null_and_columns_of_newer_files_are_kept() {
    let room = TestArchive::new();
    let ticks = market(9);
    let older = without(&without(&part(&ticks, 0..3), "slot"), "method");
    let chain: ArrayRef = Arc::new(StringArray::from(vec![Some("solana"), None, Some("base")]));
    let newer = with(&part(&ticks, 3..6), "chain", chain);
    foreign(&room.day("07"), "a-older.parquet", &older);
    foreign(&room.day("07"), "b-newer.parquet", &newer);
    foreign(&room.day("07"), "c-today.parquet", &part(&ticks, 6..9));
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.after.count), (9, 1));
    assert!(report.unreadable.is_empty());

    let count = |name: &str| column(&room, name).into_iter().flatten().count();
    assert_eq!(count("tick_id"), 9);
    assert_eq!(count("method"), 6);
    assert_eq!(count("slot"), 2, "of ticks 3 and 6");
    let mut chains: Vec<String> = column(&room, "chain").into_iter().flatten().collect();
    chains.sort();
    assert_eq!(chains, ["base", "solana"]);

    // The compacted file is an input like any other, with the additional column.
    foreign(
        &room.day("07"),
        "d-late.parquet",
        &record_batch(&market(12)[9..]).unwrap(),
    );
    let report = &room.compact().await[0];
    assert_eq!(report.rows, 12);
    assert_eq!(count("chain"), 2);
}

#[tokio::test]
async fn files_of_release_1_0_are_compacted_with_later_ones() {
    let room = TestArchive::new();
    release_1_0::copy_to(room.data.path(), release_1_0::RANGES);
    let stored = room.rows()["2026-3-7"].clone();
    assert_eq!(stored.len(), 16);
    assert!(
        stored
            .iter()
            .all(|tick| tick.sequence.is_none() && tick.quality.is_none())
    );
    // New ticks, and one of the old ones, delivered again after the upgrade.
    let numbered: Vec<Tick> = (1..=3)
        .map(|n| Tick {
            sequence: Some(n),
            quality: Some(Quality::LowPrecision),
            ..tick("BTC", "2", DAY_MS + i64::try_from(n).unwrap())
        })
        .collect();
    let again = Tick {
        sequence: Some(9),
        ingested_at_ms: stored[0].ingested_at_ms + 60_000,
        ..stored[0].clone()
    };
    let archive = Archive::open(room.data.path()).unwrap();
    archive
        .write_range(
            release_1_0::SHARD,
            17,
            20,
            &[&numbered[..], &[again]].concat(),
        )
        .unwrap();
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (19, 1));
    let all = sorted([stored, numbered].concat());
    assert_eq!(room.rows()["2026-3-7"], all);
    let numbers = column(&room, "sequence");
    assert_eq!(numbers.iter().flatten().count(), 3);
    assert_eq!(numbers.len(), 19);
    assert_eq!(column(&room, "quality").iter().flatten().count(), 3);
    let mut versions = column(&room, "version");
    versions.sort();
    versions.dedup();
    assert_eq!(versions, ["1.0", "1.1"].map(|text| Some(text.to_owned())));
}

#[tokio::test]
async fn a_day_that_release_1_0_compacted_is_compacted_with_later_files() {
    let room = TestArchive::new();
    release_1_0::copy_to(room.data.path(), release_1_0::COMPACTED);
    let stored = room.rows()["2026-3-7"].clone();
    let archive = Archive::open(room.data.path()).unwrap();
    let later = tick("BTC", "2", DAY_MS + 1);
    let range = [stored[0].clone(), later.clone()];
    archive.write_range(0, 0, 1, &range).unwrap();
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (17, 1));
    assert_eq!(
        room.rows()["2026-3-7"],
        sorted([stored, vec![later]].concat())
    );
}

#[tokio::test]
async fn a_file_with_an_incompatible_column_is_left_alone() {
    let room = TestArchive::new();
    let ticks = market(9);
    let other = without(&part(&ticks, 0..3), "ts");
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["2026-03-07"; 3]));
    foreign(&room.day("07"), "a.parquet", &with(&other, "ts", texts));
    let numbers: ArrayRef = Arc::new(StringArray::from(vec!["x"; 3]));
    let no_ids = without(&part(&ticks, 0..3), "tick_id");
    foreign(&room.day("07"), "b.parquet", &with(&no_ids, "id", numbers));
    foreign(&room.day("07"), "c.parquet", &part(&ticks, 3..6));
    foreign(&room.day("07"), "d.parquet", &part(&ticks, 6..9));
    let report = &room.compact().await[0];
    assert_eq!(report.rows, 6);
    let causes: Vec<&str> = report.unreadable.iter().map(|u| u.cause.as_str()).collect();
    assert_eq!(causes.len(), 2, "{causes:?}");
    assert!(causes[0].contains("`ts` has the type Utf8"), "{causes:?}");
    assert!(causes[1].contains("no column `tick_id`"), "{causes:?}");
    assert_eq!(room.files("07").len(), 3);
}
