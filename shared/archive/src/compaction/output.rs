//! Writes the new files of a day: rows in order, with a new file whenever one is large enough.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;

use super::CompactionError;
use super::row_identities::RowIdentities;
use crate::file::{ROW_GROUP_TICKS_MAX, about, properties};
use crate::identity_sum::IdentitySum;

/// A new file, not yet in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) ids: IdentitySum,
}

/// Writes rows to as many files as needed.
pub(super) struct Outputs {
    schema: SchemaRef,
    dir: PathBuf,
    target_bytes: u64,
    /// How many rows are still expected.
    rows_left: u64,
    current: Option<Current>,
    done: Vec<Output>,
}

struct Current {
    path: PathBuf,
    writer: ArrowWriter<File>,
    ids: IdentitySum,
}

impl Outputs {
    /// Prepares files of about `target_bytes` in `dir` for `rows` rows.
    pub(super) fn new(schema: SchemaRef, dir: &Path, target_bytes: u64, rows: u64) -> Self {
        Self {
            schema,
            dir: dir.to_owned(),
            target_bytes,
            rows_left: rows,
            current: None,
            done: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), CompactionError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.open()?,
        };
        current
            .writer
            .write(batch)
            .map_err(CompactionError::work("write", current.path.as_path()))?;
        let identities = RowIdentities::of(batch);
        let identities =
            identities.map_err(CompactionError::work("write", current.path.as_path()))?;
        current.ids.merge(&identities.sum());
        self.rows_left = self.rows_left.saturating_sub(batch.num_rows() as u64);
        if self.is_large_enough(&current) {
            self.close(current)?;
        } else {
            self.current = Some(current);
        }
        Ok(())
    }

    /// The last file may be up to one and a half times the target, so none is below half of it.
    fn is_large_enough(&self, current: &Current) -> bool {
        let bytes = (current.writer.bytes_written() + current.writer.in_progress_size()) as u64;
        let rows = current.ids.rows().max(1);
        let left = u128::from(self.rows_left) * u128::from(bytes) / u128::from(rows);
        bytes >= self.target_bytes && left >= u128::from(self.target_bytes / 2)
    }

    fn open(&self) -> Result<Current, CompactionError> {
        let path = self.dir.join(format!("new-{:05}", self.done.len()));
        let file =
            File::create_new(&path).map_err(CompactionError::work("write", path.as_path()))?;
        // The writer shrinks the bloom filter of a row group to what its tokens need.
        let properties = properties(
            ROW_GROUP_TICKS_MAX,
            about(&[("compacted", "true".to_owned())]),
        )
        .map_err(CompactionError::work("write", path.as_path()))?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties))
            .map_err(CompactionError::work("write", path.as_path()))?;
        Ok(Current {
            path,
            writer,
            ids: IdentitySum::default(),
        })
    }

    fn close(&mut self, current: Current) -> Result<(), CompactionError> {
        let Current { path, writer, ids } = current;
        let file = writer
            .into_inner()
            .map_err(CompactionError::work("write", path.as_path()))?;
        let bytes = file
            .metadata()
            .map_err(CompactionError::work("write", path.as_path()))?
            .len();
        self.done.push(Output { path, bytes, ids });
        Ok(())
    }

    /// All files.
    pub(super) fn finish(mut self) -> Result<Vec<Output>, CompactionError> {
        if let Some(current) = self.current.take() {
            self.close(current)?;
        }
        Ok(self.done)
    }
}
