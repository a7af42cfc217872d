//! `ticksql` as a process, on an archive made for the test.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};
use local::archive::Archive;

/// 2026-03-07T00:00:00Z.
const DAY_MS: i64 = 1_772_841_600_000;

fn tick(token: &str, price: &str, volume: Option<&str>, number: i64) -> Tick {
    Tick {
        tick_id: TickId::derive("test", &[&number.to_string()]),
        token: Token::new(token).unwrap(),
        quote: Token::new("USD").unwrap(),
        price: Price::parse(price).unwrap(),
        volume: volume.map(|volume| Volume::parse(volume).unwrap()),
        timestamp_ms: DAY_MS + number * 60_000,
        ingested_at_ms: DAY_MS + number * 60_000 + 5,
        source: SourceName::new("test:market").unwrap(),
        slot: None,
        method: Method::Trade,
    }
}

fn archive() -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let ticks = [
        tick("BTC", "39432.48", Some("0.5"), 0),
        tick("ETH", "2500", None, 1),
        tick("BTC", "39500", Some("1.25"), 2),
    ];
    Archive::open(data.path())
        .unwrap()
        .write_range(0, 0, 2, &ticks)
        .unwrap();
    data
}

fn ticksql(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticksql"));
    command
        .arg("--data-dir")
        .arg(data)
        .args(args)
        .stdin(Stdio::null());
    command
}

fn run(data: &Path, args: &[&str]) -> (i32, String, String) {
    told(&ticksql(data, args).output().unwrap())
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

const PRICES: &str = "SELECT token, price, volume, '' AS note FROM ticks ORDER BY time";

#[test]
fn each_format_shows_the_same_rows() {
    let data = archive();
    let check = |format: &str, expected: &str| {
        let (code, output, status) = run(data.path(), &["--format", format, PRICES]);
        assert_eq!((code, output.as_str()), (0, expected), "{format}: {status}");
        assert!(
            status.starts_with("3 rows in ") && status.contains(", 1 file, "),
            "{status}"
        );
    };
    check(
        "table",
        "\
┌───────┬──────────┬────────┬──────┐
│ token ┆    price ┆ volume ┆ note │
╞═══════╪══════════╪════════╪══════╡
│ BTC   ┆ 39432.48 ┆    0.5 ┆      │
│ ETH   ┆   2500.0 ┆   NULL ┆      │
│ BTC   ┆  39500.0 ┆   1.25 ┆      │
└───────┴──────────┴────────┴──────┘
",
    );
    check(
        "csv",
        "token,price,volume,note\nBTC,39432.48,0.5,\"\"\nETH,2500.0,,\"\"\nBTC,39500.0,1.25,\"\"\n",
    );
    check(
        "jsonl",
        "{\"token\":\"BTC\",\"price\":39432.48,\"volume\":0.5,\"note\":\"\"}\n\
         {\"token\":\"ETH\",\"price\":2500.0,\"volume\":null,\"note\":\"\"}\n\
         {\"token\":\"BTC\",\"price\":39500.0,\"volume\":1.25,\"note\":\"\"}\n",
    );
}

#[test]
fn json_is_one_object_with_the_columns() {
    let data = archive();
    let query = "SELECT token, count(*) AS n FROM ticks GROUP BY token ORDER BY token";
    let (code, output, _) = run(data.path(), &["--format", "json", query]);
    let answer: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(code, 0);
    assert_eq!(
        answer["columns"][1],
        serde_json::json!({"name": "n", "type": "bigint"})
    );
    assert_eq!(
        answer["rows"],
        serde_json::json!([{"token": "BTC", "n": 2}, {"token": "ETH", "n": 1}])
    );
    assert_eq!(
        (&answer["row_count"], &answer["truncated"]),
        (&2.into(), &false.into())
    );
}

#[test]
fn the_statement_may_come_from_standard_input() {
    let data = archive();
    for args in [&["--format", "csv", "-"][..], &["--format", "csv"]] {
        let mut command = ticksql(data.path(), args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let query = b"-- how many\nSELECT count(*) AS n\nFROM ticks;\n";
        process.stdin.take().unwrap().write_all(query).unwrap();
        let (code, output, _) = told(&process.wait_with_output().unwrap());
        assert_eq!((code, output.as_str()), (0, "n\n3\n"), "{args:?}");
    }
}

#[test]
fn a_cut_answer_says_so_on_standard_error_only() {
    let data = archive();
    let query = "SELECT token FROM ticks ORDER BY time";
    let (code, output, status) = run(data.path(), &["--format", "csv", "--max-rows", "2", query]);
    assert_eq!((code, output.as_str()), (0, "token\nBTC\nETH\n"));
    assert!(
        status.contains("2 rows") && status.contains("--max-rows"),
        "{status}"
    );
}

#[test]
fn no_rows_still_have_their_header() {
    let data = archive();
    let query = "SELECT token, price FROM ticks WHERE day = 8";
    let (code, output, status) = run(data.path(), &["--format", "csv", query]);
    assert_eq!((code, output.as_str()), (0, "token,price\n"));
    assert!(
        status.starts_with("0 rows") && status.contains("0 files"),
        "{status}"
    );
}

#[test]
fn failures_have_their_exit_code_and_leave_standard_output_empty() {
    let data = archive();
    let check = |args: &[&str], expected: i32, part: &str| {
        let (code, output, status) = run(data.path(), args);
        assert_eq!(
            (code, output.as_str()),
            (expected, ""),
            "{args:?}: {status}"
        );
        assert!(status.contains(part), "{args:?}: {status}");
    };
    check(
        &["SELECT tokn FROM ticks"],
        1,
        "no column `tokn` at line 1, column 8: did you mean `token`?",
    );
    check(&["SELEC 1"], 1, "syntax error at line 1, column 1");
    check(&["DROP TABLE ticks"], 1, "read only");
    check(
        &["--timeout", "0", "SELECT count(*) FROM ticks"],
        1,
        "stopped after 0 s",
    );
    check(&[""], 2, "no statement");
    check(&["-"], 2, "no statement");
    check(&["--format", "xml", "SELECT 1"], 2, "invalid value 'xml'");
    check(
        &["--data-dir", "/nowhere", "SELECT 1"],
        2,
        "cannot be used multiple times",
    );
    let (code, _, status) = run(Path::new("/nowhere"), &["SELECT 1"]);
    assert_eq!(code, 2);
    assert!(
        status.contains("no archive at /nowhere/price-archive"),
        "{status}"
    );
}

/// `ticksql … | head -1`: the reader goes before all is written.
#[test]
fn a_reader_that_leaves_is_no_failure() {
    let data = archive();
    let query =
        "SELECT value, 'a text that fills the pipe' AS text FROM generate_series(1, 300000)";
    let mut command = ticksql(
        data.path(),
        &["--format", "csv", "--max-rows", "300000", query],
    );
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(process.stdout.take());
    let (code, _, status) = told(&process.wait_with_output().unwrap());
    assert_eq!(code, 0, "{status}");
    assert!(!status.contains("panicked"), "{status}");
}

#[test]
fn help_names_the_tables_and_the_exit_codes() {
    let (code, output, _) = run(Path::new("."), &["--help"]);
    assert_eq!(code, 0);
    for part in ["price_history", "--max-rows", "Exit code"] {
        assert!(output.contains(part), "{part}: {output}");
    }
}
