//! One item of an array, or the value of a key of a map.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array as _, ArrayRef, AsArray as _, BooleanArray, Int64Array, MapArray, Scalar, UInt64Array,
};
use datafusion::arrow::compute::kernels::cmp::eq;
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;

use super::array_function::ArrayFunction;
use super::types;
use crate::result_columns::type_name;

/// `array[n]`, which fails outside of the array, and `element_at(array, n)`, which is NULL there and counts from the
/// end below 0. The same of a key of a map.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    pub(crate) is_lenient: bool,
}

impl ArrayFunction for Item {
    fn name(&self) -> &'static str {
        if self.is_lenient {
            "element_at"
        } else {
            "subscript"
        }
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [DataType::Map(entries, _), key] => {
                let DataType::Struct(fields) = entries.data_type() else {
                    return plan_err!("a map has entries");
                };
                match fields.as_ref() {
                    [keys, value]
                        if types::common(keys.data_type(), key).is_some()
                            && !types::is_float(keys.data_type()) =>
                    {
                        Ok(value.data_type().clone())
                    }
                    _ => plan_err!(
                        "a key of this map is not {}: a key is of its type, and not a double",
                        type_name(key)
                    ),
                }
            }
            [array, index] if types::integer_digits(index).is_some() => match types::items(array) {
                Some(item) => Ok(item.clone()),
                None => plan_err!("{} has no [n]", type_name(array)),
            },
            _ => plan_err!("the place in an array is a whole number"),
        }
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let [lists, places] = arrays else {
            return exec_err!("array[n] has two arguments");
        };
        if let Some(maps) = lists.as_map_opt() {
            return value_at(maps, places, self.is_lenient);
        }
        let places = cast(places, &DataType::Int64)?;
        item_at(lists, places.as_primitive::<Int64Type>(), self.is_lenient)
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

fn value_at(maps: &MapArray, keys: &ArrayRef, is_lenient: bool) -> Result<ArrayRef> {
    let Some(both) = types::common(maps.key_type(), keys.data_type()) else {
        return exec_err!("a key is of the type of the map's keys");
    };
    let (known, keys) = (cast(maps.keys(), &both)?, cast(keys, &both)?);
    let mut indices = Vec::with_capacity(maps.len());
    for (row, offset) in maps.value_offsets().iter().take(maps.len()).enumerate() {
        if maps.is_null(row) || keys.is_null(row) {
            indices.push(None);
            continue;
        }
        let start = usize::try_from(*offset).unwrap_or_default();
        let length = usize::try_from(maps.value_length(row)).unwrap_or_default();
        let key = keys.slice(row, 1);
        let equal = eq(&known.slice(start, length), &Scalar::new(Arc::clone(&key)))?;
        let place = equal.values().set_indices().next();
        if place.is_none() && !is_lenient {
            let key = array_value_to_string(&key, 0)?;
            return exec_err!("the map has no key {key}: element_at returns NULL instead");
        }
        indices.push(place.map(|place| (start + place) as u64));
    }
    Ok(take(maps.values(), &UInt64Array::from(indices), None)?)
}

/// `contains(array, item)`, which is NULL where only a NULL could be the item.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Contains;

impl ArrayFunction for Contains {
    fn name(&self) -> &'static str {
        "contains"
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [array, item]
                if types::items(array).is_some_and(types::is_float) || types::is_float(item) =>
            {
                plan_err!(
                    "contains of doubles is not on this engine: write any_match(array, y -> y = x)"
                )
            }
            _ => Ok(DataType::Boolean),
        }
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let [lists, items] = arrays else {
            return exec_err!("contains takes an array and an item");
        };
        let Some(lists) = lists.as_list_opt::<i32>() else {
            return exec_err!("contains takes an array");
        };
        let Some(both) = types::common(&lists.value_type(), items.data_type()) else {
            return exec_err!("an item is of the type of the array's");
        };
        let (known, items) = (cast(lists.values(), &both)?, cast(items, &both)?);
        let mut found = Vec::with_capacity(lists.len());
        for (row, offset) in lists.value_offsets().iter().take(lists.len()).enumerate() {
            if lists.is_null(row) || items.is_null(row) {
                found.push(None);
                continue;
            }
            let start = usize::try_from(*offset).unwrap_or_default();
            let length = usize::try_from(lists.value_length(row)).unwrap_or_default();
            let list = known.slice(start, length);
            let equal = eq(&list, &Scalar::new(items.slice(row, 1)))?;
            found.push(match equal.true_count() {
                0 if list.null_count() > 0 => None,
                count => Some(count > 0),
            });
        }
        Ok(Arc::new(BooleanArray::from(found)))
    }
}
