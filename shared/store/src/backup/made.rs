//! Which backups there are.

use std::fs;
use std::io;
use std::path::Path;

use chrono::NaiveDateTime;

use super::staging::NAME_PREFIX;

/// The time in a backup's name.
pub(super) const NAME_TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

/// The complete backups of a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupsMade {
    /// How many there are.
    pub count: u64,
    /// When the newest one was made, in epoch milliseconds.
    pub newest_ms: Option<i64>,
}

impl BackupsMade {
    /// Those of a folder, which need not exist. Only their names are read.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn read(backup_dir: &Path) -> io::Result<Self> {
        let entries = match fs::read_dir(backup_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut made = Self::default();
        for entry in entries {
            let name = entry?.file_name();
            if let Some(at_ms) = name.to_str().and_then(made_at_ms) {
                made.count += 1;
                made.newest_ms = made.newest_ms.max(Some(at_ms));
            }
        }
        Ok(made)
    }
}

fn made_at_ms(name: &str) -> Option<i64> {
    let time = name.strip_prefix(NAME_PREFIX)?;
    let time = NaiveDateTime::parse_from_str(time, NAME_TIME).ok()?;
    Some(time.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_backups_count() {
        let folder = tempfile::tempdir().unwrap();
        let read = || BackupsMade::read(folder.path()).unwrap();
        assert_eq!(read(), BackupsMade::default());
        for name in [
            crate::backup::name_at(1_772_878_440_123),
            crate::backup::name_at(1_772_878_440_000),
            "backup-20260401T101500.000Z.partial".to_owned(),
            "backup-tomorrow".to_owned(),
            "other".to_owned(),
        ] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let newest_ms = Some(1_772_878_440_123);
        assert_eq!(
            read(),
            BackupsMade {
                count: 2,
                newest_ms
            }
        );
        let nowhere = folder.path().join("none");
        assert_eq!(BackupsMade::read(&nowhere).unwrap(), BackupsMade::default());
    }
}
