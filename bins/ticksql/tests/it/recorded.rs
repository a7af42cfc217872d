//! The files of `sql/dialect/`: statements, the recorded answers of Athena's engine, and which of them are refused
//! here.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::ordered_json::Json;

/// A line of `statements.jsonl`: a statement, and what Athena's engine says to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) sql: String,
    /// Name and type.
    #[serde(default)]
    pub(crate) columns: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) rows: Vec<Vec<Json>>,
    pub(crate) error: Option<String>,
}

/// The answer of `ticksql --format json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Local {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Json>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/dialect"))
}

pub(crate) fn recorded() -> Vec<Recorded> {
    let text = fs::read_to_string(folder().join("statements.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// One statement on one line, as `refused.txt` has it.
pub(crate) fn on_one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The statements that only Athena takes, without the reasons.
pub(crate) fn refused() -> BTreeSet<String> {
    listed("refused.txt")
}

/// The statements that still have another answer here, without the reasons.
pub(crate) fn different() -> BTreeSet<String> {
    listed("different.txt")
}

fn listed(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Two statements of one text would hide each other in the list of those refused.
#[test]
fn statements_are_recorded_once_and_with_an_answer() {
    let recorded = recorded();
    let mut seen = BTreeSet::new();
    for one in &recorded {
        assert!(seen.insert(on_one_line(&one.sql)), "twice: {}", one.sql);
        let has_answer = one.error.is_some() || !one.columns.is_empty() || one.rows.is_empty();
        assert!(has_answer, "run `just athena-answers`: {}", one.sql);
    }
    for listed in refused() {
        assert!(seen.contains(&listed), "not a statement: {listed}");
    }
}
