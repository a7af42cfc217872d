//! Writes one Parquet file of the archive.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use codec::columnar::{record_batch, schema};
use domain::{TICK_VERSION, Tick};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::ArchiveError;
use crate::layout::Range;
use crate::schema::ID;

/// Ticks in a row group: large enough to compress well, and small enough that several threads can
/// read a file and a filter on the token skips most of it.
pub(crate) const ROW_GROUP_TICKS_MAX: usize = 131_072;

/// Ticks in a page, which is the least that a reader with a page index reads of a column.
const PAGE_TICKS_MAX: usize = 8_192;

/// The Zstandard level. On a generated market, level 1 takes 5 % more bytes and level 9 saves less
/// than 1 %.
const ZSTD_LEVEL: i32 = 3;

/// The bloom filter's false positive rate.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// The columns by which rows are sorted.
///
/// The first four are the order of ticks ([`domain::TickOrder`]) by token. The quote makes it total:
/// an id is unique within a pair only.
pub(crate) const SORTED_BY: [&str; 5] = ["token", "ts", SEQUENCE, ID, "quote"];

/// The column of which NULL sorts first; in the others it sorts last.
pub(crate) const SEQUENCE: &str = "sequence";

/// Columns with few distinct values, or many repeated ones.
const DICTIONARY: [&str; 8] = [
    "token", "quote", "price", "volume", "source", "method", "version", "quality",
];

/// The writer abandons a larger dictionary for the rest of a row group: prices that are quotients
/// are all different, and a dictionary of them costs more than it saves.
const DICTIONARY_BYTES_MAX: usize = 64 * 1_024;

/// A column of distinct texts of equal length: with the lengths stored separately, they compress to
/// their 16 bytes.
const DELTA_LENGTH: &str = ID;

/// Integers that are close to those of the previous row.
const DELTA: [&str; 4] = ["ts", "ingested_at", "slot", SEQUENCE];

/// Sorts the ticks and writes them to a new file, with metadata from [`of_range`] or [`about`]. Returns its size in bytes once it is on disk.
pub(crate) fn write(
    path: &Path,
    about: Vec<KeyValue>,
    ticks: &mut [&Tick],
) -> Result<u64, ArchiveError> {
    let file = File::create_new(path).map_err(ArchiveError::io("create", path))?;
    write_into(file, path, about, ticks)
}

fn write_into(
    file: File,
    path: &Path,
    about: Vec<KeyValue>,
    ticks: &mut [&Tick],
) -> Result<u64, ArchiveError> {
    ticks.sort_unstable_by(|a, b| {
        (a.token.cmp(&b.token))
            .then_with(|| a.order().cmp(&b.order()))
            .then_with(|| a.quote.cmp(&b.quote))
    });
    let error: WriteError = Arc::default();
    let failed = |source| match error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => ArchiveError::io("write", path)(error),
        None => ArchiveError::Parquet {
            path: path.to_owned(),
            source,
        },
    };
    let file = WatchedFile {
        file,
        error: Arc::clone(&error),
    };
    let tokens: HashSet<&str> = ticks.iter().map(|tick| tick.token.as_str()).collect();
    let properties = properties(tokens.len(), about).map_err(failed)?;
    let mut writer = ArrowWriter::try_new(file, schema(), Some(properties)).map_err(failed)?;
    for group in ticks.chunks(ROW_GROUP_TICKS_MAX) {
        writer.write(&record_batch(group)?).map_err(failed)?;
    }
    let WatchedFile { file, .. } = writer.into_inner().map_err(failed)?;
    file.sync_all().map_err(ArchiveError::io("flush", path))?;
    let metadata = file.metadata().map_err(ArchiveError::io("look at", path))?;
    Ok(metadata.len())
}

/// The error of the file system that a write had.
type WriteError = Arc<Mutex<Option<io::Error>>>;

/// A file that keeps the error of a write. The Parquet writer's own error may have it as text alone, so that a full disk
/// would be taken for the fault of a tick, which would then be omitted.
struct WatchedFile {
    file: File,
    error: WriteError,
}

impl WatchedFile {
    fn watched<T>(&self, written: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::Interrupted
        {
            let of_kind = || io::Error::from(error.kind());
            let copy = error.raw_os_error();
            let copy = copy.map_or_else(of_kind, io::Error::from_raw_os_error);
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        }
        written
    }
}

impl Write for WatchedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.watched(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        self.watched(flushed)
    }
}

/// The writer's properties; `tokens` is the largest number of distinct tokens in a row group.
pub(crate) fn properties(
    tokens: usize,
    about: Vec<KeyValue>,
) -> Result<WriterProperties, ParquetError> {
    let token = ColumnPath::from("token");
    let mut builder = WriterProperties::builder()
        .set_compression(compression()?)
        .set_max_row_group_row_count(Some(ROW_GROUP_TICKS_MAX))
        .set_data_page_row_count_limit(PAGE_TICKS_MAX)
        .set_statistics_enabled(EnabledStatistics::Page)
        // Ids are random, so their statistics never let a reader skip a page.
        .set_column_statistics_enabled(ColumnPath::from(ID), EnabledStatistics::Chunk)
        .set_dictionary_enabled(false)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_column_bloom_filter_enabled(token.clone(), true)
        .set_column_bloom_filter_fpp(token.clone(), BLOOM_FALSE_POSITIVES)
        .set_column_bloom_filter_max_ndv(token, tokens as u64)
        .set_sorting_columns(Some(sorting_columns()))
        .set_key_value_metadata(Some(about));
    for column in DICTIONARY {
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(column), true);
    }
    builder = builder.set_column_encoding(
        ColumnPath::from(DELTA_LENGTH),
        Encoding::DELTA_LENGTH_BYTE_ARRAY,
    );
    for column in DELTA {
        let column = ColumnPath::from(column);
        builder = builder.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    Ok(builder.build())
}

/// How columns are compressed.
pub(crate) fn compression() -> Result<Compression, ParquetError> {
    Ok(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
}

fn sorting_columns() -> Vec<SortingColumn> {
    let schema = schema();
    let ascending = |name: &&str| {
        let position = schema.index_of(name).ok()?;
        Some(SortingColumn {
            column_idx: i32::try_from(position).ok()?,
            descending: false,
            nulls_first: *name == SEQUENCE,
        })
    };
    SORTED_BY.iter().filter_map(ascending).collect()
}

/// Metadata: the writer of the file, and its range of the stream.
pub(crate) fn of_range(range: Range) -> Vec<KeyValue> {
    about(&[
        ("shard", range.shard.to_string()),
        ("first", range.first.to_string()),
        ("last", range.last.to_string()),
    ])
}

/// Metadata: the writer of the file, and more key-value pairs.
pub(crate) fn about(more: &[(&str, String)]) -> Vec<KeyValue> {
    let entry = |key: &str, value: String| KeyValue::new(format!("tickstream.{key}"), value);
    let writer = concat!("tickstream ", env!("CARGO_PKG_VERSION"));
    let mut entries = vec![
        entry("writer", writer.to_owned()),
        entry("version", TICK_VERSION.to_owned()),
    ];
    entries.extend(more.iter().map(|(key, value)| entry(key, value.clone())));
    entries
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_disk_that_is_full_is_not_a_ticks_fault() {
        use super::*;

        let full = || File::options().write(true).open("/dev/full").unwrap();
        // Few ticks are written by the last flush of a buffer, many before it.
        for count in [1, 20_000] {
            let ticks = testkit::ticks::ticks(&["BTC"], count);
            let mut ticks: Vec<&Tick> = ticks.iter().collect();
            let path = Path::new("/dev/full");
            let error = write_into(full(), path, Vec::new(), &mut ticks).unwrap_err();
            assert!(!error.may_be_in_a_tick(), "{error:?}");
            assert!(error.to_string().contains("No space left"), "{error}");
        }
    }
}
