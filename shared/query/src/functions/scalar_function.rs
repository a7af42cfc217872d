//! A scalar function as data: its name, what it takes, what it returns, and its code.

use std::hash::{Hash, Hasher};

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::arg_type::{ArgType, coerced};

/// The type of a function's value.
#[derive(Debug, Clone)]
pub(super) enum Returns {
    /// Always this type.
    Type(DataType),
    /// The type of the argument at this position.
    As(usize),
}

/// A scalar function.
#[derive(Debug)]
pub(super) struct Scalar {
    name: &'static str,
    /// The ways to call it; they differ in the number of arguments.
    takes: &'static [&'static [ArgType]],
    returns: Returns,
    code: fn(&[ArrayRef]) -> Result<ArrayRef>,
    signature: Signature,
}

impl Scalar {
    /// A function of its arguments alone. `code` sees arrays of one length.
    pub(super) fn new(
        name: &'static str,
        takes: &'static [&'static [ArgType]],
        returns: Returns,
        code: fn(&[ArrayRef]) -> Result<ArrayRef>,
    ) -> Self {
        Self {
            name,
            takes,
            returns,
            code,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn ways(&self) -> String {
        let way = |kinds: &&[ArgType]| {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            format!("{}({})", self.name, kinds.join(", "))
        };
        self.takes.iter().map(way).collect::<Vec<_>>().join(" or ")
    }
}

// Names of functions are unique, so the name identifies the function.
impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Scalar {}

impl Hash for Scalar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Scalar {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match self.takes.iter().find_map(|kinds| coerced(kinds, given)) {
            Some(types) => Ok(types),
            None => plan_err!("call it as {}, not with {}", self.ways(), listed(given)),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match &self.returns {
            Returns::Type(data_type) => Ok(data_type.clone()),
            Returns::As(position) => match given.get(*position) {
                Some(data_type) => Ok(data_type.clone()),
                None => plan_err!("call it as {}", self.ways()),
            },
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args
            .args
            .iter()
            .all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let given = (self.code)(&arrays)?;
        if given.data_type() != args.return_field.data_type() {
            return exec_err!("{} returned {}", self.name, given.data_type());
        }
        if constant && given.len() == 1 {
            return ScalarValue::try_from_array(&given, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(given))
    }
}

/// `(varchar, bigint)`, as the engine names the types.
fn listed(types: &[DataType]) -> String {
    let types: Vec<String> = types.iter().map(ToString::to_string).collect();
    format!("({})", types.join(", "))
}

/// The argument at a position: the engine has checked their number.
pub(super) fn argument(arguments: &[ArrayRef], position: usize) -> Result<&ArrayRef> {
    match arguments.get(position) {
        Some(array) => Ok(array),
        None => exec_err!("argument {} is missing", position + 1),
    }
}
