//! Holds the local engine to the answers of Athena's engine that are recorded in `sql/dialect/`: what runs here
//! means the same there. `tools/athena-engine/record` asks the engine itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use ticksql::Streams;

use crate::ordered_json::Json;
use crate::recorded::{Local, Recorded, different, folder, on_one_line, recorded, refused};
use crate::same_answer::difference;

/// Characters of an answer in a message.
const SHOWN_MAX: usize = 300;

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
    /// Another answer than Athena's, or one where Athena has none: known, and listed in `different.txt`.
    KnownDifference,
    /// Listed in `different.txt`, and the same.
    NoLongerDifferent,
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
            Self::KnownDifference => "differ, and listed in sql/dialect/different.txt",
            Self::NoLongerDifferent => "listed in sql/dialect/different.txt, which is no longer so",
            Self::OnlyHere => "only here",
            Self::Differ => "differ",
        }
    }

    fn is_allowed(self) -> bool {
        matches!(
            self,
            Self::Same | Self::BothRefuse | Self::OnlyAthena | Self::KnownDifference
        )
    }
}

/// A statement that never ends counts as refused.
const RUNAWAY_SECONDS: &str = "10";

/// The answer as JSON, or the message.
fn run(sql: &str, data: &Path, home: &Path) -> Result<String, String> {
    let fixed = [
        "ticksql",
        "--engine",
        "local",
        "--full-scan",
        "--quiet",
        "--timeout",
        RUNAWAY_SECONDS,
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
    let is_done = matches!(outcome, Outcome::Same | Outcome::BothRefuse);
    let outcome = if is_listed && is_done {
        Outcome::NoLongerRefused
    } else {
        outcome
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

#[test]
fn what_runs_here_means_the_same_on_athena() {
    let (recorded, refused, different) = (recorded(), refused(), different());
    let mut found: BTreeMap<Outcome, Vec<String>> = BTreeMap::new();
    for (one, here) in recorded.iter().zip(answers(&recorded)) {
        let is_listed = refused.contains(&on_one_line(&one.sql));
        let (outcome, shown) = compare(one, &here, is_listed);
        let is_known = different.contains(&on_one_line(&one.sql));
        let differs = matches!(outcome, Outcome::OnlyHere | Outcome::Differ);
        let outcome = match (is_known, differs) {
            (true, true) => Outcome::KnownDifference,
            (true, false) => Outcome::NoLongerDifferent,
            (false, _) => outcome,
        };
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
