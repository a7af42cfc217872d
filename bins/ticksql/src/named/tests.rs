//! Headers, values, positions and refusals.

use proptest::prelude::*;

use chrono::NaiveDate;
use query::{ArchiveScan, Position, Value};

use super::param_type::ParamType;
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
-- @param interval_s  bigint    = 60 [1..86400]  Seconds
-- @days from to
SELECT ':token' AS a, ts / :interval_s -- :nothing
FROM price_history WHERE :days AND token IN (:token) AND ts >= :from AND ts < :to AND quote = :quote;
";

fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn the_header_says_what_a_query_takes() {
    let query = Query::parse(CANDLES).unwrap();
    assert_eq!(query.title, "Candles of one token.");
    let shown: Vec<_> = query.parameters.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "token (token)",
            "quote (varchar, USDC)",
            "from (timestamp)",
            "to (timestamp, now)",
            "interval_s (bigint 1..86400, 60)",
        ]
    );
}

#[test]
fn values_are_in_the_order_of_their_placeholders() {
    let query = Query::parse(CANDLES).unwrap();
    let given = given(&[("token", "BTC"), ("from", "2026-03-07")]);
    let bound = query.bind(&given, NOW_MS).unwrap();
    assert_eq!(
        bound.sql,
        "SELECT ':token' AS a, ts / ? -- :nothing\n\
         FROM price_history WHERE (year = 2026 AND month = 3 AND day = 7) AND token IN (?) \
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
fn a_position_in_the_statement_maps_to_one_in_the_text() {
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
        let position = bound.source_map.source_position(Position {
            line: number as u64 + 1,
            column: line.find(needle).unwrap() as u64 + 1,
        });
        let source = lines[usize::try_from(position.line).unwrap() - 1];
        let column = usize::try_from(position.column).unwrap() - 1;
        assert!(
            source[column..].starts_with(expected),
            "{needle}: {position:?}"
        );
    };
    check("SELECT", "SELECT");
    check("ts / ", "ts / ");
    check("? --", ":interval_s");
    check("FROM", "FROM");
    check("month", ":days");
    check("token IN", "token IN (:token)");
    check("?) AND", ":token) AND");
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
fn a_wrong_value_is_reported_with_the_parameters() {
    let check = |pairs: &[(&str, &str)], expected: &str| {
        let query = Query::parse(CANDLES).unwrap();
        let error = query.bind(&given(pairs), NOW_MS).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let takes = "this query takes token (token), quote (varchar, USDC), from (timestamp), to (timestamp, now), interval_s (bigint 1..86400, 60)";
    check(
        &[("tokn", "BTC")],
        &format!("no parameter `tokn`: did you mean `token` or `to`? ({takes})"),
    );
    check(
        &[("token", "BTC")],
        &format!("`from` is missing: pass --param from=VALUE (a timestamp); {takes}"),
    );
    check(
        &[("token", "BTC"), ("token", "ETH")],
        "`token` is given twice",
    );
    check(
        &[("token", "BTC"), ("from", "2026"), ("interval_s", "soon")],
        &format!("`soon` is not a valid bigint for `interval_s`: expected a whole number; {takes}"),
    );
    for interval_s in ["0", "-60", "86401", "9223372036854775807"] {
        check(
            &[
                ("token", "BTC"),
                ("from", "2026"),
                ("interval_s", interval_s),
            ],
            &format!("`interval_s` must be 1 to 86400, not `{interval_s}`; {takes}"),
        );
    }
}

#[test]
fn a_known_symbol_matches_its_mint_too_unless_it_is_a_varchar() {
    const MINT: &str = domain::aliases::SOL_MINT;
    let query =
        "-- @param t token\nSELECT :t FROM x WHERE a NOT IN (:t, 'x') AND (:t = '' OR b IN (:t))";
    let check = |pair: (&str, &str), names: &[&str]| {
        let bound = Query::parse(query).unwrap();
        let bound = bound.bind(&given(&[pair]), NOW_MS).unwrap();
        let marks = vec!["?"; names.len()].join(", ");
        assert_eq!(
            bound.sql,
            format!("SELECT ? FROM x WHERE a NOT IN ({marks}, 'x') AND (? = '' OR b IN ({marks}))")
        );
        let alone = &[pair.1][..];
        let expected = [alone, names, alone, names].concat();
        let expected: Vec<_> = expected
            .iter()
            .map(|name| Value::Varchar((*name).to_owned()))
            .collect();
        assert_eq!(bound.values, expected);
        assert_eq!(bound.notes.len(), usize::from(names.len() > 1));
        bound.notes.concat()
    };
    let note = check(("t", "SOL"), &["SOL", MINT]);
    assert_eq!(
        note,
        format!(
            "`t` matches SOL and the mint {MINT}; to match one of them alone, pass --param t:varchar=NAME"
        )
    );
    let note = check(("t", "sol"), &["sol", "SOL", MINT]);
    assert!(note.contains("sol, SOL and"), "{note}");
    check(("t:varchar", "SOL"), &["SOL"]);
    check(("t", MINT), &[MINT]);
    check(("t", "BTC"), &["BTC"]);
    check(("t", ""), &[""]);
}

#[test]
fn a_token_is_not_compared_as_if_it_had_one_name() {
    let check = |text: &str, pairs: &[(&str, &str)], expected: &str| {
        let query = Query::parse(text).unwrap();
        let error = query.bind(&given(pairs), NOW_MS).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let expected = |column: u64| {
        format!(
            "`t` is a token, which can have two names (symbol and mint): write `IN (:t)` at line 2, column {column}"
        )
    };
    for sign in ["= ", "<>"] {
        let text = format!("-- @param t token\nSELECT 1 FROM x WHERE a{sign}:t");
        check(&text, &[("t", "BTC")], &expected(26));
    }
    let undeclared = "SELECT 1\nFROM x WHERE aa AND b = :t";
    check(undeclared, &[("t:token", "BTC")], &expected(25));
}

#[test]
fn requested_tokens_are_named_if_nothing_is_found() {
    let text = "-- @param token token\n-- @param quote token = ''\nSELECT 1 FROM x WHERE a IN (:token, :quote)";
    let query = Query::parse(text).unwrap();
    let note = |pairs: &[(&str, &str)]| query.bind(&given(pairs), NOW_MS).unwrap().note_on_tokens();
    let said = note(&[("token", "btc")]).unwrap();
    assert!(said.starts_with("no rows for `token` btc: "), "{said}");
    let said = note(&[("token", "BTC"), ("quote", "EUR")]).unwrap();
    assert!(said.contains("`token` BTC with `quote` EUR"), "{said}");
    assert_eq!(note(&[("token", "")]), None);
}

#[test]
fn an_empty_range_is_reported() {
    let query = Query::parse("SELECT 1 FROM t WHERE :days").unwrap();
    let bound = |from: &str, to: &str| {
        let given = given(&[("from", from), ("to", to)]);
        query.bind(&given, NOW_MS).unwrap()
    };
    let none = bound("now", "now-1h");
    assert!(
        none.range_is_empty && none.sql.ends_with("(1 = 0)"),
        "{none:?}"
    );
    assert_eq!(
        none.notes,
        ["`from` is not before `to`: the range is empty"]
    );
    let some = bound("now-1h", "now");
    assert!(!some.range_is_empty && some.notes.is_empty(), "{some:?}");
}

#[test]
fn invalid_headers_are_refused_with_their_line() {
    let check = |text: &str, expected: &str| {
        assert_eq!(Query::parse(text).unwrap_err().to_string(), expected);
    };
    check(
        "-- a\n-- @parm x bigint\nSELECT 1",
        "line 2: unknown tag `@parm`: write @param or @days",
    );
    check(
        "-- @param x number\nSELECT :x",
        "line 1: `number` is not a type: use token, varchar, bigint, double, boolean, timestamp",
    );
    check(
        "-- @param x\nSELECT :x",
        "line 1: write `@param NAME TYPE = DEFAULT [LOW..HIGH]  What it is`",
    );
    check(
        "-- @param x bigint = soon\nSELECT :x",
        "line 1: the default of `x` is not a valid bigint: expected a whole number",
    );
    check(
        "-- @param x bigint = 0 [1..9] X\nSELECT :x",
        "line 1: the default of `x` is not a valid bigint: expected 1 to 9",
    );
    check(
        "-- @param x bigint [few] X\nSELECT :x",
        "line 1: `[few]` is not a set of bigint values: write [LOW..HIGH], [LOW..] or [..HIGH] for a bigint or double, [ONE|OTHER] for a varchar",
    );
    check(
        "-- @param x bigint [1..9\nSELECT :x",
        "line 1: write `@param NAME TYPE = DEFAULT [LOW..HIGH]  What it is`",
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
        "`x` is declared and not used: remove its @param line",
    );
    check(
        "-- @param x bigint\nSELECT :x FROM t WHERE :days",
        "line 2: `:days` needs a line `-- @days FROM TO` with the names of two timestamps",
    );
    check(
        "-- @param x bigint\n-- @days x y\nSELECT :x",
        "line 2: @days needs the names of two timestamps declared above it",
    );
    check(
        "SELECT\n ?",
        "line 2: `?` has no name: write `:name`, and pass the value as --param name=VALUE",
    );
}

/// Every built-in query is valid, says what it is for, and is narrowed by day.
#[test]
fn the_built_in_queries_are_sound() {
    assert!(names().len() >= 13, "{:?}", names());
    for name in names() {
        let text = text(&name).unwrap();
        let query = Query::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(query.title.ends_with('.'), "{name}: {}", query.title);
        // A description begins with a capital letter, which nothing before it has.
        let mut params = text.lines().filter(|line| line.starts_with("-- @param"));
        let undescribed = params.find(|line| !line.contains(char::is_uppercase));
        assert_eq!(undescribed, None, "{name}");
        let given: Vec<_> = query
            .parameters
            .iter()
            .filter(|parameter| parameter.default.is_none())
            .map(|parameter| {
                let value = if parameter.kind == ParamType::Timestamp {
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
        let reads = query::archive_scans(&bound.sql, &bound.values)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", bound.sql));
        let now = chrono::DateTime::from_timestamp_millis(NOW_MS).unwrap();
        let today = now.date_naive();
        let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
        let days: Vec<_> = first.iter_days().take_while(|day| *day <= today).collect();
        let is_narrowed = |scan: &ArchiveScan| scan.kept_count(&days, today) * 2 <= days.len();
        assert!(reads.scans.iter().all(is_narrowed), "{name}");
        // A number without a bound could be zero or negative.
        let open = query.parameters.iter().find(|p| {
            matches!(p.kind, ParamType::Bigint | ParamType::Double) && p.constraint.is_none()
        });
        assert!(open.is_none(), "{name}: {open:?} needs [LOW..HIGH]");
    }
}

proptest! {
    /// A value is passed with the statement and never becomes a part of it.
    #[test]
    fn no_value_reaches_the_statement(value in "(?s).{0,40}|[':;\\-?\" ]{1,9}") {
        let query = Query::parse("-- @param a varchar\nSELECT :a, ':a' FROM t").unwrap();
        let bound = query.bind(&given(&[("a", &value)]), NOW_MS).unwrap();
        prop_assert_eq!(bound.sql.as_str(), "SELECT ?, ':a' FROM t");
        prop_assert_eq!(&bound.values, &vec![Value::Varchar(value.clone())]);
        // If it must be written into the statement, it is one literal there.
        let rendered = crate::statement::Statement::unparsed(&bound).rendered();
        let expected = format!("SELECT '{}', ':a' FROM t", value.replace('\'', "''"));
        prop_assert_eq!(rendered, expected);
    }
}
