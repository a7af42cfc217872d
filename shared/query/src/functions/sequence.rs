//! `sequence(first, last[, step])` and `repeat(value, count)`, within Athena's limit of 10,000 items.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Array, ListBuilder, PrimitiveBuilder, UInt64Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, TimeUnit};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::ScalarUDF;

use crate::dialect::array_function::ArrayFunction;

/// The most items, as on Athena.
const ITEMS_MAX: i64 = 10_000;

const SECOND_MS: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

pub(super) fn functions() -> [ScalarUDF; 2] {
    [Sequence.udf(), Repeat.udf()]
}

fn types_of(arrays: &[ArrayRef]) -> Vec<DataType> {
    arrays
        .iter()
        .map(|array| array.data_type().clone())
        .collect()
}

fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sequence;

impl ArrayFunction for Sequence {
    fn name(&self) -> &'static str {
        "sequence"
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [first, last, step @ ..] if step.len() <= 1 => match (first, last) {
                (DataType::Date32, DataType::Date32) => Ok(list_of(DataType::Date32)),
                (DataType::Timestamp(one, _), DataType::Timestamp(other, _))
                    if step.len() == 1 && one == other =>
                {
                    Ok(list_of(first.clone()))
                }
                (DataType::Timestamp(..), DataType::Timestamp(..)) if step.len() == 1 => plan_err!(
                    "sequence takes two timestamps of as many digits on this engine: write CAST(x AS timestamp)"
                ),
                (first, last) if first.is_integer() && last.is_integer() => {
                    Ok(list_of(DataType::Int64))
                }
                _ => plan_err!(
                    "sequence takes two bigints or two dates, or two timestamps and an interval"
                ),
            },
            _ => plan_err!("call it as sequence(first, last) or sequence(first, last, step)"),
        }
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let DataType::List(item) = self.returns(&types_of(arrays))? else {
            return exec_err!("sequence returns an array");
        };
        // Milliseconds, days or numbers.
        let in_ms = match item.data_type() {
            DataType::Date32 => DataType::Int32,
            DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Millisecond, None),
            _ => DataType::Int64,
        };
        let numbers = |array: &ArrayRef| -> Result<Int64Array> {
            let array = cast(&cast(array, &in_ms)?, &DataType::Int64)?;
            Ok(array.as_primitive::<Int64Type>().clone())
        };
        let [first, last, step @ ..] = arrays else {
            return exec_err!("sequence takes a first and a last value");
        };
        let (first, last) = (numbers(first)?, numbers(last)?);
        let steps = match step {
            [step] => Some(steps(step, item.data_type())?),
            _ => None,
        };
        let unit_ms = match item.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => SECOND_MS,
            _ => 1,
        };
        let mut lists = ListBuilder::new(PrimitiveBuilder::<Int64Type>::new());
        for row in 0..first.len() {
            let step = steps.as_ref().map_or(Some(None), |steps| {
                steps.is_valid(row).then(|| Some(steps.value(row)))
            });
            let (true, true, Some(step)) = (first.is_valid(row), last.is_valid(row), step) else {
                lists.append(false);
                continue;
            };
            let (from, to) = (first.value(row), last.value(row));
            let step = step.unwrap_or(if from <= to { 1 } else { -1 });
            if step % unit_ms != 0 {
                return exec_err!(
                    "the step of a sequence is of whole seconds, as its timestamps: write CAST(x AS timestamp)"
                );
            }
            if step == 0 {
                return exec_err!(
                    "the step of a sequence is not 0; a step of dates has days, and no hours"
                );
            }
            if (step > 0) != (from <= to) && from != to {
                return exec_err!("the step of a sequence leads from its first to its last value");
            }
            if (i128::from(to) - i128::from(from)) / i128::from(step) >= i128::from(ITEMS_MAX) {
                return exec_err!("a sequence has at most {ITEMS_MAX} items");
            }
            let mut item = from;
            while (step > 0 && item <= to) || (step < 0 && item >= to) {
                lists.values().append_value(item);
                let Some(next) = item.checked_add(step) else {
                    break;
                };
                item = next;
            }
            lists.append(true);
        }
        let lists = lists.finish();
        let items = cast(&cast(lists.values(), &in_ms)?, item.data_type())?;
        let lists = datafusion::arrow::array::ListArray::try_new(
            item,
            OffsetBuffer::clone(lists.offsets()),
            items,
            lists.nulls().cloned(),
        )?;
        Ok(Arc::new(lists))
    }
}

/// Steps as numbers: milliseconds for timestamps, days for dates.
fn steps(step: &ArrayRef, item: &DataType) -> Result<Int64Array> {
    use datafusion::arrow::datatypes::IntervalMonthDayNanoType;
    if step.data_type().is_integer() {
        return Ok(cast(step, &DataType::Int64)?
            .as_primitive::<Int64Type>()
            .clone());
    }
    let Some(intervals) = step.as_primitive_opt::<IntervalMonthDayNanoType>() else {
        return exec_err!("the step of a sequence is a number or an interval");
    };
    let mut numbers = Vec::with_capacity(intervals.len());
    for interval in intervals {
        let Some(interval) = interval else {
            numbers.push(None);
            continue;
        };
        if interval.months != 0 {
            return exec_err!(
                "a step of months is not on this engine: write date_add in a transform"
            );
        }
        let days = i64::from(interval.days);
        numbers.push(Some(match item {
            DataType::Date32 => days,
            _ => days * DAY_MS + interval.nanoseconds / 1_000_000,
        }));
    }
    Ok(Int64Array::from(numbers))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Repeat;

impl ArrayFunction for Repeat {
    fn name(&self) -> &'static str {
        "repeat"
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [item, count] if count.is_integer() => Ok(list_of(item.clone())),
            _ => plan_err!("call it as repeat(value, count)"),
        }
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let DataType::List(item) = self.returns(&types_of(arrays))? else {
            return exec_err!("repeat returns an array");
        };
        let [values, counts] = arrays else {
            return exec_err!("repeat takes a value and a count");
        };
        let counts = cast(counts, &DataType::Int64)?;
        let (mut places, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
        for (row, count) in counts.as_primitive::<Int64Type>().iter().enumerate() {
            let length = usize::try_from(count.unwrap_or(0)).unwrap_or(0);
            if count.is_some_and(|count| count < 0) {
                return exec_err!("the count of repeat is 0 or more");
            }
            if count.is_some_and(|count| count > ITEMS_MAX) {
                return exec_err!("repeat makes at most {ITEMS_MAX} items");
            }
            places.extend(std::iter::repeat_n(row as u64, length));
            lengths.push(length);
            valid.push(count.is_some());
        }
        let items = take(values, &UInt64Array::from(places), None)?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        let nulls = Some(datafusion::arrow::buffer::NullBuffer::from(valid));
        let lists = datafusion::arrow::array::ListArray::try_new(item, offsets, items, nulls)?;
        Ok(Arc::new(lists))
    }
}
