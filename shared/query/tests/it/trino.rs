//! Trino's functions in combinations that the recorded answers of Athena's engine (`sql/dialect/`) do not have.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use query::{LocalSql, SqlError};

use crate::answer::{answer, archive_of, open, run};
use testkit::market::market;

/// The rows of an answer, cells separated by a bar.
async fn shown(sql: &LocalSql, query: &str) -> String {
    let answer = answer(sql, query).await;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            let cell = |column| {
                let shown = ArrayFormatter::try_new(column, &options).unwrap();
                shown.value(row).to_string()
            };
            let cells: Vec<String> = batch.columns().iter().map(|c| cell(c.as_ref())).collect();
            rows.push(cells.join("|"));
        }
    }
    rows.join("\n")
}

/// Each expression has the value beside it.
async fn check(expressions: &[(&str, &str)]) {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    for (expression, expected) in expressions {
        assert_eq!(
            shown(&sql, &format!("SELECT {expression}")).await,
            *expected,
            "{expression}"
        );
    }
}

async fn refused(expressions: &[&str]) {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    for expression in expressions {
        match run(&sql, &format!("SELECT {expression}")).await {
            Ok(_) => panic!("{expression} has an answer"),
            Err(SqlError::Engine(error)) => panic!("{expression} broke the engine: {error}"),
            Err(_) => {}
        }
    }
}

/// The published vectors of the cohort, as a query computes it.
#[tokio::test]
async fn the_cohort_of_a_text() {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    for (text, expected) in [
        ("BTC", "4695"),
        ("", "2610"),
        ("a", "6610"),
        ("So11111111111111111111111111111111111111112", "824"),
    ] {
        let query = format!(
            "SELECT from_base(substr(to_hex(sha256(to_utf8('{text}'))), 1, 8), 16) % 10000 AS n"
        );
        assert_eq!(shown(&sql, &query).await, expected, "{text}");
    }
}

/// Only the branch that is taken is evaluated.
#[tokio::test]
async fn if_does_not_divide_by_the_zero_it_guards_against() {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    let query = "SELECT sum(if(ts % 2 = 0, 0, 1 / (ts % 2))) FROM price_archive";
    assert_eq!(shown(&sql, query).await, "0");
}

#[tokio::test]
async fn replacements_of_a_pattern() {
    check(&[
        // Group 1 and an x, a digit after the last group, the group of a name, a dollar sign, digits.
        ("regexp_replace('abc', '(b)', '$1x')", "abxc"),
        ("regexp_replace('abc', '(b)', '$12')", "ab2c"),
        ("regexp_replace('abc', '(?<it>b)', '<${it}>')", "a<b>c"),
        (r"regexp_replace('abc', '(b)', '\$1')", "a$1c"),
        (r"regexp_replace('abc', '(b)', '\1\\1')", r"a1\1c"),
        ("regexp_replace('abc', 'b', CAST(NULL AS varchar))", "NULL"),
    ])
    .await;
    refused(&[
        "regexp_replace('abc', '(b)', '${other}')",
        "regexp_replace('abc', 'b', 'ends with $')",
    ])
    .await;
}

#[tokio::test]
async fn numbers_that_do_not_fit_are_refused() {
    refused(&[
        "from_base('ffffffffffffffffff', 16)",
        "from_base('1', 37)",
        "to_base(1, 1)",
        "from_unixtime(-1e300)",
    ])
    .await;
}

#[tokio::test]
async fn the_value_beside_a_maximum() {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    let values = "(VALUES ('a', 1, 10), ('a', 3, 30), ('a', NULL, 99), ('b', 2, NULL), ('c', NULL, 5)) v (g, y, x)";
    for (query, expected) in [
        (
            "SELECT g, max_by(x, y), min_by(x, y) FROM {v} GROUP BY g ORDER BY g",
            "a|30|10\nb|NULL|NULL\nc|NULL|NULL",
        ),
        ("SELECT max_by(x, y), min_by(g, y) FROM {v}", "30|a"),
        ("SELECT max_by(x, y) FILTER (WHERE y < 3) FROM {v}", "NULL"),
        ("SELECT max_by(x, y) FROM {v} WHERE false", "NULL"),
        ("SELECT max_by(DISTINCT x, y) FROM {v}", "30"),
        (
            "SELECT max_by(x, ROW(1, g)), min_by(x, ROW(1, g)) FROM {v} WHERE x IN (10, 5)",
            "5|10",
        ),
        (
            "SELECT g, max_by(x, y) OVER (PARTITION BY g ORDER BY y) FROM {v} WHERE y IS NOT NULL ORDER BY g, y",
            "a|10\na|30\nb|NULL",
        ),
        (
            "SELECT g, min_by(x, y) OVER (PARTITION BY g) FROM {v} ORDER BY g, x",
            "a|10\na|10\na|10\nb|NULL\nc|NULL",
        ),
        (
            "SELECT x, max_by(x, ROW(g, y)) OVER (ORDER BY g, y) FROM {v} WHERE y IS NOT NULL ORDER BY g, y",
            "10|10\n30|30\nNULL|NULL",
        ),
        (
            "SELECT g, count_if(y > 1), every(y > 0) FROM {v} GROUP BY g ORDER BY g",
            "a|1|true\nb|1|true\nc|0|NULL",
        ),
        ("SELECT count_if(y > 1) FROM {v} WHERE false", "0"),
    ] {
        let query = query.replace("{v}", values);
        assert_eq!(shown(&sql, &query).await, expected, "{query}");
    }
    for query in [
        "SELECT max_by(x) FROM {v}",
        "SELECT max_by(x, y, g) FROM {v}",
    ] {
        let query = query.replace("{v}", values);
        assert!(run(&sql, &query).await.is_err(), "{query}");
    }
}

/// Functions take columns as well as constants.
#[tokio::test]
async fn functions_take_columns() {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    let query = "SELECT count(*) FROM ticks WHERE to_unixtime(time) * 1000 = ts \
                 AND date_diff('minute', DATE '2026-03-07', time) = (ts / 60000) % 1440 \
                 AND cohort = from_base(substr(to_hex(sha256(to_utf8(tick_id))), 1, 8), 16) % 10000 \
                 AND cohort BETWEEN 0 AND 9999 \
                 AND json_extract_scalar(concat('{\"t\": \"', token, '\"}'), '$.t') = token \
                 AND if(volume IS NULL, greatest(price, volume) IS NULL, split_part(source, ':', 1) = 'test') \
                 AND hour(time) = 0 AND date_format(time, '%Y-%m-%d') = '2026-03-07'";
    assert_eq!(shown(&sql, query).await, "30");
    let cohorts = "SELECT max_by(cohort, tick_id) FROM ticks";
    let newest = market(30)
        .into_iter()
        .max_by_key(|tick| tick.tick_id)
        .unwrap();
    let bucket = domain::cohort_bucket(&newest.tick_id.to_string());
    assert_eq!(shown(&sql, cohorts).await, bucket.to_string());
}

/// A column that is added to the table must be added to the views too.
#[tokio::test]
async fn the_views_have_every_column_of_the_archive() {
    use codec::tick_columns::{COLUMNS, PARTITIONS};
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    let mut columns = vec!["time"];
    columns.extend(COLUMNS.map(|column| column.name));
    columns.push("cohort");
    columns.extend(PARTITIONS);
    let answer = answer(&sql, "SELECT * FROM ticks WHERE day = 7 LIMIT 1").await;
    assert_eq!(answer.column_names(), columns);
}
