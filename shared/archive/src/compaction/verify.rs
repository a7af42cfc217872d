//! Verifies a new file before the commit.

use std::cmp::Ordering;
use std::path::Path;

use arrow::array::AsArray;
use arrow::error::ArrowError;

use super::input::Input;
use super::merge::Keys;
use crate::file::SORTED_BY;
use crate::id_sum::{IdSum, hash};

/// Reads the ids of a file and checks that its rows are in strict order.
///
/// # Errors
/// A description, if the file cannot be read or is not in order.
pub(super) fn ids_in_order(path: &Path) -> Result<IdSum, String> {
    let mut ids = IdSum::default();
    let mut last: Option<Keys> = None;
    let read = Input::open(path)?.read(None, |batch| {
        let keys = Keys::of(&batch)?;
        if let Some(before) = &last {
            check(before, before.rows() - 1, &keys, 0)?;
        }
        for row in 1..batch.num_rows() {
            check(&keys, row - 1, &keys, row)?;
        }
        if let Some(column) = batch.column_by_name(SORTED_BY[2]) {
            let column = column.as_string::<i32>();
            column.iter().for_each(|id| ids.add(&hash(id)));
        }
        if batch.num_rows() > 0 {
            last = Some(keys);
        }
        Ok::<_, ArrowError>(())
    })?;
    read.map_err(|error| error.to_string())?;
    Ok(ids)
}

/// Rows without an id may be equal, since they cannot be distinguished.
fn check(keys: &Keys, row: usize, next: &Keys, next_row: usize) -> Result<(), ArrowError> {
    match keys.order(row, next, next_row) {
        Ordering::Less => Ok(()),
        Ordering::Equal if keys.has_no_id(row) => Ok(()),
        Ordering::Equal => Err(ArrowError::ComputeError(
            "it contains a row twice".to_owned(),
        )),
        Ordering::Greater => Err(ArrowError::ComputeError("it is not sorted".to_owned())),
    }
}
