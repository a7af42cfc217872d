//! Files of older and newer releases, and of other writers, in one day.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use codec::columnar::record_batch;
use domain::Tick;

use crate::test_archive::{TestArchive, batches, foreign};
use testkit::market::market;

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
