//! The engine's files at one moment between two commits.
//!
//! The engine keeps (fjall 3, lsm-tree 3):
//!
//! | file | changes |
//! |---|---|
//! | `N.jnl` | the journals: appended by commits; one is removed once the tables have everything in it |
//! | `keyspaces/K/tables/T` | the tables, written once; removed once no version names them and nobody reads |
//! | `keyspaces/K/vV` | a version: the list of the tables; written once, removed when it is old |
//! | `keyspaces/K/current` | which version is the current one; replaced by a rename |
//! | `keyspaces/0` | names and settings of the keyspaces; changes only when a store is opened |
//!
//! Between two commits the journals do not grow, but the engine's threads go on flushing memory to tables
//! and merging tables. So the journals are copied **before** the versions are read: what a journal that was
//! removed meanwhile had is in the tables of the later versions, and what is in both is recognized by its
//! sequence number when the copy is opened, as after a crash. Each version is held, as a reader does, until
//! its tables are linked: so the engine does not remove them.

use std::any::Any;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fjall::{AbstractTree as _, Keyspace};

use super::backup_error::BackupError;
use super::file_copy::{create_folder, link_or_copy, read, write};
use crate::embedded::FORMAT_FILE;
use crate::keys;
use crate::keyspaces::Keyspaces;
use crate::state::State;

/// The folder of all keyspaces.
const KEYSPACES_FOLDER: &str = "keyspaces";
/// The folder of the names and settings of the keyspaces.
const NAMES_FOLDER: &str = "keyspaces/0";
/// Names the current version of a keyspace.
const CURRENT: &str = "current";
/// The folder of the tables of a keyspace.
const TABLES_FOLDER: &str = "tables";
/// The file that the engine locks while the folder is open.
const LOCK: &str = "lock";
/// The ending of the name of a journal.
const JOURNAL: &str = "jnl";

/// How often a version is read again if the engine has replaced it meanwhile, which takes it milliseconds
/// at the least.
const ATTEMPTS_MAX: u32 = 1_000;

/// How long to wait before that.
const AGAIN_AFTER: Duration = Duration::from_millis(1);

/// The journals are copied; what else belongs to the copy is known, and written later.
pub(super) struct Captured {
    /// The state of the store, encoded.
    pub(super) state: Vec<u8>,
    /// The ticks in the store.
    pub(super) ticks: u64,
    /// How long the writer waited.
    pub(super) paused: Duration,
    /// The small files.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The tables: from where to where.
    tables: Vec<(PathBuf, PathBuf)>,
    /// The copies of the journals, which are not flushed to disk yet.
    journals: Vec<PathBuf>,
    /// Keeps the engine from removing the tables.
    versions: Vec<Box<dyn Any + Send>>,
}

/// Copies the journals, and reads everything else that may change. Call this between two commits, which
/// wait for it.
pub(super) fn capture(
    spaces: &Keyspaces,
    state: &State,
    to: &Path,
) -> Result<Captured, BackupError> {
    let begun = Instant::now();
    let from = root(&spaces.meta)?;
    create_folder(to)?;
    let mut captured = Captured {
        state: keys::encode("state", state)?,
        ticks: state.stored_rows.saturating_sub(state.expired_rows),
        paused: Duration::ZERO,
        files: vec![(to.join(LOCK), Vec::new())],
        tables: Vec::new(),
        journals: copy_journals(from, to)?,
        versions: Vec::new(),
    };
    for space in spaces.all() {
        captured.take_version(space, to)?;
    }
    captured.take_names(from, to)?;
    captured.take_file(&from.join(FORMAT_FILE), to.join(FORMAT_FILE))?;
    captured.paused = begun.elapsed();
    Ok(captured)
}

impl Captured {
    /// Writes the small files, links the tables, and flushes the journals to disk.
    pub(super) fn write(&self) -> Result<(), BackupError> {
        for (path, content) in &self.files {
            path.parent().map_or(Ok(()), create_folder)?;
            write(path, content)?;
        }
        for (from, to) in &self.tables {
            to.parent().map_or(Ok(()), create_folder)?;
            if !link_or_copy(from, to)? {
                return Err(BackupError::missing(from));
            }
        }
        for journal in &self.journals {
            let flushed = fs::File::open(journal).and_then(|file| file.sync_all());
            flushed.map_err(BackupError::io("flush", journal))?;
        }
        Ok(())
    }

    /// Takes the current version of a keyspace, and its tables.
    fn take_version(&mut self, space: &Keyspace, to: &Path) -> Result<(), BackupError> {
        let from = space.path();
        let to = to.join(KEYSPACES_FOLDER).join(space.id().to_string());
        for _ in 0..ATTEMPTS_MAX {
            let version = space.tree.current_version();
            if version.blob_file_count() > 0 {
                return Err(BackupError::UnknownFiles(space.name().to_string()));
            }
            let current = read(&from.join(CURRENT))?.unwrap_or_default();
            let name = version_name(version.id());
            if current_version(&current) == Some(version.id())
                && let Some(list) = read(&from.join(&name))?
            {
                self.files.push((to.join(name), list));
                self.files.push((to.join(CURRENT), current));
                let (from, to) = (from.join(TABLES_FOLDER), to.join(TABLES_FOLDER));
                let ids = version.iter_tables().map(|table| table.id().to_string());
                self.tables
                    .extend(ids.map(|id| (from.join(&id), to.join(&id))));
                self.versions.push(Box::new(version));
                return Ok(());
            }
            std::thread::sleep(AGAIN_AFTER);
        }
        Err(BackupError::Changing(from.to_owned()))
    }

    /// Takes the names and settings of the keyspaces, which do not change while the store is open.
    fn take_names(&mut self, from: &Path, to: &Path) -> Result<(), BackupError> {
        let (from, to) = (from.join(NAMES_FOLDER), to.join(NAMES_FOLDER));
        let current = from.join(CURRENT);
        self.take_file(&current, to.join(CURRENT))?;
        let version = self.files.last();
        let version = version.and_then(|(_, content)| current_version(content));
        let name = version_name(version.ok_or_else(|| BackupError::missing(&current))?);
        self.take_file(&from.join(&name), to.join(&name))?;
        let tables = from.join(TABLES_FOLDER);
        for entry in fs::read_dir(&tables).map_err(BackupError::io("list", &tables))? {
            let entry = entry.map_err(BackupError::io("list", &tables))?;
            let to = to.join(TABLES_FOLDER).join(entry.file_name());
            self.tables.push((entry.path(), to));
        }
        Ok(())
    }

    fn take_file(&mut self, from: &Path, to: PathBuf) -> Result<(), BackupError> {
        let content = read(from)?.ok_or_else(|| BackupError::missing(from))?;
        self.files.push((to, content));
        Ok(())
    }
}

/// The folder of the store.
fn root(space: &Keyspace) -> Result<&Path, BackupError> {
    let path = space.path();
    let root = path.parent().and_then(Path::parent);
    root.ok_or_else(|| BackupError::missing(path))
}

/// Copies the journals. One that disappears meanwhile is not needed any more.
fn copy_journals(from: &Path, to: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(from).map_err(BackupError::io("list", from))? {
        let entry = entry.map_err(BackupError::io("list", from))?;
        let path = entry.path();
        if path.extension().is_none_or(|ending| ending != JOURNAL) {
            continue;
        }
        let to = to.join(entry.file_name());
        match fs::copy(&path, &to) {
            Ok(_) => copies.push(to),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(BackupError::io("copy", &path)(error)),
        }
    }
    Ok(copies)
}

fn version_name(version: u64) -> String {
    format!("v{version}")
}

/// The number in the file that names the current version.
fn current_version(content: &[u8]) -> Option<u64> {
    content.first_chunk().copied().map(u64::from_le_bytes)
}
