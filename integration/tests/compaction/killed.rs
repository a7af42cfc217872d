//! SIGKILL at different moments of a real run.

use std::time::{Duration, Instant};

use crate::generated::{compaction, counted, write};

/// How often a run is killed.
const KILLS: u32 = 16;

/// Ticks that each round adds, as late files of days that are already compacted.
const LATE: u32 = 300;

#[test]
fn a_killed_compaction_neither_loses_nor_duplicates_rows() {
    let data = tempfile::tempdir().unwrap();
    let mut ticks = 6_000;
    write(data.path(), 0, 0, ticks, 100);
    let options = ["--grace", "0s", "--target", "100KB"];

    // How long a complete run takes, on a copy of the same archive.
    let clean = tempfile::tempdir().unwrap();
    write(clean.path(), 0, 0, ticks, 100);
    let started = Instant::now();
    assert!(compaction(clean.path(), &options).wait().unwrap().success());
    let whole = started.elapsed();
    assert_eq!(counted(clean.path()), (6_000, 6_000));

    for kill in 0..KILLS {
        let mut run = compaction(data.path(), &options);
        std::thread::sleep(whole * kill / KILLS);
        run.kill().unwrap();
        run.wait().unwrap();
        let expected = u64::from(ticks);
        assert_eq!(counted(data.path()), (expected, expected), "kill {kill}");
        write(data.path(), 0, ticks, ticks + LATE, 50);
        ticks += LATE;
    }
    assert!(compaction(data.path(), &options).wait().unwrap().success());
    let expected = u64::from(ticks);
    assert_eq!(counted(data.path()), (expected, expected));

    // A complete run leaves only the visible files and the manifest.
    for day in archive::days(&archive::table_folder(data.path())).unwrap() {
        let counting = archive::day_files(&day.path).unwrap().len();
        let names = std::fs::read_dir(&day.path).unwrap().count();
        assert_eq!(names, counting + 1, "{}", day.path.display());
        assert!(counting <= 4, "{counting} files");
    }
}

/// Runs queries concurrently with compactions; each must count every row once.
#[test]
fn queries_during_compactions_count_every_row_once() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), 0, 0, 3_000, 100);
    let folder = data.path().to_owned();
    let compactions = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(8);
        let mut runs = 0;
        while Instant::now() < until {
            // A grace period that some queries need, and that ends while others run.
            let options = ["--grace", "2s", "--target", "50KB"];
            assert!(compaction(&folder, &options).wait().unwrap().success());
            // Duplicates of all kinds of rows, which the next compaction removes.
            let first = runs * 50 % 3_000;
            write(&folder, 7, first, first + 50, 25);
            runs += 1;
        }
        runs
    });
    let mut queries = 0;
    while !compactions.is_finished() {
        let (rows, ids) = counted(data.path());
        assert_eq!(ids, 3_000);
        assert!(rows >= ids, "{rows} rows");
        queries += 1;
    }
    let runs = compactions.join().unwrap();
    assert!(runs > 2 && queries > 2, "{runs} runs, {queries} queries");
    std::thread::sleep(Duration::from_secs(2));
    for _ in 0..2 {
        let options = ["--grace", "0s"];
        assert!(compaction(data.path(), &options).wait().unwrap().success());
    }
    assert_eq!(counted(data.path()), (3_000, 3_000));
}
