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
    /// Compares what a case reads on both engines.
    pub(crate) async fn read_the_same_files(&self, case: &Case) {
        let name = &case.name;
        let file = sql_folder()
            .join("queries")
            .join(format!("{}.sql", case.query));
        let file = std::fs::read_to_string(file).unwrap();
        let table = match file.contains("FROM quarantine") {
            true => "quarantine",
            false => "price_archive",
        };
        let listed: BTreeSet<String> = self
            .bucket
            .keys(&folder_of(table))
            .await
            .into_iter()
            .collect();

        // The query itself, on the engine: the days that it planned to read, of those that have files.
        let arguments = arguments("run", &case.query, case);
        let output = self.analyst.run(&arguments).await;
        let (_, rows) = output.csv();
        let (_, id) = output.err.rsplit_once("query ").unwrap();
        let inputs = self.engine.query(id.trim()).await["inputs"].take();
        let inputs = inputs.as_array().unwrap();
        let planned = inputs.iter().flat_map(|input| {
            assert_eq!(input["table"], table, "{name}");
            let days = input["connectorInfo"]["partitionIds"].as_array().unwrap();
            days.iter().map(|day| day.as_str().unwrap().to_owned())
        });
        let planned: BTreeSet<String> = planned.collect();
        let read: BTreeSet<String> = listed
            .iter()
            .filter(|key| planned.contains(day_of(key)))
            .cloned()
            .collect();

        // The files of the query's own condition of days, by the engine's own account.
        let declared = file.lines().take_while(|line| line.starts_with("--"));
        let declared = declared.collect::<Vec<_>>().join("\n");
        let paths =
            format!("{declared}\nSELECT DISTINCT \"$path\" AS path FROM {table} WHERE :days");
        let (_, paths) = self
            .analyst
            .run(&self::arguments("run", &paths, case))
            .await
            .csv();
        let bucket = format!("s3://{}/", self.bucket.name());
        let paths: BTreeSet<String> = paths
            .into_iter()
            .map(|row| {
                row[0]
                    .as_deref()
                    .unwrap()
                    .strip_prefix(&bucket)
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert!(
            !paths.is_empty() && paths.len() < listed.len(),
            "{name}: {paths:?}"
        );
        assert_eq!(read, paths, "{name}: what the engine plans to read");

        // What the guard counts.
        let days: BTreeSet<String> = paths.iter().map(|key| date_of(key)).collect();
        let explain = self::arguments("explain", &case.query, case);
        let estimate = self.analyst.explained(&explain).await;
        assert_eq!(estimate["files"], paths.len(), "{name}: {estimate}");
        let counted = estimate["days"].as_array().unwrap().iter();
        let counted: BTreeSet<String> = counted
            .map(|day| day.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(counted, days, "{name}");

        // What the local engine opens: as many files, and none but these.
        let data = tempfile::tempdir().unwrap();
        for key in &listed {
            let (from, to) = (
                self.here.join(local_name(key)),
                data.path().join(local_name(key)),
            );
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            match paths.contains(key) {
                true => drop(std::fs::copy(from, to).unwrap()),
                false => std::fs::write(to, UNREADABLE).unwrap(),
            }
        }
        let local = self.analyst.here(data.path(), &arguments).await;
        assert_eq!(local.csv().1.len(), rows.len(), "{name}");
        assert_eq!(
            opened(&local.err),
            paths.len() * inputs.len(),
            "{name}: {}",
            local.err
        );
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

impl Analyst {
    /// What `explain` says of a query on Athena, as JSON.
    async fn explained(&self, arguments: &[String]) -> Value {
        let output = self.run_as("json", arguments).await;
        serde_json::from_str(&output.ok()).unwrap()
    }
}
