//! Where an answer goes: standard output, a file that is there only once it is complete, or a pipe or
//! device that takes it as it comes.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, IsTerminal as _, Write, stdout};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::cli::{Format, Options};
use crate::problem::Problem;

/// Rows that a table is made of, where no other number is given: all of them are held in memory.
const TABLE_ROWS_MAX: usize = 10_000;

/// Symbolic links that are followed one after the other, as Linux does.
const LINKS_MAX: usize = 40;

/// The permissions of a file that a program makes; the umask takes from them.
const MODE: u32 = 0o666;

/// The bits of a mode that say who may read, write and run a file.
const PERMISSIONS: u32 = 0o777;

/// A file that is being written aside, or a pipe or device that is written straight.
pub(crate) struct Aside {
    target: Target,
    path: PathBuf,
}

enum Target {
    /// A file beside the one that it will be.
    Beside { file: NamedTempFile, at: PathBuf },
    /// No regular file: a name that is given to another file would take its place.
    Straight(File),
}

impl Aside {
    /// Starts a file beside the one that it will be. What is at the path and is no regular file is
    /// opened; symbolic links are followed.
    pub(crate) fn start(path: &Path) -> Result<Self, Problem> {
        let target = Target::at(path).map_err(|error| {
            let folder = folder_of(path);
            if error.kind() == io::ErrorKind::NotFound && !folder.exists() {
                return Problem::Usage(format!(
                    "{} cannot be written: there is no folder {}",
                    path.display(),
                    folder.display()
                ));
            }
            Problem::OutputFile {
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
            Target::Beside { file, .. } => file.as_file_mut(),
            Target::Straight(file) => file,
        }
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let path = self.path;
        let finished = match self.target {
            Target::Beside { file, at } => file.as_file().sync_all().and_then(|()| {
                let named = file.persist(at);
                named.map(drop).map_err(|error| error.error)
            }),
            Target::Straight(mut file) => file.flush(),
        };
        finished.map_err(|error| Problem::OutputFile { path, error })
    }
}

impl Target {
    fn at(path: &Path) -> io::Result<Self> {
        let there = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => {
                let opened = OpenOptions::new().write(true).open(path)?;
                return Ok(Self::Straight(opened));
            }
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let at = behind_links(path)?;
        let Some(name) = at.file_name() else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let mode = match &there {
            Some(there) => {
                // To replace a file takes no right to write it; to be asked for it does.
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
        Ok(Self::Beside { file, at })
    }
}

/// Gives a file the owner and the permissions of the one that it will replace.
fn keep(file: &File, there: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
        // Only an administrator may give files away; what another writes is that one's.
        _ = fchown(file, Some(there.uid()), Some(there.gid()));
    }
    file.set_permissions(Permissions::from_mode(there.mode() & PERMISSIONS))
}

/// The path that is left when all links at its end are followed, whether something is there or not.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
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

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// The format of an answer.
pub(crate) fn format(options: &Options) -> Result<Format, Problem> {
    if let (Some(output), Some(page)) = (&options.output, &options.html)
        && place_of(output) == place_of(page)
    {
        return Err(Problem::Usage(format!(
            "--output and --html are one file, {}: the page would take the place of the answer",
            page.display()
        )));
    }
    let ending = options
        .output
        .as_ref()
        .and_then(|path| path.extension())
        .and_then(|ending| ending.to_str());
    let format = match (options.format, ending) {
        (Some(format), _) => format,
        (None, Some(ending)) => Format::of_ending(ending).ok_or_else(|| {
            Problem::Usage(format!(
                "`.{ending}` stands for no format: give --format, or end the file in .csv, .tsv, .jsonl, .json, .md, .parquet or .txt"
            ))
        })?,
        (None, None) => Format::Table,
    };
    let to_terminal = options.output.is_none() && options.chart.is_none();
    if format == Format::Parquet && to_terminal && stdout().is_terminal() {
        return Err(Problem::Usage(
            "a Parquet file is not for a terminal: give -o FILE".to_owned(),
        ));
    }
    Ok(format)
}

/// A path by which the same file is known to be the same, as far as that can be told.
fn place_of(path: &Path) -> PathBuf {
    let at = behind_links(path).unwrap_or_else(|_| path.to_owned());
    match (folder_of(&at).canonicalize(), at.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        (Ok(_) | Err(_), _) => at,
    }
}

/// The rows after which an answer is cut.
pub(crate) fn rows_max(options: &Options, format: Format) -> Option<usize> {
    let held = format.is_for_reading() && (options.output.is_some() || options.chart.is_none());
    options.max_rows.or(held.then_some(TABLE_ROWS_MAX))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    use std::process::Command;
    use std::thread;

    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn written(path: &Path, text: &str) {
        let mut aside = Aside::start(path).unwrap();
        aside.writer().write_all(text.as_bytes()).unwrap();
        aside.finish().unwrap();
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
        assert!(Aside::start(&folder.path().join("self")).is_err());
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_new_one_has_that_of_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("plain"), "").unwrap();
        written(&path("new"), "new");
        assert_eq!(mode(&path("new")), mode(&path("plain")));
        for kept in [0o600, 0o640, 0o666, 0o777] {
            fs::write(path("kept"), "before").unwrap();
            fs::set_permissions(path("kept"), Permissions::from_mode(kept)).unwrap();
            let mut aside = Aside::start(&path("kept")).unwrap();
            let Target::Beside { file, .. } = &aside.target else {
                panic!("a regular file is written aside")
            };
            // Nobody reads it on the way who may not read it then.
            assert_eq!(mode(file.path()), kept);
            aside.writer().write_all(b"after").unwrap();
            assert_eq!(fs::read_to_string(path("kept")).unwrap(), "before");
            aside.finish().unwrap();
            assert_eq!(mode(&path("kept")), kept);
            assert_eq!(fs::read_to_string(path("kept")).unwrap(), "after");
        }
    }

    #[test]
    fn the_answer_and_the_page_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        symlink("x.csv", path("link")).unwrap();
        let format = |output: &str, page: &str| {
            let cli = Cli::try_parse_from(["ticksql", "-f", "csv", "-o", output, "--html", page]);
            format(&cli.unwrap().options)
        };
        for (output, page) in [
            (path("x.csv"), path("x.csv")),
            (path("./x.csv"), path("x.csv")),
            (path("link"), path("x.csv")),
        ] {
            let error = format(&output, &page).unwrap_err();
            assert!(error.to_string().contains("are one file"), "{error}");
        }
        assert!(format(&path("x.csv"), &path("x.html")).is_ok());
    }
}
