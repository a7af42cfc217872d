//! Functions that return NULL if any argument is NULL: the engine's own skip NULLs.

use std::sync::Arc;

use datafusion::arrow::array::Array as _;
use datafusion::arrow::array::BooleanArray;
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::nullif;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::scalar::ScalarValue;

/// A function of the engine that returns NULL if any argument is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NullIfAnyIs {
    inner: Arc<ScalarUDF>,
}

impl NullIfAnyIs {
    pub(super) fn of(inner: &Arc<ScalarUDF>) -> Self {
        Self {
            inner: Arc::clone(inner),
        }
    }
}

impl ScalarUDFImpl for NullIfAnyIs {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(given)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.inner().return_field_from_args(args)?;
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_null =
            |argument: &ColumnarValue| matches!(argument, ColumnarValue::Scalar(s) if s.is_null());
        if args.args.iter().any(is_null) {
            let null = ScalarValue::try_from(args.return_field.data_type())?;
            return Ok(ColumnarValue::Scalar(null));
        }
        let mut nulls: Option<NullBuffer> = None;
        for argument in &args.args {
            if let ColumnarValue::Array(array) = argument {
                nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
            }
        }
        let given = self.inner.invoke_with_args(args)?;
        match (given, nulls) {
            (ColumnarValue::Array(array), Some(nulls)) => {
                let absent = BooleanArray::new(!nulls.inner(), None);
                Ok(ColumnarValue::Array(nullif(&array, &absent)?))
            }
            (given, _) => Ok(given),
        }
    }
}
