//! Reads one Parquet file of any writer.

use std::fs::File;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The number of rows that are read at once.
const BATCH_ROWS: usize = 8_192;

/// An opened file with a valid footer.
pub(super) struct Input {
    builder: ParquetRecordBatchReaderBuilder<File>,
}

impl Input {
    /// Opens a file.
    ///
    /// # Errors
    /// A description, if it is not a complete Parquet file.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
        Ok(Self { builder })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        std::sync::Arc::clone(self.builder.schema())
    }

    /// Passes all rows to `each`, with the named columns or all columns.
    ///
    /// # Errors
    /// A description, if a page cannot be read or rows are missing; or the error of `each`.
    pub(super) fn read<E>(
        self,
        columns: Option<&[&str]>,
        mut each: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<Result<(), E>, String> {
        let declared = self.builder.metadata().file_metadata().num_rows();
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
        if i64::try_from(rows) != Ok(declared) {
            return Err(format!(
                "its footer declares {declared} rows, but it has {rows}"
            ));
        }
        Ok(Ok(()))
    }
}
