//! Finds the file that a query could not read: the engine's message does not always name it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::error::SqlError;

/// How long the search may take.
const SEARCH_TIME_MAX: Duration = Duration::from_secs(5);

/// A file, and why it cannot be read.
type Unreadable = (PathBuf, String);

/// Replaces [`SqlError::UnreadableSomewhere`] by [`SqlError::Unreadable`] if the file is found among
/// those that the query read. The search ends with the future, or when its time is over.
pub(crate) async fn name_file(error: SqlError, files: Vec<PathBuf>) -> SqlError {
    let SqlError::UnreadableSomewhere(_) = &error else {
        return error;
    };
    let search = search(files, CancellationToken::new());
    match timeout(SEARCH_TIME_MAX, search).await {
        Ok(Some((path, cause))) => SqlError::Unreadable { path, cause },
        Ok(None) | Err(_) => error,
    }
}

/// Searches on a thread that may block. Dropping the future cancels the search.
async fn search(files: Vec<PathBuf>, cancel: CancellationToken) -> Option<Unreadable> {
    let _cancel_on_drop = cancel.clone().drop_guard();
    let search =
        tokio::task::spawn_blocking(move || first_unreadable(&files, &|| cancel.is_cancelled()));
    search.await.ok().flatten()
}

/// Checks the footers first, since most corrupt files are truncated ones, and then the pages. Asks before
/// each file and each batch of rows whether to stop.
fn first_unreadable(files: &[PathBuf], stops: &dyn Fn() -> bool) -> Option<Unreadable> {
    let footers = first_failure(files, stops, |path| open(path).map(|_| ()));
    footers.or_else(|| first_failure(files, stops, |path| read_pages(path, stops)))
}

fn first_failure(
    files: &[PathBuf],
    stops: &dyn Fn() -> bool,
    check: impl Fn(&Path) -> Result<(), String>,
) -> Option<Unreadable> {
    let mut files = files.iter().take_while(|_| !stops());
    files.find_map(|path| Some((path.clone(), check(path).err()?)))
}

fn read_pages(path: &Path, stops: &dyn Fn() -> bool) -> Result<(), String> {
    let mut reader = open(path)?.build().map_err(|error| error.to_string())?;
    while !stops() {
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
    use std::cell::Cell;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use futures_util::future::{Either, select};
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// Two sound files and one with a sound footer and corrupt pages, of several batches each.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..5_000));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let write = |name: &str| {
            let path = folder.join(name);
            let file = File::create(&path).unwrap();
            let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            path
        };
        let files = ["a.parquet", "b.parquet", "corrupt.parquet"].map(write);
        let mut bytes = std::fs::read(&files[2]).unwrap();
        bytes[4..400].fill(0xa5);
        std::fs::write(&files[2], bytes).unwrap();
        assert!(open(&files[2]).is_ok(), "the footer is sound");
        files.to_vec()
    }

    #[test]
    fn a_search_stops_whenever_it_is_asked_to() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        // How often the search asks in all, and the same with a stop at each of these times.
        let asked = Cell::new(0);
        let stops_at = |last: u32| {
            asked.set(0);
            let stops = || {
                asked.set(asked.get() + 1);
                asked.get() >= last
            };
            first_unreadable(&files, &stops)
        };
        assert_eq!(stops_at(u32::MAX).unwrap().0, files[2]);
        let all = asked.get();
        assert!(
            all > 3 + 3 + 2 * 4,
            "before each file and each batch: {all}"
        );
        for last in 1..=all {
            assert_eq!(stops_at(last), None, "stopped at {last} of {all}");
            assert!(asked.get() <= last + 2, "{} after {last}", asked.get());
        }
    }

    #[test]
    fn dropping_the_future_cancels_the_search() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let cancel = CancellationToken::new();
            let found = search(files.clone(), cancel.clone()).await;
            assert_eq!(found.unwrap().0, files[2]);

            // The search has to wait for the only thread, so it is still awaited when it is dropped.
            let cancel = CancellationToken::new();
            let (release, waits) = std::sync::mpsc::channel::<()>();
            let thread = tokio::task::spawn_blocking(move || waits.recv());
            let search = Box::pin(search(files, cancel.clone()));
            let Either::Right((_, search)) = select(search, std::future::ready(())).await else {
                panic!("the search ended without its thread");
            };
            assert!(!cancel.is_cancelled());
            drop(search);
            assert!(cancel.is_cancelled());
            release.send(()).unwrap();
            thread.await.unwrap().unwrap();
        });
    }
}
