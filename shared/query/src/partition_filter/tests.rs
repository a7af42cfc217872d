//! What narrows a statement, form by form.

use crate::{SqlError, archive_scans, day_predicate};

use super::*;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn scans_of(sql: &str) -> Vec<ArchiveScan> {
    archive_scans(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .scans
}

/// Whether each scan keeps at most half of the days since 2000, in the order of the scans.
fn narrowed(sql: &str) -> Vec<bool> {
    let today = day("2026-11-22");
    let first = day("2000-01-01");
    let days: Vec<_> = first.iter_days().take_while(|day| *day <= today).collect();
    let is_narrowed = |scan: &ArchiveScan| scan.kept_count(&days, today) * 2 <= days.len();
    scans_of(sql).iter().map(is_narrowed).collect()
}

#[test]
fn a_predicate_on_the_day_narrows_in_every_form() {
    let check = |condition: &str, expected: bool| {
        let sql = format!("SELECT * FROM ticks WHERE {condition}");
        assert_eq!(narrowed(&sql), [expected], "{sql}");
    };
    check("year = 2026", true);
    check("ticks.year = 2026 AND token = 'BTC'", true);
    check("(token = 'BTC' OR token = 'ETH') AND (month = 3)", true);
    check("2026 <= \"year\"", true);
    check("day IN (1, 2)", true);
    check("NOT (year < 2026)", true);
    check(
        "year * 10000 + month * 100 + day BETWEEN 20260305 AND 20260401",
        true,
    );
    check("CAST(year AS bigint) = 2026", true);
    check("year = BIGINT '2026'", true);
    check("year = year(current_date)", true);
    check(
        "year >= year(now()) - 1 AND month = extract(month FROM CAST(now() AS date))",
        true,
    );
    check("day = day(date_add('day', -1, current_date))", true);
    check("'2026' = year", true);
    check("year IN (2025, year(date '2026-01-01'))", true);
    check("day % 2 = 0", true);
    check("year / 2 = 1013", true);
    check("year >= 2014", true);
    check("month <= 6", true);
    check("1 = 0", true);
    check(
        "(year = 2026 AND month = 3) OR (year = 2025 AND token = 'BTC')",
        true,
    );

    check("token = 'BTC'", false);
    check("year = 2026 OR token = 'BTC'", false);
    check("year >= 1 AND month BETWEEN 1 AND 12", false);
    check("year = year", false);
    check("true", false);
    check("ts >= 1772841600000", false);
    check(
        "year = (SELECT max(year) FROM (VALUES (2026)) v(year))",
        false,
    );
    check("ts / year = 5", false);

    // They leave all days, or nearly all.
    check("year IS NOT NULL", false);
    check("year IS NULL", false);
    check("abs(year) > 0", false);
    check("cast(year as varchar) LIKE '2%'", false);
    check("CASE WHEN year = 2026 THEN true ELSE true END", false);
    check("year > 2000", false);
    check("year >= 2013", false);
    check("year <> 2050", false);
    check("year <= year(current_date)", false);
    check("day <= 30", false);
    check("day <> 1", false);
    check("month > 1", false);
    check("NOT (year = year(date '2026-01-01'))", false);
    check("year = random()", false);
    check("year = ts", false);
    check("year = (SELECT 2026)", false);
}

#[test]
fn what_is_not_a_table_of_the_archive_is_named() {
    let check = |sql: &str, expected: &[&str]| {
        assert_eq!(archive_scans(sql, &[]).unwrap().others, expected, "{sql}");
    };
    check("SELECT * FROM ticks, quarantine", &[]);
    check("SELECT * FROM other.big", &["other.big"]);
    check("SELECT * FROM ticks JOIN mine USING (token)", &["mine"]);
    check("SELECT (SELECT max(a) FROM b), c AS b FROM ticks", &["b"]);
    check("WITH a AS (SELECT * FROM ticks) SELECT * FROM a", &[]);
    check("WITH a AS (SELECT * FROM a) SELECT * FROM a", &["a"]);
    check("WITH a AS (SELECT 1) SELECT * FROM db.a", &["db.a"]);
    check(
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        &[],
    );
    check("SELECT * FROM UNNEST(ARRAY[1, 2]) AS t(a)", &[]);
    let databases = |sql: &str| -> Vec<Option<String>> {
        scans_of(sql)
            .into_iter()
            .map(|scan| scan.database)
            .collect()
    };
    assert_eq!(
        databases("SELECT * FROM ticks, Other.ticks AS o, AwsDataCatalog.db.quarantine AS q"),
        [None, Some("other".to_owned()), Some("db".to_owned())]
    );
}

#[test]
fn every_scan_is_found() {
    let check = |sql: &str, expected: &[bool]| assert_eq!(narrowed(sql), expected, "{sql}");
    check("SELECT 1", &[]);
    check("SELECT * FROM quarantine", &[false]);
    check(
        "SELECT * FROM quarantine WHERE year = 2026 AND month = 3",
        &[true],
    );
    check("SELECT * FROM tickstream.\"price_history\"", &[false]);
    check(
        "SELECT * FROM ticks WHERE year = 2026 UNION ALL SELECT * FROM price_archive",
        &[true, false],
    );
    check(
        "SELECT (SELECT max(price) FROM ticks) FROM price_history WHERE day = 1",
        &[true, false],
    );
    check(
        "SELECT 1 FROM (VALUES (1)) v WHERE EXISTS (SELECT 1 FROM ticks WHERE month = 3)",
        &[true],
    );
    check("WITH t AS (SELECT * FROM ticks) SELECT 1", &[]);
    check("WITH ticks AS (SELECT 1 AS a) SELECT * FROM ticks", &[]);
    check(
        "SELECT 1 FROM ticks ORDER BY (SELECT max(ts) FROM price_archive)",
        &[false, false],
    );
}

#[test]
fn a_predicate_is_pushed_into_what_it_is_around() {
    let check = |sql: &str, expected: &[bool]| assert_eq!(narrowed(sql), expected, "{sql}");
    check(
        "SELECT * FROM (SELECT * FROM ticks) WHERE year = 2026",
        &[true],
    );
    check(
        "SELECT * FROM (SELECT token, year AS y FROM ticks) t WHERE t.y = 2026",
        &[true],
    );
    check(
        "WITH t AS (SELECT * FROM ticks WHERE token = 'A') SELECT * FROM t x WHERE x.month = 3",
        &[true],
    );
    check(
        "WITH t(a, b) AS (SELECT year, token FROM ticks) SELECT * FROM t WHERE a = 2026",
        &[true],
    );
    check(
        "WITH t AS (SELECT * FROM ticks), u AS (SELECT * FROM t WHERE day = 1) SELECT * FROM u",
        &[true],
    );
    check(
        "WITH t AS (SELECT * FROM ticks) SELECT 1 FROM t WHERE day = 1 UNION ALL SELECT 1 FROM t",
        &[true, false],
    );
    check(
        "SELECT year, n FROM (SELECT year, count(*) AS n FROM ticks GROUP BY year) WHERE year = 2026",
        &[true],
    );
    check(
        "SELECT * FROM (SELECT year, token FROM ticks UNION ALL SELECT year, token FROM price_archive) WHERE year = 2026",
        &[true, true],
    );
    check(
        "SELECT * FROM (SELECT * FROM ticks UNION ALL SELECT * FROM price_archive) WHERE year = 2026",
        &[true, true],
    );

    // Not where it would leave out what counts inside.
    check(
        "SELECT * FROM (SELECT * FROM ticks LIMIT 5) WHERE year = 2026",
        &[false],
    );
    check(
        "SELECT * FROM (SELECT year, row_number() OVER (ORDER BY ts) AS n FROM ticks) WHERE year = 2026",
        &[false],
    );
    check(
        "SELECT * FROM (SELECT max(year) AS year FROM ticks) WHERE year = 2026",
        &[false],
    );
    check(
        "SELECT * FROM (SELECT year + 1 AS year FROM ticks) WHERE year = 2026",
        &[false],
    );
    check(
        "SELECT * FROM (SELECT year, month FROM ticks UNION ALL SELECT 2026, year FROM price_archive) WHERE year = 2026",
        &[true, false],
    );
}

#[test]
fn joins_narrow_what_they_may() {
    let check = |from: &str, expected: &[bool]| {
        let sql = format!("SELECT 1 FROM {from}");
        assert_eq!(narrowed(&sql), expected, "{sql}");
    };
    check(
        "ticks a JOIN price_archive b ON a.tick_id = b.tick_id WHERE a.year = 2026",
        &[true, false],
    );
    check(
        "ticks a JOIN price_archive b ON a.tick_id = b.tick_id AND a.year = b.year WHERE a.year = 2026",
        &[true, true],
    );
    check(
        "ticks a JOIN price_archive b USING (year, token) WHERE a.year = 2026",
        &[true, true],
    );
    check(
        "ticks a, price_archive b WHERE a.year = 2026 AND b.day = 1",
        &[true, true],
    );
    check(
        "ticks a JOIN price_archive b ON a.year = 2026 AND b.year = 2026",
        &[true, true],
    );
    check(
        "ticks a LEFT JOIN price_archive b ON a.year = 2026 AND b.year = 2026",
        &[false, true],
    );
    check(
        "ticks a LEFT JOIN price_archive b ON a.year = b.year WHERE a.year = 2026",
        &[true, true],
    );
    check(
        "ticks a LEFT JOIN price_archive b ON a.year = b.year AND b.year = 2026",
        &[false, true],
    );
    check(
        "ticks a FULL JOIN price_archive b ON a.year = 2026 AND b.year = 2026",
        &[false, false],
    );
    check(
        "(ticks a CROSS JOIN price_archive b) WHERE a.year = 2026",
        &[true, false],
    );
    check(
        "ticks a JOIN LATERAL (SELECT * FROM price_archive p WHERE p.day = 1) b ON true",
        &[false, true],
    );
}

#[test]
fn days_are_kept_as_the_predicate_says() {
    let scans = scans_of(
        "SELECT 1 FROM ticks t WHERE t.year = 2026 AND NOT (month <> 3) AND day > 5 AND token = 'A' AND day <> 9",
    );
    let kept: Vec<u32> = (1..=12)
        .filter(|of_month| scans[0].keeps(NaiveDate::from_ymd_opt(2026, 3, *of_month).unwrap()))
        .collect();
    assert_eq!(kept, [6, 7, 8, 10, 11, 12]);
    assert!(!scans[0].keeps(day("2026-04-07")) && !scans[0].keeps(day("2025-03-07")));
    // What only the engine works out may keep a day, and may not.
    let scans = scans_of("SELECT 1 FROM ticks WHERE year = year(current_date) AND month = 3");
    assert!(scans[0].keeps(day("1999-03-01")) && !scans[0].keeps(day("1999-04-01")));
}

#[test]
fn the_time_range_gives_the_missing_predicate() {
    let sql = "SELECT 1 FROM price_history h WHERE h.\"timestamp\" >= 1772841600000 AND 1772928000000 > h.timestamp";
    let (from, to) = scans_of(sql)[0].time_range_ms();
    assert_eq!(
        day_predicate(from.unwrap(), to.unwrap()).unwrap(),
        "(year = 2026 AND month = 3 AND day = 7)"
    );
    let range =
        scans_of("SELECT 1 FROM ticks WHERE ts BETWEEN 5 AND 9 AND ts < 8")[0].time_range_ms();
    assert_eq!(range, (Some(5), Some(8)));
    let range = scans_of("SELECT 1 FROM ticks WHERE ts > 5 OR ts < 9")[0].time_range_ms();
    assert_eq!(range, (None, None));
}

#[test]
fn only_what_runs_reads() {
    let runs = |sql: &str| archive_scans(sql, &[]).unwrap().runs;
    assert!(runs("SELECT * FROM ticks") && runs("EXPLAIN ANALYZE SELECT * FROM ticks"));
    assert!(
        !runs("EXPLAIN SELECT * FROM ticks") && !runs("DESCRIBE ticks") && !runs("SHOW TABLES")
    );
    assert!(matches!(
        archive_scans("DELETE FROM ticks", &[]),
        Err(SqlError::NotReadOnly(_))
    ));
}

/// A chain of parts, each of which names the one before it twice, has an end.
#[test]
fn a_statement_that_doubles_is_refused() {
    let mut sql = "WITH t0 AS (SELECT * FROM ticks)".to_owned();
    for number in 1..40 {
        let before = number - 1;
        sql +=
            &format!(", t{number} AS (SELECT * FROM t{before} UNION ALL SELECT * FROM t{before})");
    }
    let error = archive_scans(&format!("{sql} SELECT * FROM t39"), &[]).unwrap_err();
    assert!(
        error.to_string().contains("more than 10000 queries"),
        "{error}"
    );
}

/// Rows that a predicate on the result filters out lead to others that it leaves.
#[test]
fn nothing_is_pushed_into_a_recursion() {
    let check = |sql: &str, expected: &[bool]| assert_eq!(narrowed(sql), expected, "{sql}");
    let chain = "WITH RECURSIVE chain AS (SELECT year, token FROM ticks UNION ALL \
                 SELECT p.year, p.token FROM chain c JOIN price_archive p ON p.token = c.token)";
    check(
        &format!("{chain} SELECT * FROM chain WHERE year = 2026"),
        &[false, false],
    );
    check(
        &format!("{chain}, last AS (SELECT * FROM chain) SELECT * FROM last WHERE year = 2026"),
        &[false, false],
    );
    // Its own predicates narrow it.
    check(
        "WITH RECURSIVE chain AS (SELECT year FROM ticks WHERE year = 2026 UNION ALL \
         SELECT year FROM chain) SELECT * FROM chain",
        &[true],
    );
    // A part that does not read itself is one like any other.
    check(
        "WITH RECURSIVE part AS (SELECT * FROM ticks) SELECT * FROM part WHERE year = 2026",
        &[true],
    );
    // A recursive part hides the table of its name.
    check(
        "WITH RECURSIVE ticks AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM ticks WHERE n < 3) \
         SELECT * FROM ticks",
        &[],
    );
}

#[test]
fn the_days_that_a_predicate_keeps_are_counted() {
    let check = |predicate: &str, expected: usize| {
        let sql = format!("SELECT * FROM ticks WHERE {predicate}");
        let days = ["2026-03-05", "2026-03-06", "2026-03-07", "2026-03-08"].map(day);
        let kept = scans_of(&sql)[0].kept_count(&days, day("2026-11-22"));
        assert_eq!(kept, expected, "{sql}");
    };
    check("year = 2026", 4);
    check("month = 3 AND token = 'BTC'", 4);
    check("token = 'BTC'", 4);
    check("day >= 6", 3);
    check("day = 7", 1);
    // A value that only the engine computes counts as that of another day.
    check("day = day(date_add('day', -1, current_date))", 0);
    check("year = year(current_date)", 4);
    check("year = 2025", 0);
}
