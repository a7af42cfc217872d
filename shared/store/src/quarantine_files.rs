//! The quarantine as files for SQL: JSON lines in `quarantine/year=YYYY/month=MM/day=DD/`, by the
//! UTC day of receipt, in the same format as on AWS.
//!
//! The store has the entries, and the files are copies. Entries are numbered, and a file's name has the
//! first and the last of its numbers. Progress is recorded after writing: after a crash in between, the
//! next flush starts with the same first number and replaces the files with it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::ports::Quarantined;
use chrono::{DateTime, Datelike as _, NaiveDate};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::{day, meta, number_of, quarantined, sortable};

/// The folder inside the data folder, as on S3.
const FOLDER: &str = "quarantine";

/// Where files are written before they are renamed; readers ignore it.
const STAGING_FOLDER: &str = "quarantine.staging";

/// The most entries of a range, which are in memory, up to 5 KiB each.
const RANGE_ENTRIES_MAX: u64 = 2_000;

/// Why a flush stopped. Everything written before is kept, and the next flush continues.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineFilesError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file system operation failed.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The operation, in words.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The write was stopped.
    #[error("the write was stopped")]
    Stopped,
}

impl QuarantineFilesError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// Numbers of entries, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u64,
    last: u64,
}

impl Range {
    /// Zero-padded, so names sort by number.
    fn file_name(self) -> String {
        format!("{:020}-{:020}.jsonl", self.first, self.last)
    }
}

/// The folder of the files inside a data folder.
pub(crate) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join(FOLDER)
}

/// Writes the quarantine of a store to files. One flush runs at a time, also among clones.
#[derive(Clone)]
pub struct QuarantineFiles {
    store: EmbeddedStore,
    folder: PathBuf,
    staging: PathBuf,
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

impl QuarantineFiles {
    /// The quarantine files of a store in a data folder. The folders are created when they are first
    /// needed.
    #[must_use]
    pub fn new(store: EmbeddedStore, data_dir: &Path) -> Self {
        Self {
            store,
            folder: folder(data_dir),
            staging: data_dir.join(STAGING_FOLDER),
            one_at_a_time: Arc::default(),
        }
    }

    /// Waits until no flush is running, and keeps flushes waiting until the result is dropped.
    pub(crate) async fn pause(&self) -> impl Drop + '_ {
        self.one_at_a_time.lock().await
    }

    /// Writes the entries that are not in the files yet. Returns their number.
    ///
    /// # Errors
    /// [`QuarantineFilesError`].
    pub async fn flush(&self) -> Result<u64, QuarantineFilesError> {
        let _one = self.one_at_a_time.lock().await;
        let mut entries = 0;
        loop {
            let written = self.written()?;
            let newest = self.store.ledger().quarantined;
            if newest <= written {
                return Ok(entries);
            }
            let range = Range {
                first: written + 1,
                last: newest.min(written + RANGE_ENTRIES_MAX),
            };
            let found = self.entries(range, newest).await?;
            entries += found.len() as u64;
            let (folder, staging) = (self.folder.clone(), self.staging.clone());
            let write = move || write(&folder, &staging, range, &found);
            tokio::task::spawn_blocking(write)
                .await
                .map_err(|_| QuarantineFilesError::Stopped)??;
            self.finish(range).await?;
        }
    }

    /// Removes the days that are entirely before a time (epoch milliseconds). Returns their number.
    ///
    /// # Errors
    /// [`QuarantineFilesError::Io`].
    pub async fn sweep(&self, before_ms: i64) -> Result<usize, QuarantineFilesError> {
        let folder = self.folder.clone();
        let sweep = move || sweep(&folder, before_ms);
        tokio::task::spawn_blocking(sweep)
            .await
            .map_err(|_| QuarantineFilesError::Stopped)?
    }

    fn written(&self) -> Result<u64, StorageError> {
        let found = self.store.inner.spaces.meta.get(meta::QUARANTINE_WRITTEN)?;
        found.map_or(Ok(0), |bytes| number_of(&bytes))
    }

    async fn finish(&self, range: Range) -> Result<(), StorageError> {
        let write = move |commit: &mut crate::writer::Commit<'_>| {
            let written = range.last.to_be_bytes().to_vec();
            commit.insert(
                &commit.spaces().meta,
                meta::QUARANTINE_WRITTEN.as_bytes(),
                written,
            );
            Ok(())
        };
        self.store.commit(write).await
    }

    /// The entries of a range of numbers, without those that retention removed. Keys sort by time, and
    /// concurrent deliveries may have numbers in a different order, so this reads the newest entries until
    /// all numbers from the first of the range on were found.
    async fn entries(&self, range: Range, newest: u64) -> Result<Vec<Quarantined>, StorageError> {
        self.store
            .read(move |inner| {
                let mut left = newest.saturating_sub(range.first) + 1;
                let mut keys = BTreeMap::new();
                let from = sortable(day::start_ms(inner.first_day()));
                for guard in inner.spaces.quarantine.range(from..).rev() {
                    if left == 0 {
                        break;
                    }
                    let key = guard.key()?;
                    let number = number_of(&key)?;
                    if (range.first..=newest).contains(&number) {
                        left -= 1;
                    }
                    if (range.first..=range.last).contains(&number) {
                        keys.insert(number, key);
                    }
                }
                let mut entries = Vec::with_capacity(keys.len());
                for key in keys.into_values() {
                    // Retention may have removed it in the meantime.
                    if let Some(value) = inner.spaces.quarantine.get(&key)? {
                        entries.push(quarantined::decode(&value)?);
                    }
                }
                Ok(entries)
            })
            .await
    }
}

fn write(
    folder: &Path,
    staging: &Path,
    range: Range,
    entries: &[Quarantined],
) -> Result<(), QuarantineFilesError> {
    let io = QuarantineFilesError::io;
    let mut days: BTreeMap<NaiveDate, Vec<u8>> = BTreeMap::new();
    for entry in entries {
        // With a wrong clock, the time of receipt may be outside the calendar. Such an entry has no folder,
        // and is only in the store.
        let Some(day) = DateTime::from_timestamp_millis(entry.received_at_ms) else {
            continue;
        };
        let content = days.entry(day.date_naive()).or_default();
        entry
            .append_line(content)
            .map_err(|error| StorageError::corrupt("quarantined entry", error))?;
    }
    for (day, content) in days {
        fs::create_dir_all(staging).map_err(io("create", staging))?;
        let (year, month, day) = (day.year(), day.month(), day.day());
        let place = folder.join(format!("year={year:04}/month={month:02}/day={day:02}"));
        fs::create_dir_all(&place).map_err(io("create", &place))?;
        let staged = staging.join(range.file_name());
        let mut file = File::create(&staged).map_err(io("create", &staged))?;
        file.write_all(&content)
            .and_then(|()| file.sync_all())
            .map_err(io("write", &staged))?;
        remove_same_first(&place, range)?;
        let path = place.join(range.file_name());
        fs::rename(&staged, &path).map_err(io("move into the quarantine", &staged))?;
        sync_folder(&place)?;
    }
    Ok(())
}

/// Removes a file with the same first number, which a flush wrote before it was killed.
fn remove_same_first(place: &Path, range: Range) -> Result<(), QuarantineFilesError> {
    let io = QuarantineFilesError::io;
    let same_first = format!("{:020}-", range.first);
    for file in fs::read_dir(place).map_err(io("list", place))? {
        let path = file.map_err(io("list", place))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&same_first) {
            fs::remove_file(&path).map_err(io("remove", &path))?;
        }
    }
    Ok(())
}

/// Syncs a folder's entries to disk. Windows neither has nor needs such a call.
fn sync_folder(folder: &Path) -> Result<(), QuarantineFilesError> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(QuarantineFilesError::io("flush", folder))?;
    }
    Ok(())
}

fn sweep(folder: &Path, before_ms: i64) -> Result<usize, QuarantineFilesError> {
    let io = QuarantineFilesError::io;
    let Some(before) = DateTime::from_timestamp_millis(before_ms) else {
        return Ok(0);
    };
    let mut removed = 0;
    for day in archive::days(folder).map_err(io("list", folder))? {
        let date = u32::try_from(day.month)
            .ok()
            .zip(u32::try_from(day.day).ok())
            .and_then(|(month, of_month)| NaiveDate::from_ymd_opt(day.year, month, of_month));
        if date.is_some_and(|date| date < before.date_naive()) {
            fs::remove_dir_all(&day.path).map_err(io("remove", &day.path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedConfig;
    use app::ports::Quarantine as _;
    use domain::{Malformed, Reason};
    use tempfile::TempDir;

    /// 2026-01-02T00:00:00Z.
    const DAY_MS: i64 = 1_767_312_000_000;

    fn entry(received_at_ms: i64, message: &str) -> Quarantined {
        Quarantined {
            received_at_ms,
            source: "ticks".to_owned(),
            entry: Malformed::new(0, Reason::InvalidPrice, message, b"{}\n"),
        }
    }

    fn open(data: &TempDir) -> (EmbeddedStore, QuarantineFiles) {
        let store = EmbeddedStore::open(&EmbeddedConfig::new(data.path().join("store"))).unwrap();
        let files = QuarantineFiles::new(store.clone(), data.path());
        (store, files)
    }

    /// Path below the folder → messages, of all files.
    fn lines(data: &TempDir) -> BTreeMap<String, Vec<String>> {
        let folder = data.path().join(FOLDER);
        let mut found = BTreeMap::new();
        for day in archive::days(&folder).unwrap() {
            for file in day.path.read_dir().unwrap() {
                let path = file.unwrap().path();
                let name = path.strip_prefix(&folder).unwrap().display().to_string();
                let text = fs::read_to_string(&path).unwrap();
                let message = |line: &str| {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    line["message"].as_str().unwrap().to_owned()
                };
                found.insert(name, text.lines().map(message).collect());
            }
        }
        found
    }

    #[tokio::test]
    async fn entries_are_written_once_to_the_files_of_their_days() {
        let data = tempfile::tempdir().unwrap();
        let (store, files) = open(&data);
        assert_eq!(files.flush().await.unwrap(), 0);
        assert!(
            !data.path().join(FOLDER).exists(),
            "no folder is created without entries"
        );
        let entries = [
            entry(DAY_MS, "a"),
            entry(DAY_MS - 1, "b"),
            entry(DAY_MS + 1, "c"),
        ];
        store.keep(&entries).await.unwrap();
        assert_eq!(files.flush().await.unwrap(), 3);
        assert_eq!(files.flush().await.unwrap(), 0);
        // Received before those that are already in the files.
        store.keep(&[entry(DAY_MS - 5, "d")]).await.unwrap();
        assert_eq!(files.flush().await.unwrap(), 1);
        let (first, second) = (
            format!("{:020}-{:020}", 1, 3),
            format!("{:020}-{:020}", 4, 4),
        );
        let expected = [
            (
                format!("year=2026/month=01/day=01/{first}.jsonl"),
                vec!["b".to_owned()],
            ),
            (
                format!("year=2026/month=01/day=01/{second}.jsonl"),
                vec!["d".to_owned()],
            ),
            (
                format!("year=2026/month=01/day=02/{first}.jsonl"),
                vec!["a".to_owned(), "c".to_owned()],
            ),
        ];
        assert_eq!(lines(&data), BTreeMap::from(expected));
        assert_eq!(files.sweep(DAY_MS).await.unwrap(), 1);
        assert_eq!(lines(&data).len(), 1, "the previous day was removed");
    }

    #[tokio::test]
    async fn a_crash_in_between_neither_duplicates_nor_loses_entries() {
        let data = tempfile::tempdir().unwrap();
        let (store, files) = open(&data);
        let numbered = |number: u64| entry(DAY_MS, &number.to_string());
        let many: Vec<_> = (0..RANGE_ENTRIES_MAX + 10).map(numbered).collect();
        store.keep(&many).await.unwrap();
        // A flush that is killed before it records that it is done.
        let range = Range { first: 1, last: 7 };
        let found = files.entries(range, many.len() as u64).await.unwrap();
        write(&files.folder, &files.staging, range, &found).unwrap();
        store.keep(&[entry(DAY_MS, "after")]).await.unwrap();
        assert_eq!(files.flush().await.unwrap(), RANGE_ENTRIES_MAX + 11);
        let lines = lines(&data);
        assert_eq!(lines.len(), 2, "{:?}", lines.keys());
        let mut messages: Vec<String> = lines.into_values().flatten().collect();
        messages.sort();
        let mut expected: Vec<String> = many.iter().map(|q| q.entry.message.clone()).collect();
        expected.push("after".to_owned());
        expected.sort();
        assert_eq!(messages, expected);
    }

    #[tokio::test]
    async fn entries_that_retention_removed_are_skipped() {
        let data = tempfile::tempdir().unwrap();
        let (store, files) = open(&data);
        store
            .keep(&[entry(DAY_MS - 1, "old"), entry(DAY_MS, "new")])
            .await
            .unwrap();
        store
            .sweep(DAY_MS, crate::retention::StreamRetention::ALL, &[])
            .await
            .unwrap();
        assert_eq!(files.flush().await.unwrap(), 1);
        assert_eq!(
            lines(&data).into_values().flatten().collect::<Vec<_>>(),
            ["new"]
        );
        assert_eq!(files.flush().await.unwrap(), 0);
    }
}
