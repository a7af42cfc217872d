//! Sorts rows in bounded memory: rows that fit are sorted and written as a run, and the runs are
//! merged.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::{
    SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::merge::{Merge, Run};
use super::{CompactionError, Memory};
use crate::file::{SEQUENCE, SORTED_BY};

/// The number of rows that are read from a run at once.
const RUN_BATCH_ROWS: usize = 4_096;

/// The page size of a run: the least memory that an open run needs per column.
const RUN_PAGE_BYTES: usize = 64 * 1024;

/// Collects rows and sorts them.
pub(super) struct Sorter {
    schema: SchemaRef,
    memory: Memory,
    dir: PathBuf,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    runs: Vec<PathBuf>,
    runs_written: usize,
}

impl Sorter {
    /// A sorter that writes runs into `dir`.
    pub(super) fn new(schema: SchemaRef, memory: Memory, dir: &Path) -> Self {
        Self {
            schema,
            memory,
            dir: dir.to_owned(),
            held: Vec::new(),
            held_bytes: 0,
            runs: Vec::new(),
            runs_written: 0,
        }
    }

    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), CompactionError> {
        self.held_bytes += batch.get_array_memory_size();
        self.held.push(batch);
        if self.held_bytes >= self.memory.sort_bytes_max {
            let sorted = self.sort_held()?;
            let run = self.write_run([Ok(sorted)])?;
            self.runs.push(run);
        }
        Ok(())
    }

    /// All rows in order.
    pub(super) fn sorted(mut self) -> Result<Merge, CompactionError> {
        let last = self.sort_held()?;
        // One slot is for the rows that are still in memory.
        let at_once = self.memory.merge_runs_max.max(3) - 1;
        while self.runs.len() > at_once {
            let rest = self.runs.split_off(at_once);
            let first = std::mem::replace(&mut self.runs, rest);
            let merged = self.merge(&first, None)?;
            let run = self.write_run(merged)?;
            self.runs.push(run);
            for path in first {
                std::fs::remove_file(&path).map_err(CompactionError::work("remove", &path))?;
            }
        }
        let runs = std::mem::take(&mut self.runs);
        self.merge(&runs, Some(last))
    }

    fn merge(&self, runs: &[PathBuf], held: Option<RecordBatch>) -> Result<Merge, CompactionError> {
        let mut all: Vec<Run> = Vec::with_capacity(runs.len() + 1);
        for path in runs {
            let file = File::open(path).map_err(CompactionError::work("read", path.as_path()))?;
            let builder = ParquetRecordBatchReaderBuilder::try_new(file)
                .map_err(CompactionError::work("read", path.as_path()))?;
            let reader = builder.with_batch_size(RUN_BATCH_ROWS).build();
            all.push(Box::new(
                reader.map_err(CompactionError::work("read", path.as_path()))?,
            ));
        }
        if let Some(held) = held.filter(|held| held.num_rows() > 0) {
            all.push(Box::new(std::iter::once(Ok(held))));
        }
        let schema = std::sync::Arc::clone(&self.schema);
        Merge::new(schema, all).map_err(CompactionError::work("merge in", &self.dir))
    }

    fn sort_held(&mut self) -> Result<RecordBatch, CompactionError> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        sort(&self.schema, held).map_err(CompactionError::work("sort in", &self.dir))
    }

    fn write_run(
        &mut self,
        batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
    ) -> Result<PathBuf, CompactionError> {
        let path = self.dir.join(format!("run-{:05}", self.runs_written));
        self.runs_written += 1;
        let file =
            File::create_new(&path).map_err(CompactionError::work("write", path.as_path()))?;
        let schema = std::sync::Arc::clone(&self.schema);
        let mut writer = ArrowWriter::try_new(file, schema, Some(run_properties()))
            .map_err(CompactionError::work("write", path.as_path()))?;
        for batch in batches {
            writer
                .write(&batch.map_err(CompactionError::work("write", path.as_path()))?)
                .map_err(CompactionError::work("write", path.as_path()))?;
        }
        writer
            .close()
            .map_err(CompactionError::work("write", path.as_path()))?;
        Ok(path)
    }
}

/// A run is read once and soon: it is runs_written for speed.
fn run_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_size_limit(RUN_PAGE_BYTES)
        .set_data_page_row_count_limit(RUN_BATCH_ROWS)
        .build()
}

fn sort(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<RecordBatch, ArrowError> {
    let whole = concat_batches(schema, &batches)?;
    // The rows are in memory twice now, and a third time when sorted.
    drop(batches);
    let mut columns = Vec::with_capacity(SORTED_BY.len());
    for name in SORTED_BY {
        let position = schema.index_of(name)?;
        columns.push(SortColumn {
            values: std::sync::Arc::clone(whole.column(position)),
            options: Some(SortOptions {
                descending: false,
                nulls_first: name == SEQUENCE,
            }),
        });
    }
    let order = lexsort_to_indices(&columns, None)?;
    take_record_batch(&whole, &order)
}
