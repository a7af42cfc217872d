//! Functions that the engine has under the same name with another meaning, as expressions with Athena's.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::functions::math;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{
    Expr, ExprSchemable as _, Operator, ScalarUDF, binary_expr, cast as cast_expr, lit, when,
};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::arithmetic::{may_be_nan, operation};
use super::array_function::ArrayFunction as _;
use super::casts::{call, cast_to, local};
use super::failing_constants::TypeOf;
use super::operands::alike;
use super::to_text::ToText;
use super::types::{self, is_utc};
use crate::functions::spaces;
use crate::functions::zones::FromLocal;
use crate::result_columns::type_name;
use crate::table_names::is_table;

/// Functions of one time that are those of its zone.
const PARTS: &str = "year quarter month week week_of_year year_of_week yow day day_of_month day_of_week dow \
    day_of_year doy hour minute second millisecond date last_day_of_month";

/// Units of a day and more.
const OF_DAYS: [&str; 5] = ["day", "week", "month", "quarter", "year"];

/// Parts that a date has not.
const OF_THE_DAY: [&str; 4] = ["hour", "minute", "second", "millisecond"];

/// Others that are part of an expression.
const CALLED: &str = "now array_length array_except array_join cardinality date_trunc date_add date_format greatest least ceil floor round sign truncate trim ltrim rtrim";

/// The engine's functions that expressions are made of.
#[derive(Debug)]
pub(super) struct Replaced {
    session: Vec<Arc<ScalarUDF>>,
}

impl Replaced {
    pub(super) fn of(context: &SessionContext) -> Self {
        let session = PARTS
            .split_whitespace()
            .chain(CALLED.split_whitespace())
            .filter_map(|name| context.udf(name).ok());
        Self {
            session: session.collect(),
        }
    }

    fn call(&self, name: &str, args: Vec<Expr>) -> Result<Expr> {
        match self.session.iter().find(|function| {
            function.name() == name || function.aliases().iter().any(|it| it == name)
        }) {
            Some(function) => Ok(call(Arc::clone(function), args)),
            None => plan_err!("the engine has no {name}"),
        }
    }

    /// The expression for a call; `None` if the engine's function means the same.
    pub(super) fn function(
        &self,
        name: &str,
        args: &[Expr],
        schema: &DFSchema,
    ) -> Result<Option<Expr>> {
        let nan = |expr: &Expr| {
            types::is_float(&expr.get_type(schema).unwrap_or(DataType::Null))
                && may_be_nan(expr, schema)
        };
        Ok(match (name, args) {
            ("typeof", [value]) => {
                let given = value.get_type(schema)?;
                let is_literal = matches!(value, Expr::Literal(..));
                // The lengths of texts and the digits of decimals and timestamps are not kept.
                let of_table = matches!(value, Expr::Column(Column { relation: Some(table), .. })
                    if is_table(table.table()));
                let is_known = is_literal
                    || of_table
                    || !(matches!(given, DataType::Decimal128(..)) || types::is_text(&given));
                if types::is_timestamp(&given)
                    || types::is_interval(&given)
                    || matches!(given, DataType::Time64(_))
                    || types::items(&given).is_some()
                    || !is_known
                    || matches!(given, DataType::Struct(_) | DataType::Map(..))
                {
                    return plan_err!(
                        "typeof of {} is not on this engine: write DESCRIBE and a table",
                        type_name(&given)
                    );
                }
                Some(match value {
                    Expr::Literal(ScalarValue::Utf8(Some(text)), _) => {
                        lit(format!("varchar({})", text.chars().count()))
                    }
                    _ => TypeOf.call(vec![value.clone(), lit(type_name(&given))]),
                })
            }
            ("ceil" | "ceiling" | "floor" | "round" | "sign" | "truncate", [value, ..]) => {
                let given = value.get_type(schema)?;
                if let (Some(digits), 1, "truncate") =
                    (types::integer_digits(&given), args.len(), name)
                {
                    let decimal = DataType::Decimal128(digits, 0);
                    return Ok(Some(cast_expr(value.clone(), decimal)));
                }
                if types::is_integer(&given) && args.len() == 1 && name != "sign" {
                    return Ok(Some(value.clone()));
                }
                if types::is_float(&given)
                    && let [_, digits] = args
                {
                    let rounded = self.call(name, args.to_vec())?;
                    return rounded_to_digits(value, digits, rounded).map(Some);
                }
                let Some(returns) = whole(name, args.len(), &given) else {
                    return Ok(None);
                };
                let mut args = args.to_vec();
                // 0.5 becomes 1.0, which has one digit more.
                if let (DataType::Decimal128(precision, scale), Some(first)) =
                    (&given, args.first_mut())
                {
                    let wider = types::decimal(precision.cast_signed() + 1, *scale);
                    *first = cast_expr(first.clone(), wider);
                }
                Some(cast_expr(self.call(name, args)?, returns))
            }
            ("array_join", [array, others @ ..]) => {
                let given = array.get_type(schema)?;
                let item = types::items(&given).unwrap_or(&DataType::Null);
                if let [_, no_item] = others
                    && !matches!(no_item, Expr::Literal(value, _) if !value.is_null())
                {
                    return plan_err!(
                        "array_join takes a text in quotes in place of NULL: write one, or leave it out"
                    );
                }
                if (item.is_null() && others.len() > 1) || !types::castable(item, &DataType::Utf8) {
                    return plan_err!("{name} takes no {}", type_name(&given));
                }
                if !types::is_float(item) && !types::is_time(item) {
                    return Ok(None);
                }
                let mut args = vec![ToText { iso: false }.call(vec![array.clone()])];
                args.extend_from_slice(others);
                Some(self.call(name, args)?)
            }
            // The engine counts the items of inner arrays.
            ("cardinality", [array])
                if types::items(&array.get_type(schema)?)
                    .is_some_and(|it| types::items(it).is_some()) =>
            {
                let count = self.call("array_length", vec![array.clone()])?;
                Some(cast_expr(count, DataType::Int64))
            }
            ("array_remove", [array, item]) => {
                let (array, item) = (array.get_type(schema)?, item.get_type(schema)?);
                if types::items(&array).is_some_and(types::is_float) || types::is_float(&item) {
                    return plan_err!(
                        "array_remove of doubles is not on this engine: write filter(array, y -> y <> x)"
                    );
                }
                None
            }
            ("flatten", [array]) => {
                let given = array.get_type(schema)?;
                let item = types::items(&given).unwrap_or(&DataType::Null);
                if types::items(item).is_none() {
                    return plan_err!(
                        "flatten takes an array of arrays, not {}",
                        type_name(&given)
                    );
                }
                None
            }
            ("sequence", [first, ..]) => match first.get_type(schema)? {
                DataType::Timestamp(_, Some(_)) => {
                    return plan_err!(
                        "sequence takes no timestamp with time zone: write CAST(x AS timestamp)"
                    );
                }
                _ => None,
            },
            // The engine has one digit more for integers.
            ("mod", [one, other]) => {
                let (left, right) = (one.get_type(schema)?, other.get_type(schema)?);
                let is_decimal = |given: &DataType| matches!(given, DataType::Decimal128(..));
                if !is_decimal(&left) && !is_decimal(&right) {
                    return Ok(None);
                }
                let (one, other) = (Box::new(one.clone()), Box::new(other.clone()));
                let rest = BinaryExpr::new(one, Operator::Modulo, other);
                Some(operation(rest, &left, &right)?.data)
            }
            ("date_diff", [_, one, other]) => {
                for time in [one, other] {
                    if let DataType::Timestamp(_, Some(zone)) = time.get_type(schema)?
                        && !is_utc(&zone)
                    {
                        return plan_err!(
                            "date_diff of times in a zone is not on this engine: compute it in UTC"
                        );
                    }
                }
                None
            }
            // The engine counts nanoseconds.
            ("now" | "current_timestamp", []) => Some(cast_expr(
                self.call(name, Vec::new())?,
                DataType::Timestamp(TimeUnit::Millisecond, Some(types::UTC.into())),
            )),
            ("date_trunc" | "date_add", [.., time]) => {
                let given = time.get_type(schema)?;
                self.stepped(name, args, &given)?
            }
            ("date", [text]) if types::is_text(&text.get_type(schema)?) => {
                Some(cast_to(text.clone(), &DataType::Date32, false, schema)?)
            }
            ("date_format", [time, ..]) => self.in_zone(name, args, time, schema)?,
            (_, [time]) if PARTS.split_whitespace().any(|part| part == name) => {
                let given = time.get_type(schema)?;
                if given == DataType::Date32 && OF_THE_DAY.contains(&name) {
                    return plan_err!("{name} takes a timestamp, not a date");
                }
                self.in_zone(name, args, time, schema)?
            }
            ("trim" | "ltrim" | "rtrim", [text]) => {
                Some(self.call(name, vec![text.clone(), lit(spaces::SPACES)])?)
            }
            ("split", [_, Expr::Literal(ScalarValue::Utf8(Some(text)), _)]) if text.is_empty() => {
                return plan_err!("the delimiter of split is a text of at least one character");
            }
            ("codepoint", [text]) => match text {
                Expr::Literal(ScalarValue::Utf8(Some(text)), _) if text.chars().count() == 1 => {
                    None
                }
                _ => {
                    return plan_err!(
                        "codepoint takes a text of exactly one character, such as 'a'"
                    );
                }
            },
            // The engine returns the other array.
            ("array_intersect" | "array_except", arrays) => {
                let item = |array: &Expr| {
                    let given = array.get_type(schema);
                    given.is_ok_and(|given| types::items(&given).is_some_and(DataType::is_null))
                };
                if arrays.iter().all(item) {
                    return plan_err!("{name} of arrays without a type is not on this engine");
                }
                if let [one, other] = arrays
                    && let (one, other) = (one.get_type(schema)?, other.get_type(schema)?)
                    && let (Some(one), Some(other)) = (types::items(&one), types::items(&other))
                {
                    alike(name, one, other)?;
                }
                match arrays {
                    // With nothing to take away, the engine does not take repeats away either.
                    [one, other] if name == "array_except" => {
                        let items = self.call("cardinality", vec![other.clone()])?;
                        let nothing = binary_expr(items, Operator::Eq, lit(0_u64));
                        let rest = self.call(name, arrays.to_vec())?;
                        Some(when(nothing, one.clone()).otherwise(rest)?)
                    }
                    _ => None,
                }
            }
            ("sqrt", [value]) => {
                let negative = binary_expr(value.clone(), Operator::Lt, lit(0.0));
                let root = call(math::sqrt(), vec![value.clone()]);
                Some(when(negative, lit(f64::NAN)).otherwise(root)?)
            }
            // The engine's own is 1 for two equal numbers, and 0 for a 1, whatever the base is.
            ("log", [base, value]) => {
                let ln = |of: &Expr| call(math::ln(), vec![of.clone()]);
                Some(binary_expr(ln(value), Operator::Divide, ln(base)))
            }
            // 1 to the power of NaN is 1 in the engine.
            ("power" | "pow", [base, exponent]) if nan(exponent) => {
                let size = |expr: &Expr| call(math::abs(), vec![expr.clone()]);
                let of_one = binary_expr(size(base), Operator::Eq, lit(1.0));
                let infinite = binary_expr(size(exponent), Operator::GtEq, lit(f64::INFINITY));
                let power = call(math::power(), args.to_vec());
                Some(when(of_one.and(infinite), lit(f64::NAN)).otherwise(power)?)
            }
            ("greatest" | "least", args) if args.iter().any(nan) => {
                let passed_over = if name == "greatest" {
                    f64::NEG_INFINITY
                } else {
                    f64::INFINITY
                };
                let double = |arg: &Expr| cast_expr(arg.clone(), DataType::Float64);
                let nans: Vec<Expr> = args
                    .iter()
                    .map(|arg| call(math::isnan(), vec![double(arg)]))
                    .collect();
                let without = |arg: &Expr| {
                    let arg = cast_expr(arg.clone(), DataType::Float64);
                    when(call(math::isnan(), vec![arg.clone()]), lit(passed_over)).otherwise(arg)
                };
                let args = args.iter().map(without).collect::<Result<Vec<_>>>()?;
                let all_nan = nans
                    .into_iter()
                    .reduce(Expr::and)
                    .unwrap_or_else(|| lit(false));
                Some(when(all_nan, lit(f64::NAN)).otherwise(self.call(name, args)?)?)
            }
            _ => None,
        })
    }

    /// A function of the date and time of day in the zone of its first argument.
    fn in_zone(
        &self,
        name: &str,
        args: &[Expr],
        time: &Expr,
        schema: &DFSchema,
    ) -> Result<Option<Expr>> {
        let given = time.get_type(schema)?;
        match &given {
            DataType::Timestamp(_, Some(zone)) if !is_utc(zone) => {}
            _ => return Ok(None),
        }
        let mut args = args.to_vec();
        if let Some(first) = args.first_mut() {
            *first = local(first.clone(), &given);
        }
        self.call(name, args).map(Some)
    }

    /// `date_trunc` and `date_add`, whose results have the type of the time.
    fn stepped(&self, name: &str, args: &[Expr], given: &DataType) -> Result<Option<Expr>> {
        let unit = match args.first() {
            Some(Expr::Literal(ScalarValue::Utf8(Some(unit)), _)) => unit.to_lowercase(),
            _ => return plan_err!("the unit of {name} is a text such as 'day'"),
        };
        if *given == DataType::Date32 && OF_THE_DAY.contains(&unit.as_str()) {
            return plan_err!("a date has no {unit}: cast it to timestamp");
        }
        let of_the_day = OF_THE_DAY.contains(&unit.as_str());
        if !of_the_day && !OF_DAYS.contains(&unit.as_str()) {
            return plan_err!(
                "'{unit}' is not a unit: write {} or {}",
                OF_THE_DAY.join(", "),
                OF_DAYS.join(", ")
            );
        }
        let mut args = args.to_vec();
        let Some(time) = args.last_mut() else {
            return Ok(None);
        };
        let in_zone = matches!(given, DataType::Timestamp(_, Some(zone)) if !is_utc(zone));
        if in_zone && name == "date_add" {
            return plan_err!(
                "date_add of a time in a zone is not on this engine: add to it in UTC, and write AT TIME ZONE"
            );
        }
        let from = time.clone();
        *time = local(from.clone(), given);
        let stepped = match (given, &mut *args) {
            // Rounded to whole seconds.
            (DataType::Timestamp(TimeUnit::Second, _), [_, ms, _]) if unit == "millisecond" => {
                *ms = ms.clone() + lit(500_i64);
                let second = vec![lit("second"), self.call(name, args)?];
                self.call("date_trunc", second)?
            }
            _ => self.call(name, args)?,
        };
        if !in_zone {
            return Ok(Some(cast_expr(stepped, given.clone())));
        }
        // Where clocks change, hours are those of the moment, and days as the clocks show them.
        let mut args = vec![stepped];
        args.extend(of_the_day.then_some(from));
        let returns = given.clone();
        Ok(Some(FromLocal { returns }.call(args)))
    }
}

/// A double that is rounded to more digits than it has is itself on Athena. With fewer than so many, the engines differ.
fn rounded_to_digits(value: &Expr, digits: &Expr, rounded: Expr) -> Result<Expr> {
    const DIGITS_MIN: i64 = -300;
    let digits = cast_expr(digits.clone(), DataType::Int64);
    let nothing = binary_expr(digits.clone(), Operator::Minus, digits.clone());
    let failure = binary_expr(lit(1_i64), Operator::Divide, nothing);
    let size = call(math::abs(), vec![rounded.clone()]);
    when(
        binary_expr(digits, Operator::Lt, lit(DIGITS_MIN)),
        cast_expr(failure, DataType::Float64),
    )
    .when(binary_expr(size, Operator::Lt, lit(f64::INFINITY)), rounded)
    .otherwise(value.clone())
}

/// The type of a rounded integer or decimal, where the engine has another one: it keeps digits that are always 0.
fn whole(name: &str, args: usize, given: &DataType) -> Option<DataType> {
    let DataType::Decimal128(precision, scale) = given else {
        return (name == "sign" && types::is_integer(given)).then(|| given.clone());
    };
    let (precision, scale) = (precision.cast_signed(), *scale);
    Some(match (name, args) {
        ("sign", _) => types::decimal(1, 0),
        ("round", 2) => types::decimal(precision + 1, scale),
        ("truncate", 1) => types::decimal(precision - scale, 0),
        (_, 1) => types::decimal(precision - scale + scale.min(1), 0),
        _ => return None,
    })
}
