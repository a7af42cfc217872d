//! A user of `ticksql` with an account.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use integration::bootstraps;
use integration::emulator::Emulator;
use tempfile::TempDir;
use tokio::process::Command;

use crate::engine::athena_engine::AthenaEngine;
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

    /// The same user, to whom an engine with Athena's API is AWS: only its address and that of S3 are set.
    pub(crate) fn on(&self, engine: &AthenaEngine) -> Self {
        let mut other = self.without(&["AWS_ENDPOINT_URL"]);
        let s3 = self
            .environment
            .iter()
            .find(|(name, _)| name == "AWS_ENDPOINT_URL");
        for (name, url) in [("ATHENA", &engine.api), ("S3", &s3.unwrap().1)] {
            let variable = (format!("AWS_ENDPOINT_URL_{name}"), url.clone());
            other.environment.push(variable);
        }
        other
    }

    /// Runs the program on Athena.
    pub(crate) async fn run(&self, arguments: &[impl AsRef<str>]) -> CommandOutput {
        self.run_as("csv", arguments).await
    }

    /// Runs the program on Athena, with its answer in a format.
    pub(crate) async fn run_as(
        &self,
        format: &str,
        arguments: &[impl AsRef<str>],
    ) -> CommandOutput {
        let mut arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        arguments.extend(["--engine", "athena"]);
        // These have no rows, and refuse a format.
        if !matches!(arguments.first(), Some(&("init" | "cancel"))) {
            arguments.extend(["--format", format]);
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
    pub(crate) async fn here(
        &self,
        data_dir: &Path,
        arguments: &[impl AsRef<str>],
    ) -> CommandOutput {
        self.here_as("csv", data_dir, arguments).await
    }

    /// Runs the program on a data folder, with its answer in a format.
    pub(crate) async fn here_as(
        &self,
        format: &str,
        data_dir: &Path,
        arguments: &[impl AsRef<str>],
    ) -> CommandOutput {
        let mut arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        arguments.extend(["--engine", "local", "--format", format]);
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
