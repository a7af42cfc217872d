//! Headers, values, places and refusals.

use proptest::prelude::*;

use super::*;

/// 2026-03-08T00:00:00Z.
const NOW_MS: i64 = 1_772_928_000_000;

const CANDLES: &str = "\
-- Candles of one token.
-- A row is an interval.
--
-- @param token       token                The token
-- @param quote       varchar   = 'USDC'   What prices are in
-- @param from        timestamp            First moment
-- @param to          timestamp = now      End, not included
-- @param interval_s  bigint    = 60       Seconds
-- @days from to
SELECT ':token' AS a, ts / :interval_s -- :nothing
FROM price_history WHERE :days AND token = :token AND ts >= :from AND ts < :to AND quote = :quote;
";

fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn the_header_tells_what_a_query_takes() {
    let query = Query::parse(CANDLES).unwrap();
    assert_eq!(query.title, "Candles of one token.");
    assert_eq!(query.notes, ["A row is an interval."]);
    let told: Vec<_> = query.parameters.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "token (token)",
            "quote (varchar, USDC)",
            "from (timestamp)",
            "to (timestamp, now)",
            "interval_s (bigint, 60)",
        ]
    );
}

#[test]
fn values_stand_in_the_order_of_their_marks() {
    let query = Query::parse(CANDLES).unwrap();
    let given = given(&[("token", "BTC"), ("from", "2026-03-07")]);
    let bound = query.bind(&given, NOW_MS).unwrap();
    assert_eq!(
        bound.sql,
        "SELECT ':token' AS a, ts / ? -- :nothing\n\
         FROM price_history WHERE (year = 2026 AND month = 3 AND day = 7) AND token = ? \
         AND ts >= ? AND ts < ? AND quote = ?"
    );
    assert_eq!(
        bound.values,
        [
            Value::Bigint(60),
            Value::Varchar("BTC".to_owned()),
            Value::Bigint(NOW_MS - 86_400_000),
            Value::Bigint(NOW_MS),
            Value::Varchar("USDC".to_owned()),
        ]
    );
}

#[test]
fn a_place_in_the_statement_is_one_in_the_text() {
    let query = Query::parse(CANDLES).unwrap();
    let given = given(&[("token", "BTC"), ("from", "2026-03-07")]);
    let bound = query.bind(&given, NOW_MS).unwrap();
    let lines: Vec<&str> = CANDLES.lines().collect();
    let check = |needle: &str, expected: &str| {
        let (number, line) = bound
            .sql
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains(needle))
            .unwrap();
        let place = bound.origins.of(Place {
            line: number as u64 + 1,
            column: line.find(needle).unwrap() as u64 + 1,
        });
        let source = lines[usize::try_from(place.line).unwrap() - 1];
        let column = usize::try_from(place.column).unwrap() - 1;
        assert!(
            source[column..].starts_with(expected),
            "{needle}: {place:?}"
        );
    };
    check("SELECT", "SELECT");
    check("ts / ", "ts / ");
    check("? --", ":interval_s");
    check("FROM", "FROM");
    check("month", ":days");
    check("token = ?", "token = :token");
    check("quote = ?", "quote = :quote");
}

#[test]
fn a_text_without_a_header_takes_what_it_names() {
    let query = Query::parse("SELECT :a, :b, :c, :d, x::bigint FROM t WHERE :days").unwrap();
    let given = given(&[
        ("a", "7"),
        ("b", "1.5"),
        ("c", "true"),
        ("d", "seven"),
        ("from", "2026-03-07"),
        ("to", "now"),
    ]);
    let bound = query.bind(&given, NOW_MS).unwrap();
    assert_eq!(
        bound.sql,
        "SELECT ?, ?, ?, ?, x::bigint FROM t WHERE (year = 2026 AND month = 3 AND day = 7)"
    );
    assert_eq!(
        bound.values,
        [
            Value::Bigint(7),
            Value::Double(1.5),
            Value::Boolean(true),
            Value::Varchar("seven".to_owned()),
        ]
    );
}

#[test]
fn what_does_not_fit_is_told_with_what_there_is() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let query = Query::parse(CANDLES).unwrap();
        let error = query.bind(&given(pairs), NOW_MS).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let takes = "this query takes token (token), quote (varchar, USDC), from (timestamp), to (timestamp, now), interval_s (bigint, 60)";
    check(
        &[("tokn", "BTC")],
        &format!("no parameter `tokn` (did you mean `token`?); {takes}"),
    );
    check(
        &[("token", "BTC")],
        &format!("`from` is missing: give --param from=VALUE (a timestamp); {takes}"),
    );
    check(
        &[("token", "BTC"), ("token", "ETH")],
        "`token` is given twice",
    );
    check(
        &[("token", "BTC"), ("from", "0"), ("interval_s", "soon")],
        &format!(
            "`interval_s` is a bigint, which `soon` is not: a whole number is expected; {takes}"
        ),
    );
}

#[test]
fn a_symbol_is_its_mint_unless_it_is_told_to_be_a_name() {
    let query = Query::parse("-- @param token token\nSELECT :token").unwrap();
    let bound = query.bind(&given(&[("token", "sol")]), NOW_MS).unwrap();
    assert_eq!(
        bound.values,
        [Value::Varchar(domain::aliases::SOL_MINT.to_owned())]
    );
    assert!(
        bound.notes[0].contains("token:varchar=sol"),
        "{:?}",
        bound.notes
    );
    let bound = query
        .bind(&given(&[("token:varchar", "SOL")]), NOW_MS)
        .unwrap();
    assert_eq!(bound.values, [Value::Varchar("SOL".to_owned())]);
    assert!(bound.notes.is_empty());
}

#[test]
fn headers_that_do_not_fit_are_refused_with_their_line() {
    let check = |text: &str, expected: &str| {
        assert_eq!(Query::parse(text).unwrap_err().to_string(), expected);
    };
    check(
        "-- a\n-- @parm x bigint\nSELECT 1",
        "line 2: `@parm` is not known: write @param or @days",
    );
    check(
        "-- @param x number\nSELECT :x",
        "line 1: `number` is no type: token, varchar, bigint, double, boolean, timestamp",
    );
    check(
        "-- @param x\nSELECT :x",
        "line 1: write `@param NAME TYPE = DEFAULT  What it is`",
    );
    check(
        "-- @param x bigint = soon\nSELECT :x",
        "line 1: the default of `x` is no bigint: a whole number is expected",
    );
    check(
        "-- @param x bigint\n-- @param x double\nSELECT :x",
        "line 2: `x` is declared twice",
    );
    check(
        "-- @param x bigint\nSELECT :y",
        "line 2: `:y` is not declared: add a line `-- @param y TYPE`",
    );
    check(
        "-- @param x bigint\nSELECT 1",
        "`x` is declared and stands nowhere in the query",
    );
    check(
        "-- @param x bigint\nSELECT :x FROM t WHERE :days",
        "line 2: `:days` needs a line `-- @days FROM TO` with the names of two timestamps",
    );
    check(
        "-- @param x bigint\n-- @days x y\nSELECT :x",
        "line 2: @days takes two timestamps that are declared above it",
    );
    check(
        "SELECT\n ?",
        "line 2: write `:name` for a value, and give it as --param name=VALUE; `?` has none",
    );
}

/// Every built-in query is sound, tells what it is for, and is narrowed by day.
#[test]
fn the_built_in_queries_are_sound() {
    assert!(names().len() >= 13, "{:?}", names());
    for name in names() {
        let query = Query::parse(&text(&name).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(query.title.ends_with('.'), "{name}: {}", query.title);
        let undescribed = query.parameters.iter().find(|p| p.description.is_empty());
        assert!(undescribed.is_none(), "{name}: {undescribed:?}");
        let given: Vec<_> = query
            .parameters
            .iter()
            .filter(|parameter| parameter.default.is_none())
            .map(|parameter| {
                let value = if parameter.kind == Kind::Timestamp {
                    "2026-03-07"
                } else {
                    "1"
                };
                (parameter.name.clone(), value.to_owned())
            })
            .collect();
        let bound = query
            .bind(&given, NOW_MS)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let reading = local::sql::scans(&bound.sql, &bound.values)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", bound.sql));
        assert!(
            reading
                .scans
                .iter()
                .all(local::sql::ArchiveScan::is_narrowed),
            "{name}"
        );
    }
}

proptest! {
    /// Whatever a value is, it goes beside the statement, never into it.
    #[test]
    fn no_value_reaches_the_statement(value in "(?s).{0,40}|[':;\\-?\" ]{1,9}") {
        let query = Query::parse("-- @param a varchar\nSELECT :a, ':a' FROM t").unwrap();
        let bound = query.bind(&given(&[("a", &value)]), NOW_MS).unwrap();
        prop_assert_eq!(bound.sql.as_str(), "SELECT ?, ':a' FROM t");
        prop_assert_eq!(&bound.values, &vec![Value::Varchar(value.clone())]);
        // And where it must be written into it, it is one literal there.
        let rendered = in_place_of_marks(&bound.sql, &bound.values);
        let expected = format!("SELECT '{}', ':a' FROM t", value.replace('\'', "''"));
        prop_assert_eq!(rendered, expected);
    }
}
