//! Checks every file of `sql/` with sqlglot's parser for Athena's engine v3, since the emulator's Athena
//! is a different engine.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use integration::python;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize)]
struct Text {
    name: String,
    sql: String,
    kind: &'static str,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    name: String,
    problems: Vec<String>,
}

fn verdicts(texts: &[Text]) -> Vec<Verdict> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialect/athena.py");
    let mut checker = Command::new(python::tools().unwrap().python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = serde_json::to_vec(texts).unwrap();
    // Dropped at the end of the statement, which closes the checker's stdin.
    checker.stdin.take().unwrap().write_all(&input).unwrap();
    let output = checker.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "the checker ended with {}",
        output.status
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Replaces named parameters with execution parameters, as `ticksql` does for Athena.
fn with_parameters(sql: &str) -> String {
    let query: String = sql
        .lines()
        .filter(|line| !line.starts_with("--"))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut parts = query.split(':');
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = part.find(|c| !is_name(c)).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        text += match name {
            "days" => "(year = 2026 AND month = 3 AND day BETWEEN 1 AND 7)",
            _ => "?",
        };
        text += rest;
    }
    text
}

fn files(folder: &str, kind: &'static str, sql: fn(&str) -> String) -> Vec<Text> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql")).join(folder);
    let mut texts: Vec<Text> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| Text {
            name: path.display().to_string(),
            sql: sql(&fs::read_to_string(&path).unwrap()),
            kind,
        })
        .collect();
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!texts.is_empty(), "{} has files", folder.display());
    texts
}

#[test]
fn athena_accepts_every_file() {
    let mut texts = files("queries", "query", with_parameters);
    texts.extend(files("views", "view", str::to_owned));
    texts.extend(files("tables", "table", |sql| {
        sql.replace("{archive}", "s3://bucket/price-archive/")
            .replace("{quarantine}", "s3://bucket/quarantine/")
    }));
    let verdicts = verdicts(&texts);
    assert_eq!(verdicts.len(), texts.len());
    for verdict in verdicts {
        assert!(verdict.problems.is_empty(), "{verdict:?}");
    }
}

/// The local engine or DuckDB accepts each of these.
#[test]
fn unsupported_syntax_is_found() {
    let wrong = [
        "SELECT ts::bigint FROM price_archive",
        "SELECT date_bin(INTERVAL '1 minute', ts) FROM price_archive",
        "SELECT to_timestamp_millis(ts) FROM price_archive",
        "SELECT quantile(price, 0.5) FROM price_archive",
        "SELECT arg_max(price, ts) FROM price_archive",
        "SELECT approx_percentile_cont(price, 0.5) FROM price_archive",
        "SELECT DISTINCT ON (token) token, price FROM price_archive",
        "SELECT * EXCLUDE (slot) FROM price_archive",
        "SELECT token FROM price_archive QUALIFY row_number() OVER (ORDER BY ts) = 1",
        "SELECT token FROM price_archive WHERE token ILIKE 'b%'",
        "SELECT CAST(ts AS utinyint) FROM price_archive",
        "SELECT `token` FROM price_archive",
        "SELECT token, count(*) FROM price_archive GROUP BY ALL",
        "SELECT 1; SELECT 2",
        "SELEKT 1",
        "DROP TABLE price_archive",
        "",
    ];
    let text = |sql: &str| Text {
        name: sql.to_owned(),
        sql: sql.to_owned(),
        kind: "query",
    };
    for verdict in verdicts(&wrong.map(text)) {
        assert!(!verdict.problems.is_empty(), "{} passes", verdict.name);
    }
    let timestamp = "CREATE EXTERNAL TABLE t (`a` int) STORED AS PARQUET LOCATION 's3://b/t/'";
    let unpartitioned = Text {
        kind: "table",
        ..text(timestamp)
    };
    assert!(!verdicts(&[unpartitioned])[0].problems.is_empty());
}
