//! Files of a day whose columns are not those of the archive.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use domain::{Quality, Tick};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use query::SqlError;
use serde_json::json;
use testkit::market::{DAY_MS, tick};
use testkit::release_1_0;

use crate::answer::{archive_of, open, refusal, rows};

/// The only file of an archive.
fn only_file(data: &Path) -> PathBuf {
    let day = data.join("price-archive/year=2026/month=03/day=07");
    fs::read_dir(day).unwrap().next().unwrap().unwrap().path()
}

fn read(path: &Path) -> RecordBatch {
    let file = File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    builder.build().unwrap().next().unwrap().unwrap()
}

/// Writes the rows again, with each column as `change` returns it.
fn rewrite(
    path: &Path,
    rows: &RecordBatch,
    change: impl Fn(&str, &ArrayRef) -> Option<(String, ArrayRef)>,
) {
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns = columns.filter_map(|(field, array)| change(field.name(), array));
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array))
        .unzip();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Writes the rows again, one column in another type.
fn retype(path: &Path, rows: &RecordBatch, column: &str, to: &DataType) {
    rewrite(path, rows, |name, array| {
        let array = match name == column {
            true => cast(array, to).unwrap(),
            false => Arc::clone(array),
        };
        Some((name.to_owned(), array))
    });
}

/// Files of release 1.0 lack the columns of 1.1, which are NULL in their rows.
#[tokio::test]
async fn files_of_release_1_0_are_read_beside_later_ones() {
    let numbered = Tick {
        sequence: Some(5),
        quality: Some(Quality::WideConfidence),
        ..tick("BTC", "1", DAY_MS + 3_000)
    };
    let data = archive_of(&[numbered]);
    release_1_0::copy_to(data.path(), release_1_0::RANGES);
    let sql = open(data.path()).await;
    for table in ["price_archive", "price_history", "ticks"] {
        let query = format!(
            "SELECT count(*) AS n, count(sequence) AS numbered, max(quality) AS quality, \
             count(*) FILTER (WHERE sequence IS NULL AND quality IS NULL) AS without \
             FROM {table} WHERE year = 2026 AND month = 3 AND day = 7"
        );
        assert_eq!(
            rows(&sql, &query).await,
            json!([{"n": 17, "numbered": 1, "quality": "wide_confidence", "without": 16}])
        );
    }
    let filtered = "SELECT token, sequence, version FROM price_archive \
                    WHERE year = 2026 AND sequence >= 5";
    assert_eq!(
        rows(&sql, filtered).await,
        json!([{"token": "BTC", "sequence": 5, "version": "1.1"}])
    );
    // Rows of a file with only NULL take part in the order.
    let last = "SELECT token, max_by(price, ROW(ts, coalesce(sequence, -1), tick_id)) AS last \
                FROM price_archive WHERE year = 2026 GROUP BY token ORDER BY token";
    assert_eq!(
        rows(&sql, last).await,
        json!([{"token": "BTC", "last": 1.0}, {"token": "SOL", "last": 154.48}])
    );
}

#[tokio::test]
async fn a_file_with_a_column_in_another_type_is_named_and_not_cast() {
    let data = archive_of(&[tick("BTC", "100", DAY_MS), tick("ETH", "5.5", DAY_MS + 1)]);
    let file = only_file(data.path());
    let good = read(&file);
    let sql = open(data.path()).await;
    let check = async |query: &str, expected: &str| {
        let error = refusal(&sql, query).await;
        let SqlError::Unreadable { path, cause } = &error else {
            panic!("{query}: {error:?}")
        };
        assert_eq!((path, cause.as_str()), (&file, expected), "{query}");
    };
    retype(&file, &good, "price", &DataType::Utf8);
    let of_price = "its column `price` has the type varchar, but the other files have double";
    check("SELECT sum(price) FROM ticks", of_price).await;
    check("SELECT price FROM price_archive WHERE price > 1", of_price).await;
    // The row count is in its footer, but not whether it is of ticks at all.
    check("SELECT count(*) FROM price_archive", of_price).await;
    retype(&file, &good, "ts", &DataType::Float64);
    check(
        "SELECT max(ts) FROM price_archive",
        "its column `ts` has the type double, but the other files have bigint",
    )
    .await;
    retype(&file, &good, "token", &DataType::Binary);
    check(
        "SELECT token FROM price_archive",
        "its column `token` has the type varbinary, but the other files have varchar",
    )
    .await;
    rewrite(&file, &good, |name, array| {
        (name != "tick_id").then(|| (name.to_owned(), Arc::clone(array)))
    });
    check(
        "SELECT sum(price) FROM ticks",
        "it has no column `tick_id`, so it does not contain ticks",
    )
    .await;
    let other_day = "SELECT count(*) AS n FROM price_archive WHERE day = 8";
    assert_eq!(rows(&sql, other_day).await, json!([{"n": 0}]));
}

#[tokio::test]
async fn missing_additional_and_narrower_columns_are_read() {
    let data = archive_of(&[tick("BTC", "100", DAY_MS), tick("ETH", "5.5", DAY_MS + 1)]);
    let file = only_file(data.path());
    let good = read(&file);
    let sql = open(data.path()).await;
    let query = "SELECT token, price, slot, method FROM price_archive ORDER BY token";
    let expected = |slot| {
        json!([
            {"token": "BTC", "price": 100.0, "slot": slot, "method": null},
            {"token": "ETH", "price": 5.5, "slot": slot, "method": null},
        ])
    };
    rewrite(&file, &good, |name, array| {
        let array = match name {
            "price" => cast(array, &DataType::Float32).unwrap(),
            "slot" => Arc::new(arrow::array::Int32Array::from(vec![7, 7])),
            "token" => cast(array, &DataType::LargeUtf8).unwrap(),
            "method" => return None,
            _ => Arc::clone(array),
        };
        Some((name.to_owned(), array))
    });
    assert_eq!(rows(&sql, query).await, expected(json!(7)));
    // A column that this release does not know may be of any type.
    rewrite(&file, &good, |name, array| match name {
        "method" => Some((
            "chain".to_owned(),
            Arc::new(arrow::array::BooleanArray::from(vec![true, false])),
        )),
        "slot" => None,
        _ => Some((name.to_owned(), Arc::clone(array))),
    });
    assert_eq!(rows(&sql, query).await, expected(json!(null)));
}
