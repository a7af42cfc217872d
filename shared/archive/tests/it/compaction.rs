use std::collections::BTreeSet;
use std::fs;

use archive::compaction::{CompactionError, Files, Memory, REMOVED_NAMED_MAX};
use archive::{Archive, Folder, MANIFEST, Manifest};
use codec::columnar::record_batch;
use domain::{Tick, TickId};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::test_archive::{
    TestArchive, batches, deduplicated, foreign, names, one_id_in_other_pairs_and_at_other_times,
    read, sorted,
};
use testkit::market::{DAY_MS, market, tick};

/// Ranges of `each` ticks, as a running tickstream writes them.
fn write_ranges(room: &TestArchive, ticks: &[Tick], each: usize, first: u64) {
    let archive = Archive::open(room.data.path()).unwrap();
    for (number, part) in (0_u64..).zip(ticks.chunks(each)) {
        let first = first + number * each as u64;
        let last = first + each as u64 - 1;
        archive.write_range(0, first, last, part).unwrap();
    }
}

fn metadata(path: &std::path::Path) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&fs::File::open(path).unwrap())
        .unwrap()
}

#[tokio::test]
async fn many_small_files_become_one_that_is_sorted_and_laid_out_for_readers() {
    let room = TestArchive::new();
    let ticks = market(1_400);
    write_ranges(&room, &ticks, 50, 0);
    assert_eq!(room.files("07").len(), 28);
    let reports = room.compact().await;
    let report = &reports[0];
    assert_eq!((report.before.count, report.after.count), (28, 1));
    assert_eq!((report.rows, report.duplicates), (1_400, 0));
    assert!(report.after.bytes < report.before.bytes);
    assert_eq!(report.after, report.written);

    let files = room.files("07");
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].starts_with("compacted-000001-000-"), "{files:?}");
    let path = room.day("07").join(&files[0]);
    assert_eq!(
        read(&path),
        sorted(ticks),
        "in the order of the sort columns"
    );
    assert_eq!(path.metadata().unwrap().len(), report.after.bytes);
    let metadata = metadata(&path);
    let group = metadata.row_group(0);
    assert_eq!(group.sorting_columns().unwrap().len(), 5);
    for column in group.columns() {
        let name = column.column_descr().name();
        assert!(column.statistics().is_some(), "{name}");
        let bloom = column.bloom_filter_offset().is_some();
        assert_eq!(bloom, name == "token", "{name}");
        let length = column.bloom_filter_length().unwrap_or_default();
        assert!(length < 1_000, "the bloom filter is shrunk: {length} bytes");
    }
    assert!(metadata.column_index().is_some() && metadata.offset_index().is_some());
    assert_eq!(names(&room.table()), ["year=2026"], "the lease is released");
}

#[tokio::test]
async fn a_compacted_day_is_left_alone() {
    let room = TestArchive::new();
    write_ranges(&room, &market(100), 10, 0);
    room.compact().await;
    let manifest = fs::read(room.day("07").join(MANIFEST)).unwrap();
    let report = &room.compact().await[0];
    assert_eq!(report.written, Files::default());
    assert_eq!(report.before, report.after);
    assert_eq!(fs::read(room.day("07").join(MANIFEST)).unwrap(), manifest);

    // A day with one file that our own writer sorted needs no compaction either.
    let room = TestArchive::new();
    write_ranges(&room, &market(100), 100, 0);
    let before = room.files("07");
    room.compact().await;
    assert_eq!(room.files("07"), before);
    assert!(!room.day("07").join(MANIFEST).exists());
}

#[tokio::test]
async fn files_of_another_writer_are_sorted_too() {
    let room = TestArchive::new();
    let mut ticks = market(300);
    ticks.reverse();
    let batch = record_batch(&ticks).unwrap();
    foreign(&room.day("07"), "tickstream-archive-1-x.parquet", &batch);
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.after.count), (300, 1));
    assert_eq!(room.rows()["2026-3-7"], sorted(ticks));
}

#[tokio::test]
async fn of_each_event_the_row_ingested_first_stays() {
    let room = TestArchive::new();
    let first = tick("BTC", "1", DAY_MS + 5);
    let received = |tick: &Tick, later_ms: i64| Tick {
        ingested_at_ms: tick.ingested_at_ms + later_ms,
        ..tick.clone()
    };
    // The same id at another time is another event.
    let moved = Tick {
        timestamp_ms: DAY_MS + 9_000,
        ..received(&first, 9_000)
    };
    let other = tick("ETH", "2", DAY_MS);
    let day = room.day("07");
    let batch = |ticks: &[Tick]| record_batch(ticks).unwrap();
    foreign(
        &day,
        "a.parquet",
        &batch(&[received(&first, 70), moved.clone()]),
    );
    foreign(&day, "b.parquet", &batch(&[first.clone(), other.clone()]));
    foreign(
        &day,
        "c.parquet",
        &batch(&[received(&other, 1), other.clone()]),
    );
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (3, 3));
    assert_eq!(room.rows()["2026-3-7"], sorted(vec![first, moved, other]));
}

#[tokio::test]
async fn only_true_repeats_are_removed_and_named() {
    let room = TestArchive::new();
    let ticks = one_id_in_other_pairs_and_at_other_times();
    let batch = |ticks: &[Tick]| record_batch(ticks).unwrap();
    foreign(&room.day("07"), "a.parquet", &batch(&ticks[..3]));
    foreign(&room.day("07"), "b.parquet", &batch(&ticks[3..]));
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (5, 0));
    assert_eq!(report.removed, []);
    assert_eq!(room.rows()["2026-3-7"], sorted(ticks.clone()));

    // Repeats of each, one of which a later build numbered.
    let mut repeats = ticks.clone();
    repeats[1].sequence = Some(5);
    foreign(&room.day("07"), "c.parquet", &batch(&repeats));
    foreign(&room.day("07"), "d.parquet", &batch(&ticks));
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (5, 10));
    let stay = &room.rows()["2026-3-7"];
    let identities = |ticks: &[Tick]| ticks.iter().map(Tick::identity).collect::<BTreeSet<_>>();
    assert_eq!(identities(stay), identities(&ticks));
    let mut removed: Vec<_> = (report.removed.iter())
        .map(|tick| {
            let (token, quote) = (tick.token.as_deref(), tick.quote.as_deref());
            assert_eq!(tick.tick_id, ticks[0].tick_id.to_string());
            (token.unwrap(), quote.unwrap(), tick.timestamp_ms.unwrap())
        })
        .collect();
    removed.dedup();
    let expected = [
        ("A", "EUR", DAY_MS),
        ("A", "USD", DAY_MS),
        ("A", "USD", DAY_MS + 1),
        ("B", "USD", DAY_MS),
        ("C", "USD", DAY_MS),
    ];
    removed.sort_unstable();
    removed.dedup();
    assert_eq!(removed, expected);
}

#[tokio::test]
async fn a_report_names_the_removed_rows_up_to_a_limit() {
    let room = TestArchive::new();
    let rows = REMOVED_NAMED_MAX + 1;
    let made: Vec<Tick> = (0_i64..)
        .take(rows)
        .map(|n| Tick {
            tick_id: TickId::derive("test", &[&n.to_string()]),
            ..tick("BTC", "1", DAY_MS + n)
        })
        .collect();
    write_ranges(&room, &made, rows, 0);
    write_ranges(&room, &made, rows, 20_000);
    let report = &room.compact().await[0];
    let rows = rows as u64;
    assert_eq!((report.rows, report.duplicates), (rows, rows));
    assert_eq!(report.removed.len(), REMOVED_NAMED_MAX);
}

#[tokio::test]
async fn compacted_rows_of_one_millisecond_are_in_the_order_of_their_numbers() {
    let mut room = TestArchive::new();
    // Many runs, so that they are merged.
    room.settings.memory.sort_bytes_max = 1;
    let ticks: Vec<Tick> = (0..40)
        .map(|n: u64| Tick {
            tick_id: TickId::derive("test", &[&n.to_string()]),
            sequence: (n > 3).then_some(n * 7 % 41),
            ..tick("BTC", "1", DAY_MS)
        })
        .collect();
    write_ranges(&room, &ticks, 5, 0);
    assert_eq!(room.compact().await[0].rows, 40);
    let file = room.files("07").remove(0);
    assert_eq!(read(&room.day("07").join(file)), sorted(ticks));
}

#[tokio::test]
async fn late_files_are_merged_and_large_files_stay_unchanged() {
    let mut room = TestArchive::new();
    room.settings.target_bytes = 20_000;
    let ticks = market(1_400);
    write_ranges(&room, &ticks, 100, 0);
    room.compact().await;
    let large = room.files("07");
    let bytes = |name: &str| room.day("07").join(name).metadata().unwrap().len();
    assert!(large.iter().all(|name| bytes(name) >= 10_000), "{large:?}");

    // A late file: some ticks are new, and some are in the large file.
    let late: Vec<Tick> = (0..20).map(|n| tick("LATE", "3", DAY_MS + n)).collect();
    let again = ticks[..30].to_vec();
    write_ranges(&room, &[late.clone(), again].concat(), 50, 5_000);
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (20, 30));
    let files = room.files("07");
    assert!(large.iter().all(|name| files.contains(name)), "{files:?}");
    assert_eq!(files.len(), large.len() + 1);
    let all = sorted([ticks.clone(), late].concat());
    assert_eq!(room.rows()["2026-3-7"], all);

    // A late file that has only duplicates disappears.
    write_ranges(&room, &ticks[100..150], 50, 6_000);
    let report = &room.compact().await[0];
    assert_eq!(report.duplicates, 50);
    assert_eq!(room.rows()["2026-3-7"], all);
    let after = room.files("07");
    assert!(after.len() <= files.len(), "{after:?}");
}

#[tokio::test]
async fn large_files_that_share_an_id_are_rewritten() {
    let mut room = TestArchive::new();
    let ticks = market(1_000);
    write_ranges(&room, &ticks[..600], 100, 0);
    room.compact().await;
    // Somebody removes the manifest and copies the compacted file: both are visible.
    let name = room.files("07").remove(0);
    let copy = name.replace("000001", "000009");
    fs::copy(room.day("07").join(&name), room.day("07").join(copy)).unwrap();
    fs::remove_file(room.day("07").join(MANIFEST)).unwrap();
    write_ranges(&room, &ticks[600..], 400, 2_000);
    assert_eq!(room.rows()["2026-3-7"].len(), 1_600);
    room.settings.target_bytes = 10_000;
    let report = &room.compact().await[0];
    assert_eq!(report.duplicates, 600);
    assert_eq!(room.rows()["2026-3-7"], sorted(ticks));
    // One of the two stays, and the rewritten file gets a new name.
    let files = room.files("07");
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(files[1].starts_with("compacted-000010-"), "{files:?}");
}

#[tokio::test]
async fn a_day_larger_than_memory_is_sorted_in_runs_and_split_into_files() {
    let mut room = TestArchive::new();
    room.settings.memory = Memory {
        sort_bytes_max: 1_000_000,
        id_records_max: 5_000,
        merge_runs_max: 3,
    };
    room.settings.target_bytes = 300_000;
    let tokens: Vec<String> = (0..40).map(|n| format!("TOKEN{n:02}")).collect();
    let made = |n: i64| {
        tick(
            &tokens[usize::try_from(n % 40).unwrap()],
            "1.5",
            DAY_MS + n * 7,
        )
    };
    let mut ticks: Vec<Tick> = (0..60_000).map(made).collect();
    ticks.extend((0..5_000).map(|n| made(n * 3)));
    write_ranges(&room, &ticks, 3_000, 0);
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (60_000, 5_000));
    assert!(report.after.count > 1, "{report:?}");
    let mut rows = Vec::new();
    for name in room.files("07") {
        let path = room.day("07").join(&name);
        let bytes = path.metadata().unwrap().len();
        assert!((150_000..500_000).contains(&bytes), "{name}: {bytes} bytes");
        rows.extend(read(&path));
    }
    assert!(
        rows == deduplicated(&ticks),
        "the rows are in order across the files"
    );
    let work = room.data.path().join("price-archive.compaction/work");
    assert!(names(&work).is_empty(), "no file is left behind");
}

#[tokio::test]
async fn a_corrupt_file_is_reported_and_the_rest_is_compacted() {
    let room = TestArchive::new();
    let ticks = market(3_000);
    write_ranges(&room, &ticks, 500, 0);
    let day = room.day("07");
    let whole = fs::read(day.join(&room.files("07")[0])).unwrap();
    fs::write(day.join("cut.parquet"), &whole[..whole.len() / 2]).unwrap();
    fs::write(day.join("empty.parquet"), b"").unwrap();
    let mut pages = whole.clone();
    pages[60..whole.len() / 2].fill(0xff);
    fs::write(day.join("pages.parquet"), &pages).unwrap();
    let reports = room.compact().await;
    let causes: Vec<&str> = reports[0]
        .unreadable
        .iter()
        .map(|u| u.name.as_str())
        .collect();
    let broken = ["cut.parquet", "empty.parquet", "pages.parquet"];
    for name in broken {
        assert!(
            causes.iter().any(|cause| cause.ends_with(name)),
            "{causes:?}"
        );
        fs::remove_file(day.join(name)).unwrap();
    }
    assert!(reports[0].unreadable.iter().all(|u| !u.cause.is_empty()));
    assert_eq!(room.files("07").len(), 1, "{:?}", room.files("07"));
    assert!(
        reports[1..]
            .iter()
            .all(|report| report.unreadable.is_empty())
    );
    let rows: Vec<Tick> = room.rows().into_values().flatten().collect();
    assert_eq!(sorted(rows), sorted(ticks));
}

#[tokio::test]
async fn replaced_files_are_kept_for_the_grace_period_but_invisible() {
    let mut room = TestArchive::new();
    room.settings.grace_ms = 60_000;
    write_ranges(&room, &market(100), 10, 0);
    let before = room.rows();
    let report = &room.compact().await[0];
    let until_ms = report.waiting_until_ms.unwrap();
    assert_eq!(until_ms, room.now_ms.load(Ordering::Relaxed) + 60_000);
    assert_eq!(room.rows(), before);
    assert_eq!(room.files("07").len(), 12, "old, new and its hidden name");

    // Nothing changes during the grace period; afterwards they are removed.
    room.now_ms.store(until_ms - 1, Ordering::Relaxed);
    let report = &room.compact().await[0];
    assert_eq!(
        (report.finished_earlier, report.waiting_until_ms),
        (true, Some(until_ms))
    );
    assert_eq!(room.files("07").len(), 12);
    room.now_ms.store(until_ms, Ordering::Relaxed);
    let report = &room.compact().await[0];
    assert_eq!(
        (report.finished_earlier, report.waiting_until_ms),
        (true, None)
    );
    assert_eq!(room.files("07").len(), 1);
    assert_eq!(room.rows(), before);
}

#[tokio::test]
async fn a_commit_with_a_missing_file_is_rolled_back_while_the_old_files_exist() {
    let mut room = TestArchive::new();
    room.settings.grace_ms = 60_000;
    write_ranges(&room, &market(100), 10, 0);
    let before = room.rows();
    room.compact().await;
    let compacted = |name: &String| name.contains("compacted-");
    for name in room.files("07").iter().filter(|name| compacted(name)) {
        fs::remove_file(room.day("07").join(name)).unwrap();
    }
    room.settings.grace_ms = 0;
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.after.count), (100, 1));
    assert_eq!(room.rows(), before);

    // If an old file is missing too, the compaction fails.
    let room = TestArchive::new();
    write_ranges(&room, &market(100), 10, 0);
    room.compact().await;
    let mut manifest = Manifest::parse(&fs::read(room.day("07").join(MANIFEST)).unwrap()).unwrap();
    manifest.replaced = vec!["000-gone.parquet".to_owned()];
    manifest.added = vec![archive::Added {
        name: "compacted-gone.parquet".to_owned(),
        bytes: 1,
        rows: 1,
        ids: String::new(),
    }];
    fs::write(room.day("07").join(MANIFEST), manifest.to_json().unwrap()).unwrap();
    let error = room
        .compact_over(Arc::new(Folder::new(room.data.path())))
        .await
        .unwrap_err();
    assert!(matches!(error, CompactionError::Damaged { .. }), "{error}");
    assert!(
        error.to_string().contains("compacted-gone.parquet"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stopped_compaction_changes_nothing() {
    let room = TestArchive::new();
    write_ranges(&room, &market(100), 10, 0);
    let before = room.files("07");
    room.stopped.store(true, Ordering::Relaxed);
    let folder = Arc::new(Folder::new(room.data.path()));
    let error = room.compact_over(folder).await.unwrap_err();
    assert!(matches!(error, CompactionError::Stopped), "{error}");
    assert_eq!(room.files("07"), before);
    room.stopped.store(false, Ordering::Relaxed);
    // Its lease is valid until it expires.
    room.now_ms.fetch_add(30 * 60_000, Ordering::Relaxed);
    let folder = Arc::new(Folder::new(room.data.path()));
    room.compact_over(folder).await.unwrap();
    assert_eq!(room.files("07").len(), 1);
}

#[tokio::test]
async fn a_day_with_a_manifest_of_a_newer_release_is_not_touched() {
    let room = TestArchive::new();
    write_ranges(&room, &market(100), 10, 0);
    fs::write(room.day("07").join(MANIFEST), br#"{"version": 2}"#).unwrap();
    let before = room.files("07");
    let folder = Arc::new(Folder::new(room.data.path()));
    let error = room.compact_over(folder).await.unwrap_err().to_string();
    assert!(
        error.contains("day=07") && error.contains("upgrade"),
        "{error}"
    );
    assert_eq!(room.files("07"), before);
    let error = archive::day_files(&room.day("07")).unwrap_err().to_string();
    assert!(error.contains("upgrade"), "{error}");
}

#[tokio::test]
async fn rows_without_an_id_are_all_kept() {
    use arrow::array::{ArrayRef, StringArray};
    let room = TestArchive::new();
    let ticks = market(3);
    let batch = record_batch(&ticks).unwrap();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns[0] = Arc::new(StringArray::from(vec![None, None, Some("x")]));
    let schema = batch.schema();
    let fields = schema.fields().iter().cloned();
    let nullable = fields.map(|field| (*field).clone().with_nullable(true));
    let schema = arrow::datatypes::Schema::new(nullable.collect::<Vec<_>>());
    let batch = arrow::array::RecordBatch::try_new(Arc::new(schema), columns).unwrap();
    foreign(&room.day("07"), "a.parquet", &batch);
    foreign(&room.day("07"), "b.parquet", &batch);
    let report = &room.compact().await[0];
    assert_eq!((report.rows, report.duplicates), (5, 1));
    let files = room.files("07");
    let rows: usize = files
        .iter()
        .flat_map(|name| batches(&room.day("07").join(name)))
        .map(|batch| batch.num_rows())
        .sum();
    assert_eq!(rows, 5);
}
