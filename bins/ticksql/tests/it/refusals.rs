//! The guard, the limits, and every way to fail with its exit code.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::world::{FIRST_DAY, World, bare, numbers, outcome_of};

/// A query that takes minutes.
fn long() -> String {
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| numbers(2_000, name));
    format!(
        "SELECT sum((a.k + b.k) * (c.k + d.k) % 7) AS n \
         FROM {a} CROSS JOIN {b} CROSS JOIN {c} CROSS JOIN {d}"
    )
}

#[test]
fn an_archive_that_no_condition_narrows_is_not_read() {
    let world = World::new();
    let refused = |query: &str, part: &str| {
        let (code, output, status) = world.run(&["-f", "csv", query]);
        assert_eq!((code, output.as_str()), (3, ""), "{query}: {status}");
        assert!(
            status.contains(part) && status.contains("--full-scan"),
            "{query}: {status}"
        );
        let (code, ..) = world.run(&["-f", "csv", "--full-scan", query]);
        assert_eq!(code, 0, "{query}");
    };
    refused(
        "SELECT count(*) FROM ticks",
        "`ticks` at line 1, column 22 would be read",
    );
    refused(
        "SELECT count(*) FROM ticks WHERE token = 'BTC'",
        "add `year = … AND month = … AND day = …`",
    );
    refused(
        "SELECT 1 FROM ticks WHERE ts >= 1772841600000 AND ts < 1772928000000",
        "add `(year = 2026 AND month = 3 AND day = 7)`",
    );
    refused(
        "WITH t AS (SELECT * FROM price_history) SELECT 1 FROM t",
        "price_history",
    );
    refused(
        &format!("SELECT 1 FROM ticks WHERE {FIRST_DAY} UNION ALL SELECT 1 FROM price_archive"),
        "price_archive",
    );
    for condition in [
        "year IS NOT NULL",
        "day <= 30",
        "year > 2000",
        "abs(year) > 0",
        // The archive has only this year.
        "year = 2026",
        "year BETWEEN 2025 AND 2027 AND month < 12",
    ] {
        refused(
            &format!("SELECT count(*) FROM ticks WHERE {condition}"),
            "its conditions keep 2 of the 2 days that the archive has",
        );
    }
    let allowed = |query: &str| {
        let (code, _, status) = world.run(&["-f", "csv", query]);
        assert_eq!(code, 0, "{query}: {status}");
    };
    // A statement with a condition on the days is not advised to add one.
    let (_, _, status) = world.run(&["SELECT 1 FROM ticks WHERE year = 2026"]);
    assert!(
        status.contains("; query fewer days, or pass --full-scan"),
        "{status}"
    );
    allowed("SELECT 1");
    allowed("DESCRIBE ticks");
    allowed("SHOW TABLES");
    allowed("EXPLAIN SELECT * FROM ticks");
    allowed(
        "WITH t AS (SELECT * FROM ticks) SELECT count(*) FROM t WHERE year = 2026 AND month = 3",
    );
    allowed("SELECT count(*) FROM ticks WHERE year < 2026");
    allowed("SELECT count(*) FROM ticks WHERE year = 2026 AND day = 8");
    // A few named days are not a mistake, even if the archive has no others.
    allowed("SELECT count(*) FROM ticks WHERE year = 2026 AND month = 3 AND day IN (7, 8)");
}

/// The quarantine and the anomalies have days of their own; without any, the calendar is the measure.
#[test]
fn the_other_tables_are_measured_by_their_own_days() {
    let world = World::new();
    for (table, file) in [
        ("quarantine", "1-1.jsonl"),
        ("anomalies", "anomalies.parquet"),
    ] {
        let query = format!("SELECT count(*) FROM {table} WHERE year = 2026");
        let code = || world.run(&[&query]).0;
        assert_eq!(code(), 0, "{table}");
        let day = format!("{table}/year=2026/month=03/day=07");
        let day = world.data.path().join(day);
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join(file), "").unwrap();
        assert_eq!(code(), 3, "{table}");
    }
}

#[test]
fn explain_reports_what_would_be_read_without_reading_it() {
    let world = World::new();
    let query = format!("SELECT sum(price) FROM ticks WHERE {FIRST_DAY}");
    let text = world.answer(&["explain", &query]);
    for part in [
        "engine  local\n",
        "days    1 (2026-03-07)\n",
        "files   1\n",
        "bytes   at most ",
        "cost    none\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let whole = ["explain", "--plan", "SELECT sum(price) FROM ticks"];
    let (code, text, status) = world.run(&whole);
    assert_eq!(code, 3, "it would be refused: {status}");
    let (code, ..) = world.run(&[&whole[..], &["--full-scan"]].concat());
    assert_eq!(code, 0);
    for part in [
        "days    2 (2026-03-07 to 2026-03-08)",
        "refused all or most of `ticks` at line 1, column 24",
        "DataSourceExec",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = world.answer(&[
        "explain",
        "-f",
        "json",
        "candles",
        "-p",
        "token=BTC",
        "-p",
        "from=2026-03-08",
        "-p",
        "to=2026-03-20",
    ]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["days"], serde_json::json!(["2026-03-08"]));
    assert_eq!(
        (&json["files"], &json["refused"]),
        (&1.into(), &serde_json::Value::Null)
    );
}

/// The statement follows a word that the user did not write.
#[test]
fn a_plan_marks_an_error_where_it_is() {
    let world = World::new();
    let query = format!("SELECT tokn FROM ticks WHERE {FIRST_DAY}");
    let (code, _, status) = world.run(&["explain", "--plan", &query]);
    assert_eq!(code, 1, "{status}");
    assert!(status.contains("`tokn` at line 1, column 8"), "{status}");
    let two = format!("SELECT price,\n  tokn FROM ticks WHERE {FIRST_DAY}");
    // Only the plan finds this one.
    let failing = [&query, &two].map(|query| query.replace("tokn", "lpad(token, 9, 'x')"));
    for (query, place) in failing.iter().zip(["line 1, column 8", "line 2, column 3"]) {
        let (code, _, status) = world.run(&["explain", "--plan", query]);
        assert_eq!(code, 1, "{status}");
        assert!(status.contains(place), "{status}");
    }
}

#[test]
fn explain_and_show_obey_format_and_output() {
    let world = World::new();
    let query = format!("SELECT sum(price) FROM ticks WHERE {FIRST_DAY}");
    let file = |name: &str, args: &[&str]| {
        let path = world.path(name);
        let output = world.answer(&[args, &["-o", &path]].concat());
        assert_eq!(output, "", "{args:?}");
        fs::read_to_string(path).unwrap()
    };
    let explain = ["explain", query.as_str()];
    assert!(file("a.txt", &explain).starts_with("engine  local\n"));
    assert!(file("a.json", &explain).contains("\"above_max_scan\":false"));
    let csv = file("a.csv", &explain);
    assert!(
        csv.starts_with("engine,days,files,bytes_max,") && csv.contains("\nlocal,2026-03-07,1,"),
        "{csv}"
    );
    let tsv = world.answer(&["explain", "-f", "tsv", &query]);
    assert!(tsv.contains("\nlocal\t2026-03-07\t1\t"), "{tsv}");
    assert!(file("candles.sql", &["show", "candles"]).starts_with("-- OHLCV"));
}

#[test]
fn an_option_that_a_command_would_ignore_is_refused() {
    let world = World::new();
    for (args, part) in [
        (
            &["show", "candles", "-f", "json"][..],
            "`show` does not take --format",
        ),
        (&["list", "--chart"], "`list` does not take --chart"),
        (
            &["history", "--html", "x.html"],
            "`history` does not take --html",
        ),
        (
            &["explain", "--chart", "candles"],
            "`explain` does not take --chart",
        ),
        (
            &["cancel", "q1", "-o", "x"],
            "`cancel` does not take --output",
        ),
        (
            &["shell", "--html", "x.html"],
            "`shell` does not take --html",
        ),
        (
            &["shell", "-f", "parquet"],
            "a Parquet file holds one answer",
        ),
        (
            &["shell", "-o", "x.parquet"],
            "a Parquet file holds one answer",
        ),
    ] {
        let (code, output, status) = world.run(args);
        assert_eq!((code, output.as_str()), (2, ""), "{args:?}: {status}");
        assert!(status.contains(part), "{args:?}: {status}");
    }
}

/// The limit may be within a character.
#[test]
fn a_text_that_is_too_long_is_reported_as_such() {
    let world = World::new();
    for padding in ["", "x"] {
        let text = format!("SELECT '{padding}{}'", "é".repeat(140_000));
        fs::write(world.path("long.sql"), text).unwrap();
        let (code, _, status) = world.run(&["long.sql"]);
        assert_eq!(code, 2, "{status}");
        assert!(status.contains("at most 262144 bytes"), "{status}");
    }
}

#[test]
fn a_query_that_may_read_too_much_is_refused_before_it_runs() {
    let world = World::new();
    let query = format!("SELECT sum(price) FROM ticks WHERE {FIRST_DAY}");
    let (code, output, status) = world.run(&["--max-scan", "1kB", &query]);
    assert_eq!((code, output.as_str()), (3, ""), "{status}");
    assert!(
        status.contains("in 1 file of 1 day, more than the 1.0 kB of --max-scan"),
        "{status}"
    );
    let (code, ..) = world.run(&["--max-scan", "1MB", &query]);
    assert_eq!(code, 0);
    let (code, _, status) = world.run(&["--max-scan", "much", &query]);
    assert_eq!(code, 2);
    assert!(status.contains("2GB"), "{status}");
}

#[test]
fn failures_have_their_exit_code_and_leave_standard_output_empty() {
    let world = World::new();
    let check = |args: &[&str], expected: i32, part: &str| {
        let (code, output, status) = world.run(args);
        assert_eq!(
            (code, output.as_str()),
            (expected, ""),
            "{args:?}: {status}"
        );
        assert!(status.contains(part), "{args:?}: {status}");
    };
    check(
        &[&format!("SELECT\n  tokn FROM ticks WHERE {FIRST_DAY}")],
        1,
        "no column `tokn` at line 2, column 3: did you mean `token`?\n  2 |   tokn FROM ticks WHERE",
    );
    check(&["SELEC 1"], 1, "syntax error at line 1, column 1");
    check(&["DROP TABLE ticks"], 3, "read only");
    check(
        &["SELECT * FROM tics WHERE year = 2026"],
        1,
        "no table `tics`",
    );
    check(&["--timeout", "0", "SELECT 1"], 2, "invalid value '0'");
    check(&["--engine", "local", "init"], 2, "what Athena needs");
    check(&[""], 2, "no statement");
    check(&["-"], 2, "no statement");
    check(&["--format", "xml", "SELECT 1"], 2, "invalid value 'xml'");
    check(
        &["--max-rows", "0", "SELECT 1"],
        2,
        "invalid value '0' for '--max-rows <N>': write a whole number of at least 1",
    );
    check(
        &["--engine", "mysql", "SELECT 1"],
        2,
        "invalid value 'mysql'",
    );
    check(&["cancel", "some-id"], 2, "cannot be cancelled from here");
    check(&["SELECT 1", "list"], 2, "not both");
    check(
        &["--data-dir", "/nowhere", "SELECT 1"],
        2,
        "no archive at /nowhere/price-archive",
    );
    let (code, _, status) = outcome_of(&bare(world.home.path(), &["SELECT 1"]).output().unwrap());
    assert_eq!(code, 2, "{status}");
}

/// A condition that fails on a value is not a fault of the file.
#[test]
fn a_condition_that_fails_is_a_failure_of_the_query() {
    let world = World::new();
    let check = |args: &[&str], part: &str| {
        let (code, output, status) = world.run(args);
        assert_eq!((code, output.as_str()), (1, ""), "{args:?}: {status}");
        assert!(
            status.contains(part) && !status.contains("Parquet"),
            "{args:?}: {status}"
        );
    };
    let query =
        |condition: &str| format!("SELECT price FROM ticks WHERE {FIRST_DAY} AND {condition}");
    check(
        &[&query("CAST(token AS bigint) > 1")],
        "'BTC' cannot be cast to bigint",
    );
    check(&[&query("1 / (ts - ts) = 1")], "Divide by zero error");
    // Refused before it runs: Athena converts no text.
    check(
        &[&query("token = 123")],
        "cannot compare varchar with integer",
    );
    check(
        &[&query("token = :t"), "-p", "t=123"],
        "cannot compare varchar with bigint",
    );
    let found = world.rows(&[&query("token = :t"), "-p", "t:varchar=123"]);
    assert_eq!(found, "");
}

#[test]
fn an_unknown_function_is_reported_as_such() {
    let world = World::new();
    let check = |query: &str, expected: &str| {
        let (code, _, status) = world.run(&[query]);
        assert_eq!(code, 1, "{query}: {status}");
        assert!(status.contains(expected), "{query}: {status}");
    };
    check(
        "SELECT try(1 / 0)",
        "no function `try` (write a condition, nullif or try_cast) at line 1, column 8",
    );
    check(
        "SELECT lpad('a', 9, 'b')",
        "`lpad` is disabled (one call could use all memory) at line 1, column 8",
    );
    check(
        "SELECT date_trunk('day', now())",
        "did you mean `date_trunc`",
    );
    check(
        "SELECT price + token FROM ticks WHERE year = 2026 AND month = 3",
        "double + varchar",
    );
}

/// A position is reported as in the file, with its header and its placeholders.
#[test]
fn an_error_points_into_the_file() {
    let world = World::new();
    let text = "-- @param from timestamp\n-- @param to timestamp\n-- @days from to\nSELECT price\nFROM ticks WHERE :days AND tokn = 'x'\n";
    fs::write(world.path("wrong.sql"), text).unwrap();
    let args = ["wrong.sql", "-p", "from=2026-01-15", "-p", "to=2026-03-20"];
    let (code, _, status) = world.run(&args);
    assert_eq!(code, 1);
    assert!(
        status.contains(
            "  5 | FROM ticks WHERE :days AND tokn = 'x'\n    |                            ^\n"
        ),
        "{status}"
    );
    assert!(
        status.contains("wrong.sql: no column `tokn` at line 5, column 28"),
        "{status}"
    );
}

#[test]
fn a_cut_file_is_named() {
    let world = World::new();
    let day = world
        .data
        .path()
        .join("price-archive/year=2026/month=03/day=07");
    let file = fs::read_dir(&day).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let (code, output, status) =
        world.run(&[&format!("SELECT sum(price) FROM ticks WHERE {FIRST_DAY}")]);
    assert_eq!((code, output.as_str()), (5, ""), "{status}");
    assert!(
        status.contains(file.to_str().unwrap()) && status.contains("move it out"),
        "{status}"
    );
    let other =
        world.rows(&["SELECT count(*) FROM ticks WHERE year = 2026 AND month = 3 AND day = 8"]);
    assert_eq!(other, "2\n");
    // This query does not read the corrupt file.
    let failing =
        "SELECT price FROM ticks WHERE year = 2026 AND month = 3 AND day = 8 AND token = 5";
    let (code, _, status) = world.run(&[failing]);
    assert_eq!(code, 1, "{status}");
    assert!(!status.contains(file.to_str().unwrap()), "{status}");
}

fn stopped_by(signal: &str) -> (i32, String, String) {
    let world = World::new();
    let mut command = world.command(&["-o", "out.csv", &long()]);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It listens for signals before it has a file, and then runs for minutes.
    while files_left(&world).is_empty() {
        assert!(process.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = Command::new("kill")
        .args([signal, &process.id().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let outcome = outcome_of(&process.wait_with_output().unwrap());
    let left = files_left(&world);
    assert!(left.is_empty(), "{left:?}");
    outcome
}

/// The answer's file, and the one that becomes it.
fn files_left(world: &World) -> Vec<OsString> {
    let left = fs::read_dir(world.home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    left.filter(|name| name.to_string_lossy().contains("out.csv"))
        .collect()
}

#[test]
fn signals_and_the_clock_stop_a_query() {
    let (code, output, status) = stopped_by("-INT");
    assert_eq!((code, output.as_str()), (130, ""), "{status}");
    assert!(status.contains("interrupted"), "{status}");
    let (code, _, status) = stopped_by("-TERM");
    assert_eq!(code, 143, "{status}");
    let world = World::new();
    let started = Instant::now();
    let (code, _, status) = world.run(&["--timeout", "1", &long()]);
    assert_eq!(code, 4, "{status}");
    assert!(status.contains("stopped after 1 s"), "{status}");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn help_names_the_tables_and_the_exit_codes() {
    let world = World::new();
    let output = world.answer(&["--help"]);
    for part in [
        "price_history",
        "--max-rows",
        "Exit code",
        "--full-scan",
        "--chart",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
    assert!(!output.contains("HOME"), "{output}");
}
