//! The objects of an archive in a local folder.
//!
//! An object is written to a temporary file, flushed, and renamed; then its folder is flushed.
//! Copies are hard links if the file system supports them: objects are replaced, but never changed
//! in place.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use app::objects::{Condition, Object, Objects, Replaced};
use app::ports::PortError;
use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::anomalies::ANOMALIES_FOLDER;
use crate::error::ArchiveError;
use crate::layout::table_folder;
use crate::lock::{self, COMPACTION_FOLDER, RunLock, RunLockError};
use crate::staging::{create_folders, sync_folder};

/// The folder for temporary files, inside the compaction's folder.
const TEMP_FOLDER: &str = "tmp";

/// What that folder was called in earlier builds, whose leftovers are removed as well.
const OLD_TEMP_FOLDER: &str = "aside";

/// The folder for temporary files of the anomalies.
const ANOMALIES_STAGING: &str = "anomalies.staging";

/// The objects of the archive in a data folder of tickstream, or of the anomalies beside it.
#[derive(Debug, Clone)]
pub struct Folder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    data_dir: PathBuf,
    table: PathBuf,
    temp: PathBuf,
    next: AtomicU64,
}

impl Folder {
    /// The archive in a data folder. The folder is not accessed yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            shared: Arc::new(Shared {
                data_dir: data_dir.to_owned(),
                table: table_folder(data_dir),
                temp: data_dir.join(COMPACTION_FOLDER).join(TEMP_FOLDER),
                next: AtomicU64::new(0),
            }),
        }
    }

    /// The anomalies in a data folder. Leftovers of a stopped process are removed: only one process may write there.
    ///
    /// # Errors
    /// [`ArchiveError::Io`] if these cannot be removed.
    pub fn of_anomalies(data_dir: &Path) -> Result<Self, ArchiveError> {
        let temp = data_dir.join(ANOMALIES_STAGING);
        match fs::remove_dir_all(&temp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ArchiveError::io("remove", &temp)(error));
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Self {
            shared: Arc::new(Shared {
                data_dir: data_dir.to_owned(),
                table: data_dir.join(ANOMALIES_FOLDER),
                temp,
                next: AtomicU64::new(0),
            }),
        })
    }

    /// The right to compact this archive, and a working folder. Leftovers of an interrupted
    /// compaction are removed from it.
    ///
    /// # Errors
    /// [`RunLockError`] if another compaction is running, or the folder cannot be used.
    pub fn lock(&self) -> Result<(RunLock, PathBuf), RunLockError> {
        let lock = RunLock::acquire(&self.shared.data_dir)?;
        let compaction = self.shared.data_dir.join(COMPACTION_FOLDER);
        let work = compaction.join("work");
        for folder in [&self.shared.temp, &compaction.join(OLD_TEMP_FOLDER), &work] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ArchiveError::io("remove", folder)(error).into());
                }
                Ok(()) | Err(_) => {}
            }
        }
        for folder in [&self.shared.temp, &work] {
            fs::create_dir_all(folder).map_err(ArchiveError::io("create", folder))?;
        }
        Ok((lock, work))
    }

    /// Runs a blocking step on a thread for blocking work.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        step: impl FnOnce(&Shared) -> Result<T, ArchiveError> + Send + 'static,
    ) -> Result<T, PortError> {
        let shared = Arc::clone(&self.shared);
        let failed = |source| PortError {
            operation,
            retryable: false,
            source,
        };
        match tokio::task::spawn_blocking(move || step(&shared)).await {
            Ok(done) => done.map_err(|error| failed(error.into())),
            Err(stopped) => Err(failed(stopped.into())),
        }
    }
}

impl Shared {
    /// The path of an object. A name that leads out of the archive is refused.
    fn path(&self, name: &str) -> Result<PathBuf, ArchiveError> {
        let relative = Path::new(name);
        let inside = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if inside && !name.is_empty() {
            return Ok(self.table.join(relative));
        }
        let error = io::Error::new(
            io::ErrorKind::InvalidInput,
            "the name is not that of an \
            object",
        );
        Err(ArchiveError::io("find", relative)(error))
    }

    /// An unused path for a temporary file.
    fn temp(&self) -> Result<PathBuf, ArchiveError> {
        fs::create_dir_all(&self.temp).map_err(ArchiveError::io("create", &self.temp))?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", std::process::id());
        Ok(self.temp.join(name))
    }

    /// Renames a flushed temporary file to an object's name.
    fn publish(&self, temp: &Path, name: &str) -> Result<(), ArchiveError> {
        let to = self.path(name)?;
        let folder = self.folder_of(name)?;
        fs::rename(temp, &to).map_err(ArchiveError::io("move into the archive", &to))?;
        // If both names are links to one file, `rename` succeeds without doing anything.
        remove_if_there(temp)?;
        sync_folder(&folder)
    }

    /// The folder of an object, created if it is missing.
    fn folder_of(&self, name: &str) -> Result<PathBuf, ArchiveError> {
        fs::create_dir_all(&self.table).map_err(ArchiveError::io("create", &self.table))?;
        let below = Path::new(name).parent().unwrap_or(Path::new(""));
        create_folders(&self.table, below)
    }

    fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, ArchiveError> {
        let path = self.path(name)?;
        match fs::read(&path) {
            Ok(content) => {
                let version = version_of(&content);
                Ok(Some((content, version)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ArchiveError::io("read", &path)(error)),
        }
    }

    fn replace(
        &self,
        name: &str,
        content: &[u8],
        condition: Condition<'_>,
    ) -> Result<Replaced, ArchiveError> {
        let _swap = lock::swap(&self.data_dir)?;
        let found = self.read(name)?.map(|(_, version)| version);
        if !condition.holds(found.as_deref()) {
            return Ok(Replaced::Changed);
        }
        let temp = self.temp()?;
        let written = File::create_new(&temp).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        written.map_err(ArchiveError::io("write", &temp))?;
        self.publish(&temp, name)?;
        Ok(Replaced::Done(version_of(content)))
    }

    fn put(&self, name: &str, from: &Path) -> Result<(), ArchiveError> {
        let temp = self.temp()?;
        link_or_copy(from, &temp)?;
        let flushed = File::open(&temp).and_then(|file| file.sync_all());
        flushed.map_err(ArchiveError::io("flush", &temp))?;
        self.publish(&temp, name)
    }

    fn delete(&self, names: &[String]) -> Result<(), ArchiveError> {
        let mut folders = BTreeSet::new();
        for name in names {
            let path = self.path(name)?;
            if remove_if_there(&path)? {
                folders.extend(path.parent().map(Path::to_owned));
            }
        }
        // Before the deletion is reported: the object must not reappear after a power failure.
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    /// The folders right below one.
    fn folders(&self, of: &str) -> Result<Vec<String>, ArchiveError> {
        let path = self.table.join(of);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ArchiveError::io("list", &path)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(ArchiveError::io("list", &path))?;
            // A name that is not UTF-8 is not one of ours.
            let name = entry.file_name().into_string().ok();
            if let Some(name) = name.filter(|_| entry.path().is_dir()) {
                found.push(format!("{of}{name}/"));
            }
        }
        found.sort();
        Ok(found)
    }

    /// The objects whose names begin with a prefix.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, ArchiveError> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let path = self.table.join(&folder);
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(ArchiveError::io("list", &path)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(ArchiveError::io("list", &path))?;
                // A name that is not UTF-8 is not one of ours.
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let name = match folder.as_str() {
                    "" => name,
                    folder => format!("{folder}/{name}"),
                };
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(ArchiveError::io("look at", &path)(error)),
                };
                if metadata.is_dir() && (name.starts_with(prefix) || prefix.starts_with(&name)) {
                    folders.push(name);
                } else if metadata.is_file() && name.starts_with(prefix) {
                    found.push(Object {
                        bytes: metadata.len(),
                        version: file_version(&metadata),
                        name,
                    });
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

#[async_trait]
impl Objects for Folder {
    fn place(&self) -> String {
        self.shared.table.display().to_string()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Object>, PortError> {
        let prefix = prefix.to_owned();
        self.run("list the archive", move |shared| shared.list(&prefix))
            .await
    }

    async fn folders(&self, of: &str) -> Result<Vec<String>, PortError> {
        let of = of.to_owned();
        self.run("list the archive", move |shared| shared.folders(&of))
            .await
    }

    async fn read(&self, name: &str) -> Result<Option<(Vec<u8>, String)>, PortError> {
        let name = name.to_owned();
        self.run("read of the archive", move |shared| shared.read(&name))
            .await
    }

    async fn replace(
        &self,
        name: &str,
        content: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<Replaced, PortError> {
        let name = name.to_owned();
        let expected = match condition {
            Condition::Absent | Condition::Always => None,
            Condition::Is(version) => Some(version.to_owned()),
        };
        let is_always = matches!(condition, Condition::Always);
        self.run("replace in the archive", move |shared| {
            let condition = match &expected {
                Some(version) => Condition::Is(version),
                None if is_always => Condition::Always,
                None => Condition::Absent,
            };
            shared.replace(&name, &content, condition)
        })
        .await
    }

    async fn fetch(&self, name: &str, to: &Path) -> Result<bool, PortError> {
        let (name, to) = (name.to_owned(), to.to_owned());
        self.run("fetch of the archive", move |shared| {
            let from = shared.path(&name)?;
            found(link_or_copy(&from, &to))
        })
        .await
    }

    async fn put(&self, name: &str, from: &Path) -> Result<(), PortError> {
        let (name, from) = (name.to_owned(), from.to_owned());
        self.run("put into the archive", move |shared| {
            shared.put(&name, &from)
        })
        .await
    }

    async fn copy(&self, from: &str, to: &str) -> Result<bool, PortError> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.run("copy in the archive", move |shared| {
            let from = shared.path(&from)?;
            found(shared.put(&to, &from))
        })
        .await
    }

    async fn delete(&self, names: &[String]) -> Result<(), PortError> {
        let names = names.to_owned();
        self.run("delete of the archive", move |shared| shared.delete(&names))
            .await
    }
}

/// Maps a missing file to `false`.
fn found(done: Result<(), ArchiveError>) -> Result<bool, ArchiveError> {
    match done {
        Ok(()) => Ok(true),
        Err(ArchiveError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Links a file to a second name, or copies it if the file system has no links or differs.
fn link_or_copy(from: &Path, to: &Path) -> Result<(), ArchiveError> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        // Never over an existing file, which may be a link to the same file.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
            ) =>
        {
            Err(ArchiveError::io("link", from)(error))
        }
        Err(_) => {
            let copied = fs::copy(from, to).map(|_| ());
            copied.map_err(ArchiveError::io("copy", from))
        }
    }
}

fn remove_if_there(path: &Path) -> Result<bool, ArchiveError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(ArchiveError::io("remove", path)(error)),
    }
}

fn version_of(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Size, time of the last change, and the inode number if the system has one: a rewritten file has
/// another version.
fn file_version(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let number = 0;
    let nanos = since.map_or(0, |since| since.as_nanos());
    format!("{}-{nanos}-{number}", metadata.len())
}
