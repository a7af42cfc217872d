//! Kills a compaction at each of its calls, before or after the call took effect.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use archive::{Archive, Folder, MANIFEST, Manifest, days};
use codec::columnar::record_batch;
use domain::{Tick, TickId};
use proptest::prelude::*;
use testkit::killed_objects::{KillPoint, KilledObjects};

use crate::test_archive::{NOW_MS, TestArchive, deduplicated, foreign, names};
use testkit::market::{DAY_MS, tick};

const DAY_LENGTH_MS: i64 = 86_400_000;

/// A file of an archive: its ticks by day, second, and a number that distinguishes writes.
#[derive(Debug, Clone)]
struct GeneratedFile {
    ours: bool,
    ticks: Vec<(i64, i64, i64)>,
}

fn generated_file() -> impl Strategy<Value = GeneratedFile> {
    let picks = proptest::collection::vec((0_i64..2, 0_i64..25, 0_i64..4), 1..12);
    (any::<bool>(), picks).prop_map(|(ours, ticks)| GeneratedFile { ours, ticks })
}

/// The same second is the same tick in any file, possibly with a later ingestion time.
fn ticks(made: &GeneratedFile) -> Vec<Tick> {
    let tick = |(day, second, later_ms): &(i64, i64, i64)| {
        let tokens = ["BTC", "ETH", "SOL"];
        let token = tokens[usize::try_from(second % 3).unwrap()];
        let at_ms = DAY_MS + day * DAY_LENGTH_MS + second * 1_000;
        let tick = tick(token, "1.25", at_ms);
        Tick {
            ingested_at_ms: tick.ingested_at_ms + later_ms,
            ..tick
        }
    };
    made.ticks.iter().map(tick).collect()
}

fn write(room: &TestArchive, files: &[GeneratedFile], first: u64) {
    let archive = Archive::open(room.data.path()).unwrap();
    for (number, made) in (first..).zip(files) {
        let ticks = ticks(made);
        if made.ours {
            archive
                .write_range(0, number * 100, number * 100 + 99, &ticks)
                .unwrap();
            continue;
        }
        for (day, folder) in [(0, "07"), (1, "08")] {
            let start_ms = DAY_MS + day * DAY_LENGTH_MS;
            let of_day =
                |tick: &&Tick| (start_ms..start_ms + DAY_LENGTH_MS).contains(&tick.timestamp_ms);
            let of_day: Vec<&Tick> = ticks.iter().filter(of_day).collect();
            if !of_day.is_empty() {
                let name = format!("firehose-{number}.parquet");
                foreign(&room.day(folder), &name, &record_batch(&of_day).unwrap());
            }
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

fn copy_of(room: &TestArchive) -> TestArchive {
    let copy = TestArchive {
        settings: room.settings,
        ..TestArchive::new()
    };
    copy_folder(room.data.path(), copy.data.path());
    copy
}

/// The ids of rows, in order.
fn ids(rows: &[Tick]) -> Vec<TickId> {
    let mut ids: Vec<TickId> = rows.iter().map(|tick| tick.tick_id).collect();
    ids.sort_unstable();
    ids
}

/// Whether the rows are a subset of those before, with each id once. Other tests check which row of
/// an id stays.
fn is_each_once(rows: &[Tick], before: &[Tick]) -> bool {
    ids(rows) == ids(&deduplicated(before)) && rows.iter().all(|row| before.contains(row))
}

/// Every day is in the state before or after the compaction.
fn check_readers(room: &TestArchive, before: &BTreeMap<String, Vec<Tick>>, after: &str) {
    let (seen, without_manifest) = (room.rows(), room.rows_without_manifest());
    assert_eq!(seen.len(), before.len(), "{after}");
    for (day, before) in before {
        let rows = &seen[day];
        assert!(
            rows == before || is_each_once(rows, before),
            "{after}: {day} has {rows:#?} of {before:#?}"
        );
        // Athena may temporarily see a row twice, but never misses one.
        let distinct = deduplicated(&without_manifest[day]);
        assert!(
            is_each_once(&distinct, before),
            "{after}: {day} without the manifest"
        );
    }
}

/// Nothing is hidden, duplicated or incomplete.
async fn check_end(room: &TestArchive, before: &BTreeMap<String, Vec<Tick>>, after: &str) {
    // The lease of the killed compaction expires, and so does the grace period of its commit.
    for _ in 0..3 {
        room.now_ms.fetch_add(3_600_000, Ordering::Relaxed);
        room.compact().await;
        check_readers(room, before, after);
    }
    let seen = room.rows();
    assert_eq!(seen, room.rows_without_manifest(), "{after}");
    for (day, before) in before {
        assert!(is_each_once(&seen[day], before), "{after}: {day}");
    }
    for day in days(&room.table()).unwrap() {
        let names = names(&day.path);
        assert!(
            names.iter().all(|name| !name.starts_with("_next-")),
            "{after}: {names:?}"
        );
        if let Ok(content) = fs::read(day.path.join(MANIFEST)) {
            assert!(Manifest::parse(&content).unwrap().is_complete(), "{after}");
        }
    }
    assert_eq!(
        names(&room.table()),
        ["year=2026"],
        "{after}: no lease remains"
    );
}

async fn kill_everywhere(room: &TestArchive, before: &BTreeMap<String, Vec<Tick>>) -> usize {
    let clean = copy_of(room);
    let whole = Arc::new(KilledObjects::new(
        Arc::new(Folder::new(clean.data.path())),
        usize::MAX,
        KillPoint::Before,
    ));
    clean.compact_over(whole.clone()).await.unwrap();
    let calls = whole.calls();
    for at in 0..calls {
        for kill_point in [KillPoint::Before, KillPoint::After] {
            let after = format!("kill_point {kill_point:?} call {at} of {calls}");
            let room = copy_of(room);
            let folder = Arc::new(Folder::new(room.data.path()));
            let mortal = Arc::new(KilledObjects::new(folder, at, kill_point));
            let died = room.compact_over(mortal).await;
            assert!(died.is_err(), "{after}: {died:?}");
            check_readers(&room, before, &after);
            check_end(&room, before, &after).await;
        }
    }
    calls
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3, max_shrink_iters: 20, ..ProptestConfig::default() })]

    /// Files with duplicates on several days, then late ones on compacted days.
    #[test]
    fn no_kill_loses_or_duplicates_a_row(
        files in proptest::collection::vec(generated_file(), 2..5),
        late in proptest::collection::vec(generated_file(), 1..3),
        small in any::<bool>(),
        grace_ms in prop_oneof![Just(0_i64), Just(60_000)],
    ) {
        runtime().block_on(async {
            let mut room = TestArchive::new();
            room.settings.grace_ms = grace_ms;
            if small {
                // A file of a few rows counts as large, so late files are merged beside it.
                room.settings.target_bytes = 4_000;
            }
            write(&room, &files, 0);
            let before = room.rows();
            let calls = kill_everywhere(&room, &before).await;
            assert!(calls > 5, "{calls} calls");

            room.settings.grace_ms = 0;
            room.compact().await;
            room.settings.grace_ms = grace_ms;
            write(&room, &late, 50);
            let before = room.rows();
            kill_everywhere(&room, &before).await;
        });
    }
}

#[tokio::test]
async fn the_lease_of_a_killed_compaction_is_valid_until_it_expires() {
    let room = TestArchive::new();
    let file = |second: i64| GeneratedFile {
        ours: true,
        ticks: vec![(0, second, 0)],
    };
    write(&room, &[file(1), file(2)], 0);
    let folder = || Arc::new(Folder::new(room.data.path()));
    // The first two calls are those of the lease.
    let mortal = Arc::new(KilledObjects::new(folder(), 2, KillPoint::Before));
    room.compact_over(mortal).await.unwrap_err();
    let lease =
        archive::compaction::Lease::take(folder(), Arc::new(|| NOW_MS), "another", "another token");
    let error = lease.await.err().unwrap().to_string();
    assert!(error.starts_with("a test is already compacting"), "{error}");
    assert!(error.contains("2027-01-15T08:30:00Z"), "{error}");
    let later = Arc::new(|| NOW_MS + 30 * 60_000);
    let taken = archive::compaction::Lease::take(folder(), later, "another", "another token");
    let taken = taken.await.unwrap();
    taken.confirm().await.unwrap();
    taken.release().await.unwrap();
    assert!(taken.confirm().await.is_err(), "it is released");
}
