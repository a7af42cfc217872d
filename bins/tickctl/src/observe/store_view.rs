//! What the store of a folder that no process has open says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use app::ports::RolloutStore as _;
use domain::Reason;
use ops::doctor::{Backlog, BackupAge, ConsumerLag, Disk, Files, Ledger, Quarantined, Unseen};
use store::BackupsMade;

use super::machine_view::{MachineView, PastChange, RolloutView, unseen};
use crate::data_access::OpenStore;

/// How many of the newest malformed entries are counted by reason.
const QUARANTINED_READ: usize = 1_000;

/// How many changes are read.
const CHANGES_READ: usize = 50;

/// tickstream's default folder for backups.
const BACKUPS_FOLDER: &str = "backups";

/// The levels of folders above the archive's files: year, month and day.
const DAY_LEVELS: usize = 3;

/// Entries of this age are recent, as in a running process.
const RECENT_MS: i64 = 5 * 60_000;

/// Observes an opened store.
pub(super) async fn observe(opened: &OpenStore, now_ms: i64) -> anyhow::Result<MachineView> {
    let store = &opened.store;
    let not_running = || not_running(&opened.data_dir);
    let ledger = store.ledger();
    let mut lag = Vec::new();
    for name in store::CONSUMERS {
        let behind = store.consumer_lag(name, now_ms).await?;
        lag.push(ConsumerLag {
            name: name.to_owned(),
            records: Some(behind.records),
            age_ms: behind.age_ms,
            every_ms: 0,
            down_ms: None,
            set_aside: 0,
        });
    }
    let archive_lag = lag.last().filter(|it| it.name == "archive");
    let newest_ms = newest_file_ms(&archive::table_folder(&opened.data_dir), DAY_LEVELS);
    let files = archive_lag.map(|lag| Files {
        newest_age_ms: newest_ms.map(|at_ms| (now_ms - at_ms).max(0)),
        waiting: lag.records,
        waiting_ms: Some(lag.age_ms),
        every_ms: 0,
        streamed: 0,
    });
    let history = store.history(CHANGES_READ).await;
    let history = history.map_err(|error| anyhow::anyhow!(error.source))?;
    let quarantined = store.quarantined(QUARANTINED_READ).await?;
    let mut recent: BTreeMap<String, u64> = BTreeMap::new();
    let mut unprocessable = 0;
    for kept in quarantined {
        unprocessable += u64::from(kept.entry.reason == Reason::Unprocessable);
        if now_ms - kept.received_at_ms <= RECENT_MS {
            *recent.entry(kept.entry.reason.to_string()).or_default() += 1;
        }
    }
    let backups = opened.data_dir.join(BACKUPS_FOLDER);
    let made = BackupsMade::read(&backups);
    Ok(MachineView {
        process: None,
        data_dir: Some(opened.data_dir.clone()),
        rollout: history
            .first()
            .map(|newest| RolloutView {
                use_kinesis: newest.rollout.use_kinesis,
                percentage: f64::from(newest.rollout.percentage),
                history: history
                    .iter()
                    .map(|change| PastChange {
                        at_ms: change.at_ms,
                        who: change.who.clone(),
                        why: change.why.clone(),
                        use_kinesis: change.rollout.use_kinesis,
                        percentage: f64::from(change.rollout.percentage),
                    })
                    .collect(),
            })
            .ok_or_else(|| {
                unseen(
                    "the rollout was never changed: tickstream's options set it",
                    not_running().advice,
                )
            }),
        traffic: Err(not_running()),
        ticks_per_second: Err(not_running()),
        lag: Ok(lag),
        ledger: Ok(Ledger {
            received: ledger.received(),
            stored: ledger.stored_rows,
            duplicate: ledger.committed.duplicate,
            rejected: ledger.committed.rejected(),
            ignored: ledger.committed.ignored,
            difference: ledger.difference(),
        }),
        backlog: Ok(Backlog {
            pending: ledger.pending_rows,
            pending_min: ledger.pending_rows,
        }),
        files: files.ok_or_else(not_running),
        broadcasts: Err(not_running()),
        quarantined: Ok(Quarantined {
            total: Some(ledger.quarantined),
            recent,
            unprocessable,
        }),
        clocks: Err(not_running()),
        disk: Ok(Disk {
            free_bytes: store.free_disk_bytes(),
            // It was opened without the options of its process.
            min_free_bytes: None,
            store_bytes: store.disk_bytes()?,
        }),
        versions: Err(not_running()),
        backups: match made {
            Ok(made) => Ok(BackupAge {
                folder: backups.display().to_string(),
                count: made.count,
                newest_ms: made.newest_ms.map(|at_ms| (now_ms - at_ms).max(0)),
            }),
            Err(error) => Err(unseen(
                format!("{} cannot be read: {error}", backups.display()),
                "check the permissions of the folder",
            )),
        },
    })
}

/// When the newest file of the last day was written. Days are three levels of folders whose names sort as they
/// follow each other.
fn newest_file_ms(folder: &Path, levels: usize) -> Option<i64> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    if levels > 0 {
        let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
        folders.sort();
        return newest_file_ms(folders.last()?, levels - 1);
    }
    let written = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    let newest = written.max()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(newest.as_millis()).ok()
}

fn not_running(data_dir: &Path) -> Unseen {
    let start = format!("start tickstream with --data-dir {}", data_dir.display());
    unseen("no process runs", format!("{start}, and look again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_file_is_that_of_the_last_day() {
        let folder = tempfile::tempdir().unwrap();
        let newest = || newest_file_ms(folder.path(), DAY_LEVELS);
        assert_eq!(newest(), None);
        for day in ["year=2025/month=12/day=31", "year=2026/month=01/day=02"] {
            std::fs::create_dir_all(folder.path().join(day)).unwrap();
        }
        assert_eq!(newest(), None);
        let file = folder.path().join("year=2026/month=01/day=02/a.parquet");
        let file = std::fs::File::create(file).unwrap();
        let written = UNIX_EPOCH + std::time::Duration::from_millis(1_772_878_440_000);
        file.set_modified(written).unwrap();
        assert_eq!(newest(), Some(1_772_878_440_000));
    }
}
