//! The history and the shell.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::made::{FIRST_DAY, World, told};

#[test]
fn queries_are_remembered_with_how_they_ended() {
    let world = World::new();
    world.run(&[&format!("SELECT sum(price) FROM ticks WHERE {FIRST_DAY}")]);
    world.run(&[
        "SELECT 1 / 0 AS x FROM ticks WHERE year = :y",
        "-p",
        "y=2026",
    ]);
    let json = world.answer(&["history", "-f", "jsonl"]);
    let queries: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(queries.len(), 2, "{json}");
    assert_eq!(
        (&queries[0]["state"], &queries[1]["state"]),
        (&"failed".into(), &"succeeded".into())
    );
    assert_eq!(
        queries[0]["query"],
        "SELECT 1 / 0 AS x FROM ticks WHERE year = BIGINT '2026'"
    );
    assert_eq!(
        (&queries[1]["engine"], &queries[1]["usd"]),
        (&"local".into(), &serde_json::Value::Null)
    );
    assert!(queries[1]["bytes"].as_u64().unwrap() > 0);
    let file = world.home.path().join(".local/share/ticksql/history.jsonl");
    assert_eq!(
        fs::metadata(file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_shell_takes_statements_and_its_own_commands() {
    let world = World::new();
    let mut command = world.command(&["shell", "-f", "csv"]);
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let typed = format!(
        "\\d ticks\nSELECT count(*)\n  AS n FROM ticks\n WHERE {FIRST_DAY};\nSELECT count(*) FROM ticks;\n\
         \\format tsv\n\\run candles token=BTC from=2026-03-08 to=2026-03-09\n\\x\n\\q\nSELECT 'never' AS a;\n"
    );
    process
        .stdin
        .take()
        .unwrap()
        .write_all(typed.as_bytes())
        .unwrap();
    let (code, output, status) = told(&process.wait_with_output().unwrap());
    assert_eq!(code, 0, "{status}");
    assert!(output.contains("column,type\ntime,timestamp"), "{output}");
    assert!(output.contains("n\n3\n"), "{output}");
    assert!(output.contains("\t39600.0\t"), "{output}");
    assert!(!output.contains("never"), "{output}");
    assert!(
        status.contains("is read whole") && status.contains("there is no \\x"),
        "{status}"
    );
    let file = world.home.path().join(".local/share/ticksql/shell_history");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(fs::read_to_string(&file).unwrap().contains("candles"));
}
