//! What a reader of a local archive reads of a day, while a writer adds files and a compaction
//! replaces them.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use crate::layout::names;
use crate::manifest::{MANIFEST, Manifest, visible};

/// How often a reader looks again where the day changed while it looked.
const LOOKS_MAX: usize = 100;

/// A file of a day that counts.
#[derive(Debug, Clone)]
pub struct DayFile {
    /// Its name in the folder of the day.
    pub name: String,
    /// Its size and time.
    pub metadata: Metadata,
}

/// The files of a day that count at one moment, in order of their names. A folder that is not
/// there has none.
///
/// Manifest, listing and sizes are read one after the other. They belong together where the
/// manifest was the same before and after, and every file was there.
///
/// # Errors
/// Those of reading; a manifest that cannot be understood; a day that changes all the time.
pub fn day_files(day: &Path) -> io::Result<Vec<DayFile>> {
    let path = day.join(MANIFEST);
    for _ in 0..LOOKS_MAX {
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
        "the files of {} are not what {MANIFEST} says; where a compaction runs, ask again, \
         otherwise run `tickctl compact`",
        day.display()
    );
    Err(io::Error::other(text))
}

/// `None` where one of them is gone.
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
