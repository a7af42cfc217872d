//! The rows of a day's files on their way into new ones.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, UInt64Type};
use arrow::error::ArrowError;

use super::columns::Columns;
use super::duplicates::{Losers, Record, Records};
use super::input::Input;
use super::output::{Output, Outputs};
use super::sort::Sorter;
use super::{CompactionError, Memory, Watch};
use crate::id_sum::{IdSum, hash};
use crate::schema::{ID, of_ticks};

/// Of two rows with one id, the earlier by it stays.
const INGESTED_AT: &str = "ingested_at";

/// Why a file's rows are not gathered.
pub(super) enum Refused {
    /// It cannot be read.
    Unreadable(String),
    /// It has columns that the others lack: the day begins anew with them.
    Wider(Vec<Field>),
    /// The compaction cannot go on.
    Failed(CompactionError),
}

impl From<CompactionError> for Refused {
    fn from(error: CompactionError) -> Self {
        Self::Failed(error)
    }
}

/// What the rows of a day became.
pub(super) enum Gathered {
    /// New files.
    Written {
        outputs: Vec<Output>,
        /// Ids of the rows that were left out.
        duplicates: IdSum,
    },
    /// These files, by their number, cannot be kept: a row of theirs is in another one as well.
    NotKept(Vec<usize>),
}

/// Collects the rows of a day: first of the files that are kept, then of those that are not.
pub(super) struct Gather {
    columns: Columns,
    sorter: Sorter,
    records: Records,
    dir: PathBuf,
    /// The first ordinal of each file that is kept.
    kept: Vec<u64>,
    next_ordinal: u64,
    /// Rows of files that are written anew.
    rows: u64,
}

impl Gather {
    pub(super) fn new(columns: Columns, memory: Memory, dir: &Path) -> Self {
        let schema = std::sync::Arc::clone(&columns.numbered);
        Self {
            sorter: Sorter::new(schema, memory, dir),
            records: Records::new(dir, memory.id_records_max),
            columns,
            dir: dir.to_owned(),
            kept: Vec::new(),
            next_ordinal: 0,
            rows: 0,
        }
    }

    /// Looks at the ids of a file that stays.
    pub(super) fn keep(&mut self, path: &Path) -> Result<(), Refused> {
        self.kept.push(self.next_ordinal);
        let input = Input::open(path).map_err(Refused::Unreadable)?;
        let (records, next) = (&mut self.records, &mut self.next_ordinal);
        let read = input.read(Some(&[ID, INGESTED_AT]), |batch| {
            let added = record(records, &batch, *next, false);
            *next += batch.num_rows() as u64;
            added.map(|_| ())
        });
        read.map_err(Refused::Unreadable)??;
        self.records.end_of_kept(self.next_ordinal);
        Ok(())
    }

    /// Takes the rows of a file that is written anew; its ids.
    pub(super) fn take(&mut self, path: &Path) -> Result<IdSum, Refused> {
        let input = Input::open(path).map_err(Refused::Unreadable)?;
        let schema = input.schema();
        of_ticks(&schema).map_err(Refused::Unreadable)?;
        let lacking = self.columns.lacking(&schema).map_err(Refused::Unreadable)?;
        if !lacking.is_empty() {
            return Err(Refused::Wider(lacking));
        }
        let mut ids = IdSum::default();
        let read = input.read(None, |batch| {
            let first = self.next_ordinal;
            let batch = self.columns.numbered(&batch, first);
            let batch = batch.map_err(|error| Refused::Unreadable(error.to_string()))?;
            self.next_ordinal += batch.num_rows() as u64;
            self.rows += batch.num_rows() as u64;
            ids.merge(&record(&mut self.records, &batch, first, true)?);
            self.sorter.push(batch).map_err(Refused::Failed)
        });
        read.map_err(Refused::Unreadable)??;
        Ok(ids)
    }

    /// Writes the rows in order to new files of about `target_bytes`, each id once.
    pub(super) fn write(
        self,
        target_bytes: u64,
        watch: &dyn Watch,
    ) -> Result<Gathered, CompactionError> {
        let losers = self.records.losers()?;
        if !losers.kept.is_empty() {
            return Ok(Gathered::NotKept(files_of(&self.kept, &losers.kept)));
        }
        let rows = self.rows - losers.ids.rows();
        let stored = std::sync::Arc::clone(&self.columns.stored);
        let mut outputs = Outputs::new(stored, &self.dir, target_bytes, rows);
        let mut done = 0;
        for batch in self.sorter.sorted()? {
            if watch.stopped() {
                return Err(CompactionError::Stopped);
            }
            let batch = batch.and_then(|batch| without(&losers, &batch));
            let batch = batch.map_err(CompactionError::work("merge in", &self.dir))?;
            outputs.write(&batch)?;
            done += batch.num_rows() as u64;
            watch.progress("rows written", done, rows);
        }
        Ok(Gathered::Written {
            outputs: outputs.finish()?,
            duplicates: losers.ids,
        })
    }
}

/// Records the rows of a batch, the first of which has the ordinal `first`; their ids.
fn record(
    records: &mut Records,
    batch: &RecordBatch,
    first: u64,
    rewritten: bool,
) -> Result<IdSum, Refused> {
    let of_type = || Refused::Unreadable("its tick ids are no texts".to_owned());
    let ids = batch.column_by_name(ID).ok_or_else(of_type)?;
    let ids = arrow::compute::cast(ids, &DataType::Utf8).map_err(|_| of_type())?;
    let ids = ids.as_string_opt::<i32>().ok_or_else(of_type)?;
    let ingested = batch
        .column_by_name(INGESTED_AT)
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    let mut sum = IdSum::default();
    for ((row, id), ordinal) in ids.iter().enumerate().zip(first..) {
        let hash = hash(id);
        sum.add(&hash);
        // A row without an id is no duplicate of any other.
        if id.is_some() {
            let known = ingested.filter(|ingested| ingested.is_valid(row));
            records.push(Record {
                hash,
                rewritten,
                ingested_ms: known.map_or(i64::MAX, |ingested| ingested.value(row)),
                ordinal,
            })?;
        }
    }
    Ok(sum)
}

/// The rows that are no duplicates, without their ordinals.
fn without(losers: &Losers, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let last = batch.num_columns().saturating_sub(1);
    let ordinals = batch.column(last).as_primitive::<UInt64Type>();
    let stay: BooleanArray = ordinals
        .values()
        .iter()
        .map(|ordinal| Some(!losers.has(*ordinal)))
        .collect();
    let stored: Vec<usize> = (0..last).collect();
    filter_record_batch(&batch.project(&stored)?, &stay)
}

/// The numbers of the files, of which each begins with an ordinal, that rows are in.
fn files_of(firsts: &[u64], rows: &[u64]) -> Vec<usize> {
    let file = |row: &u64| {
        firsts
            .partition_point(|first| first <= row)
            .saturating_sub(1)
    };
    let mut files: Vec<usize> = rows.iter().map(file).collect();
    files.sort_unstable();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_in_its_file() {
        assert_eq!(files_of(&[0, 10, 10, 15], &[9, 10, 14, 0]), [0, 2]);
        assert_eq!(files_of(&[0], &[3]), [0]);
        assert!(files_of(&[0, 3], &[]).is_empty());
    }
}
