//! One item of an array.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, Scalar, UInt64Array,
};
use datafusion::arrow::compute::kernels::cmp::eq;
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::casts::{applied, first};
use super::types;
use crate::result_columns::type_name;

/// `array[n]`, which fails outside of the array, and `element_at(array, n)`, which is NULL there and counts from the
/// end below 0.
pub(crate) fn item_function(is_lenient: bool) -> ScalarUDF {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::from(Item {
        is_lenient,
        signature,
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Item {
    is_lenient: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Item {
    fn name(&self) -> &'static str {
        if self.is_lenient {
            "element_at"
        } else {
            "subscript"
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [array, index] if types::integer_digits(index).is_some() => match types::items(array) {
                Some(item) => Ok(item.clone()),
                None => plan_err!("{} has no [n]", type_name(array)),
            },
            _ => plan_err!("the place in an array is a whole number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        applied(&args, |arrays| {
            let [lists, places] = arrays else {
                return exec_err!("array[n] has two arguments");
            };
            let places = cast(places, &DataType::Int64)?;
            item_at(
                first(std::slice::from_ref(lists))?,
                places.as_primitive::<Int64Type>(),
                self.is_lenient,
            )
        })
    }
}

fn item_at(lists: &ArrayRef, places: &Int64Array, is_lenient: bool) -> Result<ArrayRef> {
    let Some(lists) = lists.as_list_opt::<i32>() else {
        return exec_err!("array[n] takes an array");
    };
    let mut indices = Vec::with_capacity(lists.len());
    for (row, place) in places.iter().enumerate() {
        let Some(place) = place.filter(|_| lists.is_valid(row)) else {
            indices.push(None);
            continue;
        };
        let length = i64::from(lists.value_length(row));
        let place = if is_lenient && place < 0 {
            length + place + 1
        } else {
            place
        };
        if place == 0 && (!is_lenient || places.value(row) == 0) {
            return exec_err!("the first item of an array is [1]");
        }
        if is_lenient && (place < 1 || place > length) {
            indices.push(None);
            continue;
        }
        if place < 1 || place > length {
            return exec_err!(
                "the array has {length} items, so there is no [{place}]: element_at returns NULL instead"
            );
        }
        let start = i64::from(lists.value_offsets().get(row).copied().unwrap_or_default());
        indices.push(u64::try_from(start + place - 1).ok());
    }
    Ok(take(lists.values(), &UInt64Array::from(indices), None)?)
}

/// `contains(array, item)`, which is NULL where only a NULL could be the item.
pub(crate) fn contains_function() -> ScalarUDF {
    ScalarUDF::from(Contains(Signature::any(2, Volatility::Immutable)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Contains(Signature);

impl ScalarUDFImpl for Contains {
    fn name(&self) -> &'static str {
        "contains"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        applied(&args, |arrays| {
            let [lists, items] = arrays else {
                return exec_err!("contains takes an array and an item");
            };
            let Some(lists) = lists.as_list_opt::<i32>() else {
                return exec_err!("contains takes an array");
            };
            let items = cast(items, &lists.value_type())?;
            let mut found = Vec::with_capacity(lists.len());
            for row in 0..lists.len() {
                if lists.is_null(row) || items.is_null(row) {
                    found.push(None);
                    continue;
                }
                let list = lists.value(row);
                let equal = eq(&list, &Scalar::new(items.slice(row, 1)))?;
                found.push(match equal.true_count() {
                    0 if list.null_count() > 0 => None,
                    count => Some(count > 0),
                });
            }
            Ok(Arc::new(BooleanArray::from(found)))
        })
    }
}
