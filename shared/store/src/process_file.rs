//! `process.json`: where the tickstream that has a data folder open can be reached. It is written once that
//! process listens and removed when it stops. A process that is killed leaves it behind, so it proves nothing:
//! whether a process has the store open is only known from the store's lock, and whether it is the one of
//! this file from what it answers.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file's name in the data folder.
const FILE: &str = "process.json";

/// What it is written as before it gets its name.
const PARTIAL: &str = "process.json.partial";

/// The most bytes of the file that are read; it has about 150.
const FILE_BYTES_MAX: u64 = 4 * 1_024;

/// The process that has a data folder open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFile {
    /// Its address, as it can be reached from its own machine, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started, in epoch milliseconds. With `pid` it identifies the process: `/api/status` has both.
    #[serde(rename = "started_at")]
    pub started_at_ms: i64,
}

impl ProcessFile {
    /// Writes the file, readable for its owner alone; readers see all of it or what was there before. Only the
    /// process that has the store open may do so.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        let partial = data_dir.join(PARTIAL);
        // One that was left would keep its permissions.
        remove_if_exists(&partial)?;
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&partial)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(&partial, path(data_dir))
    }

    /// Reads the file of a data folder; `None` if there is none, or none that can be understood.
    ///
    /// # Errors
    /// Those of the file system, such as missing permission.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        match File::open(path(data_dir)) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Removes the file, before the store is closed: afterwards it may be another process's.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(data_dir: &Path) -> io::Result<()> {
        remove_if_exists(&path(data_dir))
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

fn remove_if_exists(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> ProcessFile {
        ProcessFile {
            url: "http://127.0.0.1:8080".to_owned(),
            pid: 4711,
            version: "0.1.0".to_owned(),
            started_at_ms: 1_772_878_440_000,
        }
    }

    #[test]
    fn what_is_written_is_read_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ProcessFile::read(folder.path()).unwrap(), None);
        for pid in [1, 2] {
            let process = ProcessFile { pid, ..process() };
            process.write(folder.path()).unwrap();
            assert_eq!(ProcessFile::read(folder.path()).unwrap(), Some(process));
        }
        ProcessFile::remove(folder.path()).unwrap();
        ProcessFile::remove(folder.path()).unwrap();
        assert_eq!(ProcessFile::read(folder.path()).unwrap(), None);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        // Left by a process that was killed while it wrote.
        fs::write(folder.path().join(PARTIAL), "{").unwrap();
        process().write(folder.path()).unwrap();
        let mode = fs::metadata(path(folder.path())).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for damaged in ["", "{", "{}", "[1]", "{\"url\":1}"] {
            fs::write(path(folder.path()), damaged).unwrap();
            let read = ProcessFile::read(folder.path()).unwrap();
            assert_eq!(read, None, "{damaged}");
        }
    }
}
