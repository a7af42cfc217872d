//! Readers concurrent with a compaction and a writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use archive::{Archive, day_files};

use crate::test_archive::{TestArchive, read};
use testkit::market::{DAY_MS, tick};

/// A reader that lists the files continuously sees each row once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_each_row_once_at_every_moment() {
    let mut room = TestArchive::new();
    // No time passes: replaced files are kept, so a reader can finish.
    room.settings.grace_ms = 1;
    let archive = Archive::open(room.data.path()).unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let looks = Arc::new(AtomicUsize::new(0));
    let day = room.day("07");
    let reader = {
        let (written, ended) = (Arc::clone(&written), Arc::clone(&ended));
        let looks = Arc::clone(&looks);
        std::thread::spawn(move || {
            while !ended.load(Ordering::Acquire) {
                let least = written.load(Ordering::Acquire);
                let files = day_files(&day).unwrap();
                let mut ids: Vec<_> = files
                    .iter()
                    .flat_map(|file| read(&day.join(&file.name)))
                    .map(|tick| tick.tick_id)
                    .collect();
                let rows = ids.len();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), rows, "a row twice in {files:?}");
                assert!(rows >= least, "{rows} rows of {least} in {files:?}");
                looks.fetch_add(1, Ordering::Release);
            }
        })
    };
    for round in 0..12_u64 {
        for part in 0..3 {
            let first = (round * 3 + part) * 10;
            let at_ms = |n: u64| DAY_MS + i64::try_from(n).unwrap();
            let ticks: Vec<_> = (first..first + 10)
                .map(|n| tick("BTC", "1", at_ms(n)))
                .collect();
            archive.write_range(0, first, first + 9, &ticks).unwrap();
            written.fetch_add(10, Ordering::Release);
        }
        // Commits, and removes in the next round the files that this one replaced.
        room.compact().await;
        // On a busy machine, too, the reader looks between two rounds.
        let looked = looks.load(Ordering::Acquire);
        while looks.load(Ordering::Acquire) == looked && !reader.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        room.now_ms.fetch_add(1, Ordering::Relaxed);
    }
    ended.store(true, Ordering::Release);
    reader.join().unwrap();
    assert_eq!(room.rows()["2026-3-7"].len(), 360);
}
