//! Finds the file that a query could not read: the engine's message does not always name it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::time::timeout;

use crate::error::SqlError;

/// How long the search may take.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Replaces [`SqlError::UnreadableSomewhere`] by [`SqlError::Unreadable`] if the file is found among
/// those that the query read. The search ends with the future, or when its time is over.
pub(crate) async fn name_file(error: SqlError, files: Vec<PathBuf>) -> SqlError {
    let SqlError::UnreadableSomewhere(_) = &error else {
        return error;
    };
    let wanted = Wanted::default();
    let watch = wanted.watch();
    let search = tokio::task::spawn_blocking(move || first_unreadable(&files, &watch));
    match timeout(SEARCH_TIME_MAX, search).await {
        Ok(Ok(Some((path, cause)))) => SqlError::Unreadable { path, cause },
        Ok(_) | Err(_) => error,
    }
}

/// Held while a search is awaited; dropping it ends the search.
#[derive(Default)]
struct Wanted(Arc<()>);

impl Wanted {
    fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.0))
    }
}

/// Tells a search whether it is still awaited.
struct Watch(Weak<()>);

impl Watch {
    fn is_wanted(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// Checks the footers first, since most corrupt files are truncated ones, and then the pages.
fn first_unreadable(files: &[PathBuf], watch: &Watch) -> Option<(PathBuf, String)> {
    let unreadable = |check: fn(&Path, &Watch) -> Result<(), String>| {
        let files = files.iter().take_while(|_| watch.is_wanted());
        let mut failures = files.filter_map(|path| Some((path.clone(), check(path, watch).err()?)));
        failures.next()
    };
    unreadable(footer).or_else(|| unreadable(pages))
}

fn footer(path: &Path, _watch: &Watch) -> Result<(), String> {
    open(path).map(|_| ())
}

fn pages(path: &Path, watch: &Watch) -> Result<(), String> {
    let mut reader = open(path)?.build().map_err(|error| error.to_string())?;
    while watch.is_wanted() {
        match reader.next() {
            Some(batch) => drop(batch.map_err(|error| error.to_string())?),
            None => break,
        };
    }
    Ok(())
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_is_no_longer_awaited_stops() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("corrupt.parquet");
        std::fs::write(&file, "not Parquet").unwrap();
        let files = vec![file.clone(); 3];
        let wanted = Wanted::default();
        let watch = wanted.watch();
        let found = first_unreadable(&files, &watch);
        assert_eq!(found.unwrap().0, file);
        drop(wanted);
        assert_eq!(first_unreadable(&files, &watch), None);
    }
}
