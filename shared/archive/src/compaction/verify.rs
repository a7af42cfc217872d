//! Verifies a new file before the commit.

use std::cmp::Ordering;
use std::path::Path;

use arrow::error::ArrowError;

use super::input::Input;
use super::merge::Keys;
use super::row_identities::RowIdentities;
use crate::identity_sum::IdentitySum;

/// Reads the identities of a file's rows and checks that its rows are in strict order.
///
/// # Errors
/// A description, if the file cannot be read or is not in order.
pub(super) fn ids_in_order(path: &Path) -> Result<IdentitySum, String> {
    let mut ids = IdentitySum::default();
    let mut last: Option<Keys> = None;
    let read = Input::open(path)?.read(None, |batch| {
        let keys = Keys::of(&batch)?;
        if let Some(before) = &last {
            check(before, before.rows() - 1, &keys, 0)?;
        }
        for row in 1..batch.num_rows() {
            check(&keys, row - 1, &keys, row)?;
        }
        let identities = RowIdentities::of(&batch).map_err(ArrowError::SchemaError)?;
        ids.merge(&identities.sum());
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
