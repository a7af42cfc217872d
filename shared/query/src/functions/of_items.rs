//! `histogram`, `skewness` and `kurtosis`: functions of the items that `array_agg` gathered.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, Float64Array, Int64Array, MapArray, StructArray,
    UInt64Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::ScalarUDF;

use crate::dialect::array_function::{ArrayFunction, first};
use crate::dialect::types::{is_float, items};
use crate::result_columns::type_name;

/// The functions, under names that statements cannot call.
pub(super) fn functions() -> [ScalarUDF; 3] {
    [OfItems::Histogram, OfItems::Skewness, OfItems::Kurtosis].map(ArrayFunction::udf)
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum OfItems {
    Histogram,
    Skewness,
    Kurtosis,
}

impl ArrayFunction for OfItems {
    fn name(&self) -> &'static str {
        match self {
            Self::Histogram => "__histogram",
            Self::Skewness => "__skewness",
            Self::Kurtosis => "__kurtosis",
        }
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        match (self, given.first().and_then(items)) {
            (Self::Histogram, Some(item)) => histogram_type(item),
            (_, Some(_)) => Ok(DataType::Float64),
            _ => plan_err!("{} takes an array", self.name()),
        }
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let lists = first(arrays)?;
        match self {
            Self::Histogram => histogram(lists),
            Self::Skewness => moments(lists, skewness),
            Self::Kurtosis => moments(lists, kurtosis),
        }
    }
}

fn entries(item: &DataType) -> Fields {
    let key = Field::new("key", item.clone(), false);
    Fields::from(vec![key, Field::new("value", DataType::Int64, true)])
}

fn histogram_type(item: &DataType) -> Result<DataType> {
    if is_float(item)
        || items(item).is_some()
        || matches!(item, DataType::Struct(_) | DataType::Map(..))
    {
        return plan_err!(
            "histogram of {} is not on this engine: write GROUP BY and count(*)",
            type_name(item)
        );
    }
    let entries = Field::new("entries", DataType::Struct(entries(item)), false);
    Ok(DataType::Map(Arc::new(entries), false))
}

fn histogram(lists: &ArrayRef) -> Result<ArrayRef> {
    let lists = lists.as_list::<i32>();
    let values = lists.values();
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(values))?;
    let (mut keys, mut counts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for (list, range) in lists.value_offsets().windows(2).enumerate() {
        let mut found = BTreeMap::new();
        if let (true, [start, end]) = (lists.is_valid(list), range) {
            for item in usize::try_from(*start).unwrap_or(0)..usize::try_from(*end).unwrap_or(0) {
                found
                    .entry(rows.row(item))
                    .or_insert((item as u64, 0_i64))
                    .1 += 1;
            }
        }
        lengths.push(found.len());
        keys.extend(found.values().map(|(item, _)| *item));
        counts.extend(found.values().map(|(_, count)| *count));
    }
    let keys = take(values, &UInt64Array::from(keys), None)?;
    let entries = entries(values.data_type());
    let columns: Vec<ArrayRef> = vec![keys, Arc::new(Int64Array::from(counts))];
    let field = Field::new("entries", DataType::Struct(entries.clone()), false);
    let offsets = OffsetBuffer::from_lengths(lengths);
    let entries = StructArray::try_new(entries, columns, None)?;
    let maps = MapArray::try_new(
        Arc::new(field),
        offsets,
        entries,
        lists.nulls().cloned(),
        false,
    )?;
    Ok(Arc::new(maps))
}

fn moments(lists: &ArrayRef, of: fn(&[f64]) -> Option<f64>) -> Result<ArrayRef> {
    let Some(lists) = lists.as_list_opt::<i32>() else {
        return exec_err!("an array is needed");
    };
    let mut results = Vec::with_capacity(lists.len());
    for list in lists.iter() {
        results.push(match list {
            Some(list) => {
                let list = cast(&list, &DataType::Float64)?;
                of(list.as_primitive::<Float64Type>().values())
            }
            None => None,
        });
    }
    Ok(Arc::new(Float64Array::from(results)))
}

/// The number of values, and the sums of their distances from the mean to the powers of 2, 3 and 4, one value after the
/// other, with the rounding of Athena's.
fn central(values: &[f64]) -> (f64, [f64; 3]) {
    let (mut count, mut mean) = (0.0, 0.0);
    let [mut second, mut third, mut fourth] = [0.0; 3];
    for value in values {
        let before = count;
        count += 1.0;
        let distance = value - mean;
        let step = distance / count;
        let added = distance * step * before;
        mean += step;
        fourth += added * step * step * (count * count - 3.0 * count + 3.0)
            + 6.0 * step * step * second
            - 4.0 * step * third;
        third += added * step * (count - 2.0) - 3.0 * step * second;
        second += added;
    }
    (count, [second, third, fourth])
}

fn skewness(values: &[f64]) -> Option<f64> {
    let (count, [second, third, _]) = central(values);
    (values.len() > 2).then(|| count.sqrt() * third / second.powf(1.5))
}

fn kurtosis(values: &[f64]) -> Option<f64> {
    let (count, [second, _, fourth]) = central(values);
    let variance = second / (count - 1.0);
    let rest = (count - 2.0) * (count - 3.0);
    (values.len() > 3).then(|| {
        count * (count + 1.0) / ((count - 1.0) * rest) * fourth / (variance * variance)
            - 3.0 * (count - 1.0) * (count - 1.0) / rest
    })
}
