//! A consistent list of a day's files for a reader of a local archive, while a writer adds files
//! and a compaction replaces them.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use crate::layout::names;
use crate::manifest::{MANIFEST, Manifest, visible};

/// How often listing a day is attempted if it changes meanwhile.
const ATTEMPTS_MAX: usize = 100;

/// A visible file of a day.
#[derive(Debug, Clone)]
pub struct DayFile {
    /// Its name in the folder of the day.
    pub name: String,
    /// Its size and modification time.
    pub metadata: Metadata,
}

/// The visible files of a day at one moment, in order of their names. A missing folder has none.
///
/// Manifest, listing and sizes are read one after the other. They are consistent if the manifest
/// was the same before and after, and every file existed.
///
/// # Errors
/// Those of reading; an unreadable manifest; a day that keeps changing.
pub fn day_files(day: &Path) -> io::Result<Vec<DayFile>> {
    let path = day.join(MANIFEST);
    for _ in 0..ATTEMPTS_MAX {
        let before = content(&path)?;
        let manifest = match &before {
            Some(content) => Manifest::parse(content).map_err(|error| {
                let text = format!("{}: {error}", day.display());
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?,
            None => Manifest::none(),
        };
        let files = files(day, visible(&manifest, &names(day)?))?;
        if let Some(files) = files
            && content(&path)? == before
        {
            return Ok(files);
        }
    }
    let text = format!(
        "the files of {} do not match {MANIFEST}: if a compaction is running, try again; \
         otherwise run `tickctl compact`",
        day.display()
    );
    Err(io::Error::other(text))
}

/// `None` if one of them is missing.
fn files(day: &Path, names: Vec<String>) -> io::Result<Option<Vec<DayFile>>> {
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        match day.join(&name).metadata() {
            Ok(metadata) => files.push(DayFile { name, metadata }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(files))
}

fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
