//! Trino's functions on the local engine: the answers of Athena.

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

#[tokio::test]
async fn moments_and_numbers() {
    check(&[
        ("from_unixtime(1772841600)", "2026-03-07T00:00:00Z"),
        ("from_unixtime(1772841600.1234)", "2026-03-07T00:00:00.123Z"),
        ("from_unixtime(-0.5)", "1969-12-31T23:59:59.500Z"),
        ("from_unixtime(NULL)", "NULL"),
        (
            "to_unixtime(TIMESTAMP '2026-03-07 00:00:00.25')",
            "1772841600.25",
        ),
        ("to_unixtime(from_unixtime(1.5))", "1.5"),
        ("to_unixtime(DATE '1970-01-02')", "86400.0"),
        (
            "CAST(from_unixtime(1772841600123 / 1e3) AS timestamp(3))",
            "2026-03-07T00:00:00.123",
        ),
        (
            "from_iso8601_timestamp('2026-03-07T10:00:00+02:00')",
            "2026-03-07T08:00:00Z",
        ),
        (
            "from_iso8601_timestamp('2026-03-07')",
            "2026-03-07T00:00:00Z",
        ),
        (
            "from_iso8601_timestamp('2026-03-07T10:00')",
            "2026-03-07T10:00:00Z",
        ),
        ("from_iso8601_date('2026-03-07')", "2026-03-07"),
        ("to_iso8601(from_unixtime(0.5))", "1970-01-01T00:00:00.500Z"),
        (
            "to_iso8601(TIMESTAMP '2026-03-07 01:02:03')",
            "2026-03-07T01:02:03.000",
        ),
        ("to_iso8601(DATE '2026-03-07')", "2026-03-07"),
        ("date('2026-03-07')", "2026-03-07"),
        ("date(TIMESTAMP '2026-03-07 23:59:59')", "2026-03-07"),
    ])
    .await;
    refused(&[
        "from_unixtime('x')",
        "from_unixtime(1e300)",
        "from_iso8601_timestamp('tomorrow')",
        "from_iso8601_date('2026-02-30')",
        "to_unixtime('2026-03-07')",
    ])
    .await;
}

#[tokio::test]
async fn the_calendar() {
    let at = "TIMESTAMP '2026-03-07 15:04:05.678'";
    let parts = [
        ("year", "2026"),
        ("quarter", "1"),
        ("month", "3"),
        ("week", "10"),
        ("day", "7"),
        ("day_of_week", "6"),
        ("dow", "6"),
        ("day_of_year", "66"),
        ("hour", "15"),
        ("minute", "4"),
        ("second", "5"),
        ("millisecond", "678"),
        ("year_of_week", "2026"),
        ("last_day_of_month", "2026-03-31"),
    ];
    for (name, expected) in parts {
        check(&[(&format!("{name}({at})"), expected)]).await;
    }
    check(&[
        ("day_of_week(DATE '2026-03-08')", "7"),
        (
            "date_trunc('hour', TIMESTAMP '2026-03-07 15:04:05')",
            "2026-03-07T15:00:00",
        ),
        (
            "date_trunc('week', TIMESTAMP '2026-03-07 15:04:05')",
            "2026-03-02T00:00:00",
        ),
        ("date_add('month', 1, DATE '2026-01-31')", "2026-02-28"),
        (
            "date_add('minute', -10, TIMESTAMP '2026-03-07 00:05:00')",
            "2026-03-06T23:55:00",
        ),
        (
            "date_add('millisecond', 1772841600123, TIMESTAMP '1970-01-01 00:00:00')",
            "2026-03-07T00:00:00.123",
        ),
        (
            "date_add('day', 1, from_unixtime(0))",
            "1970-01-02T00:00:00Z",
        ),
        ("date_add('day', NULL, DATE '2026-01-31')", "NULL"),
        (
            "date_diff('day', DATE '2026-02-27', DATE '2026-03-01')",
            "2",
        ),
        (
            "date_diff('minute', TIMESTAMP '2026-03-07 00:00:59', TIMESTAMP '2026-03-07 00:02:58')",
            "1",
        ),
        (
            "date_diff('hour', from_unixtime(7200), from_unixtime(0))",
            "-2",
        ),
        (
            "date_format(TIMESTAMP '2026-03-07 15:04:05', '%Y/%m/%d %h:%i %p')",
            "2026/03/07 03:04 PM",
        ),
        (
            "date_parse('07.03.2026 15:04', '%d.%m.%Y %H:%i')",
            "2026-03-07T15:04:00",
        ),
    ])
    .await;
    refused(&[
        "date_add('fortnight', 1, DATE '2026-01-31')",
        "date_add('hour', 1, DATE '2026-01-31')",
        "date_diff('day', 1, 2)",
        "date_parse('x', '%Y')",
        "date_format('2026-03-07', '%Y')",
    ])
    .await;
}

#[tokio::test]
async fn bytes_and_hashes() {
    check(&[
        // printf abc | sha256sum
        (
            "to_hex(sha256(to_utf8('abc')))",
            "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        ),
        // printf abc | md5sum
        ("to_hex(md5(to_utf8('abc')))", "900150983CD24FB0D6963F7D28E17F72"),
        // The test vectors of xxHash: no bytes, and `abc`.
        ("to_hex(xxhash64(to_utf8('')))", "EF46DB3751D8E999"),
        ("to_hex(xxhash64(to_utf8('abc')))", "44BC2CF5AD770999"),
        ("from_utf8(from_hex('c3BC'))", "ü"),
        ("from_utf8(from_hex('41FF'))", "A\u{fffd}"),
        ("to_base64(to_utf8('tick'))", "dGljaw=="),
        ("from_utf8(from_base64('dGljaw=='))", "tick"),
        ("to_hex(NULL)", "NULL"),
        ("from_base('ff', 16)", "255"),
        ("from_base('-101', 2)", "-5"),
        ("to_base(255, 16)", "ff"),
        ("to_base(-5, 2)", "-101"),
        ("to_base(0, 36)", "0"),
        ("from_big_endian_64(to_big_endian_64(-7))", "-7"),
        ("to_hex(to_big_endian_64(258))", "0000000000000102"),
        // The published vectors of the cohort.
        ("from_base(substr(to_hex(sha256(to_utf8('BTC'))), 1, 8), 16) % 10000", "4695"),
        ("from_base(substr(to_hex(sha256(to_utf8(''))), 1, 8), 16) % 10000", "2610"),
        ("from_base(substr(to_hex(sha256(to_utf8('a'))), 1, 8), 16) % 10000", "6610"),
        (
            "from_base(substr(to_hex(sha256(to_utf8('So11111111111111111111111111111111111111112'))), 1, 8), 16) % 10000",
            "824",
        ),
    ])
    .await;
    refused(&[
        "to_hex('abc')",
        "to_utf8(1)",
        "from_hex('abc')",
        "from_base64('?')",
        "from_base('z', 16)",
        "from_base('1', 37)",
        "from_base('ffffffffffffffffff', 16)",
        "from_big_endian_64(to_utf8('abc'))",
    ])
    .await;
}

#[tokio::test]
async fn conditions_and_numbers() {
    check(&[
        ("if(1 < 2, 'yes', 'no')", "yes"),
        ("if(NULL, 1)", "NULL"),
        ("if(1 > 2, 1)", "NULL"),
        ("if(true, 1, 2.5)", "1.0"),
        ("greatest(1, 3, 2), least(1.5, 0.5)", "3|0.5"),
        ("greatest(1, NULL), least('a', NULL)", "NULL|NULL"),
        ("mod(-7, 3), mod(7.5, 2)", "-1|1.5"),
        ("ceiling(1.2), truncate(-1.7), sign(-3.5)", "2.0|-1.0|-1.0"),
        ("is_nan(CAST('NaN' AS double)), is_nan(1e0)", "true|false"),
        (
            "bitwise_and(12, 10), bitwise_or(12, 10), bitwise_xor(12, 10)",
            "8|14|6",
        ),
        ("TRY_CAST('x' AS bigint), TRY_CAST('7' AS bigint)", "NULL|7"),
        ("coalesce(NULL, 2), nullif(2, 2)", "2|NULL"),
        ("cardinality(ARRAY[1, 2, 3])", "3"),
        (
            "element_at(ARRAY['a', 'b'], 2), element_at(ARRAY['a', 'b'], 3)",
            "b|NULL",
        ),
        ("element_at(ARRAY['a', 'b'], -1)", "b"),
        (
            "contains(ARRAY[1, 2], 2), contains('abc', 'd')",
            "true|false",
        ),
    ])
    .await;
    refused(&["if(1, 2)", "mod('a', 2)", "element_at('a', 1)"]).await;
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
async fn texts() {
    check(&[
        (
            "split_part('a:b:c', ':', 2), split_part('a:b', ':', 3)",
            "b|NULL",
        ),
        ("split_part('abc', '', 2)", "b"),
        ("split('a,b', ',')[2]", "b"),
        ("element_at(split('coinbase:BTC-USD', ':'), 1)", "coinbase"),
        ("concat('a', 'b'), concat('a', NULL)", "ab|NULL"),
        ("'a' || NULL", "NULL"),
        ("strpos('solana', 'la'), strpos('a', 'z')", "3|0"),
        ("regexp_like('BTC-USD', '^[A-Z]+-USD$')", "true"),
        ("regexp_replace('a1b22', '[0-9]+', '#')", "a#b#"),
        ("regexp_replace('a1b22', '[0-9]')", "ab"),
        ("regexp_replace('ab', '(a)(b)', '$2$1')", "ba"),
        // As Trino reads them: group 1 and an x, the group of a name, a dollar sign, a digit.
        ("regexp_replace('abc', '(b)', '$1x')", "abxc"),
        ("regexp_replace('abc', '(b)', '$12')", "ab2c"),
        ("regexp_replace('abc', '(?<it>b)', '<${it}>')", "a<b>c"),
        (r"regexp_replace('abc', '(b)', '\$1')", "a$1c"),
        (r"regexp_replace('abc', '(b)', '\1\\1')", r"a1\1c"),
        ("regexp_replace('abc', 'b', NULL)", "NULL"),
        ("regexp_extract('id=42;', '[0-9]+')", "42"),
        ("regexp_extract('id=42;', 'id=([0-9]+)', 1)", "42"),
        ("regexp_extract('id', '[0-9]+')", "NULL"),
        (
            "levenshtein_distance('tick', 'tack'), codepoint('A')",
            "1|65",
        ),
        (
            "json_extract_scalar('{\"a\": {\"b\": [1, 2.5]}}', '$.a.b[1]')",
            "2.5",
        ),
        ("json_extract_scalar('not JSON', '$.a')", "NULL"),
        ("json_extract_scalar('{\"price\": -1}', '$.price')", "-1"),
    ])
    .await;
    refused(&[
        "split_part('a', ':', 0)",
        "json_extract_scalar('{}', 'a')",
        "regexp_replace('abc', 'b', '$1')",
        "regexp_replace('abc', '(b)', '${other}')",
        "regexp_replace('abc', 'b', 'ends with $')",
    ])
    .await;
}

#[tokio::test]
async fn aggregates() {
    let data = archive_of(&market(30));
    let sql = open(data.path()).await;
    let values = "(VALUES ('a', 1, 10), ('a', 3, 30), ('a', NULL, 99), ('b', 2, NULL), ('c', NULL, 5)) v(g, y, x)";
    for (query, expected) in [
        (
            "SELECT g, max_by(x, y), min_by(x, y) FROM {v} GROUP BY g ORDER BY g",
            "a|30|10\nb|NULL|NULL\nc|NULL|NULL",
        ),
        ("SELECT max_by(x, y), min_by(g, y) FROM {v}", "30|a"),
        ("SELECT max_by(x, y) FILTER (WHERE y < 3) FROM {v}", "NULL"),
        ("SELECT max_by(x, y) FROM {v} WHERE false", "NULL"),
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
        // Of equal ones the first, a NULL in a row before any value, and a key that is always NULL.
        (
            "SELECT max_by(x, ROW(y, 1)), min_by(x, ROW(y, 1)) FROM {v} WHERE x IN (10, 99)",
            "10|99",
        ),
        ("SELECT max_by(DISTINCT x, y) FROM {v}", "30"),
        (
            "SELECT max_by(x, y), min_by(x, y) FROM {v} WHERE y IS NULL",
            "NULL|NULL",
        ),
        (
            "SELECT g, count_if(y > 1), every(y > 0) FROM {v} GROUP BY g ORDER BY g",
            "a|1|true\nb|1|true\nc|0|NULL",
        ),
        ("SELECT count_if(y > 1) FROM {v} WHERE false", "0"),
        ("SELECT arbitrary(g) FROM {v} WHERE g = 'b'", "b"),
        (
            "SELECT approx_percentile(x, 0.5) FROM {v} WHERE g = 'a'",
            "30.0",
        ),
        (
            "SELECT approx_distinct(g), bool_or(y = 2) FROM {v}",
            "3|true",
        ),
        (
            "SELECT round(stddev(y), 6), round(var_pop(y), 6) FROM {v}",
            "1.0|0.666667",
        ),
        ("SELECT y FROM {v} ORDER BY y DESC LIMIT 1", "3"),
        ("SELECT listagg(g, '+') FROM {v} WHERE y = 2", "b"),
    ] {
        let query = query.replace("{v}", values);
        assert_eq!(shown(&sql, &query).await, expected, "{query}");
    }
    for query in [
        "SELECT approx_percentile(x, 2, 0.5) FROM {v}",
        "SELECT max_by(x) FROM {v}",
        "SELECT count_if(x) FROM {v}",
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

#[tokio::test]
async fn functions_that_build_large_values_are_disabled() {
    refused(&[
        "repeat('a', 10)",
        "lpad('a', 10, 'b')",
        "rpad('a', 10, 'b')",
        "array_repeat(1, 10)",
        "sequence(1, 10)",
    ])
    .await;
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

/// What `docs/sql.md` says of the differences: an engine that changes them changes the page.
#[tokio::test]
async fn what_differs_from_athena_is_as_the_page_says() {
    check(&[
        ("CAST(1.7 AS bigint)", "1"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        (
            "CAST(TIMESTAMP '2026-03-07 10:00:00' AS varchar)",
            "2026-03-07T10:00:00",
        ),
        ("substr('abc', -1, 3)", "a"),
        ("7 / 2, -7 / 2", "3|-3"),
    ])
    .await;
    refused(&["sqrt(-1e0)", "map_agg(1, 2)", "try(1 / 0)", "nan()"]).await;
}
