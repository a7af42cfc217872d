//! Whether an archive's folder is there and can be read, and when its newest file was written.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::layout::{Day, days, is_data_file, names};
use crate::writer::Archive;

/// When the newest file of the last day that has any was written; `None` if the archive has no file. The file is opened,
/// which shows that its folders and itself can be read.
///
/// # Errors
/// Those of reading; one that is not found if the folder does not exist.
pub fn newest_file(table: &Path) -> io::Result<Option<SystemTime>> {
    // Elsewhere, a missing folder has no files.
    std::fs::read_dir(table)?;
    for day in days(table)?.iter().rev() {
        if let Some(written) = newest_of_day(day)? {
            return Ok(Some(written));
        }
    }
    Ok(None)
}

fn newest_of_day(day: &Day) -> io::Result<Option<SystemTime>> {
    let mut newest = None;
    for name in names(&day.path)?.iter().filter(|name| is_data_file(name)) {
        let path = day.path.join(name);
        match path.metadata().and_then(|file| file.modified()) {
            Ok(written) => newest = newest.max(Some((written, path))),
            // A compaction may have replaced it since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let Some((written, path)) = newest else {
        return Ok(None);
    };
    match File::open(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(Some(written)),
    }
}

/// What is wrong with an archive's folder, of which [`newest_file`] returned this, in words; `None` if nothing is.
/// `is_written` says whether ticks have been archived, so that there must be a file.
#[must_use]
pub fn folder_problem(
    table: &Path,
    newest: &io::Result<Option<SystemTime>>,
    is_written: bool,
) -> Option<String> {
    let table = table.display();
    match newest {
        Ok(None) if is_written => Some(format!(
            "{table} has no file, although ticks have been archived: its files were removed"
        )),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!(
            "{table} does not exist: it was removed, or its disk is not mounted"
        )),
        Err(error) => Some(format!("{table} cannot be read: {error}")),
    }
}

impl Archive {
    /// What is wrong with its folder, in words; see [`folder_problem`]. This call blocks.
    #[must_use]
    pub fn folder_problem(&self, is_written: bool) -> Option<String> {
        folder_problem(self.table(), &newest_file(self.table()), is_written)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn day(table: &Path, day: &str) -> std::path::PathBuf {
        let folder = table.join(day);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn the_newest_file_is_that_of_the_last_day_that_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path();
        assert_eq!(newest_file(table).unwrap(), None);
        let older = day(table, "year=2025/month=12/day=31");
        let last = day(table, "year=2026/month=01/day=02");
        assert_eq!(newest_file(table).unwrap(), None);
        let write = |path: &Path, seconds| {
            let written = UNIX_EPOCH + Duration::from_secs(seconds);
            let file = File::create(path).unwrap();
            file.set_modified(written).unwrap();
            Some(written)
        };
        let first = write(&older.join("a.parquet"), 2_000_000_000);
        assert_eq!(newest_file(table).unwrap(), first);
        let newest = write(&last.join("b.parquet"), 1_772_878_440);
        write(&last.join("a.parquet"), 1_772_878_000);
        write(&last.join("manifest.json"), 1_900_000_000);
        assert_eq!(newest_file(table).unwrap(), newest);
    }

    #[test]
    fn a_folder_that_is_gone_empty_or_unreadable_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |table: &Path, is_written| {
            folder_problem(table, &newest_file(table), is_written).unwrap_or_default()
        };
        assert_eq!(problem(folder.path(), false), "", "nothing is archived yet");
        assert!(problem(folder.path(), true).contains("has no file"));
        let gone = problem(&folder.path().join("gone"), false);
        assert!(gone.contains("gone does not exist"), "{gone}");
        // Not by its mode, which does not stop a superuser.
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        let unreadable = problem(&file, true);
        assert!(unreadable.contains("file cannot be read"), "{unreadable}");
    }
}
