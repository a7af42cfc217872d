//! One Parquet file as it comes, from whatever writer.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Rows that are read at once.
const BATCH_ROWS: usize = 8_192;

/// A file that was opened: its footer can be read.
pub(super) struct Input {
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl Input {
    /// Opens a file.
    ///
    /// # Errors
    /// In words, where it is no whole Parquet file.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
        Ok(Self { builder })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        std::sync::Arc::clone(self.builder.schema())
    }

    /// Hands over all rows, of the named columns or of all.
    ///
    /// # Errors
    /// In words, where a page cannot be read or rows are missing; what `each` says.
    pub(super) fn read<E>(
        self,
        columns: Option<&[&str]>,
        mut each: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<Result<(), E>, String> {
        let said = self.builder.metadata().file_metadata().num_rows();
        let mask = match columns {
            Some(names) => {
                let columns = names.iter().copied();
                ProjectionMask::columns(self.builder.parquet_schema(), columns)
            }
            None => ProjectionMask::all(),
        };
        let reader = self
            .builder
            .with_batch_size(BATCH_ROWS)
            .with_projection(mask)
            .build()
            .map_err(|error| error.to_string())?;
        let mut rows = 0;
        for batch in reader {
            let batch = batch.map_err(|error| error.to_string())?;
            rows += batch.num_rows();
            if let Err(error) = each(batch) {
                return Ok(Err(error));
            }
        }
        if i64::try_from(rows) != Ok(said) {
            return Err(format!("its footer says {said} rows, and {rows} are in it"));
        }
        Ok(Ok(()))
    }
}
