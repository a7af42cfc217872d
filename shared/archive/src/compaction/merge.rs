//! Merges sorted runs into one.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;

use crate::file::SORTED_BY;

/// The number of rows per merged batch.
const MERGED_ROWS: usize = 8_192;

/// A sorted run, in batches.
pub(super) type Run = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// The columns by which rows are sorted. NULL sorts after all values, except for `sequence`, where it
/// sorts before them.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    token: StringArray,
    ts: Int64Array,
    sequence: Int64Array,
    tick_id: StringArray,
    quote: StringArray,
}

impl Keys {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let [token, ts, sequence, tick_id, quote] = SORTED_BY.map(|name| {
            let missing = || {
                ArrowError::SchemaError(format!(
                    "the sort column `{name}` is \
                missing"
                ))
            };
            batch.column_by_name(name).ok_or_else(missing)
        });
        let text = |array: &Arc<dyn Array>| array.as_string_opt::<i32>().cloned();
        let of_type = || ArrowError::SchemaError("a sort column has the wrong type".to_owned());
        let number = |array: &Arc<dyn Array>| array.as_primitive_opt::<Int64Type>().cloned();
        Ok(Self {
            token: text(token?).ok_or_else(of_type)?,
            ts: number(ts?).ok_or_else(of_type)?,
            sequence: number(sequence?).ok_or_else(of_type)?,
            tick_id: text(tick_id?).ok_or_else(of_type)?,
            quote: text(quote?).ok_or_else(of_type)?,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.ts.len()
    }

    pub(super) fn has_no_id(&self, row: usize) -> bool {
        self.tick_id.is_null(row)
    }

    /// Compares a row with a row of other keys.
    pub(super) fn order(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        let text = |a: &StringArray, b: &StringArray| {
            nulls_last(
                a.is_valid(row).then(|| a.value(row)),
                b.is_valid(other_row).then(|| b.value(other_row)),
            )
        };
        let number = |array: &Int64Array, row: usize| array.is_valid(row).then(|| array.value(row));
        let times = || nulls_last(number(&self.ts, row), number(&other.ts, other_row));
        // `None` is less than any number.
        let sequences = || number(&self.sequence, row).cmp(&number(&other.sequence, other_row));
        text(&self.token, &other.token)
            .then_with(times)
            .then_with(sequences)
            .then_with(|| text(&self.tick_id, &other.tick_id))
            .then_with(|| text(&self.quote, &other.quote))
    }
}

fn nulls_last<T: Ord>(a: Option<T>, b: Option<T>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// The next row of a run.
struct Head {
    keys: Keys,
    row: usize,
    rows: usize,
    run: usize,
    /// The position of its batch in `held`.
    batch: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.keys
            .order(self.row, &other.keys, other.row)
            .then(self.run.cmp(&other.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

/// A merge of sorted runs.
pub(super) struct Merge {
    schema: SchemaRef,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<Head>>,
    /// The batches that still have rows to merge.
    held: Vec<RecordBatch>,
}

impl Merge {
    pub(super) fn new(schema: SchemaRef, runs: Vec<Run>) -> Result<Self, ArrowError> {
        let mut merge = Self {
            schema,
            heads: BinaryHeap::with_capacity(runs.len()),
            held: Vec::with_capacity(runs.len()),
            runs,
        };
        for run in 0..merge.runs.len() {
            merge.load_next(run)?;
        }
        Ok(merge)
    }

    /// Loads the next batch of a run, if it has one.
    fn load_next(&mut self, run: usize) -> Result<(), ArrowError> {
        let Some(batches) = self.runs.get_mut(run) else {
            return Ok(());
        };
        for batch in batches {
            let batch = batch?;
            if batch.num_rows() > 0 {
                self.heads.push(Reverse(Head {
                    keys: Keys::of(&batch)?,
                    row: 0,
                    rows: batch.num_rows(),
                    run,
                    batch: self.held.len(),
                }));
                self.held.push(batch);
                break;
            }
        }
        Ok(())
    }

    fn merged(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut picks: Vec<(usize, usize)> = Vec::with_capacity(MERGED_ROWS);
        while picks.len() < MERGED_ROWS {
            let Some(Reverse(mut head)) = self.heads.pop() else {
                break;
            };
            // Often many rows in sequence come from one run, such as all ticks of a token.
            let next = self.heads.peek();
            loop {
                picks.push((head.batch, head.row));
                head.row += 1;
                let behind = head.row < head.rows
                    && next.is_some_and(|Reverse(next)| head.cmp(next) == Ordering::Greater);
                if head.row >= head.rows || behind || picks.len() >= MERGED_ROWS {
                    break;
                }
            }
            if head.row < head.rows {
                self.heads.push(Reverse(head));
            } else {
                self.load_next(head.run)?;
            }
        }
        let batches: Vec<&RecordBatch> = self.held.iter().collect();
        let merged = if picks.is_empty() {
            RecordBatch::new_empty(Arc::clone(&self.schema))
        } else {
            interleave_record_batch(&batches, &picks)?
        };
        self.drop_merged();
        Ok(merged)
    }

    /// Drops the batches whose rows are all merged.
    fn drop_merged(&mut self) {
        let mut held = Vec::with_capacity(self.runs.len());
        let heads = std::mem::take(&mut self.heads).into_vec();
        for Reverse(mut head) in heads {
            if let Some(batch) = self.held.get(head.batch) {
                held.push(batch.clone());
                head.batch = held.len() - 1;
                self.heads.push(Reverse(head));
            }
        }
        self.held = held;
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.heads.is_empty() {
            return None;
        }
        Some(self.merged())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::ArrayRef;
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<u8>, Option<i64>, Option<i64>, Option<u8>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let text = |of: fn(&Row) -> Option<u8>| -> ArrayRef {
            let values = rows.iter().map(|row| of(row).map(|n| n.to_string()));
            Arc::new(values.collect::<StringArray>())
        };
        let ts: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>());
        let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>());
        let columns = [
            ("token", text(|row| row.0)),
            ("ts", ts),
            ("sequence", numbers),
            ("tick_id", text(|row| row.3)),
            ("quote", text(|_| None)),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
            .unwrap()
    }

    fn rows(batch: &RecordBatch) -> Vec<Row> {
        let keys = Keys::of(batch).unwrap();
        let text = |array: &StringArray, row| {
            array
                .is_valid(row)
                .then(|| array.value(row).parse().unwrap())
        };
        let row = |row| {
            let number = |array: &Int64Array| array.is_valid(row).then(|| array.value(row));
            let (ts, sequence) = (number(&keys.ts), number(&keys.sequence));
            (
                text(&keys.token, row),
                ts,
                sequence,
                text(&keys.tick_id, row),
            )
        };
        (0..batch.num_rows()).map(row).collect()
    }

    /// NULL is last, but first of the sequences; the digits 0 to 9 are in the order of their texts.
    fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
        rows.sort_by_key(|(token, ts, sequence, id)| {
            (
                token.is_none(),
                *token,
                ts.is_none(),
                *ts,
                *sequence,
                id.is_none(),
                *id,
            )
        });
        rows
    }

    proptest! {
        #[test]
        fn runs_are_merged_in_order_whatever_their_batches(
            runs in proptest::collection::vec(
                proptest::collection::vec(
                    (proptest::option::of(0_u8..4), proptest::option::of(-2_i64..3), proptest::option::of(0_i64..3), proptest::option::of(0_u8..4)),
                    0..30,
                ),
                0..6,
            ),
            batch_rows in 1_usize..9,
        ) {
            let schema = batch(&[]).schema();
            let cut = |rows: &Vec<Row>| -> Run {
                let rows = sorted(rows.clone());
                let batches: Vec<_> = rows.chunks(batch_rows).map(|rows| Ok(batch(rows))).collect();
                Box::new(batches.into_iter())
            };
            let merge = Merge::new(schema, runs.iter().map(cut).collect()).unwrap();
            let merged: Vec<Row> = merge.flat_map(|batch| rows(&batch.unwrap())).collect();
            prop_assert_eq!(merged, sorted(runs.concat()));
        }
    }

    #[test]
    fn rows_of_several_merged_batches_keep_their_order() {
        let run = |first: i64| -> Run {
            let rows = (0..20_000).map(move |n| (Some(1), Some(first + 3 * n), None, Some(2)));
            let rows: Vec<Row> = rows.collect();
            let batches: Vec<_> = rows.chunks(1_000).map(|rows| Ok(batch(rows))).collect();
            Box::new(batches.into_iter())
        };
        let merge = Merge::new(batch(&[]).schema(), vec![run(2), run(0), run(1)]).unwrap();
        let mut times = Vec::new();
        for merged in merge {
            let merged = merged.unwrap();
            assert!(merged.num_rows() <= MERGED_ROWS);
            times.extend(rows(&merged).into_iter().filter_map(|row| row.1));
        }
        assert!(times.into_iter().eq(0..60_000));
    }
}
