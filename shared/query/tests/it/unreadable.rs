//! Files that cannot be read, and failures that are not a file's.

use std::fs;

use query::SqlError;
use serde_json::json;

use crate::answer::{archive_of, open, refusal, rows};
use testkit::market::market;

#[tokio::test]
async fn an_unreadable_file_is_named() {
    let data = archive_of(&market(2_000));
    let sql = open(data.path()).await;
    let day = data.path().join("price-archive/year=2026/month=03/day=08");
    let file = fs::read_dir(&day).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&file).unwrap();
    let check = async |bytes: &[u8], query: &str| {
        fs::write(&file, bytes).unwrap();
        let error = refusal(&sql, query).await;
        let SqlError::Unreadable { path, .. } = &error else {
            panic!("{query}: {error:?}")
        };
        assert_eq!(path, &file, "{error}");
    };
    let sums = "SELECT sum(price), sum(ts), max(tick_id) FROM ticks";
    check(&good[..good.len() / 2], sums).await;
    check(b"", sums).await;
    let mut scrambled = good.clone();
    scrambled[4..2_000].fill(0xa5);
    check(&scrambled, sums).await;
    // Days that the query does not read may be corrupt.
    let first = "SELECT count(*) AS n FROM ticks WHERE day = 7";
    assert_eq!(rows(&sql, first).await, json!([{"n": 1_440}]));
    fs::write(&file, &good).unwrap();
    assert_eq!(
        rows(&sql, "SELECT count(*) AS n FROM ticks").await,
        json!([{"n": 2_000}])
    );
}

/// A file is blamed only by a query that read it, and only for what is wrong with it.
#[tokio::test]
async fn no_other_file_is_blamed() {
    let data = archive_of(&market(2_000));
    let sql = open(data.path()).await;
    let mut files = Vec::new();
    for day in ["day=07", "day=08"] {
        let month = data.path().join("price-archive/year=2026/month=03");
        let folder = month.join(day);
        let file = fs::read_dir(folder)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let mut bytes = fs::read(&file).unwrap();
        bytes[4..2_000].fill(0xa5);
        fs::write(&file, bytes).unwrap();
        files.push(file);
    }
    for (day, file) in [7, 8].iter().zip(&files) {
        let query =
            format!("SELECT sum(price), sum(ts), max(tick_id) FROM ticks WHERE day = {day}");
        let error = refusal(&sql, &query).await;
        let SqlError::Unreadable { path, .. } = &error else {
            panic!("{query}: {error:?}")
        };
        assert_eq!(path, file, "{error}");
    }

    let data = archive_of(&market(2_000));
    let sql = open(data.path()).await;
    let day = data.path().join("price-archive/year=2026/month=03/day=08");
    let cut = fs::read_dir(day).unwrap().next().unwrap().unwrap().path();
    fs::write(cut, "PAR1").unwrap();
    for condition in [
        "CAST(token AS bigint) > 1",
        "from_base(token, 10) > 1",
        "1 / (ts - ts) = 1",
    ] {
        let query = format!("SELECT price FROM ticks WHERE day = 7 AND {condition}");
        let error = refusal(&sql, &query).await;
        assert!(matches!(error, SqlError::Failed(_)), "{query}: {error:?}");
        assert!(!error.to_string().contains("predicate"), "{query}: {error}");
    }
}
