//! `typeof(x)`: the analyzer puts the name of the type in its place.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;

use crate::dialect::array_function::ArrayFunction;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TypeOf;

impl ArrayFunction for TypeOf {
    fn name(&self) -> &'static str {
        "typeof"
    }

    fn returns(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn run(&self, _: &[ArrayRef]) -> Result<ArrayRef> {
        exec_err!("typeof was not replaced by the name of a type")
    }
}
