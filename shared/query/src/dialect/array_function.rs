//! Functions on arrays that the engine's own trait takes a dozen lines for, without their own.

use std::fmt::Debug;
use std::hash::Hash;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    expr::ScalarFunction,
};
use datafusion::scalar::ScalarValue;

/// A function with its parameters, which are not arguments. Two of the same name are the same if these are equal.
pub(crate) trait ArrayFunction: Debug + Eq + Hash + Send + Sync + 'static {
    fn name(&self) -> &'static str;

    /// The type of the result for those of the arguments, or an error.
    fn returns(&self, given: &[DataType]) -> Result<DataType>;

    /// The results for arrays of one length.
    fn run(&self, arrays: &[ArrayRef]) -> Result<ArrayRef>;

    /// The function for the engine.
    fn udf(self) -> ScalarUDF
    where
        Self: Sized,
    {
        let signature = Signature::variadic_any(Volatility::Immutable);
        ScalarUDF::from(Udf(self, signature))
    }

    /// A call of it.
    fn call(self, args: Vec<Expr>) -> Expr
    where
        Self: Sized,
    {
        Expr::ScalarFunction(ScalarFunction::new_udf(self.udf().into(), args))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Udf<F>(F, Signature);

impl<F: ArrayFunction> ScalarUDFImpl for Udf<F> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        &self.1
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.0.returns(given)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut each = args.args.iter();
        let is_constant = each.all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let result = self.0.run(&ColumnarValue::values_to_arrays(&args.args)?)?;
        if is_constant && result.len() == 1 {
            return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(result))
    }
}

pub(crate) fn first(arrays: &[ArrayRef]) -> Result<&ArrayRef> {
    match arrays.first() {
        Some(array) => Ok(array),
        None => exec_err!("an argument is missing"),
    }
}
