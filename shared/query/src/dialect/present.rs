//! A field of a row by which rows are ordered: Athena fails where one is NULL.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::array_function::{ArrayFunction, first};

/// A value that is not NULL, or an error.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Present;

impl ArrayFunction for Present {
    fn name(&self) -> &'static str {
        "present"
    }

    fn returns(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given.first().cloned().unwrap_or(DataType::Null))
    }

    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef> {
        let values = first(arrays)?;
        match values.logical_null_count() {
            0 => Ok(Arc::clone(values)),
            _ => exec_err!(
                "Athena does not order rows with a field that is NULL: write ROW(coalesce(x, -1), …)"
            ),
        }
    }
}
