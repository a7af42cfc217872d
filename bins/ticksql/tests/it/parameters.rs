//! Named queries and their parameters.

use crate::world::{World, tick};

/// The days of the archive that the tests query.
const RANGE: [&str; 4] = ["-p", "from=2026-03-07", "-p", "to=2026-03-08"];

#[test]
fn a_named_query_runs_with_its_defaults() {
    let world = World::new();
    let args = [&["run", "candles", "-p", "token=BTC"][..], &RANGE].concat();
    assert_eq!(
        world.rows(&args),
        "USD,2026-03-07T00:00:00,39432.48,39432.48,39432.48,39432.48,0.5,1\n\
         USD,2026-03-07T00:02:00,39500.0,39500.0,39500.0,39500.0,1.25,1\n"
    );
    let args = [&args[..], &["-p", "interval_s=3600"]].concat();
    assert_eq!(
        world.rows(&args),
        "USD,2026-03-07T00:00:00,39432.48,39500.0,39432.48,39500.0,1.75,2\n"
    );
}

#[test]
fn statements_take_parameters_too() {
    let world = World::new();
    let query = "SELECT token, price FROM ticks WHERE :days AND token = :token AND price > :least ORDER BY ts";
    let args = [
        &[query, "-p", "token=BTC", "-p", "least=39450.5"][..],
        &RANGE,
    ]
    .concat();
    assert_eq!(world.rows(&args), "BTC,39500.0\n");
    // A value is a value, whatever is in it.
    let evil = "x' OR '1'='1";
    let given = format!("t={evil}");
    let args = ["SELECT :t AS t, length(:t) AS n", "-p", &given];
    assert_eq!(world.rows(&args), format!("{evil},12\n"));
}

/// Editors write the mark in front of a file; without it, the header would not begin with `--`.
#[test]
fn a_byte_order_mark_in_front_of_a_query_is_skipped() {
    let world = World::new();
    let text = "\u{feff}-- @param n bigint = 4\nSELECT :n AS n\n";
    std::fs::write(world.path("marked.sql"), text).unwrap();
    assert_eq!(world.rows(&["marked.sql"]), "4\n");
    assert_eq!(world.rows(&["run", "marked.sql", "-p", "n=5"]), "5\n");
    assert_eq!(world.rows(&[text]), "4\n");
    assert!(
        world
            .answer(&["show", "marked.sql"])
            .starts_with("-- @param")
    );
    let (code, _, status) = world.run(&["explain", "marked.sql", "-p", "m=5"]);
    assert!(code == 2 && status.contains('n'), "{status}");
    let csv = ["--format", "csv", "-q"];
    for args in [&["-"][..], &["shell"]] {
        let (code, output, status) = world.run_with(&[args, &csv[..]].concat(), text);
        assert_eq!((code, output.as_str()), (0, "n\n4\n"), "{args:?}: {status}");
    }
    let wrong = "\u{feff}SELECT\n  nothing\n";
    let (_, _, status) = world.run(&[wrong]);
    assert!(status.contains("line 2, column 3"), "{status}");

    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(world.path("wide.sql"), utf_16).unwrap();
    let (code, _, status) = world.run(&["wide.sql"]);
    assert_eq!(code, 2, "{status}");
    assert!(
        status.contains("wide.sql") && status.contains("UTF-16 text, not UTF-8"),
        "{status}"
    );
}

#[test]
fn a_statement_that_begins_with_a_comment_is_an_argument() {
    let world = World::new();
    let statement = "-- hello\nSELECT 1 AS a";
    assert_eq!(world.rows(&[statement]), "1\n");
    assert_eq!(world.rows(&["run", statement]), "1\n");
    let (code, _, status) = world.run(&["explain", "-q", statement]);
    assert_eq!(code, 0, "{status}");
    let with_header = "-- @param n bigint = 4\nSELECT :n AS n";
    assert_eq!(world.rows(&[with_header, "-p", "n=6"]), "6\n");
    let (code, _, status) = world.run(&["-- hello"]);
    assert_eq!(code, 2, "{status}");
}

#[test]
fn every_type_keeps_its_type() {
    let world = World::new();
    let args = [
        "SELECT :a AS a, :b AS b, :c AS c, :d AS d, :a - 1 AS e",
        "-p",
        "a=-9223372036854775807",
        "-p",
        "b=-0.5",
        "-p",
        "c=true",
        "-p",
        "d:varchar=5",
        "-f",
        "json",
    ];
    let answer: serde_json::Value = serde_json::from_str(&world.answer(&args)).unwrap();
    let columns = answer["columns"].as_array().unwrap().iter();
    let types: Vec<&str> = columns
        .map(|column| column["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["bigint", "double", "boolean", "varchar", "bigint"]);
    assert_eq!(
        answer["rows"],
        serde_json::json!([{"a": -i64::MAX, "b": -0.5, "c": true, "d": "5", "e": i64::MIN}])
    );
}

#[test]
fn what_does_not_fit_is_refused_with_what_would_fit() {
    let world = World::new();
    let check = |args: &[&str], part: &str| {
        let (code, output, status) = world.run(args);
        assert_eq!((code, output.as_str()), (2, ""), "{args:?}: {status}");
        assert!(status.contains(part), "{args:?}: {status}");
    };
    check(
        &["run", "candles"],
        "`token` is missing: pass --param token=VALUE (a token); this query takes token (token), quote",
    );
    check(
        &["run", "candles", "-p", "tokn=BTC"],
        "no parameter `tokn`: did you mean `token` or `to`?",
    );
    check(
        &["run", "candles", "-p", "token=BTC", "-p", "from=yesterday"],
        "`yesterday` is not a valid timestamp for `from`",
    );
    check(
        &["run", "candles", "-p", "token=BTC", "-p", "token=ETH"],
        "`token` is given twice",
    );
    check(&["run", "candles", "-p", "token"], "write name=value");
    for (query, given, part) in [
        (
            "candles",
            "interval_s=0",
            "`interval_s` must be 1 to 31536000, not `0`",
        ),
        (
            "vwap",
            "interval_s=-60",
            "`interval_s` must be 1 to 31536000",
        ),
        (
            "volatility",
            "interval_s=9223372036854775807",
            "`interval_s` must be",
        ),
        ("gaps", "min_gap_s=0", "`min_gap_s` must be 1 to 31536000"),
        (
            "late_arrivals",
            "late_after_s=-1",
            "`late_after_s` must be 0 to 31536000",
        ),
        ("top_movers", "top=-1", "`top` must be at least 1, not `-1`"),
        (
            "top_movers",
            "min_ticks=0",
            "`min_ticks` must be at least 1",
        ),
        (
            "anomalies_around",
            "threshold=-0.5",
            "`threshold` must be at least 0",
        ),
        (
            "cohort_check",
            "percentage=200",
            "`percentage` must be 0 to 100",
        ),
        (
            "cohort_check",
            "key=nonsense",
            "`key` must be tick or token, not `nonsense`",
        ),
    ] {
        let mut args = vec!["run", query, "-p", given];
        let takes = |name: &str| !given.starts_with(name);
        if ["candles", "vwap", "anomalies_around"].contains(&query) {
            args.extend(["-p", "token=BTC"]);
        }
        if query == "cohort_check" && takes("percentage") {
            args.extend(["-p", "percentage=1"]);
        }
        args.extend(["-p", "from=2026-03-07"]);
        check(&args, part);
    }
    check(
        &["run", "candles", "-p", "token=BTC", "-p", "from=202603"],
        "one of eight a date (20260307)",
    );
    check(
        &[
            "SELECT 1 FROM ticks WHERE :days AND token = :t",
            "-p",
            "t:token=SOL",
            "-p",
            "from=now-1d",
            "-p",
            "to=now",
        ],
        "write `IN (:t)` at line 1, column 45",
    );
    check(
        &["SELECT 1", "-p", "a=1"],
        "no parameter `a` (this query takes no parameters)",
    );
    check(&["SELECT ?"], "write `:name`, and pass");
    check(
        &["run", "candels"],
        "no query `candels`: did you mean `candles`?",
    );
    check(&["show", "candels"], "did you mean `candles`?");
    check(&["run", "missing.sql"], "cannot read missing.sql");
}

/// Ticks of exchanges have a token's symbol, those of the chain have its mint.
#[test]
fn a_known_symbol_finds_ticks_of_its_name_and_of_its_mint() {
    const MINT: &str = domain::aliases::SOL_MINT;
    let check = |ticks: &[(&str, &str)], given: &str, expected: &str| {
        let minutes = (0..).zip(ticks);
        let ticks: Vec<_> = minutes
            .map(|(minute, (token, price))| tick(token, price, None, minute))
            .collect();
        let args = [
            &["run", "last_price", "-p", given, "-p", "from=2026-03-07"][..],
            &["-p", "at=2026-03-08"],
        ];
        let rows = World::of(&ticks).rows(&args.concat());
        let shown: Vec<String> = rows
            .lines()
            .map(|row| row.split(',').take(3).collect::<Vec<_>>().join(","))
            .collect();
        assert_eq!(shown.join(" "), expected, "{given}");
    };
    let both = format!("SOL,USD,84.5 {MINT},USD,85.5");
    check(&[("SOL", "84.5")], "token=SOL", "SOL,USD,84.5");
    check(&[(MINT, "85.5")], "token=SOL", &format!("{MINT},USD,85.5"));
    check(&[("SOL", "84.5"), (MINT, "85.5")], "token=sol", &both);
    check(
        &[("SOL", "84.5"), (MINT, "85.5")],
        "token:varchar=SOL",
        "SOL,USD,84.5",
    );
    check(
        &[("SOL", "84.5"), (MINT, "85.5")],
        &format!("token={MINT}"),
        &format!("{MINT},USD,85.5"),
    );
    check(
        &[("SOL", "84.5"), ("BTC", "1")],
        "token=",
        "BTC,USD,1.0 SOL,USD,84.5",
    );
}

#[test]
fn a_token_without_rows_is_named() {
    let world = World::new();
    let status = |args: &[&str]| {
        let (code, _, status) = world.run(&[args, &RANGE].concat());
        assert_eq!(code, 0, "{status}");
        status
    };
    let said = status(&["run", "candles", "-p", "token=btc"]);
    assert!(
        said.contains("note: no rows for `token` btc: names are case-sensitive"),
        "{said}"
    );
    let said = status(&["run", "candles", "-p", "token=BTC"]);
    assert!(!said.contains("note:"), "{said}");
    let said = status(&["-q", "run", "candles", "-p", "token=btc"]);
    assert_eq!(said, "");
}

/// One note is enough: the archive's days are not to blame.
#[test]
fn an_empty_range_does_not_blame_the_days() {
    let world = World::new();
    let args = [
        "run",
        "candles",
        "-p",
        "token=BTC",
        "-p",
        "from=2026-03-08",
        "-p",
        "to=2026-03-07",
    ];
    let (code, _, status) = world.run(&args);
    assert_eq!(code, 0, "{status}");
    assert!(
        status.contains("note: `from` is not before `to`"),
        "{status}"
    );
    assert_eq!(status.matches("note:").count(), 1, "{status}");
}

#[test]
fn a_year_and_a_date_are_times_and_other_small_numbers_are_not() {
    let world = World::new();
    let count = |from: &str, to: &str| {
        let args = [
            "SELECT count(*) AS n FROM ticks WHERE :days",
            "-p",
            from,
            "-p",
            to,
        ];
        world.rows(&args)
    };
    assert_eq!(count("from=2026", "to=20260308"), "3\n");
    assert_eq!(count("from=20260308", "to=2027"), "2\n");
}

#[test]
fn the_queries_are_listed_and_shown() {
    let world = World::new();
    let list = world.rows(&["list"]);
    assert!(
        list.contains("candles,") && list.contains("interval_s (bigint 1..31536000, 60)"),
        "{list}"
    );
    let list = world.answer(&["list"]);
    assert!(
        list.contains("\ncandles ") && list.contains("key (varchar tick|token, tick)"),
        "{list}"
    );
    world.answer(&["list", "-o", &world.path("list.jsonl")]);
    let list = std::fs::read_to_string(world.path("list.jsonl")).unwrap();
    assert!(list.starts_with("{\"name\":"), "{list}");
    let text = world.answer(&["show", "candles"]);
    assert!(
        text.starts_with("-- OHLCV") && text.contains(":interval_s"),
        "{text}"
    );
}
