//! `max_by(x, y)` and `min_by(x, y)`: the x beside the greatest or least y. With a row as y,
//! `ROW(ts, tick_id)`, equal times are told apart.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, StructArray, UInt32Array, new_null_array,
};
use datafusion::arrow::array::{DynComparator, make_comparator};
use datafusion::arrow::compute::{SortOptions, interleave, nullif, take};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// Rows that may be held beyond two for each group before the best of them are gathered anew.
const SPARE_ROWS: usize = 65_536;

pub(super) fn functions() -> [AggregateUDF; 2] {
    [("max_by", End::Greatest), ("min_by", End::Least)].map(|(name, end)| {
        AggregateUDF::from(ExtremeBy {
            name,
            end,
            signature: Signature::any(2, Volatility::Immutable),
        })
    })
}

/// Which end of the order wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Greatest,
    Least,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExtremeBy {
    name: &'static str,
    end: End,
    signature: Signature,
}

impl ExtremeBy {
    fn extremes(&self, args: &AccumulatorArgs<'_>) -> Result<Extremes> {
        let [value, key] = args.expr_fields else {
            return exec_err!("{} takes two arguments", self.name);
        };
        Ok(Extremes {
            end: self.end,
            value_type: value.data_type().clone(),
            key_type: key.data_type().clone(),
            held: Vec::new(),
            held_rows: 0,
            best: Vec::new(),
        })
    }
}

impl AggregateUDFImpl for ExtremeBy {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [value, _] => Ok(value.clone()),
            _ => exec_err!("{} takes two arguments", self.name),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let named = |(field, part): (&FieldRef, &str)| {
            let name = format_state_name(args.name, part);
            Arc::new(field.as_ref().clone().with_name(name).with_nullable(true))
        };
        Ok(args
            .input_fields
            .iter()
            .zip(["value", "key"])
            .map(named)
            .collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(OneGroup(self.extremes(&args)?)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.extremes(&args)?))
    }
}

/// Rows of which some are the best of their group.
#[derive(Debug)]
struct Rows {
    values: ArrayRef,
    keys: ArrayRef,
}

/// A row among those held.
type Place = (usize, usize);

/// The best row of each group so far.
#[derive(Debug)]
struct Extremes {
    end: End,
    value_type: DataType,
    key_type: DataType,
    held: Vec<Rows>,
    held_rows: usize,
    /// Where the best row of a group is held; `None` where it has none with a key.
    best: Vec<Option<Place>>,
}

impl Extremes {
    fn update(
        &mut self,
        values: &ArrayRef,
        keys: &ArrayRef,
        groups: impl Iterator<Item = usize>,
        filter: Option<&BooleanArray>,
        groups_count: usize,
    ) -> Result<()> {
        if self.best.len() < groups_count {
            self.best.resize(groups_count, None);
        }
        let new = self.held.len();
        let mut comparators: Vec<Option<DynComparator>> = Vec::new();
        comparators.resize_with(new + 1, || None);
        let absent = keys.logical_nulls();
        // Groups whose best row is a new one; some of them more than once.
        let mut changed = Vec::new();
        for (row, group) in groups.enumerate() {
            let left_out = filter.is_some_and(|f| !(f.is_valid(row) && f.value(row)))
                || absent.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let Some(best) = self.best.get_mut(group).filter(|_| !left_out) else {
                continue;
            };
            if let Some((held, held_row)) = *best {
                let Some(slot) = comparators.get_mut(held) else {
                    return exec_err!("rows are held that are gone");
                };
                let comparator = match slot {
                    Some(comparator) => comparator,
                    None => {
                        let of_held = self.held.get(held).map_or(keys, |rows| &rows.keys);
                        slot.insert(make_comparator(of_held, keys, SortOptions::default())?)
                    }
                };
                let order = comparator(held_row, row);
                let better = match self.end {
                    End::Greatest => order.is_lt(),
                    End::Least => order.is_gt(),
                };
                if !better {
                    continue;
                }
                if held != new {
                    changed.push(group);
                }
            } else {
                changed.push(group);
            }
            *best = Some((new, row));
        }
        self.keep(values, keys, &changed)
    }

    /// Keeps the new rows that are the best of their groups, and only those.
    fn keep(&mut self, values: &ArrayRef, keys: &ArrayRef, changed: &[usize]) -> Result<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let new = self.held.len();
        let mut rows = Vec::with_capacity(changed.len());
        for group in changed {
            if let Some(Some((_, row))) = self.best.get_mut(*group).map(Option::as_mut) {
                let kept = rows.len();
                rows.push(u32::try_from(*row).map_err(|e| DataFusionError::External(e.into()))?);
                *row = kept;
            }
        }
        self.held_rows += rows.len();
        let rows = UInt32Array::from(rows);
        self.held.push(Rows {
            values: own(&take(values, &rows, None)?)?,
            keys: own(&take(keys, &rows, None)?)?,
        });
        debug_assert_eq!(self.held.len(), new + 1);
        if self.held_rows > SPARE_ROWS + 2 * self.best.len() {
            self.gather_anew()?;
        }
        Ok(())
    }

    /// Lets go of the rows that are no longer the best.
    fn gather_anew(&mut self) -> Result<()> {
        let best: Vec<Place> = self.best.iter().flatten().copied().collect();
        let rows = Rows {
            values: own(&self.rows(&best, |rows| &rows.values)?)?,
            keys: own(&self.rows(&best, |rows| &rows.keys)?)?,
        };
        self.held = vec![rows];
        self.held_rows = best.len();
        for (row, place) in self.best.iter_mut().flatten().enumerate() {
            *place = (0, row);
        }
        Ok(())
    }

    fn rows(&self, places: &[Place], column: fn(&Rows) -> &ArrayRef) -> Result<ArrayRef> {
        let arrays: Vec<_> = self.held.iter().map(|rows| column(rows).as_ref()).collect();
        Ok(interleave(&arrays, places)?)
    }

    /// Takes groups out: the best value of each, and its key.
    fn take_out(&mut self, emit_to: EmitTo) -> Result<(ArrayRef, ArrayRef)> {
        let nothing = Rows {
            values: new_null_array(&self.value_type, 1),
            keys: new_null_array(&self.key_type, 1),
        };
        self.held.push(nothing);
        let nowhere = (self.held.len() - 1, 0);
        let places: Vec<Place> = emit_to
            .take_needed(&mut self.best)
            .into_iter()
            .map(|place| place.unwrap_or(nowhere))
            .collect();
        let values = self.rows(&places, |rows| &rows.values)?;
        let keys = self.rows(&places, |rows| &rows.keys)?;
        self.held.pop();
        if self.best.is_empty() {
            self.held.clear();
            self.held_rows = 0;
        }
        Ok((values, keys))
    }

    fn bytes(&self) -> usize {
        let rows = self.held.iter();
        let held: usize = rows
            .map(|rows| rows.values.get_array_memory_size() + rows.keys.get_array_memory_size())
            .sum();
        held + self.best.capacity() * size_of::<Option<Place>>()
    }
}

/// An array that holds no more than its own rows: texts are views, and would keep all that was
/// read around them.
fn own(array: &ArrayRef) -> Result<ArrayRef> {
    if let Some(texts) = array.as_string_view_opt() {
        return Ok(Arc::new(texts.gc()));
    }
    let Some(row) = array.as_struct_opt() else {
        return Ok(Arc::clone(array));
    };
    let columns = row.columns().iter().map(own).collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StructArray::try_new(
        row.fields().clone(),
        columns,
        row.nulls().cloned(),
    )?))
}

fn pair(arrays: &[ArrayRef]) -> Result<(&ArrayRef, &ArrayRef)> {
    match arrays {
        [value, key, ..] => Ok((value, key)),
        _ => exec_err!("two arguments are needed, not {}", arrays.len()),
    }
}

impl GroupsAccumulator for Extremes {
    fn update_batch(
        &mut self,
        arguments: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        groups_count: usize,
    ) -> Result<()> {
        let (values, keys) = pair(arguments)?;
        self.update(values, keys, groups.iter().copied(), filter, groups_count)
    }

    fn merge_batch(
        &mut self,
        state: &[ArrayRef],
        groups: &[usize],
        groups_count: usize,
    ) -> Result<()> {
        self.update_batch(state, groups, None, groups_count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        self.take_out(emit_to).map(|(values, _)| values)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.take_out(emit_to)
            .map(|(values, keys)| vec![values, keys])
    }

    fn convert_to_state(
        &self,
        arguments: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let (values, keys) = pair(arguments)?;
        let keys = match filter {
            None => Arc::clone(keys),
            Some(filter) => {
                let passes = filter.iter().map(|passes| Some(passes != Some(true)));
                nullif(keys, &passes.collect())?
            }
        };
        Ok(vec![Arc::clone(values), keys])
    }

    fn size(&self) -> usize {
        self.bytes()
    }
}

/// All rows are of one group: without GROUP BY, and in windows.
#[derive(Debug)]
struct OneGroup(Extremes);

impl Accumulator for OneGroup {
    fn update_batch(&mut self, arguments: &[ArrayRef]) -> Result<()> {
        let (values, keys) = pair(arguments)?;
        let groups = std::iter::repeat_n(0, keys.len());
        self.0.update(values, keys, groups, None, 1)
    }

    fn merge_batch(&mut self, state: &[ArrayRef]) -> Result<()> {
        self.update_batch(state)
    }

    /// The row stays: a window asks after each of its rows.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.state()?
            .into_iter()
            .next()
            .map_or_else(|| exec_err!("no state"), Ok)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let place = self.0.best.first().copied().flatten();
        let Some(place) = place else {
            return Ok(vec![
                ScalarValue::try_from(&self.0.value_type)?,
                ScalarValue::try_from(&self.0.key_type)?,
            ]);
        };
        let value = self.0.rows(&[place], |rows| &rows.values)?;
        let key = self.0.rows(&[place], |rows| &rows.keys)?;
        Ok(vec![
            ScalarValue::try_from_array(&value, 0)?,
            ScalarValue::try_from_array(&key, 0)?,
        ])
    }

    fn size(&self) -> usize {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Float64Array, Int64Array};
    use datafusion::arrow::compute::is_null;

    fn extremes(end: End) -> Extremes {
        Extremes {
            end,
            value_type: DataType::Float64,
            key_type: DataType::Int64,
            held: Vec::new(),
            held_rows: 0,
            best: Vec::new(),
        }
    }

    fn columns(rows: &[(Option<f64>, Option<i64>)]) -> Vec<ArrayRef> {
        let values: Float64Array = rows.iter().map(|row| row.0).collect();
        let keys: Int64Array = rows.iter().map(|row| row.1).collect();
        vec![Arc::new(values), Arc::new(keys)]
    }

    #[test]
    fn the_best_of_many_batches_stays_and_the_rest_goes() {
        let mut found = extremes(End::Greatest);
        let groups = 1_000_i64;
        // Each batch is better than the one before, so that rows pile up and are let go of.
        for turn in 0..300_i64 {
            let rows: Vec<_> = (0..groups)
                .map(|group| {
                    (
                        Some(f64::from(i32::try_from(turn + group).unwrap())),
                        Some(turn),
                    )
                })
                .collect();
            let of_group: Vec<usize> = (0..1_000).collect();
            GroupsAccumulator::update_batch(&mut found, &columns(&rows), &of_group, None, 1_000)
                .unwrap();
            assert!(found.held_rows <= SPARE_ROWS + 3_000);
        }
        let values = found.evaluate(EmitTo::First(2)).unwrap();
        assert_eq!(values.as_ref(), &Float64Array::from(vec![299.0, 300.0]));
        let values = found.evaluate(EmitTo::All).unwrap();
        assert_eq!((values.len(), found.held_rows), (998, 0));
    }

    #[test]
    fn rows_without_a_key_are_passed_over_and_values_may_be_null() {
        let rows = [
            (Some(1.0), None),
            (None, Some(7)),
            (Some(3.0), Some(6)),
            (Some(4.0), Some(8)),
        ];
        let filter = BooleanArray::from(vec![Some(true), Some(true), None, Some(false)]);
        let mut found = extremes(End::Greatest);
        let groups = [0, 1, 1, 1];
        GroupsAccumulator::update_batch(&mut found, &columns(&rows), &groups, Some(&filter), 3)
            .unwrap();
        let state = GroupsAccumulator::state(&mut found, EmitTo::All).unwrap();
        assert_eq!(
            is_null(&state[0]).unwrap(),
            BooleanArray::from(vec![true; 3])
        );
        assert_eq!(
            state[1].as_ref(),
            &Int64Array::from(vec![None, Some(7), None])
        );
        let converted = found
            .convert_to_state(&columns(&rows), Some(&filter))
            .unwrap();
        assert_eq!(
            converted[1].as_ref(),
            &Int64Array::from(vec![None, Some(7), None, None])
        );
    }

    #[test]
    fn one_group_is_asked_again_and_again() {
        let mut found = OneGroup(extremes(End::Least));
        assert!(found.evaluate().unwrap().is_null());
        found
            .update_batch(&columns(&[(Some(2.0), Some(2))]))
            .unwrap();
        assert_eq!(found.evaluate().unwrap(), ScalarValue::from(2.0));
        found
            .update_batch(&columns(&[(Some(1.0), Some(1)), (Some(9.0), Some(1))]))
            .unwrap();
        assert_eq!(
            found.evaluate().unwrap(),
            ScalarValue::from(1.0),
            "the first of equals"
        );
    }
}
