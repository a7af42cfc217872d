//! Rows as they are found, values of parameters, what a query would read, and memory that runs out.

use std::path::Path;
use std::time::Duration;

use chrono::NaiveDate;
use query::{Limits, LocalSql, Position, ScanEstimate, SqlError, Value};

use crate::answer::{LIMITS, archive_of, numbers};
use testkit::market::{DAY_MS, market, tick};

const NEXT_DAY_MS: i64 = DAY_MS + 86_400_000;

async fn open(data: &Path, limits: Limits) -> LocalSql {
    LocalSql::open(data, limits).await.unwrap()
}

/// How many rows a query returns.
async fn count(sql: &LocalSql, query: &str, values: &[Value]) -> Result<usize, SqlError> {
    let mut rows = sql.start(query, values).await?;
    let mut count = 0;
    while let Some(batch) = rows.next().await? {
        count += batch.num_rows();
    }
    Ok(count)
}

#[tokio::test]
async fn rows_come_with_what_was_read() {
    let data = archive_of(&market(100));
    let limits = Limits {
        rows_max: usize::MAX,
        ..LIMITS
    };
    let sql = open(data.path(), limits).await;
    let mut rows = sql
        .start(
            "SELECT a.token, b.price FROM ticks a JOIN ticks b USING (tick_id)",
            &[],
        )
        .await
        .unwrap();
    let names: Vec<_> = rows
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, ["token", "price"]);
    let stats = rows.scan_stats();
    let mut rows_read = 0;
    while let Some(batch) = rows.next().await.unwrap() {
        rows_read += batch.num_rows();
    }
    assert_eq!(rows_read, 100);
    let (files, bytes) = stats.by_now();
    assert!(files == 2 && bytes > 0, "{files} files, {bytes} bytes");
    // One row more than the limit shows that there are more.
    let sql = open(
        data.path(),
        Limits {
            rows_max: 9,
            ..limits
        },
    )
    .await;
    assert_eq!(count(&sql, "SELECT 1 FROM ticks", &[]).await.unwrap(), 10);
}

/// A query that would hold its thread for days.
#[tokio::test]
async fn a_dropped_query_does_not_delay_the_next_one() {
    let data = archive_of(&market(10));
    let limits = Limits {
        threads: 1,
        ..LIMITS
    };
    let sql = open(data.path(), limits).await;
    let [a, b, c] = ["a", "b", "c"].map(|name| numbers(1_000, name));
    let [d, e, f] = ["d", "e", "f"].map(|name| numbers(1_000, name));
    let endless = format!(
        "SELECT sum((a.k + b.k) * (c.k + d.k) % (1 + e.k + f.k)) AS n FROM {a} CROSS JOIN {b} \
         CROSS JOIN {c} CROSS JOIN {d} CROSS JOIN {e} CROSS JOIN {f}"
    );
    let mut rows = sql.start(&endless, &[]).await.unwrap();
    let begun = tokio::time::timeout(Duration::from_millis(100), rows.next()).await;
    assert!(begun.is_err());
    drop(rows);
    let next = count(&sql, "SELECT 1", &[]);
    let next = tokio::time::timeout(Duration::from_secs(60), next).await;
    assert_eq!(next.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn values_replace_question_marks() {
    let data = archive_of(&[tick("BTC", "100", DAY_MS), tick("ETH", "103", NEXT_DAY_MS)]);
    let sql = open(data.path(), LIMITS).await;
    let check = async |condition: &str, values: &[Value], expected: usize| {
        let query = format!("SELECT 1 FROM price_history WHERE {condition}");
        assert_eq!(
            count(&sql, &query, values).await.unwrap(),
            expected,
            "{query} {values:?}"
        );
    };
    let text = |text: &str| Value::Varchar(text.to_owned());
    check("token = ?", &[text("BTC")], 1).await;
    check("token = ?", &[text("x' OR '1' = '1")], 0).await;
    check("token = ? AND 'it''s' = ?", &[text("ETH"), text("it's")], 1).await;
    check(
        "price > ? AND token <> ?",
        &[Value::Double(99.5), text("BTC")],
        1,
    )
    .await;
    check(
        "\"timestamp\" >= ? AND ?",
        &[Value::Bigint(NEXT_DAY_MS), Value::Boolean(true)],
        1,
    )
    .await;
    check(
        "year = ? AND day - ? < 8",
        &[Value::Bigint(2026), Value::Bigint(-1)],
        0,
    )
    .await;
    check(
        "year = ? AND day + ? < 8",
        &[Value::Bigint(2026), Value::Bigint(0)],
        1,
    )
    .await;
    let error = count(&sql, "SELECT ?", &[text("a"), text("b")])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("1 parameters, and 2 values"),
        "{error}"
    );
}

#[tokio::test]
async fn an_estimate_reads_no_rows() {
    let data = archive_of(&[tick("BTC", "100", DAY_MS), tick("BTC", "103", NEXT_DAY_MS)]);
    let sql = open(data.path(), LIMITS).await;
    let day = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
    assert_eq!(sql.days(query::PRICE_ARCHIVE).unwrap(), [day(7), day(8)]);
    let one = sql
        .estimate(
            "SELECT price FROM ticks WHERE year = 2026 AND day = ?",
            &[Value::Bigint(8)],
        )
        .await
        .unwrap();
    assert_eq!((one.days.as_slice(), one.files), (&[day(8)][..], 1));
    let file = std::fs::read_dir(data.path().join("price-archive/year=2026/month=03/day=08"));
    let size = file
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .metadata()
        .unwrap()
        .len();
    assert_eq!(one.bytes, size);
    let twice = "SELECT price FROM ticks UNION ALL SELECT price FROM price_archive";
    let twice = sql.estimate(twice, &[]).await.unwrap();
    assert_eq!((twice.days, twice.files), (vec![day(7), day(8)], 4));
    let none = sql
        .estimate("SELECT price FROM ticks WHERE year = 2020", &[])
        .await
        .unwrap();
    assert_eq!(none, ScanEstimate::default());
}

#[tokio::test]
async fn a_failure_does_not_look_like_the_end() {
    let data = archive_of(&market(10));
    let sql = open(data.path(), LIMITS).await;
    let error = count(&sql, "SELECT 1 / (ts - ts) FROM ticks", &[])
        .await
        .unwrap_err();
    assert!(matches!(error, SqlError::Failed(_)), "{error}");
    let error = count(&sql, "SELECT\n tokn FROM ticks", &[])
        .await
        .unwrap_err();
    assert_eq!(error.position(), Some(Position { line: 2, column: 2 }));
    let moved = error.with_position(|position| Position {
        line: position.line + 5,
        ..position
    });
    assert!(moved.to_string().contains("at line 7, column 2"), "{moved}");
}

#[tokio::test]
async fn what_does_not_fit_in_memory_is_spilled_if_allowed() {
    let data = archive_of(&market(10));
    let (thousands, ones) = (numbers(2_000, "thousands"), numbers(1_000, "ones"));
    let query = format!(
        "SELECT ones.k AS a, 1000 * thousands.k + ones.k AS b \
         FROM {thousands} CROSS JOIN {ones} ORDER BY a, b DESC"
    );
    let limits = Limits {
        rows_max: usize::MAX,
        memory_bytes_max: 24 * 1024 * 1024,
        threads: 1,
        batch_rows: 8_192,
        ..LIMITS
    };
    let tight = open(data.path(), limits).await;
    let error = count(&tight, &query, &[]).await.unwrap_err();
    assert!(matches!(error, SqlError::OutOfMemory { .. }), "{error}");
    let limits = Limits {
        spill_bytes_max: 1024 * 1024 * 1024,
        ..limits
    };
    let spilling = open(data.path(), limits).await;
    assert_eq!(count(&spilling, &query, &[]).await.unwrap(), 2_000_000);
}
