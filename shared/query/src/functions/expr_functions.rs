//! Functions that the planner replaces by an expression of the engine's own functions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, binary_expr, cast, lit, when,
};
use datafusion::prelude::SessionContext;

use super::arg_type::{ArgType, coerced};

/// Types that a call takes, and the type that it returns, for the types of the arguments.
type Types = Box<dyn Fn(&[DataType]) -> Option<(Vec<DataType>, DataType)> + Send + Sync>;

/// The expression for the arguments, of the types that the call takes.
type Body = Box<dyn Fn(Vec<Expr>, &[DataType]) -> Result<Expr> + Send + Sync>;

/// A function that is replaced by an expression.
pub(super) struct ExprFunction {
    name: &'static str,
    call: &'static str,
    types: Types,
    body: Body,
    /// Whether only some of the arguments are evaluated.
    lazy: bool,
    signature: Signature,
}

impl ExprFunction {
    fn new(name: &'static str, call: &'static str, types: Types, body: Body) -> Self {
        Self {
            name,
            call,
            types,
            body,
            lazy: false,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    fn types(&self, given: &[DataType]) -> Result<(Vec<DataType>, DataType)> {
        match (self.types)(given) {
            Some(types) => Ok(types),
            None => plan_err!("call it as {}", self.call),
        }
    }
}

impl std::fmt::Debug for ExprFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ExprFunction").field(&self.name).finish()
    }
}

impl PartialEq for ExprFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ExprFunction {}

impl Hash for ExprFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ExprFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.types(given).map(|(takes, _)| takes)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.types(given).map(|(_, returns)| returns)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let given = args.iter().map(|argument| info.get_data_type(argument));
        let (takes, returns) = self.types(&given.collect::<Result<Vec<_>>>()?)?;
        let expression = (self.body)(args, &takes)?;
        Ok(ExprSimplifyResult::Simplified(cast(expression, returns)))
    }

    fn short_circuits(&self) -> bool {
        self.lazy
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!(
            "{} cannot be used here: write it as an expression",
            self.call
        )
    }
}

/// The types of a call whose arguments have these types.
fn of(kinds: &'static [ArgType], returns: DataType) -> Types {
    Box::new(move |given| Some((coerced(kinds, given)?, returns.clone())))
}

/// A call of a function of the engine, with constants after the arguments.
fn call(function: Arc<ScalarUDF>, constants: &'static [&'static str]) -> Body {
    Box::new(move |mut args, _| {
        args.extend(constants.iter().copied().map(lit));
        Ok(called(&function, args))
    })
}

fn called(function: &Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(function), args))
}

pub(super) fn functions(context: &SessionContext) -> Result<Vec<ExprFunction>> {
    let udf = |name| context.udf(name);
    let mut functions = vec![
        if_function(),
        ExprFunction::new(
            "mod",
            "mod(n, m)",
            Box::new(numbers),
            operator(Operator::Modulo),
        ),
        ExprFunction::new(
            "date",
            "date(timestamp or varchar)",
            Box::new(|given| match given {
                [text] if ArgType::Text.coerced(text).is_some() => {
                    Some((vec![DataType::Utf8View], DataType::Date32))
                }
                [time] => Some((vec![ArgType::Time.coerced(time)?], DataType::Date32)),
                _ => None,
            }),
            Box::new(|args, _| only(args, 1).map(|mut args| args.remove(0))),
        ),
        ExprFunction::new(
            "md5",
            "md5(varbinary)",
            of(&[ArgType::Bytes], DataType::Binary),
            call(udf("digest")?, &["md5"]),
        ),
    ];
    functions.extend(parts_of_times(&udf("date_part")?));
    functions.extend(bitwise());
    Ok(functions)
}

fn only(args: Vec<Expr>, count: usize) -> Result<Vec<Expr>> {
    if args.len() == count {
        Ok(args)
    } else {
        plan_err!("{count} arguments are needed, not {}", args.len())
    }
}

/// Two numbers of the type that holds both.
fn numbers(given: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let [one, other] = given else { return None };
    let both = type_union_resolution(&[one.clone(), other.clone()])?;
    (both.is_numeric() || both.is_null()).then(|| (vec![both.clone(); 2], both))
}

fn operator(operator: Operator) -> Body {
    Box::new(move |args, _| {
        let mut args = only(args, 2)?.into_iter();
        match (args.next(), args.next()) {
            (Some(one), Some(other)) => Ok(binary_expr(one, operator, other)),
            _ => plan_err!("two arguments are needed"),
        }
    })
}

fn if_function() -> ExprFunction {
    let types = |given: &[DataType]| {
        let (condition, values) = given.split_first()?;
        let fits = matches!(condition, DataType::Boolean | DataType::Null);
        if !fits || !(1..=2).contains(&values.len()) {
            return None;
        }
        let returns = type_union_resolution(values)?;
        let mut takes = vec![DataType::Boolean];
        takes.resize(given.len(), returns.clone());
        Some((takes, returns))
    };
    let body = |args: Vec<Expr>, _: &[DataType]| {
        let mut args = args.into_iter();
        match (args.next(), args.next(), args.next()) {
            (Some(condition), Some(value), Some(other)) => when(condition, value).otherwise(other),
            (Some(condition), Some(value), None) => when(condition, value).end(),
            _ => plan_err!("if takes two or three arguments"),
        }
    };
    ExprFunction {
        lazy: true,
        ..ExprFunction::new(
            "if",
            "if(boolean, value[, other])",
            Box::new(types),
            Box::new(body),
        )
    }
}

/// `year(time)` and its like: Trino's name, the engine's part.
const PARTS: [(&str, &str); 15] = [
    ("year", "year"),
    ("quarter", "quarter"),
    ("month", "month"),
    ("week", "week"),
    ("week_of_year", "week"),
    ("year_of_week", "isoyear"),
    ("day", "day"),
    ("day_of_month", "day"),
    ("day_of_week", "isodow"),
    ("dow", "isodow"),
    ("day_of_year", "doy"),
    ("doy", "doy"),
    ("hour", "hour"),
    ("minute", "minute"),
    ("second", "second"),
];

fn parts_of_times(date_part: &Arc<ScalarUDF>) -> Vec<ExprFunction> {
    let parts = PARTS.into_iter().map(|(name, part)| {
        let date_part = Arc::clone(date_part);
        ExprFunction::new(
            name,
            "year(timestamp), month(timestamp) and so on",
            of(&[ArgType::Time], DataType::Int64),
            Box::new(move |mut args, _| {
                args.insert(0, lit(part));
                Ok(called(&date_part, args))
            }),
        )
    });
    let date_part = Arc::clone(date_part);
    // The engine's milliseconds include the seconds.
    let millisecond = ExprFunction::new(
        "millisecond",
        "millisecond(timestamp)",
        of(&[ArgType::Time], DataType::Int64),
        Box::new(move |mut args, _| {
            args.insert(0, lit("millisecond"));
            let ms = cast(called(&date_part, args), DataType::Int64);
            Ok(binary_expr(ms, Operator::Modulo, lit(1_000_i64)))
        }),
    );
    parts.chain([millisecond]).collect()
}

fn bitwise() -> [ExprFunction; 3] {
    let function = |name, call, op| {
        ExprFunction::new(
            name,
            call,
            of(&[ArgType::Integer, ArgType::Integer], DataType::Int64),
            operator(op),
        )
    };
    [
        function("bitwise_and", "bitwise_and(n, m)", Operator::BitwiseAnd),
        function("bitwise_or", "bitwise_or(n, m)", Operator::BitwiseOr),
        function("bitwise_xor", "bitwise_xor(n, m)", Operator::BitwiseXor),
    ]
}
