//! The archive: ticks of the stream as Parquet files in folders by the UTC day of the event time.
//!
//! `price-archive/year=YYYY/month=MM/day=DD/SHARD-FIRST-LAST.parquet`, where FIRST and LAST are
//! sequence numbers of the stream's shard. Writing the same range again overwrites the same files,
//! so that a caller who notes the range first and writes it again after a crash loses and doubles
//! nothing. A file is written aside and flushed before it gets its name: no reader sees a part.

mod file;
mod layout;
mod staging;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate};
use codec::error::CodecError;
use domain::{Tick, TickId};

use layout::Range;
pub use layout::table_folder;
pub(crate) use layout::{Day, days, is_data_file, names};
use staging::Staging;

/// The archive's writer. One process writes an archive at a time; any number may read it.
#[derive(Debug)]
pub struct Archive {
    table: PathBuf,
    staging: Staging,
}

/// What a call of [`Archive::write_range`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Files: one for each day of event time.
    pub files: usize,
    /// Ticks in them.
    pub rows: u64,
    /// Ticks left out because an earlier one of the range has the same id.
    pub duplicates: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Why a range could not be archived, or the archive not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file system refused.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, in words.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Parquet could not be written.
    #[error("could not write {}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: parquet::errors::ParquetError,
    },
    /// The ticks do not fit into columns.
    #[error(transparent)]
    Columns(#[from] CodecError),
    /// The event time is in no year that a folder can have.
    #[error("tick {tick_id} has event time {timestamp_ms}, which is not in the years 1 to 9999")]
    Timestamp {
        /// The tick.
        tick_id: TickId,
        /// Its event time.
        timestamp_ms: i64,
    },
    /// The first sequence number is above the last.
    #[error("a range from {first} to {last} has no place for a tick")]
    Range {
        /// The first sequence number.
        first: u64,
        /// The last sequence number.
        last: u64,
    },
}

impl ArchiveError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

impl Archive {
    /// Opens the archive below a data folder, making it where there is none, and removes what a
    /// stopped process left half-written.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] where the folder cannot be read or written.
    pub fn open(data_dir: &Path) -> Result<Self, ArchiveError> {
        let table = table_folder(data_dir);
        std::fs::create_dir_all(&table).map_err(ArchiveError::io("create", &table))?;
        Ok(Self {
            table,
            staging: Staging::open(data_dir)?,
        })
    }

    /// Archives the ticks of one shard's sequence numbers `first..=last`, in any order. Returns
    /// once the files are on disk. Blocking: call it where waiting is allowed.
    ///
    /// Ranges of one shard must be equal or apart: a tick in two ranges would be in two files.
    ///
    /// # Errors
    /// [`ArchiveError`]; some days of the range may then be in the archive and others not, until
    /// the same range is written again.
    pub fn write_range(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<Written, ArchiveError> {
        if first > last {
            return Err(ArchiveError::Range { first, last });
        }
        let range = Range { shard, first, last };
        let mut written = Written {
            duplicates: ticks.len() as u64,
            ..Written::default()
        };
        let mut staged = Vec::new();
        for (day, mut ticks) in by_day(ticks)? {
            let path = self.staging.file(day, range)?;
            written.files += 1;
            written.rows += ticks.len() as u64;
            written.duplicates -= ticks.len() as u64;
            written.bytes += file::write(&path, range, &mut ticks)?;
            staged.push((day, path));
        }
        for (day, path) in staged {
            staging::publish(&path, &self.table, day, range)?;
        }
        Ok(written)
    }
}

/// The ticks by the UTC day of their event time, each id once: the first of the range stays.
fn by_day(ticks: &[Tick]) -> Result<BTreeMap<NaiveDate, Vec<&Tick>>, ArchiveError> {
    let mut seen = HashSet::with_capacity(ticks.len());
    let mut days: BTreeMap<NaiveDate, Vec<&Tick>> = BTreeMap::new();
    for tick in ticks.iter().filter(|tick| seen.insert(tick.tick_id)) {
        days.entry(day_of(tick)?).or_default().push(tick);
    }
    Ok(days)
}

fn day_of(tick: &Tick) -> Result<NaiveDate, ArchiveError> {
    use chrono::Datelike as _;
    DateTime::from_timestamp_millis(tick.timestamp_ms)
        .map(|time| time.date_naive())
        .filter(|day| (1..=9999).contains(&day.year()))
        .ok_or(ArchiveError::Timestamp {
            tick_id: tick.tick_id,
            timestamp_ms: tick.timestamp_ms,
        })
}
