//! Backups while ticks are stored, flushed, merged and archived, and what a restore finds in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use app::ports::{PutOutcome, Quarantine as _, Quarantined, TickStore as _, TickStream as _};
use archive::Archive;
use domain::{Malformed, Reason, Tick};
use fjall::AbstractTree as _;
use tempfile::TempDir;
use testkit::ticks::{in_cohort, tick};

use super::*;
use crate::keyspaces::Memtables;

/// 2026-01-02T00:00:00Z.
const NOW_MS: i64 = 1_767_312_000_000;

/// Ticks in a delivery.
const DELIVERY: u32 = 20;

/// Memory is flushed after a few deliveries, so tables are written and merged all the time.
const SMALL: Memtables = Memtables {
    ticks_bytes: 16 * 1_024,
    other_bytes: 4 * 1_024,
    ticks_file_bytes: 16 * 1_024 * 1_024,
};

struct Running {
    store: EmbeddedStore,
    archiver: Arc<Archiver>,
    quarantine: QuarantineFiles,
    anomalies: AnomalyFiles,
}

impl Running {
    fn open(data: &Path) -> Self {
        fs::create_dir_all(data).unwrap();
        let config = EmbeddedConfig::new(data.join(STORE_FOLDER));
        let store = EmbeddedStore::open_with(&config, SMALL).unwrap();
        let archive = Arc::new(Archive::open(data).unwrap());
        Self {
            archiver: Arc::new(Archiver::new(store.clone(), archive, Arc::new(|| 0_i64))),
            quarantine: QuarantineFiles::new(store.clone(), data),
            anomalies: AnomalyFiles::open(store.clone(), data).unwrap(),
            store,
        }
    }

    fn backups(&self, data: &Path, backup_dir: &Path) -> Arc<Backups> {
        Arc::new(Backups::new(
            self.store.clone(),
            Arc::clone(&self.archiver),
            self.quarantine.clone(),
            self.anomalies.clone(),
            data,
            backup_dir,
        ))
    }

    /// What a delivery does: store, append, and keep what is malformed.
    async fn deliver(&self, delivery: u32) {
        let ticks = ticks_of(delivery);
        let stored = self.store.put(&in_cohort(&ticks)).await.unwrap();
        let refs: Vec<&Tick> = ticks.iter().collect();
        self.store.append(&refs, stored.outbox_id).await.unwrap();
        let entry = Quarantined {
            received_at_ms: NOW_MS,
            source: "ticks".to_owned(),
            entry: Malformed::new(0, Reason::InvalidPrice, delivery.to_string(), b"{}\n"),
        };
        self.store.keep(&[entry]).await.unwrap();
    }

    fn close(self) {
        drop((self.archiver, self.quarantine, self.anomalies));
        self.store.close();
    }
}

fn ticks_of(delivery: u32) -> Vec<Tick> {
    (0..DELIVERY)
        .map(|n| {
            let number = delivery * DELIVERY + n;
            let mut made = tick(&format!("T{}", number % 7), number);
            made.ingested_at_ms = NOW_MS;
            made.timestamp_ms = NOW_MS + i64::from(number);
            made
        })
        .collect()
}

/// Delivers until it is stopped, and says which deliveries were answered.
#[derive(Default)]
struct Load {
    next: AtomicU32,
    answered: Mutex<BTreeSet<u32>>,
    stopping: AtomicBool,
}

impl Load {
    fn answered(&self) -> BTreeSet<u32> {
        self.answered.lock().unwrap().clone()
    }

    async fn deliver(&self, running: &Running) {
        while !self.stopping.load(Ordering::Relaxed) {
            let delivery = self.next.fetch_add(1, Ordering::Relaxed);
            running.deliver(delivery).await;
            self.answered.lock().unwrap().insert(delivery);
        }
    }

    async fn flush(&self, running: &Running) {
        while !self.stopping.load(Ordering::Relaxed) {
            running.archiver.flush().await.unwrap();
            running.quarantine.flush().await.unwrap();
        }
    }
}

/// Every delivery that was answered before a backup is in it: once in the store, the stream, the archive
/// and the quarantine's files, while tables are written, merged and removed all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_has_everything_that_was_answered() {
    let data = TempDir::new().unwrap();
    let backup_dir = data.path().join("backups");
    let running = Arc::new(Running::open(data.path()));
    let load = Arc::new(Load::default());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (load, running) = (Arc::clone(&load), Arc::clone(&running));
        tasks.spawn(async move { load.deliver(&running).await });
    }
    let (flushing, with) = (Arc::clone(&load), Arc::clone(&running));
    tasks.spawn(async move { flushing.flush(&with).await });
    let backups = running.backups(data.path(), &backup_dir);
    let mut made = Vec::new();
    for number in 0..6 {
        while load.answered().len() < (number + 1) * 40 {
            tokio::task::yield_now().await;
        }
        let answered = load.answered();
        let number = i64::try_from(number).unwrap();
        made.push((backups.run(NOW_MS + number).await.unwrap(), answered));
    }
    load.stopping.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let versions = running.store.inner.spaces.ticks.tree.current_version().id();
    assert!(versions > 10, "only {versions} times the tables changed");
    drop(backups);
    Arc::into_inner(running).unwrap().close();
    for (backed_up, answered) in made {
        assert!(backed_up.bytes > 0 && backed_up.files > 20, "{backed_up:?}");
        check_restored(&backed_up, &answered).await;
    }
}

async fn check_restored(backed_up: &BackedUp, answered: &BTreeSet<u32>) {
    let data = &backed_up.path;
    let running = Running::open(data);
    let store = &running.store;
    assert_eq!(store.ledger().stored_rows, backed_up.ticks);
    for delivery in answered {
        let again = store.put(&in_cohort(&ticks_of(*delivery))).await.unwrap();
        let repeated = |outcome: &PutOutcome| *outcome == PutOutcome::Duplicate;
        assert!(again.outcomes.iter().all(repeated), "{delivery}");
    }
    assert_eq!(store.ledger().stored_rows, backed_up.ticks);
    running.archiver.flush().await.unwrap();
    check_ranges(data, &store.end_offsets().map(|end| end.count()));
    running.quarantine.flush().await.unwrap();
    let lines = quarantined(data);
    assert_eq!(lines.len() as u64, store.ledger().quarantined);
    assert!(answered.iter().all(|delivery| lines.contains(delivery)));
    running.close();
}

/// The archive's files have each sequence number once, up to the end of each shard.
fn check_ranges(data: &Path, ends: &[u64]) {
    let mut ranges: BTreeMap<u64, BTreeMap<u64, u64>> = BTreeMap::new();
    for day in archive::days(&archive::table_folder(data)).unwrap() {
        for file in archive::day_files(&day.path).unwrap() {
            let name = file.name.strip_suffix(".parquet").unwrap();
            let numbers: Vec<u64> = name.split('-').map(|part| part.parse().unwrap()).collect();
            let shard = ranges.entry(numbers[0]).or_default();
            assert_eq!(shard.insert(numbers[1], numbers[2]), None, "{name}");
        }
    }
    for (shard, end) in (0_u64..).zip(ends) {
        let mut next = 1;
        for (first, last) in ranges.remove(&shard).unwrap_or_default() {
            assert_eq!(first, next, "shard {shard}");
            next = last + 1;
        }
        assert_eq!(next, end + 1, "shard {shard}");
    }
}

/// The messages in the quarantine's files.
fn quarantined(data: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for day in archive::days(&quarantine_files::folder(data)).unwrap() {
        for file in fs::read_dir(day.path).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            for line in text.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                found.push(line["message"].as_str().unwrap().parse().unwrap());
            }
        }
    }
    let distinct: BTreeSet<u32> = found.iter().copied().collect();
    assert_eq!(distinct.len(), found.len(), "each entry is in one file");
    found
}

/// Names in a folder, without those that are always there.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
    let names = entries.map(|entry| name(entry).unwrap());
    names.filter(|name| name != "backup.lock").collect()
}

#[tokio::test]
async fn backups_run_one_at_a_time_and_remove_what_a_killed_one_left() {
    let data = TempDir::new().unwrap();
    let backup_dir = data.path().join("elsewhere");
    let running = Running::open(data.path());
    running.deliver(0).await;
    let backups = running.backups(data.path(), &backup_dir);
    let other = Staging::begin(data.path(), &backup_dir, name_at(0)).unwrap();
    let refused = backups.run(NOW_MS).await.unwrap_err();
    assert!(matches!(refused, BackupError::Running(_)), "{refused}");
    assert!(refused.to_string().contains("wait until it ends"));
    assert!(other.folder().exists(), "the running one is not disturbed");
    drop(other);

    // A process that was killed halfway.
    let partial = backup_dir.join("backup-20250101T000000.000Z.partial");
    fs::create_dir_all(partial.join("store")).unwrap();
    fs::create_dir_all(data.path().join("backup.staging/store")).unwrap();
    fs::create_dir_all(backup_dir.join("mine.partial")).unwrap();
    let backed_up = backups.run(NOW_MS).await.unwrap();
    let expected = ["backup-20260102T000000.000Z", "mine.partial"].map(str::to_owned);
    assert_eq!(names(&backup_dir), BTreeSet::from(expected));
    assert!(!data.path().join("backup.staging").exists());
    assert_eq!(backed_up.ticks, u64::from(DELIVERY));

    let taken = backups.run(NOW_MS).await.unwrap_err().to_string();
    assert!(taken.contains("backup-20260102T000000.000Z"), "{taken}");
    assert!(backed_up.path.join("store").exists());
    drop(backups);
    running.close();
}

#[tokio::test]
async fn a_backup_that_fails_leaves_nothing() {
    let data = TempDir::new().unwrap();
    let running = Running::open(data.path());
    running.deliver(0).await;
    running.archiver.flush().await.unwrap();

    // The folder of the backups cannot be created.
    let file = data.path().join("a-file");
    fs::write(&file, "").unwrap();
    let failed = running.backups(data.path(), &file).run(NOW_MS).await;
    let message = failed.unwrap_err().to_string();
    assert!(message.contains("a-file"), "{message}");
    assert!(!data.path().join("backup.staging").exists());

    // A table of the store is missing.
    let backup_dir = data.path().join("backups");
    let ticks = &running.store.inner.spaces.ticks;
    ticks.rotate_memtable_and_wait().unwrap();
    let table = ticks
        .tree
        .current_version()
        .iter_tables()
        .next()
        .unwrap()
        .id();
    let table = ticks.path().join("tables").join(table.to_string());
    let kept = data.path().join("kept");
    fs::rename(&table, &kept).unwrap();
    let backups = running.backups(data.path(), &backup_dir);
    let message = backups.run(NOW_MS).await.unwrap_err().to_string();
    assert!(message.contains(&table.display().to_string()), "{message}");
    assert!(names(&backup_dir).is_empty(), "{:?}", names(&backup_dir));
    assert!(!data.path().join("backup.staging").exists());

    // The writer and the flushes go on.
    fs::rename(&kept, &table).unwrap();
    running.deliver(1).await;
    running.archiver.flush().await.unwrap();
    let backed_up = backups.run(NOW_MS).await.unwrap();
    assert_eq!(backed_up.ticks, u64::from(2 * DELIVERY));
    drop(backups);
    running.close();
}

/// Changes in a backup, and in the data folder after it, do not reach the other one.
#[tokio::test]
async fn a_backup_and_its_data_folder_are_independent() {
    let data = TempDir::new().unwrap();
    let running = Running::open(data.path());
    running.deliver(0).await;
    let backups = running.backups(data.path(), &data.path().join("backups"));
    let backed_up = backups.run(NOW_MS).await.unwrap();
    running.deliver(1).await;
    let restored = Running::open(&backed_up.path);
    restored.deliver(2).await;
    assert_eq!(restored.store.ledger().stored_rows, 2 * u64::from(DELIVERY));
    let again = running.store.put(&in_cohort(&ticks_of(2))).await.unwrap();
    assert!(again.outcomes.iter().all(|one| *one == PutOutcome::Stored));
    let again = restored.store.put(&in_cohort(&ticks_of(1))).await.unwrap();
    assert!(again.outcomes.iter().all(|one| *one == PutOutcome::Stored));
    restored.close();
    drop(backups);
    running.close();
}

/// What `copy_folder` makes on another file system is the same backup.
#[tokio::test]
async fn a_copied_backup_is_a_backup() {
    let data = TempDir::new().unwrap();
    let running = Running::open(data.path());
    for delivery in 0..30 {
        running.deliver(delivery).await;
    }
    let backups = running.backups(data.path(), &data.path().join("backups"));
    let backed_up = backups.run(NOW_MS).await.unwrap();
    let elsewhere = TempDir::new().unwrap();
    let path = elsewhere.path().join("copy");
    file_copy::copy_folder(&backed_up.path, &path).unwrap();
    assert_eq!(
        Tally::of(&path).unwrap(),
        Tally::of(&backed_up.path).unwrap()
    );
    check_restored(&BackedUp { path, ..backed_up }, &(0..30).collect()).await;
    drop(backups);
    running.close();
}
