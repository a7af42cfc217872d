//! What a named query reads: the engine, the estimate of the guard, and the local engine must agree on the files.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use testkit::golden::{Case, sql_folder};

use super::athena_engine::AthenaEngine;
use crate::sql::analyst::Analyst;
use crate::sql::files::{Bucket, local_name};

/// A file that no reader of the archive takes for one of its own.
const UNREADABLE: &[u8] = b"this is not a file of the archive";

/// Both engines on the same files.
pub(crate) struct Both<'a> {
    pub(crate) engine: &'a AthenaEngine,
    pub(crate) analyst: &'a Analyst,
    pub(crate) bucket: &'a Bucket,
    /// The same files on this machine.
    pub(crate) here: &'a Path,
}

impl Both<'_> {
    /// Runs a case on both engines: the rows are the golden ones, and the files that are read for them the same.
    pub(crate) async fn agree_on(&self, case: &Case) {
        let name = &case.name;
        let file = sql_folder().join(format!("queries/{}.sql", case.query));
        let file = std::fs::read_to_string(file).unwrap();
        let beside = ["quarantine", "anomalies"];
        let is_read = |table: &&str| file.contains(&format!("FROM {table}"));
        let table = beside.into_iter().find(is_read).unwrap_or("price_archive");
        let keys = self.bucket.keys(&folder_of(table)).await;
        let listed: BTreeSet<String> = keys.into_iter().collect();

        let (scans, days) = self.planned(case, table).await;
        let planned = listed.iter().filter(|key| days.contains(day_of(key)));
        let planned: BTreeSet<String> = planned.cloned().collect();
        let paths = self.paths(case, &file, table).await;
        assert!(
            !paths.is_empty() && paths.len() < listed.len(),
            "{name} should read some files: {paths:?}"
        );
        assert_eq!(planned, paths, "{name}: what the engine plans to read");
        self.guard_counts(case, &paths).await;
        self.local_engine_opens(case, scans, &listed, &paths).await;
    }

    /// Runs the query on the engine. How often it reads the table, and the days (`year=2026/month=03/day=30`) that it
    /// planned to read, with and without files.
    async fn planned(&self, case: &Case, table: &str) -> (usize, BTreeSet<String>) {
        let output = self.analyst.run(&arguments("run", &case.query, case)).await;
        let (columns, rows) = output.csv();
        case.check(&columns, &rows).unwrap();
        let (_, id) = output.err.rsplit_once("query ").unwrap();
        let query = self.engine.query(id.trim()).await;
        let inputs = query["inputs"].as_array().unwrap();
        let days = inputs.iter().flat_map(|input| {
            assert_eq!(input["table"], table, "{}", case.name);
            let days = input["connectorInfo"]["partitionIds"].as_array();
            days.unwrap()
                .iter()
                .map(|day| day.as_str().unwrap().to_owned())
        });
        (inputs.len(), days.collect())
    }

    /// The files of the query's own condition of days, as the engine names them.
    async fn paths(&self, case: &Case, file: &str, table: &str) -> BTreeSet<String> {
        let period = period_of(file);
        let query = format!("{period}\nSELECT DISTINCT \"$path\" AS path FROM {table} WHERE :days");
        let arguments = arguments("run", &query, &with_period(case, file));
        let (_, rows) = self.analyst.run(&arguments).await.csv();
        let bucket = format!("s3://{}/", self.bucket.name());
        let paths = rows.into_iter().map(|row| {
            let path = row[0].as_deref().unwrap();
            path.strip_prefix(&bucket).unwrap().to_owned()
        });
        paths.collect()
    }

    /// The estimate, by which the guard decides, has these files and their days.
    async fn guard_counts(&self, case: &Case, paths: &BTreeSet<String>) {
        let explain = arguments("explain", &case.query, case);
        let estimate = self.analyst.run_as("json", &explain).await.ok();
        let estimate: Value = serde_json::from_str(&estimate).unwrap();
        assert_eq!(estimate["files"], paths.len(), "{}: {estimate}", case.name);
        let counted = estimate["days"].as_array().unwrap().iter();
        let counted: BTreeSet<String> = counted
            .map(|day| day.as_str().unwrap().to_owned())
            .collect();
        let days: BTreeSet<String> = paths.iter().map(|key| date_of(key)).collect();
        assert_eq!(counted, days, "{}", case.name);
    }

    /// The local engine opens as many files, and none but these: others cannot be read.
    async fn local_engine_opens(
        &self,
        case: &Case,
        scans: usize,
        listed: &BTreeSet<String>,
        paths: &BTreeSet<String>,
    ) {
        let data = tempfile::tempdir().unwrap();
        // A data folder has one, whatever the query reads.
        std::fs::create_dir(data.path().join("price-archive")).unwrap();
        for key in listed {
            let name = local_name(key);
            let to = data.path().join(&name);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            match paths.contains(key) {
                true => drop(std::fs::copy(self.here.join(&name), to).unwrap()),
                false => std::fs::write(to, UNREADABLE).unwrap(),
            }
        }
        let run = arguments("run", &case.query, case);
        let output = self.analyst.here(data.path(), &run).await;
        let (columns, rows) = output.csv();
        case.check(&columns, &rows).unwrap();
        assert_eq!(opened(&output.err), scans * paths.len(), "{}", output.err);
    }
}

/// The arguments of a command for a case.
pub(crate) fn arguments(command: &str, query: &str, case: &Case) -> Vec<String> {
    let parameters = case.parameters.iter();
    let parameters =
        parameters.flat_map(|(name, value)| ["-p".to_owned(), format!("{name}={value}")]);
    [command.to_owned(), query.to_owned()]
        .into_iter()
        .chain(parameters)
        .collect()
}

/// The declarations of a query's `:days`, and of the two moments that it goes by.
fn period_of(file: &str) -> String {
    let [days, from, to] = moments(file);
    let is_of_them = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        match words.next() {
            Some("@param") => words.next().is_some_and(|name| name == from || name == to),
            _ => *line == days,
        }
    };
    file.lines()
        .filter(is_of_them)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The line `-- @days from to` and its names.
fn moments(file: &str) -> [&str; 3] {
    let days = file
        .lines()
        .find(|line| line.starts_with("-- @days"))
        .unwrap();
    let mut names = days.split_whitespace().skip(2);
    [days, names.next().unwrap(), names.next().unwrap()]
}

/// A case with no other parameters than those of its period.
fn with_period(case: &Case, file: &str) -> Case {
    let [_, from, to] = moments(file);
    let mut case = case.clone();
    case.parameters.retain(|name, _| name == from || name == to);
    case
}

/// The files that the local engine opened, as its summary says: `3 rows in 0.2 s, 5 files, …`.
fn opened(summary: &str) -> usize {
    let parts = summary.split(", ");
    let mut counts =
        parts.filter_map(|part| part.strip_suffix(" files").or(part.strip_suffix(" file")));
    counts.next().unwrap().parse().unwrap()
}

/// The prefix of a table's keys.
fn folder_of(table: &str) -> String {
    format!("{}/", table.replace('_', "-"))
}

/// `year=2026/month=03/day=30` of a key.
fn day_of(key: &str) -> &str {
    let (folder, _) = key.rsplit_once('/').unwrap();
    let (_, day) = folder.split_once('/').unwrap();
    day
}

/// `2026-03-30` of a key.
fn date_of(key: &str) -> String {
    let parts = day_of(key)
        .split('/')
        .map(|part| part.split_once('=').unwrap().1);
    parts.collect::<Vec<_>>().join("-")
}
