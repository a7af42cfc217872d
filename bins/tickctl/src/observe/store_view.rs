//! What the store of a folder that no process has open says.

use std::collections::BTreeMap;

use app::ports::RolloutStore as _;
use domain::Reason;
use ops::doctor::{
    Backlog, BackupAge, Clocks, ConsumerLag, Disk, Files, Ledger, Quarantined, Unseen,
};
use store::BackupsMade;

use super::machine_view::{MachineView, PastChange, RolloutView, unseen};
use crate::data_access::OpenStore;

/// How many of the newest malformed entries are counted by reason.
const QUARANTINED_READ: usize = 1_000;

/// How many changes are read.
const CHANGES_READ: usize = 50;

/// The folder of backups that tickstream uses unless it is told another one.
const BACKUPS_FOLDER: &str = "backups";

/// Entries of this age are recent, as in a running process.
const RECENT_MS: i64 = 5 * 60_000;

/// Observes an opened store.
pub(super) async fn observe(opened: &OpenStore, now_ms: i64) -> anyhow::Result<MachineView> {
    let store = &opened.store;
    let ledger = store.ledger();
    let mut lag = Vec::new();
    for name in store::CONSUMERS {
        let behind = store.consumer_lag(name, now_ms).await?;
        lag.push(ConsumerLag {
            name: name.to_owned(),
            records: Some(behind.records),
            age_ms: behind.age_ms,
            down_ms: None,
            set_aside: 0,
        });
    }
    let archive = lag.last().filter(|it| it.name == "archive");
    let files = archive.map(|lag| Files {
        newest_age_ms: None,
        waiting: lag.records,
        waiting_ms: Some(lag.age_ms),
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
    let latest = store.recent_ticks(QUARANTINED_READ);
    let event_ahead_ms = latest.iter().map(|it| it.timestamp_ms - it.ingested_at_ms);
    let event_ahead_ms = event_ahead_ms.max();
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
                    "start tickstream",
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
        // It is the same machine.
        clocks: Ok(Clocks {
            ahead_ms: 0,
            within_ms: 0,
            event_ahead_ms,
        }),
        disk: Ok(Disk {
            free_bytes: store.free_disk_bytes(),
            min_free_bytes: store.min_free_disk_bytes(),
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

fn not_running() -> Unseen {
    unseen("no process runs", "start tickstream, and look again")
}
