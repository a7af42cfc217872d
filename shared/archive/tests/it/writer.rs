use std::fs::{self, File};
use std::path::{Path, PathBuf};

use archive::{Archive, ArchiveError};
use codec::columnar;
use domain::{Tick, TickId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use proptest::prelude::*;

use testkit::market::{DAY_MS, market, tick};

use crate::test_archive::one_id_in_other_pairs_and_at_other_times;

/// Every file below a folder, relative to it, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let below = path.file_name().unwrap();
            found.extend(
                files(&path)
                    .into_iter()
                    .map(|file| Path::new(below).join(file)),
            );
        } else {
            found.push(PathBuf::from(path.file_name().unwrap()));
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Vec<Tick> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let batches = reader.build().unwrap();
    batches
        .flat_map(|batch| columnar::ticks(&batch.unwrap()).unwrap())
        .collect()
}

fn metadata(path: &Path) -> ParquetMetaData {
    ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&File::open(path).unwrap())
        .unwrap()
}

fn sorted(mut ticks: Vec<Tick>) -> Vec<Tick> {
    ticks.sort_by_key(|tick| (tick.token.clone(), tick.order(), tick.quote.clone()));
    ticks
}

#[test]
fn a_range_becomes_one_file_per_day_and_round_trips() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let ticks = market(1_500);
    let written = archive.write_range(3, 41, 1_540, &ticks).unwrap();
    assert_eq!(
        (written.files, written.rows, written.duplicates),
        (2, 1_500, 0)
    );

    let table = data.path().join("price-archive");
    let name = "003-00000000000000000041-00000000000000001540.parquet";
    let days = ["year=2026/month=03/day=07", "year=2026/month=03/day=08"];
    let expected = days.map(|day| Path::new(day).join(name));
    assert_eq!(files(&table), expected);
    let read: Vec<Vec<Tick>> = expected
        .iter()
        .map(|file| read(&table.join(file)))
        .collect();
    let (first, second): (Vec<_>, Vec<_>) = ticks
        .into_iter()
        .partition(|tick| tick.timestamp_ms < DAY_MS + 86_400_000);
    assert_eq!(
        read,
        [sorted(first), sorted(second)],
        "sorted by token, time, number and id"
    );
    let bytes: u64 = expected
        .iter()
        .map(|file| table.join(file).metadata().unwrap().len())
        .sum();
    assert_eq!(written.bytes, bytes);
}

#[test]
fn the_day_is_that_of_the_event_in_utc() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let late = Tick {
        ingested_at_ms: DAY_MS + 5,
        ..tick("BTC", "1", DAY_MS - 1)
    };
    archive
        .write_range(0, 0, 1, &[late, tick("BTC", "1", DAY_MS)])
        .unwrap();
    let folders = files(&data.path().join("price-archive"));
    let folder = |file: &PathBuf| file.parent().unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        folders.iter().map(folder).collect::<Vec<_>>(),
        ["year=2026/month=03/day=06", "year=2026/month=03/day=07"]
    );
}

#[test]
fn the_same_range_overwrites_the_same_files() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let table = data.path().join("price-archive");
    archive.write_range(0, 0, 1_499, &market(1_500)).unwrap();
    let first: Vec<Vec<u8>> = files(&table)
        .iter()
        .map(|f| fs::read(table.join(f)).unwrap())
        .collect();
    let mut reversed = market(1_500);
    reversed.reverse();
    archive.write_range(0, 0, 1_499, &reversed).unwrap();
    let second: Vec<Vec<u8>> = files(&table)
        .iter()
        .map(|f| fs::read(table.join(f)).unwrap())
        .collect();
    assert!(first == second, "two writes of one range differ");
    assert_eq!(first.len(), 2);
}

#[test]
fn a_duplicate_is_written_once() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let first = tick("BTC", "1.5", DAY_MS);
    let again = Tick {
        ingested_at_ms: first.ingested_at_ms + 9_000,
        ..first.clone()
    };
    let written = archive
        .write_range(0, 0, 2, &[first.clone(), tick("ETH", "2", DAY_MS), again])
        .unwrap();
    assert_eq!((written.rows, written.duplicates), (2, 1));
    let table = data.path().join("price-archive");
    let rows = read(&table.join(&files(&table)[0]));
    assert_eq!(rows, [first, tick("ETH", "2", DAY_MS)]);
}

/// A sender of `ticks` may choose ids freely.
#[test]
fn the_same_id_in_other_pairs_and_at_other_times_is_another_tick() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let ticks = one_id_in_other_pairs_and_at_other_times();
    let twice = [&ticks[..], &ticks[..]].concat();
    let written = archive.write_range(0, 0, 9, &twice).unwrap();
    assert_eq!(
        (written.rows, written.duplicates),
        (ticks.len() as u64, ticks.len() as u64)
    );
    let table = data.path().join("price-archive");
    assert_eq!(read(&table.join(&files(&table)[0])), sorted(ticks));
}

#[test]
fn ticks_of_one_millisecond_are_in_the_order_of_their_numbers() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let mut ids: Vec<TickId> = (0..4)
        .map(|n| TickId::derive("test", &[&n.to_string()]))
        .collect();
    ids.sort();
    ids.reverse();
    let numbers = [None, Some(1), Some(2), Some(10)];
    let ticks: Vec<Tick> = ids
        .into_iter()
        .zip(numbers)
        .map(|(tick_id, sequence)| Tick {
            tick_id,
            sequence,
            ..tick("BTC", "1", DAY_MS)
        })
        .collect();
    let shuffled = [2, 0, 3, 1].map(|at: usize| ticks[at].clone());
    archive.write_range(0, 0, 3, &shuffled).unwrap();
    let table = data.path().join("price-archive");
    assert_eq!(read(&table.join(&files(&table)[0])), ticks);
}

#[test]
fn leftovers_of_a_stopped_process_are_removed_and_never_visible() {
    let data = tempfile::tempdir().unwrap();
    drop(Archive::open(data.path()).unwrap());
    let staging = data.path().join("price-archive.staging");
    fs::write(
        staging.join("2026-03-07-000-00000000000000000000-00000000000000000009.parquet"),
        "PAR1",
    )
    .unwrap();
    let archive = Archive::open(data.path()).unwrap();
    assert!(files(&staging).is_empty());
    archive.write_range(0, 0, 9, &market(10)).unwrap();
    assert!(files(&staging).is_empty(), "no file is left behind");

    // A failed attempt of this process does not block the next one.
    fs::write(
        staging.join("2026-03-07-000-00000000000000000000-00000000000000000009.parquet"),
        "PAR1",
    )
    .unwrap();
    assert_eq!(archive.write_range(0, 0, 9, &market(10)).unwrap().rows, 10);
}

#[test]
fn an_empty_range_writes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    assert_eq!(
        archive.write_range(0, 0, 0, &[]).unwrap(),
        archive::Written::default()
    );
    assert!(files(&data.path().join("price-archive")).is_empty());
}

#[test]
fn invalid_ranges_and_times_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    let error = archive.write_range(0, 5, 4, &market(1)).unwrap_err();
    assert!(
        matches!(error, ArchiveError::Range { first: 5, last: 4 }),
        "{error}"
    );
    for timestamp_ms in [i64::MIN, i64::MAX, 253_402_300_800_000] {
        let stray = Tick {
            timestamp_ms,
            ..tick("BTC", "1", DAY_MS)
        };
        let error = archive
            .write_range(0, 0, 1, &[market(1).remove(0), stray])
            .unwrap_err();
        assert!(matches!(error, ArchiveError::Timestamp { .. }), "{error}");
    }
    assert!(
        files(&data.path().join("price-archive")).is_empty(),
        "the whole range or nothing"
    );
}

#[test]
fn a_folder_that_cannot_be_created_is_named() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Archive::open(&file).unwrap_err().to_string();
    assert!(
        error.contains("create") && error.contains("price-archive"),
        "{error}"
    );
}

/// The parts that let readers skip data: statistics, page index, bloom filter, order; and the
/// writer.
#[test]
fn the_file_layout_is_optimized_for_readers() {
    let data = tempfile::tempdir().unwrap();
    let archive = Archive::open(data.path()).unwrap();
    archive.write_range(7, 100, 1_299, &market(1_200)).unwrap();
    let table = data.path().join("price-archive");
    let metadata = metadata(&table.join(&files(&table)[0]));
    let file = metadata.file_metadata();
    let pairs = file.key_value_metadata().unwrap();
    let value = |key: &str| {
        pairs
            .iter()
            .find(|pair| pair.key == key)
            .and_then(|pair| pair.value.as_deref())
    };
    assert!(
        value("tickstream.writer")
            .unwrap()
            .starts_with("tickstream ")
    );
    assert_eq!(value("tickstream.version"), Some("1.1"));
    assert_eq!(value("tickstream.shard"), Some("7"));
    assert_eq!(
        (value("tickstream.first"), value("tickstream.last")),
        (Some("100"), Some("1299"))
    );

    let group = metadata.row_group(0);
    let names: Vec<&str> = group
        .columns()
        .iter()
        .map(|c| c.column_descr().name())
        .collect();
    let sorting: Vec<&str> = group
        .sorting_columns()
        .unwrap()
        .iter()
        .map(|column| names[usize::try_from(column.column_idx).unwrap()])
        .collect();
    assert_eq!(sorting, ["token", "ts", "sequence", "tick_id", "quote"]);
    for column in group.columns() {
        let name = column.column_descr().name();
        assert!(
            matches!(column.compression(), Compression::ZSTD(_)),
            "{name}"
        );
        assert!(column.statistics().is_some(), "{name}");
        assert_eq!(
            column.bloom_filter_offset().is_some(),
            name == "token",
            "{name}"
        );
        let dictionary = [
            "token", "quote", "price", "volume", "source", "method", "version", "quality",
        ];
        assert_eq!(
            column.dictionary_page_offset().is_some(),
            dictionary.contains(&name),
            "{name}"
        );
    }
    assert!(metadata.column_index().is_some() && metadata.offset_index().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// In any order and with repetitions, each tick is in the archive once, on its day.
    #[test]
    fn every_tick_is_in_the_archive_once(
        picks in proptest::collection::vec((0_usize..4, 0_i64..5, 0_i64..3), 0..60),
    ) {
        let tokens = ["BTC", "ETH", "SOL", "So11111111111111111111111111111111111111112"];
        let made = |(token, day, step): &(usize, i64, i64)| {
            tick(tokens[*token], "1.25", DAY_MS + day * 86_400_000 + step)
        };
        let ticks: Vec<Tick> = picks.iter().map(made).collect();
        let data = tempfile::tempdir().unwrap();
        let archive = Archive::open(data.path()).unwrap();
        let written = archive.write_range(0, 0, 59, &ticks).unwrap();
        let table = data.path().join("price-archive");
        let read: Vec<Tick> = files(&table).iter().flat_map(|file| read(&table.join(file))).collect();
        let mut expected = sorted(ticks.clone());
        expected.dedup_by_key(|tick| tick.identity());
        prop_assert_eq!(written.rows, expected.len() as u64);
        prop_assert_eq!(written.rows + written.duplicates, ticks.len() as u64);
        prop_assert_eq!(sorted(read), expected);
    }
}
