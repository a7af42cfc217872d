use std::fs;

use archive::Archive;
use domain::Tick;
use query::{Limits, LocalSql, Position, SqlError, type_name};
use serde_json::json;

use crate::answer::{LIMITS, answer, archive_of, numbers, open, refusal, rows};
use testkit::market::{DAY_MS, market, tick};

#[tokio::test]
async fn the_guides_query_runs_as_written() {
    let data = archive_of(&[
        tick("BTC", "100", DAY_MS),
        tick("BTC", "103", DAY_MS + 1_000),
        tick("ETH", "5.5", DAY_MS + 2_000),
        tick("ETH", "7", DAY_MS + 86_400_000),
    ]);
    let sql = open(data.path()).await;
    let query = "SELECT token, AVG(price) AS avg_price, MIN(price) AS low, MAX(price) AS high, \
                 COUNT(*) AS ticks FROM price_history WHERE year = 2026 AND month = 3 AND day = 7 \
                 GROUP BY token ORDER BY token";
    assert_eq!(
        rows(&sql, query).await,
        json!([
            {"token": "BTC", "avg_price": 101.5, "low": 100.0, "high": 103.0, "ticks": 2},
            {"token": "ETH", "avg_price": 5.5, "low": 5.5, "high": 5.5, "ticks": 1},
        ])
    );
    let times =
        "SELECT timestamp FROM price_history WHERE token = 'BTC' ORDER BY timestamp DESC LIMIT 1";
    assert_eq!(
        rows(&sql, times).await,
        json!([{"timestamp": DAY_MS + 1_000}])
    );
    let time = "SELECT time, token FROM ticks WHERE price = 7";
    assert_eq!(
        rows(&sql, time).await,
        json!([{"time": "2026-03-08T00:00:00", "token": "ETH"}])
    );
}

#[tokio::test]
async fn an_answer_has_typed_columns_and_keeps_null_apart_from_empty() {
    let data = archive_of(&market(2));
    let sql = open(data.path()).await;
    let query = "SELECT token, volume, slot, '' AS note, true AS flag, price FROM price_archive ORDER BY ts";
    let answer = answer(&sql, query).await;
    let fields = answer.schema.fields().iter();
    let columns: Vec<(&str, String)> = fields
        .map(|field| (field.name().as_str(), type_name(field.data_type())))
        .collect();
    let typed = |name, of: &str| (name, of.to_owned());
    assert_eq!(
        columns,
        [
            typed("token", "varchar"),
            typed("volume", "double"),
            typed("slot", "bigint"),
            typed("note", "varchar"),
            typed("flag", "boolean"),
            typed("price", "double"),
        ]
    );
    assert_eq!(
        answer.rows(),
        json!([
            {"token": "SOL", "volume": 0.5, "slot": 400_000_000, "note": "", "flag": true, "price": 100.0},
            {"token": "BTC", "volume": null, "slot": null, "note": "", "flag": true, "price": 101.01},
        ])
    );
}

#[tokio::test]
async fn two_columns_may_have_one_name() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let query = "SELECT a.token, b.token FROM ticks a JOIN ticks b ON a.tick_id = b.tick_id";
    let answer = answer(&sql, query).await;
    let names: Vec<_> = answer
        .schema
        .fields()
        .iter()
        .map(|field| field.name())
        .collect();
    assert_eq!(names, ["token", "token"]);
}

#[tokio::test]
async fn a_result_without_a_name_is_numbered() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let query = "SELECT count(*), token, max(day) AS _col9, min(day) FROM ticks GROUP BY token";
    assert_eq!(
        rows(&sql, query).await,
        json!([{"_col0": 1, "token": "SOL", "_col9": 7, "_col3": 7}])
    );
}

#[tokio::test]
async fn an_empty_archive_has_its_columns_and_no_rows() {
    let data = tempfile::tempdir().unwrap();
    Archive::open(data.path()).unwrap();
    let sql = open(data.path()).await;
    for table in ["price_archive", "price_history", "ticks"] {
        let answer = answer(&sql, &format!("SELECT * FROM {table}")).await;
        assert_eq!((answer.row_count(), answer.files), (0, 0));
        assert_eq!(
            answer.schema.fields().len(),
            if table == "ticks" { 18 } else { 16 }
        );
        let count =
            format!("SELECT count(*) AS n, max(price) AS top FROM {table} WHERE year = 2026");
        assert_eq!(rows(&sql, &count).await, json!([{"n": 0, "top": null}]));
    }
    let missing = tempfile::tempdir().unwrap();
    let error = LocalSql::open(missing.path(), LIMITS).await.err().unwrap();
    assert!(matches!(error, SqlError::NoArchive(_)), "{error}");
}

/// Conditions on year, month and day decide which files are looked into, whatever their form.
#[tokio::test]
async fn only_the_days_asked_for_are_read() {
    let day = 86_400_000;
    let of_days: Vec<Tick> = [-30, -1, 0, 1, 300]
        .iter()
        .map(|days| tick("BTC", "1", DAY_MS + days * day))
        .collect();
    let data = archive_of(&of_days);
    let sql = open(data.path()).await;
    for (condition, files) in [
        ("true", 5),
        ("year = 2026 AND month = 3 AND day = 7", 1),
        ("year = 2026 AND month = 3", 3),
        ("year = 2027", 1),
        ("year = 2025", 0),
        ("month IN (2, 3) AND day BETWEEN 6 AND 7", 2),
        ("year * 100 + month > 202603", 1),
        ("year = 2026 AND month = 3 AND token = 'BTC'", 3),
        ("day = 7 OR day = 8", 2),
    ] {
        let query = format!("SELECT ts, year, month, day FROM price_archive WHERE {condition}");
        let of_table = answer(&sql, &query).await;
        assert_eq!(
            (of_table.files, of_table.row_count()),
            (files, files),
            "{condition}"
        );
        let view = query
            .replace("SELECT ts,", "SELECT time,")
            .replace("price_archive", "ticks");
        assert_eq!(
            answer(&sql, &view).await.files,
            files,
            "{condition} through the view"
        );
    }
    let first = "SELECT year, month, day FROM price_archive ORDER BY ts LIMIT 1";
    assert_eq!(
        rows(&sql, first).await,
        json!([{"year": 2026, "month": 2, "day": 5}])
    );
}

#[tokio::test]
async fn files_written_replaced_and_removed_are_seen_by_the_next_query() {
    let data = archive_of(&[tick("BTC", "1", DAY_MS)]);
    let sql = open(data.path()).await;
    let count = "SELECT count(*) AS n, sum(price) AS total FROM price_archive";
    assert_eq!(rows(&sql, count).await, json!([{"n": 1, "total": 1.0}]));
    let archive = Archive::open(data.path()).unwrap();
    archive
        .write_range(1, 0, 0, &[tick("ETH", "10", DAY_MS + 1)])
        .unwrap();
    assert_eq!(
        rows(&sql, count).await,
        json!([{"n": 2, "total": 11.0}]),
        "a new file"
    );
    archive
        .write_range(2, 0, 0, &[tick("SOL", "100", DAY_MS + 86_400_000)])
        .unwrap();
    assert_eq!(
        rows(&sql, count).await,
        json!([{"n": 3, "total": 111.0}]),
        "a new day"
    );
    let replaced = [tick("ETH", "20", DAY_MS + 1), tick("ETH", "30", DAY_MS + 2)];
    archive.write_range(1, 0, 0, &replaced).unwrap();
    assert_eq!(
        rows(&sql, count).await,
        json!([{"n": 4, "total": 151.0}]),
        "a replaced file"
    );
    fs::remove_dir_all(data.path().join("price-archive/year=2026/month=03/day=08")).unwrap();
    assert_eq!(
        rows(&sql, count).await,
        json!([{"n": 3, "total": 51.0}]),
        "a removed day"
    );
}

#[tokio::test]
async fn what_is_not_a_file_of_the_table_is_skipped() {
    let data = archive_of(&market(3));
    let day = data.path().join("price-archive/year=2026/month=03/day=07");
    for name in [".hidden.parquet", "_staged.parquet", "notes.txt"] {
        fs::write(day.join(name), "not Parquet").unwrap();
    }
    fs::create_dir_all(data.path().join("price-archive/_manifests/day=1")).unwrap();
    let sql = open(data.path()).await;
    assert_eq!(
        rows(&sql, "SELECT count(*) AS n FROM ticks").await,
        json!([{"n": 3}])
    );
}

#[tokio::test]
async fn only_one_statement_that_reads_is_accepted() {
    let data = archive_of(&market(3));
    let sql = open(data.path()).await;
    let target = data.path().join("out.parquet");
    let (text, target) = (target.display(), &target);
    for query in [
        format!("COPY price_archive TO '{text}'"),
        format!("COPY (SELECT 1) TO '{text}'"),
        format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{text}'"),
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "CREATE VIEW x AS SELECT 1".to_owned(),
        "CREATE SCHEMA x".to_owned(),
        "DROP TABLE price_archive".to_owned(),
        "DROP VIEW ticks".to_owned(),
        "INSERT INTO price_archive SELECT * FROM price_archive".to_owned(),
        "DELETE FROM price_archive".to_owned(),
        "UPDATE price_archive SET price = 1".to_owned(),
        "TRUNCATE TABLE price_archive".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "RESET datafusion.execution.batch_size".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "EXPLAIN INSERT INTO price_archive SELECT * FROM price_archive".to_owned(),
        format!("EXPLAIN ANALYZE COPY price_archive TO '{text}'"),
        "BEGIN".to_owned(),
        "CREATE FUNCTION f(double) RETURNS double RETURN $1".to_owned(),
    ] {
        let error = refusal(&sql, &query).await;
        assert!(
            matches!(error, SqlError::NotReadOnly(_)),
            "{query}: {error:?}"
        );
        assert!(error.to_string().contains("read only"), "{error}");
    }
    assert!(matches!(
        refusal(&sql, "SELECT 1; SELECT 2").await,
        SqlError::NotOne(2)
    ));
    assert!(matches!(
        refusal(&sql, "SELECT 1; DROP TABLE ticks").await,
        SqlError::NotOne(2)
    ));
    assert!(matches!(
        refusal(&sql, " -- nothing").await,
        SqlError::NotOne(0)
    ));
    assert!(matches!(refusal(&sql, "").await, SqlError::NotOne(0)));
    // These reach the planner as queries, and are refused there.
    for query in [
        "SELECT * INTO x FROM ticks",
        "WITH x AS (DELETE FROM ticks) SELECT 1",
    ] {
        refusal(&sql, query).await;
    }
    assert!(!target.exists());
    assert_eq!(
        rows(&sql, "SELECT count(*) AS n FROM ticks;").await,
        json!([{"n": 3}])
    );
}

#[tokio::test]
async fn statements_that_describe_are_accepted() {
    let data = archive_of(&market(3));
    let sql = open(data.path()).await;
    for (query, expected) in [
        ("SHOW TABLES", "price_history"),
        ("DESCRIBE ticks", "ingested_at"),
        ("SHOW COLUMNS FROM price_archive", "tick_id"),
        ("EXPLAIN SELECT * FROM ticks WHERE day = 7", "Exec"),
        (
            "EXPLAIN ANALYZE SELECT count(*) FROM ticks WHERE token = 'BTC'",
            "bytes_scanned",
        ),
        ("VALUES (1, 'one')", "one"),
        ("WITH a AS (SELECT 41 + 1 AS n) SELECT n FROM a", "42"),
    ] {
        let described = rows(&sql, query).await.to_string();
        assert!(described.contains(expected), "{query}: {described}");
    }
}

#[tokio::test]
async fn nothing_but_the_archive_is_in_reach() {
    let data = archive_of(&market(3));
    let outside = data.path().join("secret.csv");
    fs::write(&outside, "a,b\n1,2\n").unwrap();
    let sql = open(data.path()).await;
    let path = outside.display();
    for table in [
        "'/etc/passwd'".to_owned(),
        "\"/etc/passwd\"".to_owned(),
        format!("'{path}'"),
        format!("\"file://{path}\""),
        "'archive://local/../secret.csv'".to_owned(),
    ] {
        let error = refusal(&sql, &format!("SELECT * FROM {table}")).await;
        assert!(
            matches!(error, SqlError::UnknownTable { .. }),
            "{table}: {error:?}"
        );
    }
    for call in [
        "read_csv('/etc/passwd')",
        "read_parquet('/etc/passwd')",
        "glob('/etc/*')",
    ] {
        refusal(&sql, &format!("SELECT * FROM {call}")).await;
    }
}

#[tokio::test]
async fn mistakes_come_with_their_position_and_suggestions() {
    let data = archive_of(&market(3));
    let sql = open(data.path()).await;
    let check = async |query: &str, expected: &str| {
        assert_eq!(refusal(&sql, query).await.to_string(), expected, "{query}");
    };
    check(
        "SELECT token\nFORM ticks WHERE",
        "syntax error at line 2, column 6: Expected: end of statement, found: ticks",
    )
    .await;
    check(
        "SELECT * FROM tickz",
        "no table `tickz` at line 1, column 15: did you mean `ticks`?",
    )
    .await;
    check(
        "SELECT tokn,\n  pric FROM price_history",
        "no column `tokn` at line 1, column 8: did you mean `token`?",
    )
    .await;
    check(
        "SELECT h.prise FROM price_history AS h",
        "no column `h.prise` at line 1, column 8: did you mean `price`?",
    )
    .await;
    let error = refusal(&sql, "SELECT no_such_function(1)").await;
    let SqlError::Invalid { message, position } = error else {
        panic!("{error:?}")
    };
    assert!(message.contains("no_such_function"), "{message}");
    assert_eq!(position, Some(Position { line: 1, column: 8 }));
    assert!(matches!(
        refusal(&sql, "SELECT token FROM ticks GROUP BY day").await,
        SqlError::Invalid { .. }
    ));
    assert!(matches!(
        refusal(&sql, "SELECT 1 / 0").await,
        SqlError::Failed(_)
    ));
    check(
        "SELECT CAST('x' AS BIGINT)",
        "'x' cannot be cast to bigint: try_cast returns NULL instead at line 1, column 13",
    )
    .await;
    assert!(matches!(
        refusal(&sql, "SELECT 'never closed").await,
        SqlError::Syntax { .. }
    ));
    let deep = format!("SELECT {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(matches!(
        refusal(&sql, &deep).await,
        SqlError::Syntax { .. }
    ));
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    assert!(matches!(
        refusal(&sql, &long).await,
        SqlError::TooLong { .. }
    ));
}

/// One row more shows that there are more.
#[tokio::test]
async fn one_row_more_than_the_limit_is_read() {
    let data = archive_of(&market(50));
    let few = Limits {
        rows_max: 10,
        ..LIMITS
    };
    let sql = LocalSql::open(data.path(), few).await.unwrap();
    for (query, rows) in [
        ("SELECT * FROM ticks ORDER BY ts", 11),
        ("SELECT * FROM ticks LIMIT 10", 10),
        ("SELECT * FROM ticks LIMIT 3", 3),
        ("SELECT count(*) FROM ticks", 1),
    ] {
        assert_eq!(answer(&sql, query).await.row_count(), rows, "{query}");
    }
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_is_stopped() {
    let data = archive_of(&market(3));
    let poor = Limits {
        memory_bytes_max: 4 * 1024 * 1024,
        ..LIMITS
    };
    let sql = LocalSql::open(data.path(), poor).await.unwrap();
    let (a, b) = (numbers(1_000, "a"), numbers(500, "b"));
    let hungry = format!("SELECT count(DISTINCT 500 * a.k + b.k) FROM {a} CROSS JOIN {b}");
    let error = refusal(&sql, &hungry).await;
    assert!(matches!(error, SqlError::OutOfMemory { .. }), "{error:?}");
    assert_eq!(rows(&sql, "SELECT 1 AS one").await, json!([{"one": 1}]));
    // One call must not take all of the machine's memory, which the limit would not notice.
    for call in [
        "lpad('x', 2000000000, 'y')",
        "rpad('x', 2000000000, 'y')",
        "repeat('x', 2000000000)",
        "sequence(1, 2000000000)",
    ] {
        let error = refusal(&sql, &format!("SELECT {call}")).await;
        assert!(
            matches!(error, SqlError::Invalid { .. } | SqlError::Failed(_)),
            "{call}: {error:?}"
        );
    }
}

#[tokio::test]
async fn queries_run_concurrently() {
    let data = archive_of(&market(300));
    let sql = open(data.path()).await;
    let count = "SELECT count(*) AS n FROM ticks";
    let (a, b, c) = tokio::join!(rows(&sql, count), rows(&sql, count), rows(&sql, count));
    assert_eq!([&a, &b, &c], [&json!([{"n": 300}]); 3]);
}

#[tokio::test]
async fn batches_are_as_large_as_the_limit_says() {
    let data = archive_of(&market(1));
    let sql = open(data.path()).await;
    let numbers = numbers(10_000, "t");
    let query = format!("SELECT k FROM {numbers} ORDER BY k % 7, k");
    let answer = answer(&sql, &query).await;
    let largest = answer.batches.iter().map(|batch| batch.num_rows()).max();
    assert_eq!((answer.row_count(), largest), (10_000, Some(1_024)));
}
