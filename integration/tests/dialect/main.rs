//! Checks the Hive DDL of `sql/tables/` with sqlglot's parser for Athena, since Athena's engine does not take it
//! itself. What the engine takes, views and queries, `tools/athena-engine/record` asks the engine.

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

#[test]
fn athena_accepts_the_tables() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/tables"));
    let texts: Vec<Text> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| Text {
            name: path.display().to_string(),
            sql: fs::read_to_string(&path)
                .unwrap()
                .replace("{archive}", "s3://bucket/price-archive/")
                .replace("{quarantine}", "s3://bucket/quarantine/")
                .replace("{anomalies}", "s3://bucket/anomalies/"),
        })
        .collect();
    assert!(!texts.is_empty(), "{} has files", folder.display());
    let verdicts = verdicts(&texts);
    assert_eq!(verdicts.len(), texts.len());
    for verdict in verdicts {
        assert!(verdict.problems.is_empty(), "{verdict:?}");
    }
}

#[test]
fn what_is_not_a_table_of_athena_is_found() {
    let wrong = [
        "CREATE EXTERNAL TABLE t (`a` int) STORED AS PARQUET LOCATION 's3://b/t/'",
        "CREATE EXTERNAL TABLE t (`a` int) PARTITIONED BY (`b` int) STORED AS PARQUET",
        "CREATE TABLE t (`a` int) PARTITIONED BY (`b` int) STORED AS PARQUET LOCATION 's3://b/t/'",
        "CREATE EXTERNAL TABLE t (`a` int",
        "SELECT 1",
        "DROP TABLE price_archive",
        "SELECT 1; SELECT 2",
        "",
    ];
    let text = |sql: &str| Text {
        name: sql.to_owned(),
        sql: sql.to_owned(),
    };
    for verdict in verdicts(&wrong.map(text)) {
        assert!(!verdict.problems.is_empty(), "{} passes", verdict.name);
    }
}
