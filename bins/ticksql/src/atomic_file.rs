//! A file for an answer that appears only once it is complete.
//!
//! tempfile's `persist` renames it; the code here preserves symbolic links, pipes, and the owner
//! and permissions of a file that is replaced.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::cli_error::CliError;

/// The longest chain of symbolic links that is followed, as on Linux.
const LINKS_MAX: usize = 40;

/// The permissions of a new file, before the umask is applied.
const MODE: u32 = 0o666;

/// The mode bits for reading, writing and executing.
const PERMISSIONS: u32 = 0o777;

/// A file that appears once it is complete, or a pipe or device that is written directly.
pub(crate) struct AtomicFile {
    target: Target,
    path: PathBuf,
}

enum Target {
    /// A temporary file beside the final one.
    Temporary { file: NamedTempFile, at: PathBuf },
    /// A pipe or device: a file that is renamed to its path would replace it.
    Direct(File),
}

impl AtomicFile {
    /// Starts a temporary file beside the final one. A pipe or device at the path is opened instead;
    /// symbolic links are followed.
    pub(crate) fn start(path: &Path) -> Result<Self, CliError> {
        let target = Target::at(path).map_err(|error| {
            let folder = folder_of(path);
            if error.kind() == io::ErrorKind::NotFound && !folder.exists() {
                return CliError::Usage(format!(
                    "cannot write {}: there is no folder {}",
                    path.display(),
                    folder.display()
                ));
            }
            CliError::OutputFile {
                path: path.to_owned(),
                error,
            }
        })?;
        Ok(Self {
            target,
            path: path.to_owned(),
        })
    }

    pub(crate) fn writer(&mut self) -> &mut (dyn Write + Send) {
        match &mut self.target {
            Target::Temporary { file, .. } => file.as_file_mut(),
            Target::Direct(file) => file,
        }
    }

    /// How many bytes have been written; `None` for a pipe or device.
    pub(crate) fn len(&self) -> Result<Option<u64>, CliError> {
        match &self.target {
            Target::Temporary { file, .. } => {
                let metadata = file.as_file().metadata();
                let length = metadata.map_err(|error| self.failed(error))?.len();
                Ok(Some(length))
            }
            Target::Direct(_) => Ok(None),
        }
    }

    /// Discards what was written after a length.
    pub(crate) fn truncate(&mut self, length: Option<u64>) -> Result<(), CliError> {
        let (Target::Temporary { file, .. }, Some(length)) = (&mut self.target, length) else {
            return Ok(());
        };
        let file = file.as_file_mut();
        let truncated = file.set_len(length);
        let truncated = truncated.and_then(|()| file.seek(SeekFrom::Start(length)));
        truncated.map(drop).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> CliError {
        CliError::OutputFile {
            path: self.path.clone(),
            error,
        }
    }

    /// Moves the file to its final path.
    pub(crate) fn finish(self) -> Result<(), CliError> {
        let path = self.path;
        let finished = match self.target {
            Target::Temporary { file, at } => file.as_file().sync_all().and_then(|()| {
                let named = file.persist(at);
                named.map(drop).map_err(|error| error.error)
            }),
            Target::Direct(mut file) => file.flush(),
        };
        finished.map_err(|error| CliError::OutputFile { path, error })
    }
}

impl Target {
    fn at(path: &Path) -> io::Result<Self> {
        let there = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => {
                let opened = OpenOptions::new().write(true).open(path)?;
                return Ok(Self::Direct(opened));
            }
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let at = follow_links(path)?;
        let Some(name) = at.file_name() else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let mode = match &there {
            Some(there) => {
                // Renaming over a file needs no permission to write it, so that is checked here.
                OpenOptions::new().write(true).open(&at)?;
                there.mode() & PERMISSIONS
            }
            None => MODE,
        };
        let file = Builder::new()
            .prefix(&format!(".{}.", name.to_string_lossy()))
            .suffix(".part")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder_of(&at))?;
        if let Some(there) = &there {
            keep(file.as_file(), there)?;
        }
        Ok(Self::Temporary { file, at })
    }
}

/// Gives a file the owner and the permissions of the one that it will replace.
fn keep(file: &File, there: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
        // Only root may change the owner; otherwise the file belongs to the user who writes it.
        _ = fchown(file, Some(there.uid()), Some(there.gid()));
    }
    file.set_permissions(Permissions::from_mode(there.mode() & PERMISSIONS))
}

/// The path after all symbolic links at its end are followed, whether or not a file exists there.
pub(crate) fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_symlink() => {
                path = folder_of(&path).join(fs::read_link(&path)?);
            }
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    use std::process::Command;
    use std::thread;

    use super::*;

    fn written(path: &Path, text: &str) {
        let mut atomic = AtomicFile::start(path).unwrap();
        atomic.writer().write_all(text.as_bytes()).unwrap();
        atomic.finish().unwrap();
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & PERMISSIONS
    }

    #[test]
    fn a_pipe_is_written_and_stays_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let link = folder.path().join("link");
        symlink("pipe", &link).unwrap();
        for path in [&pipe, &link] {
            let reader = thread::spawn({
                let pipe = pipe.clone();
                move || fs::read_to_string(pipe).unwrap()
            });
            written(path, "an answer\n");
            assert_eq!(reader.join().unwrap(), "an answer\n");
            let there = fs::symlink_metadata(&pipe).unwrap();
            assert!(there.file_type().is_fifo(), "{there:?}");
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        let (file, missing) = (inside.join("file"), inside.join("missing"));
        fs::write(&file, "before").unwrap();
        for (name, target, of) in [
            ("a", "inside/file", &file),
            ("b", "a", &file),
            ("c", "inside/missing", &missing),
        ] {
            let link = folder.path().join(name);
            symlink(target, &link).unwrap();
            written(&link, name);
            assert_eq!(fs::read_to_string(of).unwrap(), name);
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        }
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 2);
        symlink("self", folder.path().join("self")).unwrap();
        assert!(AtomicFile::start(&folder.path().join("self")).is_err());
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_new_one_follows_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("plain"), "").unwrap();
        written(&path("new"), "new");
        assert_eq!(mode(&path("new")), mode(&path("plain")));
        for kept in [0o600, 0o640, 0o666, 0o777] {
            fs::write(path("kept"), "before").unwrap();
            fs::set_permissions(path("kept"), Permissions::from_mode(kept)).unwrap();
            let mut atomic = AtomicFile::start(&path("kept")).unwrap();
            let Target::Temporary { file, .. } = &atomic.target else {
                panic!("a regular file is first a temporary one")
            };
            // The temporary file is no more readable than the final one.
            assert_eq!(mode(file.path()), kept);
            atomic.writer().write_all(b"after").unwrap();
            assert_eq!(fs::read_to_string(path("kept")).unwrap(), "before");
            atomic.finish().unwrap();
            assert_eq!(mode(&path("kept")), kept);
            assert_eq!(fs::read_to_string(path("kept")).unwrap(), "after");
        }
    }

    #[test]
    fn what_was_written_can_be_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = AtomicFile::start(&path).unwrap();
        file.writer().write_all(b"kept").unwrap();
        let length = file.len().unwrap();
        file.writer().write_all(b" and not").unwrap();
        file.truncate(length).unwrap();
        file.writer().write_all(b", too").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept, too");
    }
}
