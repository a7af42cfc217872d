//! A user of `ticksql` with an account.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use integration::bootstraps;
use integration::emulator::Emulator;
use tempfile::TempDir;
use tokio::process::Command;

use crate::project::CommandOutput;

/// Columns and rows; `None` is NULL.
pub(crate) type Table = (Vec<String>, Vec<Vec<Option<String>>>);

/// The real program with a user's environment.
pub(crate) struct Analyst {
    program: PathBuf,
    /// A separate home folder, for the program's state.
    home: TempDir,
    environment: Vec<(String, String)>,
}

impl Analyst {
    pub(crate) fn of(emulator: &Emulator, workgroup: &str, database: &str) -> Self {
        let mut environment: Vec<(String, String)> = emulator
            .environment()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        environment.push(("ATHENA_WORKGROUP".to_owned(), workgroup.to_owned()));
        environment.push(("ATHENA_DATABASE".to_owned(), database.to_owned()));
        Self {
            program: bootstraps::program("ticksql").unwrap(),
            home: tempfile::tempdir().unwrap(),
            environment,
        }
    }

    /// The same user without some environment variables.
    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let kept = self.environment.iter();
        let kept = kept.filter(|(name, _)| !names.contains(&name.as_str()));
        Self {
            program: self.program.clone(),
            home: tempfile::tempdir().unwrap(),
            environment: kept.cloned().collect(),
        }
    }

    /// Runs the program on Athena.
    pub(crate) async fn run(&self, arguments: &[&str]) -> CommandOutput {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--engine", "athena"]);
        // These have no rows, and refuse a format.
        if !matches!(arguments.first(), Some(&("init" | "cancel"))) {
            arguments.extend(["--format", "csv"]);
        }
        self.start(&arguments).await
    }

    /// Runs a statement on Athena.
    pub(crate) async fn ask(&self, sql: &str, more: &[&str]) -> CommandOutput {
        let mut arguments = vec!["run", sql];
        arguments.extend(more);
        self.run(&arguments).await
    }

    /// Runs the program on a data folder.
    pub(crate) async fn here(&self, data_dir: &Path, arguments: &[&str]) -> CommandOutput {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--engine", "local", "--format", "csv"]);
        arguments.extend(["--data-dir", data_dir.to_str().unwrap()]);
        self.start(&arguments).await
    }

    async fn start(&self, arguments: &[&str]) -> CommandOutput {
        let output = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .env("HOME", self.home.path())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        CommandOutput::of(&output)
    }
}

impl CommandOutput {
    /// What it printed on stderr; it must have succeeded.
    #[track_caller]
    pub(crate) fn ok_status(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.err
    }

    /// The result as CSV. An empty field is NULL, since no text of the tests is empty.
    #[track_caller]
    pub(crate) fn csv(&self) -> Table {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        let mut reader = csv::Reader::from_reader(self.out.as_bytes());
        let columns = reader.headers().unwrap().iter();
        let columns = columns.map(str::to_owned).collect();
        let cell = |cell: &str| (!cell.is_empty()).then(|| cell.to_owned());
        let rows = reader.records();
        let rows = rows.map(|row| row.unwrap().iter().map(cell).collect());
        (columns, rows.collect())
    }
}
