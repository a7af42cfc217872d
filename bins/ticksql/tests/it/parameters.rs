//! Named queries and their parameters.

use crate::made::World;

/// The days of the archive that the tests ask for.
const RANGE: [&str; 4] = ["-p", "from=2026-03-07", "-p", "to=2026-03-08"];

#[test]
fn a_named_query_runs_with_its_defaults() {
    let world = World::new();
    let args = [&["run", "candles", "-p", "token=BTC"][..], &RANGE].concat();
    assert_eq!(
        world.rows(&args),
        "USD,1772841600000,39432.48,39432.48,39432.48,39432.48,0.5,1\n\
         USD,1772841720000,39500.0,39500.0,39500.0,39500.0,1.25,1\n"
    );
    let args = [&args[..], &["-p", "interval_s=3600"]].concat();
    assert_eq!(
        world.rows(&args),
        "USD,1772841600000,39432.48,39500.0,39432.48,39500.0,1.75,2\n"
    );
}

#[test]
fn parameters_stand_in_statements_too() {
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

#[test]
fn every_type_keeps_its_type() {
    let world = World::new();
    let query = "SELECT arrow_typeof(:a) AS a, arrow_typeof(:b) AS b, arrow_typeof(:c) AS c, arrow_typeof(:d) AS d, :a - 1 AS e";
    let args = [
        query,
        "-p",
        "a=-9223372036854775807",
        "-p",
        "b=-0.5",
        "-p",
        "c=true",
        "-p",
        "d:varchar=5",
    ];
    assert_eq!(
        world.rows(&args),
        "Int64,Float64,Boolean,Utf8,-9223372036854775808\n"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_what_there_is() {
    let world = World::new();
    let check = |args: &[&str], part: &str| {
        let (code, output, status) = world.run(args);
        assert_eq!((code, output.as_str()), (2, ""), "{args:?}: {status}");
        assert!(status.contains(part), "{args:?}: {status}");
    };
    check(
        &["run", "candles"],
        "`token` is missing: give --param token=VALUE (a token); this query takes token (token), quote",
    );
    check(
        &["run", "candles", "-p", "tokn=BTC"],
        "no parameter `tokn` (did you mean `token`?)",
    );
    check(
        &["run", "candles", "-p", "token=BTC", "-p", "from=yesterday"],
        "`from` is a timestamp, which `yesterday` is not",
    );
    check(
        &["run", "candles", "-p", "token=BTC", "-p", "token=ETH"],
        "`token` is given twice",
    );
    check(&["run", "candles", "-p", "token"], "write name=value");
    check(
        &["SELECT 1", "-p", "a=1"],
        "no parameter `a`; this query takes no parameters",
    );
    check(&["SELECT ?"], "write `:name` for a value");
    check(
        &["run", "candels"],
        "there is no query `candels` (did you mean `candles`?)",
    );
    check(&["show", "candels"], "did you mean `candles`?");
    check(&["run", "missing.sql"], "missing.sql cannot be read");
}

#[test]
fn the_queries_are_listed_and_shown() {
    let world = World::new();
    let list = world.rows(&["list"]);
    assert!(
        list.contains("candles,") && list.contains("interval_s (bigint, 60)"),
        "{list}"
    );
    let list = world.answer(&["list"]);
    assert!(
        list.contains("\ncandles ") && list.contains("interval_s (bigint, 60)"),
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
