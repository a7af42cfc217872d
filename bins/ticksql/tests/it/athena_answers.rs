//! Holds the local engine to the answers of Athena's engine that are recorded in `sql/dialect/`: what runs here
//! means the same there. `tools/athena-engine/record` asks the engine itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, thread};

use serde::Deserialize;
use ticksql::Streams;

use crate::ordered_json::Json;
use crate::same_answer::difference;

/// Characters of an answer in a message.
const SHOWN_MAX: usize = 300;

/// A line of `statements.jsonl`: a statement, and what Athena's engine says to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) sql: String,
    /// Name and type.
    #[serde(default)]
    pub(crate) columns: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) rows: Vec<Vec<Json>>,
    error: Option<String>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    BothRefuse,
    /// Refused here, and listed as such.
    OnlyAthena,
    /// Refused here, and not listed in `refused.txt`.
    OnlyAthenaUnlisted,
    /// Listed in `refused.txt`, and answered here or refused by both.
    NoLongerRefused,
    /// It would fail on the day it reaches Athena.
    OnlyHere,
    Differ,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::BothRefuse => "both refuse",
            Self::OnlyAthena => "only athena",
            Self::OnlyAthenaUnlisted => "only athena, not listed in sql/dialect/refused.txt",
            Self::NoLongerRefused => "listed in sql/dialect/refused.txt, which is no longer so",
            Self::OnlyHere => "only here",
            Self::Differ => "differ",
        }
    }

    fn is_allowed(self) -> bool {
        matches!(self, Self::Same | Self::BothRefuse | Self::OnlyAthena)
    }
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/dialect"))
}

fn recorded() -> Vec<Recorded> {
    let text = fs::read_to_string(folder().join("statements.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// One statement on one line, as `refused.txt` has it.
fn on_one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The statements that only Athena takes, without the reasons.
fn refused() -> BTreeSet<String> {
    let text = fs::read_to_string(folder().join("refused.txt")).unwrap();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The answer as JSON, or the message.
fn run(sql: &str, data: &Path, home: &Path) -> Result<String, String> {
    let fixed = [
        "ticksql",
        "--engine",
        "local",
        "--full-scan",
        "--quiet",
        "--format",
        "json",
        "--home",
    ];
    let mut args: Vec<OsString> = fixed.map(OsString::from).into();
    args.extend([home.into(), "--xdg-data-home".into(), home.into()]);
    args.extend(["--data-dir".into(), data.into(), "run".into(), "-".into()]);
    let (mut output, mut status) = (Vec::new(), Vec::new());
    let code = ticksql::run(
        args,
        Streams {
            input: &mut sql.as_bytes(),
            output: &mut output,
            status: &mut status,
        },
    );
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match code {
        ExitCode::SUCCESS => Ok(text(output)),
        _ => Err(text(status).trim().to_owned()),
    }
}

/// What became of a statement, and both answers.
fn compare(
    recorded: &Recorded,
    here: &Result<String, String>,
    is_listed: bool,
) -> (Outcome, String) {
    let there = match &recorded.error {
        Some(error) => error.clone(),
        None => Json::rows_text(&recorded.rows),
    };
    let mut why = String::new();
    let (outcome, shown) = match (here, &recorded.error) {
        (Err(message), Some(_)) => (Outcome::BothRefuse, message.clone()),
        (Err(message), None) if is_listed => (Outcome::OnlyAthena, message.clone()),
        (Err(message), None) => (Outcome::OnlyAthenaUnlisted, message.clone()),
        (Ok(answer), Some(_)) => (Outcome::OnlyHere, answer.clone()),
        (Ok(answer), None) => match serde_json::from_str::<Local>(answer) {
            Ok(local) => match difference(recorded, &local) {
                None => (Outcome::Same, Json::rows_text_of(&local.rows)),
                Some(found) => {
                    why = format!("  {found}\n");
                    (Outcome::Differ, Json::rows_text_of(&local.rows))
                }
            },
            Err(error) => (Outcome::Differ, format!("{error}: {answer}")),
        },
    };
    let outcome = match outcome {
        Outcome::OnlyAthena | Outcome::OnlyAthenaUnlisted => outcome,
        _ if is_listed && outcome.is_allowed() => Outcome::NoLongerRefused,
        _ => outcome,
    };
    let cut = |text: &str| text.chars().take(SHOWN_MAX).collect::<String>();
    let (there, shown) = (cut(&there), cut(&shown));
    let sql = &recorded.sql;
    (
        outcome,
        format!("{sql}\n{why}  athena: {there}\n  here:   {shown}\n"),
    )
}

/// Every statement on the local engine, on all cores.
fn answers(recorded: &[Recorded]) -> Vec<Result<String, String>> {
    let home = tempfile::tempdir().unwrap();
    let data = folder().join("archive");
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = recorded.len().div_ceil(threads);
    thread::scope(|scope| {
        let parts: Vec<_> = recorded
            .chunks(share)
            .map(|part| {
                let (data, home) = (data.as_path(), home.path());
                scope.spawn(move || -> Vec<_> {
                    part.iter().map(|one| run(&one.sql, data, home)).collect()
                })
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    })
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

#[test]
fn what_runs_here_means_the_same_on_athena() {
    let (recorded, refused) = (recorded(), refused());
    let mut found: BTreeMap<Outcome, Vec<String>> = BTreeMap::new();
    for (one, here) in recorded.iter().zip(answers(&recorded)) {
        let is_listed = refused.contains(&on_one_line(&one.sql));
        let (outcome, shown) = compare(one, &here, is_listed);
        found.entry(outcome).or_default().push(shown);
    }
    let (mut counts, mut wrong) = (String::new(), String::new());
    for (outcome, statements) in &found {
        _ = writeln!(counts, "{:5} {}", statements.len(), outcome.name());
        if !outcome.is_allowed() {
            _ = writeln!(wrong, "== {}\n\n{}", outcome.name(), statements.join("\n"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{wrong}\n{} statements:\n{counts}",
        recorded.len()
    );
    println!("{} statements:\n{counts}", recorded.len());
}
