//! Writes ticks of the stream to the local archive.
//!
//! Files are named `price-archive/year=YYYY/month=MM/day=DD/SHARD-FIRST-LAST.parquet`, where FIRST
//! and LAST are sequence numbers of the stream's shard. Writing the same range again overwrites the
//! same files. So a caller that records the range first and repeats it after a crash neither loses
//! nor duplicates ticks. A file is written and flushed in a separate folder before it gets its
//! name, so no reader sees a partial file.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use app::day_folder::day_folder;
use chrono::{DateTime, NaiveDate};
use domain::{Tick, TickId, Token};

use crate::error::ArchiveError;
use crate::file;
use crate::identity_sum::IdentitySum;
use crate::layout::{Range, file_name, renamed, table_folder};
use crate::lock;
use crate::manifest::{MANIFEST, Manifest};
use crate::staging::{self, Staging};

/// The archive's writer. Only one process may write an archive at a time; any number may read it.
#[derive(Debug)]
pub struct Archive {
    data_dir: PathBuf,
    table: PathBuf,
    staging: Staging,
}

/// What [`Archive::write_range`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// The number of files: one for each day of event time.
    pub files: usize,
    /// The number of ticks in them.
    pub rows: u64,
    /// Ticks omitted because an earlier one of the range is the same event
    /// ([`domain::TickIdentity`]).
    pub duplicates: u64,
    /// Ticks omitted because a compacted file already has the range's ticks of that day.
    pub compacted: u64,
    /// The total size of the files in bytes.
    pub bytes: u64,
}

impl Archive {
    /// Opens the archive in a data folder, creating it if it is missing, and removes incomplete
    /// files of a stopped process.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] if the folder cannot be read or written.
    pub fn open(data_dir: &Path) -> Result<Self, ArchiveError> {
        let table = table_folder(data_dir);
        std::fs::create_dir_all(&table).map_err(ArchiveError::io("create", &table))?;
        Ok(Self {
            data_dir: data_dir.to_owned(),
            table,
            staging: Staging::open(data_dir)?,
        })
    }

    /// The folder of its files.
    pub(crate) fn table(&self) -> &Path {
        &self.table
    }

    /// Archives the ticks of one shard's sequence numbers `first..=last`, in any order. Returns
    /// once the files are on disk. This call blocks.
    ///
    /// Ranges of one shard must be equal or disjoint: a tick in two ranges would be in two files.
    ///
    /// # Errors
    /// [`ArchiveError`]; some days of the range may then be missing from the archive, until the
    /// same range is written again.
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
            written.duplicates -= ticks.len() as u64;
            let bytes = file::write(&path, file::of_range(range), &mut ticks)?;
            staged.push((day, path, bytes, ticks));
        }
        for (day, path, bytes, ticks) in staged {
            if self.publish(&path, day, range, &ticks)? {
                written.files += 1;
                written.rows += ticks.len() as u64;
                written.bytes += bytes;
            } else {
                written.compacted += ticks.len() as u64;
            }
        }
        Ok(written)
    }

    /// Writes ticks to files and removes them, to find out whether they can be archived. This call blocks.
    ///
    /// # Errors
    /// [`ArchiveError`], as [`Archive::write_range`] would return it.
    pub fn try_ticks(
        &self,
        shard: u8,
        first: u64,
        last: u64,
        ticks: &[Tick],
    ) -> Result<(), ArchiveError> {
        let range = Range { shard, first, last };
        for (day, mut ticks) in by_day(ticks)? {
            let path = self.staging.file(day, range)?;
            let written = file::write(&path, file::of_range(range), &mut ticks);
            if path.exists() {
                staging::remove(&path)?;
            }
            written?;
        }
        Ok(())
    }

    /// Moves a range's file of a day into the archive. If the day was compacted between a crash of
    /// this writer and its second attempt, the ticks are already in a compacted file: then the file
    /// is removed, and the result is `false`.
    fn publish(
        &self,
        path: &Path,
        day: NaiveDate,
        range: Range,
        ticks: &[&Tick],
    ) -> Result<bool, ArchiveError> {
        let folder = staging::create_folders(&self.table, Path::new(&day_folder(day)))?;
        let name = file_name(range);
        // No compaction may commit between this check and the move.
        let _swap = lock::swap(&self.data_dir)?;
        let manifest = manifest_of(&folder)?;
        let merged_ranges = manifest
            .merged_ranges
            .iter()
            .find(|merged_ranges| merged_ranges.name == name);
        let replaced = manifest.replaced.contains(&name);
        if merged_ranges.is_none() && !replaced {
            staging::publish(path, &folder, &name)?;
            return Ok(true);
        }
        let sum = IdentitySum::of(ticks);
        if merged_ranges.is_some_and(|merged_range| merged_range.has(ticks, &sum)) {
            staging::remove(path)?;
            return Ok(false);
        }
        // Other ticks under the old name, such as after a new store started again at 0. A name in
        // the manifest's `replaced` would hide them.
        let name = if replaced { renamed(range, &sum) } else { name };
        staging::publish(path, &folder, &name)?;
        Ok(true)
    }
}

/// The manifest of a day's folder.
fn manifest_of(folder: &Path) -> Result<Manifest, ArchiveError> {
    let path = folder.join(MANIFEST);
    match std::fs::read(&path) {
        Ok(content) => Manifest::parse(&content).map_err(|source| ArchiveError::Manifest {
            folder: folder.to_owned(),
            source,
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Manifest::none()),
        Err(error) => Err(ArchiveError::io("read", &path)(error)),
    }
}

/// [`domain::TickIdentity`], borrowed from a tick.
type Identity<'a> = (&'a Token, &'a Token, i64, TickId);

fn identity(tick: &Tick) -> Identity<'_> {
    (&tick.token, &tick.quote, tick.timestamp_ms, tick.tick_id)
}

/// The ticks by the UTC day of their event time, each event once: the first of the range stays.
pub(crate) fn by_day(ticks: &[Tick]) -> Result<BTreeMap<NaiveDate, Vec<&Tick>>, ArchiveError> {
    let mut seen = HashSet::with_capacity(ticks.len());
    let mut days: BTreeMap<NaiveDate, Vec<&Tick>> = BTreeMap::new();
    for tick in ticks.iter().filter(|tick| seen.insert(identity(tick))) {
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
