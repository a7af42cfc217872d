//! Whether SQL answers: `ticksql` is run, since this program links no SQL engine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ops::doctor::{Observed, SqlAnswer};
use runtime::printable::printable;
use tokio::process::Command;

use super::machine_view::unobserved;

/// The ticks of two days, of the table and not of a view, which a project has only after `ticksql init`: on Athena the
/// smallest read that shows that files are found, for a fraction of a cent.
const STATEMENT: &str = "SELECT count(*) AS ticks FROM price_archive WHERE :days";

/// The program ends the statement after its own limit, and says so; this much later it is ended itself.
const END_AFTER: Duration = Duration::from_secs(1);

/// The most characters of its message that are shown.
const MESSAGE_CHARS_MAX: usize = 300;

/// The program's name.
const TICKSQL: &str = "ticksql";

/// Where the statement runs.
pub(crate) enum SqlPlace<'a> {
    /// The archive of a data folder.
    Local(&'a Path),
    /// Athena, in the workgroup and database of a project.
    #[cfg(feature = "aws")]
    Athena(&'a str),
}

/// Which `ticksql` is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SqlProgram<'a> {
    /// Its path; else it is the one beside this program, or else that of the PATH.
    pub(crate) path: Option<&'a Path>,
    /// How long it may take, in seconds.
    pub(crate) seconds: u64,
}

/// Runs a small statement with `ticksql`, and ends the program if it does not answer in time.
pub(crate) async fn probe(
    place: SqlPlace<'_>,
    program: SqlProgram<'_>,
) -> Observed<Result<SqlAnswer, String>> {
    let seconds = program.seconds;
    let program = program.path.map_or_else(find, Path::to_owned);
    let mut command = Command::new(&program);
    command
        .args(["--quiet", "--format", "csv", "--timeout"])
        .arg(seconds.to_string())
        .args([STATEMENT, "-p", "from=now-1d", "-p", "to=now"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let engine = match place {
        SqlPlace::Local(data_dir) => {
            command
                .args(["--engine", "local", "--data-dir"])
                .arg(data_dir);
            "local"
        }
        #[cfg(feature = "aws")]
        SqlPlace::Athena(project) => {
            command.args(["--engine", "athena", "--workgroup", project]);
            command.args(["--database", &project.replace('-', "_")]);
            "athena"
        }
    };
    let asked = Instant::now();
    let output = match tokio::time::timeout(
        Duration::from_secs(seconds) + END_AFTER,
        command.output(),
    )
    .await
    {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            let why = format!("{} cannot be run: {error}", program.display());
            let advice = "put `ticksql` beside `tickctl` or on the PATH (`cargo build --release -p ticksql`), or \
                          name it with --ticksql";
            return Err(unobserved(why, advice));
        }
        Err(_) => {
            return Ok(Err(format!(
                "no answer of {} within {seconds} s (--timeout), so it was ended",
                program.display()
            )));
        }
    };
    let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    let answer = String::from_utf8_lossy(&output.stdout);
    let counted = answer
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok());
    Ok(match counted.filter(|_| output.status.success()) {
        Some(ticks) => Ok(SqlAnswer {
            engine,
            ticks,
            took_ms,
        }),
        None => Err(message(&output.stderr)),
    })
}

/// The program beside this one, if there is one; else its name, which is looked for in the PATH.
pub(crate) fn find() -> PathBuf {
    let name = format!("{TICKSQL}{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| Some(own.parent()?.join(&name)));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| name.into())
}

/// The first lines of what the program said, in one.
pub(crate) fn message(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = printable(&text).chars().take(MESSAGE_CHARS_MAX).collect();
    if text.is_empty() {
        "it said nothing".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program in the place of `ticksql`.
    async fn answer(script: &str) -> Observed<Result<SqlAnswer, String>> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ticksql");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        let program = SqlProgram {
            path: Some(&program),
            seconds: 30,
        };
        probe(SqlPlace::Local(folder.path()), program).await
    }

    #[tokio::test]
    async fn the_answer_is_counted_and_a_failure_has_its_message() {
        let good = answer("printf 'ticks\\n42\\n'").await.unwrap().unwrap();
        assert_eq!((good.engine, good.ticks), ("local", 42));
        let arguments = answer("echo \"$@\" >&2; exit 1")
            .await
            .unwrap()
            .unwrap_err();
        assert!(
            arguments.contains("--engine local --data-dir"),
            "{arguments}"
        );
        assert!(
            arguments.contains("WHERE :days -p from=now-1d"),
            "{arguments}"
        );
        for (script, message) in [
            (
                "echo 'error: a file is\n damaged' >&2; exit 5",
                "error: a file is damaged",
            ),
            ("exit 1", "it said nothing"),
            ("printf 'ticks\\n'", "it said nothing"),
            ("printf 'ticks\\n7\\n'; exit 4", "it said nothing"),
        ] {
            let failed = answer(script).await.unwrap().unwrap_err();
            assert_eq!(failed, message, "{script}");
        }
    }

    #[tokio::test]
    async fn without_the_program_it_is_not_seen() {
        let nowhere = SqlProgram {
            path: Some(Path::new("/no/such/ticksql")),
            seconds: 30,
        };
        let unseen = probe(SqlPlace::Local(Path::new("/d")), nowhere).await;
        let unseen = unseen.unwrap_err();
        assert!(unseen.why.contains("/no/such/ticksql"), "{unseen:?}");
        assert!(unseen.advice.contains("--ticksql"), "{unseen:?}");
    }
}
