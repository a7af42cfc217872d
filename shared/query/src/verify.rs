//! Finds the file that a query could not read: the engine's message does not always name it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::time::timeout;

use super::error::SqlError;

/// How long the files are looked through.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Replaces [`SqlError::UnreadableSomewhere`] by [`SqlError::Unreadable`] where the file is found
/// among those that the query looked into.
pub(super) async fn name_file(error: SqlError, files: Vec<PathBuf>) -> SqlError {
    let SqlError::UnreadableSomewhere(_) = &error else {
        return error;
    };
    let search = tokio::task::spawn_blocking(move || first_unreadable(&files));
    match timeout(SEARCH_TIME_MAX, search).await {
        Ok(Ok(Some((path, cause)))) => SqlError::Unreadable { path, cause },
        Ok(_) | Err(_) => error,
    }
}

/// Looks at the footers first, since most broken files are cut ones, and at the pages then.
fn first_unreadable(files: &[PathBuf]) -> Option<(PathBuf, String)> {
    let unreadable = |check: fn(&Path) -> Result<(), String>| {
        files
            .iter()
            .find_map(|path| check(path).err().map(|cause| (path.clone(), cause)))
    };
    unreadable(footer).or_else(|| unreadable(pages))
}

fn footer(path: &Path) -> Result<(), String> {
    open(path).map(|_| ())
}

fn pages(path: &Path) -> Result<(), String> {
    let reader = open(path)?.build().map_err(|error| error.to_string())?;
    reader
        .into_iter()
        .try_for_each(|batch| batch.map(|_| ()).map_err(|error| error.to_string()))
}

fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| error.to_string())
}
