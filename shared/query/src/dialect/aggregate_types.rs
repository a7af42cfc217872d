//! Athena's types for aggregates and windows, and its results where a value is not finite.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::functions::core as structs;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable as _, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, lit, when,
};

use super::array_function::ArrayFunction as _;
use super::casts::call;
use super::function_types::Functions;
use super::nan::{is_odd, sorted, with_nan};
use super::operands::{boolean, converted, groupable, orderable, types_of};
use super::present::Present;
use super::row_comparison;
use super::types;
use crate::functions::mapped::{
    SUMMAND, SUMMAND_DIGITS, decimal_sum, extreme, finite_or_null, short_text, variance_of_pairs,
};
use crate::functions::recomputed::recomputed;
use crate::result_columns::type_name;

/// Aggregates of pairs, which Athena computes in 32 bits unless one is a double.
const PAIRS: [&str; 5] = [
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_slope",
    "regr_intercept",
];

/// The largest number in RANGE over integers, half of what there is for keys on either side, and the same over bigints.
const INTEGER_BOUND_MAX: f64 = 1e9;
const BIGINT_BOUND_MAX: f64 = 4e18;

/// Aggregates that DataFusion can compute over distinct values in a window.
const DISTINCT_IN_WINDOWS: [&str; 5] = ["avg", "count", "max", "min", "sum"];

/// Those that are NULL instead of NaN.
const FINITE_OR_NULL: [&str; 3] = ["corr", "regr_slope", "regr_intercept"];

/// Aggregates from which the engine takes back the values that leave a frame, which leaves a rest of large doubles.
const TAKEN_BACK: &str = " avg corr covar_pop covar_samp max_by min_by regr_intercept regr_slope stddev stddev_pop \
    stddev_samp sum var_pop var_samp variance ";

impl Functions {
    pub(super) fn of_aggregate(
        &self,
        mut function: AggregateFunction,
        schema: &DFSchema,
    ) -> Result<Transformed<Expr>> {
        let params = &mut function.params;
        if let Some(filter) = &params.filter {
            boolean(&filter.get_type(schema)?, "FILTER")?;
        }
        if let Some(name) = self.names.get(function.func.name()) {
            let args = std::mem::take(&mut params.args);
            params.args = self.aggregated(name, args, schema)?;
            if params.distinct {
                for arg in &mut params.args {
                    groupable("DISTINCT", &arg.get_type(schema)?)?;
                    *arg = with_nan(arg.clone(), Some(f64::NAN), schema)?;
                }
            }
            for key in &params.order_by {
                orderable(name, &key.expr.get_type(schema)?)?;
            }
            sorted(&mut params.order_by, schema)?;
            let types = types_of(&params.args, schema)?;
            if *name == "sum" && types.iter().any(|it| types::integer_digits(it).is_some()) {
                function.func = Arc::clone(&self.integer_sum);
                let args = std::mem::take(&mut params.args);
                params.args = converted(args, &types, &[SUMMAND]);
            } else if *name == "sum" {
                let args = std::mem::take(&mut params.args);
                (function.func, params.args) = decimal_sum_of(&function.func, args, &types);
            } else if *name == "listagg" {
                function.func = Arc::new(short_text(&function.func));
            } else if FINITE_OR_NULL.contains(name) {
                function.func = Arc::new(finite_or_null(&function.func));
            } else if matches!(*name, "max" | "min")
                && types.contains(&DataType::Float64)
                && params.args.iter().any(|arg| is_odd(arg, schema))
            {
                function.func = Arc::new(extreme(&function.func));
            } else if let Some(of_pair) = population(name, &params.args, schema)
                && !params.distinct
            {
                function.func = Arc::new(of_pair);
                params.args.extend_from_within(..);
            }
        }
        Ok(Transformed::yes(Expr::AggregateFunction(function)))
    }

    pub(super) fn of_window(
        &self,
        mut function: WindowFunction,
        schema: &DFSchema,
    ) -> Result<Transformed<Expr>> {
        let params = &mut function.params;
        match &mut function.fun {
            WindowFunctionDefinition::WindowUDF(inner) => {
                if let Some(name) = self.names.get(inner.name()) {
                    let given = types_of(&params.args, schema)?;
                    let takes = self.accepted(name, &given)?;
                    // The engine has the type of the first argument.
                    if let (Some(one), Some(both)) = (given.first(), takes.first())
                        && one != both
                        && !types::is_integer(both)
                    {
                        return plan_err!(
                            "{name} of {} is {} on Athena: cast the first argument to it",
                            type_name(one),
                            type_name(both)
                        );
                    }
                }
            }
            WindowFunctionDefinition::AggregateUDF(inner) => {
                if let Some(name) = self.names.get(inner.name()) {
                    let args = std::mem::take(&mut params.args);
                    params.args = self.aggregated(name, args, schema)?;
                    let slides = !params.window_frame.start_bound.is_unbounded();
                    let is_odd = params.args.iter().any(|arg| is_odd(arg, schema));
                    if params.distinct && (slides || is_odd || !DISTINCT_IN_WINDOWS.contains(name))
                    {
                        return plan_err!(
                            "DISTINCT of {name} in this window is not on this engine: write it in a subquery with GROUP BY"
                        );
                    }
                    if *name == "count_if"
                        && let Some(condition) = params.args.pop()
                    {
                        *inner = count_udaf();
                        params.args = vec![when(condition, lit(1_i64)).end()?];
                    }
                    if *name == "sum" {
                        let types = types_of(&params.args, schema)?;
                        let args = std::mem::take(&mut params.args);
                        (*inner, params.args) = decimal_sum_of(inner, args, &types);
                    }
                    if let Some(of_pair) = population(name, &params.args, schema) {
                        *inner = Arc::new(of_pair);
                        params.args.extend_from_within(..);
                    }
                    let takes_back = slides
                        && TAKEN_BACK.contains(&format!(" {name} "))
                        && types_of(&params.args, schema)?.iter().any(types::is_float);
                    // DataFusion may run a window backwards, which reverses arrays, and its XOR of no values is 0.
                    if takes_back || matches!(*name, "array_agg" | "bitwise_xor_agg") {
                        *inner = Arc::new(recomputed(inner));
                    }
                    if FINITE_OR_NULL.contains(name) {
                        *inner = Arc::new(finite_or_null(inner));
                    }
                }
            }
        }
        for key in &params.order_by {
            orderable("a window", &key.expr.get_type(schema)?)?;
        }
        sorted(&mut params.order_by, schema)?;
        for key in &mut params.partition_by {
            groupable("PARTITION BY", &key.get_type(schema)?)?;
            *key = with_nan(key.clone(), Some(f64::NAN), schema)?;
        }
        if let Some(key) = params.order_by.first() {
            check_bounds(&params.window_frame, &key.expr.get_type(schema)?)?;
        }
        Ok(Transformed::yes(Expr::WindowFunction(Box::new(function))))
    }

    /// The arguments of an aggregate, converted, and with NaN where Athena's order has it.
    fn aggregated(&self, name: &str, args: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
        // The planner passes a literal for `count(*)`.
        let given = types_of(&args, schema)?;
        let takes = self.accepted(name, &given)?;
        if PAIRS.contains(&name) && !given.contains(&DataType::Float64) {
            return plan_err!(
                "{name} of two integers or decimals is of type real on Athena: cast one to double"
            );
        }
        let mut args = converted(args, &given, &takes);
        let ordered = match name {
            "max" | "min" => args.first_mut(),
            "max_by" | "min_by" => args.get_mut(1),
            _ => None,
        };
        if let Some(arg) = ordered {
            // The engine orders NaN by its sign, below or above all numbers; Athena chooses it last.
            let nan = Some(if name.starts_with("max") {
                -f64::NAN
            } else {
                f64::NAN
            });
            *arg = match row_comparison::fields(arg) {
                Some(fields) => {
                    let field = |field: &Expr| -> Result<Expr> {
                        let ordered = with_nan(field.clone(), nan, schema)?;
                        Ok(match field.nullable(schema)? {
                            true => Present.call(vec![ordered]),
                            false => ordered,
                        })
                    };
                    let fields = fields.iter().map(field);
                    call(structs::r#struct(), fields.collect::<Result<_>>()?)
                }
                None => {
                    orderable(name, &arg.get_type(schema)?)?;
                    with_nan(arg.clone(), nan, schema)?
                }
            };
        }
        Ok(args)
    }
}

/// The sum of decimals, which has 38 digits on Athena: the engine's has ten more than they have, as far as there are so many.
fn decimal_sum_of(
    sum: &Arc<AggregateUDF>,
    args: Vec<Expr>,
    given: &[DataType],
) -> (Arc<AggregateUDF>, Vec<Expr>) {
    let [DataType::Decimal128(precision, scale)] = given else {
        return (Arc::clone(sum), args);
    };
    match *precision > SUMMAND_DIGITS {
        false => {
            let takes = [DataType::Decimal128(SUMMAND_DIGITS, *scale)];
            (Arc::clone(sum), converted(args, given, &takes))
        }
        true => {
            let takes = [DataType::Decimal256(types::DIGITS_MAX, *scale)];
            let sum = Arc::new(decimal_sum(sum, *scale));
            (sum, converted(args, given, &takes))
        }
    }
}

/// Variance as the covariance of a value and itself, if the value may be NaN: the engine's own is 0 of a single value.
fn population(name: &str, args: &[Expr], schema: &DFSchema) -> Option<AggregateUDF> {
    let root = match name {
        "var_pop" => false,
        "stddev_pop" => true,
        _ => return None,
    };
    let is_odd = args.iter().any(|arg| is_odd(arg, schema));
    is_odd.then(|| variance_of_pairs(root))
}

/// The bounds of RANGE are intervals over times, and numbers over numbers.
fn check_bounds(frame: &WindowFrame, key: &DataType) -> Result<()> {
    if frame.units != WindowFrameUnits::Range {
        return Ok(());
    }
    for bound in [&frame.start_bound, &frame.end_bound] {
        let (WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by)) = bound else {
            continue;
        };
        if by.is_null() {
            continue;
        }
        // The planner has texts for both.
        let text = by.to_string().to_lowercase();
        let number: Option<f64> = text.parse().ok();
        if types::is_time(key) && number.is_some() {
            return plan_err!(
                "the bounds of RANGE over times are intervals: INTERVAL '1' MINUTE PRECEDING"
            );
        }
        if types::is_time(key) && text.contains('-') {
            return plan_err!("an offset of RANGE is not negative: write PRECEDING or FOLLOWING");
        }
        let of_months = ["year", "month", "mon"].iter().any(|it| text.contains(it));
        if matches!(key, DataType::Timestamp(..)) && of_months {
            return plan_err!(
                "months in RANGE over timestamps may give another result on Athena at the end of a month: write days, or cast the key to date"
            );
        }
        let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        if let Some((_, scale)) = types::exact(key)
            && digits > usize::from(scale.cast_unsigned())
        {
            return plan_err!(
                "on this engine, an offset of RANGE cannot have more digits than its key: cast the key to decimal(p, {digits})"
            );
        }
        let has_time_of_day = ["hour", "minute", "second"]
            .iter()
            .any(|it| text.contains(it));
        if *key == DataType::Date32 && has_time_of_day {
            return plan_err!(
                "the bounds of RANGE over dates are days, months or years: cast the date to timestamp"
            );
        }
        if !types::is_time(key) && !types::is_number(key) {
            return plan_err!(
                "RANGE with a number or an interval is not for {}: order by a number or a time",
                type_name(key)
            );
        }
        // The key and it may not fit into the key's type, which fails on Athena.
        let most = match key {
            DataType::Int64 => BIGINT_BOUND_MAX,
            _ => INTEGER_BOUND_MAX,
        };
        if types::is_integer(key) && number.is_some_and(|number| number > most) {
            return plan_err!(
                "{text} is too much for RANGE over {}: write UNBOUNDED, or cast the key to double",
                type_name(key)
            );
        }
    }
    Ok(())
}
