//! Where an answer goes: standard output, or a file that is there only once it is complete.

use std::fs::Permissions;
use std::io::{self, IsTerminal as _, Write, stdout};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::cli::{Format, Options};
use crate::problem::Problem;

/// Rows that a table is made of, where no other number is given: all of them are held in memory.
const TABLE_ROWS_MAX: usize = 10_000;

/// A file that is being written aside.
pub(crate) struct Aside {
    file: NamedTempFile,
    path: PathBuf,
}

impl Aside {
    /// Starts a file beside the one that it will be.
    pub(crate) fn start(path: &Path) -> Result<Self, Problem> {
        let failed = |error| Problem::OutputFile {
            path: path.to_owned(),
            error,
        };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        let Some(name) = path.file_name() else {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        };
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let file = Builder::new()
            .prefix(&format!(".{}.", name.to_string_lossy()))
            .suffix(".part")
            // As any other file that a program makes: the umask decides.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(failed)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    pub(crate) fn writer(&mut self) -> &mut (dyn Write + Send) {
        self.file.as_file_mut()
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let path = self.path;
        let synced = self.file.as_file().sync_all();
        synced
            .and_then(|()| self.file.persist(&path).map_err(|error| error.error))
            .map(|_| ())
            .map_err(|error| Problem::OutputFile { path, error })
    }
}

/// The format of an answer.
pub(crate) fn format(options: &Options) -> Result<Format, Problem> {
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

/// The rows after which an answer is cut.
pub(crate) fn rows_max(options: &Options, format: Format) -> Option<usize> {
    let held = format.is_for_reading() && (options.output.is_some() || options.chart.is_none());
    options.max_rows.or(held.then_some(TABLE_ROWS_MAX))
}
