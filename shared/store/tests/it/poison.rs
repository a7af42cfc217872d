//! Ticks for which the archive fails: they are set aside, and the others are archived.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use app::ports::TickStream as _;
use archive::{Archive, ArchiveError, Written};
use domain::{Reason, Severity, Tick};
use store::{Archiver, EmbeddedStore, FlushError, RangeWriter};
use tempfile::TempDir;
use testkit::ticks::{START_MS, tick, ticks};

use crate::{clock, open, refs};

/// An archive that panics at a token, and that can fail.
struct Fragile {
    archive: Archive,
    /// Shards for which the disk is full.
    full_for: Mutex<Vec<u8>>,
    /// Stops between the check of a range's ticks and the publication of its files, as a crash would.
    stops: AtomicBool,
    /// The ids of the ticks that were written, by shard and first record of their range.
    written: Mutex<BTreeMap<(u8, u64), Vec<String>>>,
}

impl Fragile {
    fn new(folder: &TempDir) -> Arc<Self> {
        Arc::new(Self {
            archive: Archive::open(folder.path()).unwrap(),
            full_for: Mutex::default(),
            stops: AtomicBool::new(false),
            written: Mutex::default(),
        })
    }

    /// The ids in the archive, each once.
    fn archived(&self) -> BTreeSet<String> {
        let mut ids = BTreeSet::new();
        for id in self.written.lock().unwrap().values().flatten() {
            assert!(ids.insert(id.clone()), "{id} is there twice");
        }
        ids
    }

    fn check(&self, shard: u8, ticks: &[Tick]) -> Result<(), ArchiveError> {
        if self.full_for.lock().unwrap().contains(&shard) {
            return Err(io(std::io::ErrorKind::StorageFull));
        }
        let poison = ticks.iter().find(|tick| tick.token.as_str() == "POISON");
        assert!(poison.is_none(), "a panic of the test");
        Ok(())
    }
}

fn io(kind: std::io::ErrorKind) -> ArchiveError {
    ArchiveError::Io {
        doing: "write",
        path: "a.parquet".into(),
        source: kind.into(),
    }
}

impl RangeWriter for Fragile {
    fn write_range(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<Written, ArchiveError> {
        self.check(shard, ticks)?;
        self.archive.try_ticks(shard, first, last, ticks)?;
        if self.stops.load(Ordering::Relaxed) {
            return Err(io(std::io::ErrorKind::Interrupted));
        }
        let written = self.archive.write_range(shard, first, last, ticks)?;
        let ids = ticks.iter().map(|it| it.tick_id.to_string()).collect();
        self.written.lock().unwrap().insert((shard, first), ids);
        Ok(written)
    }

    fn try_ticks(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<(), ArchiveError> {
        self.check(shard, ticks)?;
        self.archive.try_ticks(shard, first, last, ticks)
    }
}

/// Tokens of several shards.
const TOKENS: [&str; 4] = ["BTC", "ETH", "SOL", "XRP"];

/// A tick whose event time no folder can have, in the shard of its token.
fn beyond_the_calendar(token: &str) -> Tick {
    Tick {
        timestamp_ms: i64::MAX,
        ..tick(token, 1_000)
    }
}

async fn append(store: &EmbeddedStore, ticks: &[Tick]) {
    store.append(&refs(ticks), None).await.unwrap();
}

fn ids(ticks: &[Tick]) -> BTreeSet<String> {
    ticks.iter().map(|it| it.tick_id.to_string()).collect()
}

async fn set_aside(store: &EmbeddedStore) -> Vec<(String, String)> {
    let kept = store.quarantined(100).await.unwrap();
    let entries = kept.into_iter().map(|kept| {
        assert_eq!(kept.source, "archive");
        assert_eq!(kept.received_at_ms, START_MS);
        assert_eq!(kept.entry.reason, Reason::Unprocessable);
        assert_eq!(kept.entry.reason.severity(), Severity::Critical);
        (kept.entry.raw, kept.entry.message)
    });
    entries.collect()
}

#[tokio::test]
async fn a_tick_that_cannot_be_archived_is_set_aside_and_its_shard_goes_on() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let archive = Fragile::new(&folder);
    let archiver = Archiver::new(store.clone(), archive.clone(), clock());
    let good = ticks(&TOKENS, 30);
    let (before, after) = good.split_at(60);
    append(&store, before).await;
    append(&store, &[beyond_the_calendar("BTC"), tick("POISON", 1)]).await;
    append(&store, after).await;
    assert_eq!(archiver.flush().await.unwrap().ticks, 122);
    assert_eq!(archive.archived(), ids(&good));
    assert_eq!(store.set_aside("archive"), 2);
    let entries = set_aside(&store).await;
    assert_eq!(entries.len(), 2);
    let mut found = entries.iter();
    assert!(found.any(|(raw, message)| {
        raw.contains("9223372036854775807") && message.contains("not in the years 1 to 9999")
    }));
    let mut found = entries.iter();
    assert!(found.any(|(raw, message)| {
        raw.contains("POISON") && message.contains("panic: a panic of the test")
    }));
    assert_eq!(archiver.lag_ticks().unwrap(), 0);
    let later: Vec<Tick> = (100..140).map(|n| tick("BTC", n)).collect();
    append(&store, &later).await;
    archiver.flush().await.unwrap();
    assert_eq!(
        archive.archived(),
        ids(&later).union(&ids(&good)).cloned().collect()
    );
    assert_eq!(set_aside(&store).await.len(), 2, "each is set aside once");
}

#[tokio::test]
async fn a_range_is_written_without_the_same_ticks_after_a_crash() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let good = ticks(&["BTC"], 30);
    append(&store, &good).await;
    append(&store, &[beyond_the_calendar("BTC")]).await;
    let archive = Fragile::new(&folder);
    archive.stops.store(true, Ordering::Relaxed);
    // The tick is set aside, then the write stops.
    let archiver = Archiver::new(store.clone(), archive.clone(), clock());
    archiver.flush().await.unwrap_err();
    assert_eq!(set_aside(&store).await.len(), 1);
    assert_eq!(archive.archived().len(), 0);
    drop(archiver);
    archive.stops.store(false, Ordering::Relaxed);
    let archiver = Archiver::new(store.clone(), archive.clone(), clock());
    archiver.flush().await.unwrap();
    assert_eq!(archive.archived(), ids(&good));
    assert_eq!(set_aside(&store).await.len(), 1, "it is set aside once");
    assert_eq!(archiver.lag_ticks().unwrap(), 0);
}

/// The range of a lone tick has been recorded, and has no others.
#[tokio::test]
async fn a_lone_tick_that_cannot_be_archived_waits_for_another_one() {
    for witness in ["BTC", "POISONED"] {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        append(&store, &[beyond_the_calendar("BTC")]).await;
        let archive = Fragile::new(&folder);
        let archiver = Archiver::new(store.clone(), archive.clone(), clock());
        let error = archiver.flush().await.unwrap_err();
        let is_lone = matches!(
            error,
            FlushError::Unwritable {
                first: 1,
                last: 1,
                ..
            }
        );
        assert!(is_lone, "{error}");
        assert_eq!(set_aside(&store).await, []);
        // In the same shard, and in another one.
        let good = ticks(&[witness], 2);
        append(&store, &good).await;
        archiver.flush().await.unwrap();
        assert_eq!(set_aside(&store).await.len(), 1);
        assert_eq!(archive.archived(), ids(&good));
    }
}

#[tokio::test]
async fn a_full_disk_is_not_taken_for_poison() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let archive = Fragile::new(&folder);
    let archiver = Archiver::new(store.clone(), archive.clone(), clock());
    let good = ticks(&TOKENS, 3);
    append(&store, &good).await;
    append(&store, &[tick("POISON", 1)]).await;
    archive.full_for.lock().unwrap().extend(0..store::SHARDS);
    let error = archiver.flush().await.unwrap_err();
    assert!(matches!(error, FlushError::Archive(_)), "{error}");
    assert_eq!(set_aside(&store).await, []);
    archive.full_for.lock().unwrap().clear();
    archiver.flush().await.unwrap();
    assert_eq!(archive.archived(), ids(&good));
    assert_eq!(set_aside(&store).await.len(), 1);
}

#[tokio::test]
async fn a_shard_that_fails_does_not_stop_the_others() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let archive = Fragile::new(&folder);
    let archiver = Archiver::new(store.clone(), archive.clone(), clock());
    let made = ticks(&TOKENS, 3);
    append(&store, &made).await;
    let ends = store.end_offsets();
    let first = ends.iter().position(|end| end.count() > 0).unwrap();
    let failing = u8::try_from(first).unwrap();
    archive.full_for.lock().unwrap().push(failing);
    archiver.flush().await.unwrap_err();
    let of_others = made.len() as u64 - ends[first].count();
    assert!(of_others > 0);
    assert_eq!(archive.archived().len() as u64, of_others);
    archive.full_for.lock().unwrap().clear();
    archiver.flush().await.unwrap();
    assert_eq!(archive.archived(), ids(&made));
}
