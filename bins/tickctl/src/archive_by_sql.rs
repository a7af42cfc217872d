//! The archive as Athena sees it: `ticksql` is asked for its rows, since this program links no SQL engine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use app::ports::PortError;
use app::read_back::{ArchivedTick, ArchivedTicks, PageSender, Pages, ReceiptRange, sent_by};
use archive::ticks_of_file;
use chrono::NaiveDate;
use futures_util::StreamExt as _;
use tokio::process::Command;

use crate::observe::sql_probe;

/// The operation's name in errors.
const READ: &str = "read the archive through Athena";

/// How long a query may take, in seconds.
const QUERY_SECONDS: u32 = 1_800;

/// Reads the archive with a query for each run of days.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveBySql {
    /// The program `ticksql`.
    pub(crate) program: PathBuf,
    /// The project, whose workgroup and database are asked.
    pub(crate) project: String,
    /// A folder for the answers.
    pub(crate) work: PathBuf,
}

impl ArchiveBySql {
    async fn send(
        &self,
        range: Option<ReceiptRange>,
        days: BTreeSet<NaiveDate>,
        sender: &PageSender<ArchivedTick>,
    ) -> Result<(), PortError> {
        for (number, [first, last]) in runs(&days).into_iter().enumerate() {
            let answer = self.work.join(format!("archive-{number}.parquet"));
            self.query(range, [first, last], &answer).await?;
            let mut pages = ticks_of_file(answer.clone(), range);
            while let Some(page) = pages.next().await {
                if sender.send(page).await.is_err() {
                    // Nobody wants more.
                    return Ok(());
                }
            }
            drop(std::fs::remove_file(answer));
        }
        Ok(())
    }

    async fn query(
        &self,
        range: Option<ReceiptRange>,
        [first, last]: [NaiveDate; 2],
        answer: &PathBuf,
    ) -> Result<(), PortError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| PortError {
            operation: READ,
            retryable: false,
            source,
        };
        let of_range = range.map(|ReceiptRange { from_ms, to_ms }| {
            format!(" AND ingested_at >= {from_ms} AND ingested_at < {to_ms}")
        });
        let statement = format!(
            "SELECT tick_id, token, quote, price, volume, ts, ingested_at, source, slot, method, sequence, quality \
             FROM price_archive WHERE :days{}",
            of_range.unwrap_or_default()
        );
        let next = last.succ_opt().unwrap_or(last);
        let mut command = Command::new(&self.program);
        command
            .args(["--quiet", "--engine", "athena", "--format", "parquet"])
            .args(["--workgroup", &self.project])
            .args(["--database", &self.project.replace('-', "_")])
            .args(["--timeout", &QUERY_SECONDS.to_string(), "-o"])
            .arg(answer)
            .arg(statement)
            .args(["-p", &format!("from={first}"), "-p", &format!("to={next}")])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.map_err(|error| {
            let why = format!(
                "{} cannot be run: {error}; put `ticksql` beside `tickctl` or on the PATH",
                self.program.display()
            );
            failed(why.into())
        })?;
        if output.status.success() {
            Ok(())
        } else {
            Err(failed(sql_probe::message(&output.stderr).into()))
        }
    }
}

impl ArchivedTicks for ArchiveBySql {
    fn archived(
        &self,
        range: Option<ReceiptRange>,
        days: BTreeSet<NaiveDate>,
    ) -> Pages<'_, ArchivedTick> {
        let reader = self.clone();
        sent_by(|sender| async move { reader.send(range, days, &sender).await })
    }
}

/// The first and the last day of each run of days.
fn runs(days: &BTreeSet<NaiveDate>) -> Vec<[NaiveDate; 2]> {
    let mut runs: Vec<[NaiveDate; 2]> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some([_, last]) if last.succ_opt() == Some(*day) => *last = *day,
            _ => runs.push([*day, *day]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use app::read_back::Page;
    use archive::Archive;
    use tempfile::TempDir;
    use testkit::ticks::{START_MS, ticks};

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// A program in the place of `ticksql`, which gives a file of the archive as its answer.
    async fn read(script: &str) -> (TempDir, Result<usize, String>) {
        let folder = TempDir::new().unwrap();
        let archive = Archive::open(folder.path()).unwrap();
        archive
            .write_range(0, 1, 100, &ticks(&["BTC"], 100))
            .unwrap();
        let program = folder.path().join("ticksql");
        let written = folder
            .path()
            .join("price-archive/year=2026/month=01/day=01");
        let script = script.replace("ARCHIVE", written.to_str().unwrap());
        std::fs::write(
            &program,
            format!("#!/bin/sh\necho \"$@\" >> $(dirname $0)/calls\n{script}\n"),
        )
        .unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        let archive = ArchiveBySql {
            program,
            project: "prices-eu".to_owned(),
            work: folder.path().to_owned(),
        };
        let range = ReceiptRange {
            from_ms: START_MS,
            to_ms: START_MS + 50_000,
        };
        let days = BTreeSet::from([day("2025-12-31"), day("2026-01-01"), day("2026-02-03")]);
        let mut pages = archive.archived(Some(range), days);
        let mut found = 0;
        while let Some(page) = pages.next().await {
            match page {
                Ok(Page::Ticks(ticks)) => found += ticks.len(),
                Ok(Page::Unseen(unseen)) => panic!("{unseen:?}"),
                Err(error) => return (folder, Err(error.source.to_string())),
            }
        }
        (folder, Ok(found))
    }

    #[tokio::test]
    async fn each_run_of_days_is_one_query_whose_rows_are_the_archive() {
        let (folder, found) =
            read("while [ \"$1\" != -o ]; do shift; done; cp ARCHIVE/*.parquet \"$2\"").await;
        assert_eq!(
            found,
            Ok(2 * 50),
            "two answers, of each the ticks of the range"
        );
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        let calls: Vec<&str> = calls.lines().collect();
        assert_eq!(calls.len(), 2, "{calls:?}");
        assert!(
            calls[0].contains("--workgroup prices-eu --database prices_eu"),
            "{calls:?}"
        );
        assert!(
            calls[0].ends_with("-p from=2025-12-31 -p to=2026-01-02"),
            "{calls:?}"
        );
        assert!(
            calls[1].ends_with("-p from=2026-02-03 -p to=2026-02-04"),
            "{calls:?}"
        );
    }

    #[tokio::test]
    async fn a_query_that_fails_says_why() {
        let (_, found) = read("echo 'access denied' >&2; exit 1").await;
        assert_eq!(found, Err("access denied".to_owned()));
    }
}
