//! Collects the rows of a day's files and writes them to new files.

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Int64Type, UInt64Type};
use arrow::error::ArrowError;

use super::columns::Columns;
use super::duplicates::{Duplicates, Record, Records};
use super::input::Input;
use super::output::{Output, Outputs};
use super::row_identities::{COLUMNS, RowIdentities};
use super::sort::Sorter;
use super::{CompactionError, Memory, REMOVED_NAMED_MAX, Removed, Watch};
use crate::identity_sum::IdentitySum;
use crate::schema::of_ticks;

/// Of two rows of the same event, the one with the smaller value of this column stays.
const INGESTED_AT: &str = "ingested_at";

/// Why the rows of a file were not collected.
pub(super) enum Refused {
    /// It cannot be read.
    Unreadable(String),
    /// It has columns that the others lack: rewriting the day starts over with them.
    Wider(Vec<Field>),
    /// The compaction cannot continue.
    Failed(CompactionError),
}

impl From<CompactionError> for Refused {
    fn from(error: CompactionError) -> Self {
        Self::Failed(error)
    }
}

/// The result of rewriting a day.
pub(super) enum Gathered {
    /// New files.
    Written {
        outputs: Vec<Output>,
        /// The identities of the removed duplicates.
        duplicates: IdentitySum,
        /// The first of them.
        examples: Vec<Removed>,
    },
    /// These files, by number, cannot be kept, since they contain duplicates of rows in other
    /// files.
    NotKept(Vec<usize>),
}

/// Collects the rows of a day: first those of kept files, then those of files to be rewritten.
pub(super) struct Gather {
    columns: Columns,
    sorter: Sorter,
    records: Records,
    dir: PathBuf,
    /// The first ordinal of each kept file.
    kept: Vec<u64>,
    next_ordinal: u64,
    /// The number of rows in rewritten files.
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

    /// Records the ids of a kept file.
    pub(super) fn keep(&mut self, path: &Path) -> Result<(), Refused> {
        self.kept.push(self.next_ordinal);
        let input = Input::open(path).map_err(Refused::Unreadable)?;
        let (records, next) = (&mut self.records, &mut self.next_ordinal);
        let columns = [&COLUMNS[..], &[INGESTED_AT]].concat();
        let read = input.read(Some(&columns), |batch| {
            let added = record(records, &batch, *next, false);
            *next += batch.num_rows() as u64;
            added.map(|_| ())
        });
        read.map_err(Refused::Unreadable)??;
        self.records.end_of_kept(self.next_ordinal);
        Ok(())
    }

    /// Collects the rows of a file to be rewritten, and returns its ids.
    pub(super) fn take(&mut self, path: &Path) -> Result<IdentitySum, Refused> {
        let input = Input::open(path).map_err(Refused::Unreadable)?;
        let schema = input.schema();
        of_ticks(&schema).map_err(Refused::Unreadable)?;
        let lacking = self.columns.lacking(&schema).map_err(Refused::Unreadable)?;
        if !lacking.is_empty() {
            return Err(Refused::Wider(lacking));
        }
        let mut ids = IdentitySum::default();
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

    /// Writes the rows in order to new files of about `target_bytes`, each event only once.
    pub(super) fn write(
        self,
        target_bytes: u64,
        watch: &dyn Watch,
    ) -> Result<Gathered, CompactionError> {
        let duplicates = self.records.duplicates()?;
        if !duplicates.kept.is_empty() {
            return Ok(Gathered::NotKept(files_of(&self.kept, &duplicates.kept)));
        }
        let rows = self.rows - duplicates.ids.rows();
        let stored = std::sync::Arc::clone(&self.columns.stored);
        let mut outputs = Outputs::new(stored, &self.dir, target_bytes, rows);
        let (mut done, mut examples) = (0, Vec::new());
        for batch in self.sorter.sorted()? {
            if watch.stopped() {
                return Err(CompactionError::Stopped);
            }
            let batch = batch.map_err(CompactionError::work("merge in", &self.dir))?;
            add_examples(&mut examples, &duplicates, &batch)
                .map_err(CompactionError::work("merge in", &self.dir))?;
            let batch = without(&duplicates, &batch);
            let batch = batch.map_err(CompactionError::work("merge in", &self.dir))?;
            outputs.write(&batch)?;
            done += batch.num_rows() as u64;
            watch.progress("rows written", done, rows);
        }
        Ok(Gathered::Written {
            outputs: outputs.finish()?,
            duplicates: duplicates.ids,
            examples,
        })
    }
}

/// Records the rows of a batch, whose first row has the ordinal `first`, and returns their ids.
fn record(
    records: &mut Records,
    batch: &RecordBatch,
    first: u64,
    rewritten: bool,
) -> Result<IdentitySum, Refused> {
    let identities = RowIdentities::of(batch).map_err(Refused::Unreadable)?;
    let ingested = batch
        .column_by_name(INGESTED_AT)
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    let mut sum = IdentitySum::default();
    for ((row, identity), ordinal) in identities.rows().enumerate().zip(first..) {
        let hash = identity.hash();
        sum.add(&hash);
        // A row without an id is never a duplicate.
        if identity.tick_id.is_some() {
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

/// The ordinals of a batch's rows, which are its last column.
fn ordinals(batch: &RecordBatch) -> &[u64] {
    let last = batch.num_columns().saturating_sub(1);
    batch.column(last).as_primitive::<UInt64Type>().values()
}

/// Adds the duplicates among the rows of a batch, until there are enough.
fn add_examples(
    examples: &mut Vec<Removed>,
    duplicates: &Duplicates,
    batch: &RecordBatch,
) -> Result<(), String> {
    let wanted = REMOVED_NAMED_MAX - examples.len();
    if wanted == 0 || duplicates.ids.rows() == examples.len() as u64 {
        return Ok(());
    }
    let identities = RowIdentities::of(batch)?;
    let removed = identities.rows().zip(ordinals(batch));
    let removed = removed.filter(|(_, ordinal)| duplicates.has(**ordinal));
    examples.extend(removed.take(wanted).map(|(identity, _)| Removed {
        token: identity.token.map(str::to_owned),
        quote: identity.quote.map(str::to_owned),
        timestamp_ms: identity.ts,
        tick_id: identity.tick_id.unwrap_or_default().to_owned(),
    }));
    Ok(())
}

/// The rows that are not duplicates, without their ordinals.
fn without(duplicates: &Duplicates, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let last = batch.num_columns().saturating_sub(1);
    let stay: BooleanArray = ordinals(batch)
        .iter()
        .map(|ordinal| Some(!duplicates.has(*ordinal)))
        .collect();
    let stored: Vec<usize> = (0..last).collect();
    filter_record_batch(&batch.project(&stored)?, &stay)
}

/// The numbers of the files that contain these rows; `firsts` has each file's first ordinal.
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
