//! What the store of a folder that no process has open says.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use app::ports::RolloutStore as _;
use domain::Reason;
use ops::doctor::{
    Backlog, BackupAge, ConsumerLag, Disk, Files, Ledger, Observed, Quarantined, Unobserved,
};
use store::BackupsMade;

use super::machine_view::{MachineView, PastChange, RolloutView, unobserved};
use crate::data_access::OpenStore;

/// How many of the newest malformed entries are counted by reason.
const QUARANTINED_READ: usize = 1_000;

/// How many changes are read.
const CHANGES_READ: usize = 50;

/// tickstream's default folder for backups.
const BACKUPS_FOLDER: &str = "backups";

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
    let files = match archive_lag {
        Some(lag) => files(opened, lag, now_ms)?,
        None => Err(not_running()),
    };
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
        at_ms: now_ms,
        data_dir: Some(opened.data_dir.clone()),
        rollout: history
            .first()
            .map(|newest| RolloutView {
                use_kinesis: newest.rollout.use_kinesis,
                percentage: f64::from(newest.rollout.percentage),
                key: Some(newest.rollout.key),
                history: history
                    .iter()
                    .map(|change| PastChange {
                        at_ms: change.at_ms,
                        who: change.who.clone(),
                        why: change.why.clone(),
                        use_kinesis: change.rollout.use_kinesis,
                        percentage: f64::from(change.rollout.percentage),
                        key: Some(change.rollout.key),
                    })
                    .collect(),
            })
            .ok_or_else(|| {
                unobserved(
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
            observed_ms: None,
        }),
        files,
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
            Err(error) => Err(unobserved(
                format!("{} cannot be read: {error}", backups.display()),
                "check the permissions of the folder",
            )),
        },
    })
}

/// The archive's files. That its folder is not readable here does not say whether it is to tickstream.
fn files(opened: &OpenStore, lag: &ConsumerLag, now_ms: i64) -> anyhow::Result<Observed<Files>> {
    let table = archive::table_folder(&opened.data_dir);
    let newest = archive::newest_file(&table);
    let is_written = opened.store.archived_records()? > 0;
    let problem = match &newest {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_written => None,
        newest => archive::folder_problem(&table, newest, is_written),
    };
    if let (Some(why), true) = (
        &problem,
        newest
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied),
    ) {
        let advice =
            "run tickctl doctor as tickstream's user, or see the rights of the folder: `ls -ld";
        return Ok(Err(unobserved(
            why,
            format!("{advice} {}`", table.display()),
        )));
    }
    let written = newest.ok().flatten();
    let written_ms = written.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let written_ms = written_ms.and_then(|at| i64::try_from(at.as_millis()).ok());
    Ok(Ok(Files {
        newest_age_ms: written_ms.map(|at_ms| (now_ms - at_ms).max(0)),
        waiting: lag.records,
        waiting_ms: Some(lag.age_ms),
        every_ms: 0,
        streamed: 0,
        problem,
        down_ms: None,
    }))
}

fn not_running(data_dir: &Path) -> Unobserved {
    let start = format!("start tickstream with --data-dir {}", data_dir.display());
    unobserved("no process runs", format!("{start}, and look again"))
}
