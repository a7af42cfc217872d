//! A field of a row by which rows are ordered: Athena fails where one is NULL.

use std::sync::Arc;

use datafusion::arrow::array::Array as _;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// A value that is not NULL, or an error.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Present(Signature);

impl Present {
    pub(super) fn udf() -> Arc<ScalarUDF> {
        let signature = Signature::any(1, Volatility::Immutable);
        Arc::new(ScalarUDF::from(Self(signature)))
    }
}

impl ScalarUDFImpl for Present {
    fn name(&self) -> &'static str {
        "present"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [given] => Ok(given.clone()),
            _ => exec_err!("one value is needed"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(ColumnarValue::Array(values)) if values.logical_null_count() > 0 => {
                exec_err!(
                    "Athena does not order rows with a field that is NULL: write ROW(coalesce(x, -1), …)"
                )
            }
            Some(value) => Ok(value),
            None => exec_err!("one value is needed"),
        }
    }
}
