//! A writer that crashed and repeats its last range, while compactions run.

use archive::{Archive, Written};
use std::sync::atomic::Ordering;

use crate::test_archive::{TestArchive, sorted};
use testkit::market::{DAY_MS, market, tick};

#[tokio::test]
async fn a_compacted_range_is_not_written_again() {
    let room = TestArchive::new();
    let archive = Archive::open(room.data.path()).unwrap();
    let ticks = market(30);
    archive.write_range(1, 0, 9, &ticks[..10]).unwrap();
    archive.write_range(1, 10, 29, &ticks[10..]).unwrap();
    room.compact().await;
    let files = room.files("07");
    let again = archive.write_range(1, 10, 29, &ticks[10..]).unwrap();
    let nothing = Written {
        compacted: 20,
        ..Written::default()
    };
    assert_eq!(again, nothing);
    assert_eq!(room.files("07"), files);
    assert_eq!(room.rows()["2026-3-7"], sorted(ticks));
    let staging = room.data.path().join("price-archive.staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
}

#[tokio::test]
async fn a_repeated_range_is_recognized_during_the_grace_period_too() {
    let mut room = TestArchive::new();
    room.settings.grace_ms = 60_000;
    let archive = Archive::open(room.data.path()).unwrap();
    let ticks = market(30);
    archive.write_range(1, 0, 9, &ticks[..10]).unwrap();
    archive.write_range(1, 10, 29, &ticks[10..]).unwrap();
    room.compact().await;
    assert_eq!(
        archive
            .write_range(1, 10, 29, &ticks[10..])
            .unwrap()
            .compacted,
        20
    );
    assert_eq!(room.rows()["2026-3-7"], sorted(ticks));
}

/// A new store counts from 0 again, so its ranges have names that already existed.
#[tokio::test]
async fn other_ticks_under_an_existing_name_are_never_lost() {
    for grace_ms in [0, 60_000] {
        let mut room = TestArchive::new();
        room.settings.grace_ms = grace_ms;
        let archive = Archive::open(room.data.path()).unwrap();
        let ticks = market(20);
        archive.write_range(1, 0, 9, &ticks[..10]).unwrap();
        archive.write_range(1, 10, 19, &ticks[10..]).unwrap();
        room.compact().await;
        let mut all = ticks;
        for (first, last) in [(0, 9), (10, 19)] {
            let other: Vec<_> = (first..=last)
                .map(|n| tick("NEW", "2", DAY_MS + i64::try_from(n).unwrap()))
                .collect();
            let written = archive.write_range(1, first, last, &other).unwrap();
            assert_eq!((written.rows, written.compacted), (10, 0));
            // Twice, like after a crash before the checkpoint.
            archive.write_range(1, first, last, &other).unwrap();
            all.extend(other);
        }
        assert_eq!(room.rows()["2026-3-7"], sorted(all.clone()));
        room.now_ms.fetch_add(grace_ms, Ordering::Relaxed);
        room.compact().await;
        room.now_ms.fetch_add(grace_ms, Ordering::Relaxed);
        room.compact().await;
        assert_eq!(room.rows()["2026-3-7"], sorted(all));
        assert_eq!(room.files("07").len(), 1);
    }
}
