//! The files of the archive, of the quarantine and of the anomalies, in folders by day, as of one moment.
//!
//! Files get their names by a rename and are never changed in place. `tickstream` writes none meanwhile, but
//! `tickctl compact` may replace the files of a day. It commits by replacing the day's manifest, and deletes
//! old files later: if a day's manifest is the same before and after its files were linked, and none was
//! missing, they are what a compaction that is killed between two steps leaves, and the next one continues.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::backup_error::BackupError;
use super::file_copy::{create_folder, link_or_copy, read, remove_folder, write};

/// How often the files of a day are taken again if they have changed meanwhile. A compaction changes a day
/// three times in seconds, and then not again before its next run.
const ATTEMPTS_MAX: u32 = 50;

/// How long to wait before that.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Takes the files of all days of a folder.
pub(super) fn take(table: &Path, to: &Path) -> Result<(), BackupError> {
    let days = archive::days(table).map_err(BackupError::io("list", table))?;
    for day in days {
        // The path of a day's folder begins with the table's.
        let below = day.path.strip_prefix(table).unwrap_or(&day.path);
        take_day(&day.path, &to.join(below), || ())?;
    }
    Ok(())
}

/// Takes the files of a day; `linked` is called after each attempt.
fn take_day(from: &Path, to: &Path, mut linked: impl FnMut()) -> Result<(), BackupError> {
    let manifest = from.join(archive::MANIFEST);
    for _ in 0..ATTEMPTS_MAX {
        create_folder(to)?;
        let before = read(&manifest)?;
        let complete = link_all(from, to)?;
        linked();
        if complete && read(&manifest)? == before {
            if let Some(manifest) = before {
                write(&to.join(archive::MANIFEST), &manifest)?;
            }
            return Ok(());
        }
        remove_folder(to)?;
        std::thread::sleep(AGAIN_AFTER);
    }
    Err(BackupError::Changing(from.to_owned()))
}

/// Links all files except for the manifest; returns whether none disappeared meanwhile. A folder that
/// retention has removed has no files.
fn link_all(from: &Path, to: &Path) -> Result<bool, BackupError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(BackupError::io("list", from)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(BackupError::io("list", from))?;
        let (name, path) = (entry.file_name(), entry.path());
        let is_file = match entry.file_type() {
            Ok(kind) => kind.is_file(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(BackupError::io("look at", &path)(error)),
        };
        if is_file && name != archive::MANIFEST && !link_or_copy(&path, &to.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// A compaction that commits while the files are linked.
    #[test]
    fn a_day_that_a_compaction_changes_meanwhile_is_taken_again() {
        let data = tempfile::tempdir().unwrap();
        let (from, to) = (data.path().join("from"), data.path().join("to/day"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("old.parquet"), "old").unwrap();
        let mut commits = 3;
        take_day(&from, &to, || {
            if commits > 0 {
                commits -= 1;
                fs::write(from.join(archive::MANIFEST), format!("{commits}")).unwrap();
                fs::write(from.join(format!("new-{commits}.parquet")), "new").unwrap();
                drop(fs::remove_file(from.join("old.parquet")));
            }
        })
        .unwrap();
        assert_eq!(names(&to), names(&from));
        assert_eq!(fs::read_to_string(to.join(archive::MANIFEST)).unwrap(), "0");
    }

    #[test]
    fn a_day_that_never_stops_changing_is_an_error() {
        let data = tempfile::tempdir().unwrap();
        let (from, to) = (data.path().join("from"), data.path().join("to"));
        fs::create_dir(&from).unwrap();
        let mut number = 0;
        let taken = take_day(&from, &to, || {
            number += 1;
            fs::write(from.join(archive::MANIFEST), number.to_string()).unwrap();
        });
        let error = taken.unwrap_err().to_string();
        assert!(error.contains("tickctl compact"), "{error}");
        assert!(!to.exists(), "nothing is left");
    }

    #[test]
    fn a_day_that_retention_removed_is_empty() {
        let data = tempfile::tempdir().unwrap();
        let to = data.path().join("to");
        take_day(&data.path().join("gone"), &to, || ()).unwrap();
        assert!(names(&to).is_empty());
    }
}
