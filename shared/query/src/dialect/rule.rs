//! The rule of the analyzer that gives a plan Athena's types. It runs before the engine converts types by its own, more
//! generous rules.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, BinaryExpr, Case, Cast, InList, InSubquery, Like, ScalarFunction,
    TryCast, WindowFunction,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Expr, ExprSchemable as _, LogicalPlan, Operator, ScalarUDF, WindowFunctionDefinition,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::SessionContext;

use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::AggregateUDF;
use datafusion::logical_expr::{WindowFrameBound, WindowFrameUnits};
use datafusion::scalar::ScalarValue;

use super::array_items::item_function;
use super::error_place::{first_span, placed};
use super::operands::{advice, as_type, boolean, comparable, converted, types_of};
use super::plan_columns::check_plan;
use super::replaced::Replaced;
use super::types::{self, common};
use super::{arithmetic, casts, signatures};
use crate::functions::integer_sum::{SUMMAND, integer_sum};
use crate::result_columns::type_name;

/// Aggregates of pairs, which Athena computes in 32 bits unless one is a double.
const PAIRS: [&str; 5] = [
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_slope",
    "regr_intercept",
];

/// Athena's types for a plan.
#[derive(Debug, Default)]
pub(crate) struct AthenaTypes(OnceLock<Functions>);

/// The functions of a session.
#[derive(Debug)]
struct Functions {
    /// Athena's names of the engine's functions.
    names: BTreeMap<String, &'static str>,
    subscript: Arc<ScalarUDF>,
    integer_sum: Arc<AggregateUDF>,
    replaced: Replaced,
}

impl AthenaTypes {
    /// Takes note of a session's functions, once they are all there.
    pub(crate) fn know(&self, context: &SessionContext) {
        self.0.get_or_init(|| Functions::of(context));
    }
}

impl Functions {
    fn of(context: &SessionContext) -> Self {
        let mut names = BTreeMap::new();
        for name in signatures::names() {
            let scalar = context.udf(name).map(|function| function.name().to_owned());
            let scalar = scalar.or_else(|_| {
                context
                    .udaf(name)
                    .map(|function| function.name().to_owned())
            });
            let engines = scalar.or_else(|_| {
                context
                    .udwf(name)
                    .map(|function| function.name().to_owned())
            });
            if let Ok(engines) = engines {
                names.entry(engines).or_insert(name);
            }
        }
        Self {
            names,
            subscript: Arc::new(item_function(false)),
            integer_sum: Arc::new(integer_sum(&sum_udaf())),
            replaced: Replaced::of(context),
        }
    }
}

impl AnalyzerRule for AthenaTypes {
    fn name(&self) -> &'static str {
        "athena_types"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let Some(functions) = self.0.get() else {
            return Ok(plan);
        };
        let plan = plan.transform_up_with_subqueries(|plan| functions.of_plan(plan))?;
        Ok(plan.data)
    }
}

impl Functions {
    fn of_plan(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            let table = scan.source.schema();
            schema.merge(&DFSchema::try_from_qualified_schema(
                scan.table_name.clone(),
                &table,
            )?);
        }
        check_plan(&plan, &schema)?;
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let typed = expr.transform_up(|expr| {
                let span = first_span(&expr);
                let typed = self.of_expr(expr, &schema);
                typed.map_err(|error| placed(error, span))
            })?;
            Ok(typed.update_data(|expr| name.restore(expr)))
        })?
        .map_data(|plan| plan.recompute_schema())
    }

    fn of_expr(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let type_of = |expr: &Expr| expr.get_type(schema);
        match expr {
            Expr::BinaryExpr(binary) => of_binary(binary, schema),
            Expr::ScalarFunction(function) => self.of_scalar(function, schema),
            Expr::AggregateFunction(function) => self.of_aggregate(function, schema),
            Expr::WindowFunction(function) => self.of_window(*function, schema),
            Expr::Cast(Cast { expr, field }) => {
                let to = field.data_type().clone();
                casts::cast_to(*expr, &to, false, schema).map(Transformed::yes)
            }
            Expr::TryCast(TryCast { expr, field }) => {
                let to = field.data_type().clone();
                casts::cast_to(*expr, &to, true, schema).map(Transformed::yes)
            }
            Expr::Not(inner) => {
                boolean(&type_of(&inner)?, "NOT")?;
                Ok(Transformed::no(Expr::Not(inner)))
            }
            Expr::Negative(inner) => {
                let given = type_of(&inner)?;
                if !types::is_number(&given) && !types::is_interval(&given) && !given.is_null() {
                    return plan_err!("`-` takes a number, not {}", type_name(&given));
                }
                Ok(Transformed::no(Expr::Negative(inner)))
            }
            Expr::Like(Like {
                expr,
                pattern,
                negated,
                escape_char,
                case_insensitive,
            }) => {
                for operand in [&expr, &pattern] {
                    let given = type_of(operand)?;
                    if !types::is_text(&given) && !given.is_null() {
                        return plan_err!(
                            "LIKE takes texts, not {}{}",
                            type_name(&given),
                            advice(&given, &DataType::Utf8)
                        );
                    }
                }
                Ok(Transformed::no(Expr::Like(Like {
                    expr,
                    pattern,
                    negated,
                    escape_char,
                    case_insensitive,
                })))
            }
            Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            }) => {
                let given = type_of(&expr)?;
                comparable("BETWEEN", &given, &type_of(&low)?)?;
                comparable("BETWEEN", &given, &type_of(&high)?)?;
                let is_float = [&expr, &low, &high]
                    .iter()
                    .any(|it| type_of(it).is_ok_and(|given| types::is_float(&given)));
                if is_float
                    && [&expr, &low, &high]
                        .iter()
                        .any(|it| arithmetic::may_be_nan(it, schema))
                {
                    let from = BinaryExpr::new(expr.clone(), Operator::GtEq, low);
                    let to = BinaryExpr::new(expr, Operator::LtEq, high);
                    let from = arithmetic::comparison(from, schema)?.data;
                    let both = from.and(arithmetic::comparison(to, schema)?.data);
                    return Ok(Transformed::yes(if negated {
                        Expr::Not(Box::new(both))
                    } else {
                        both
                    }));
                }
                Ok(Transformed::no(Expr::Between(Between {
                    expr,
                    negated,
                    low,
                    high,
                })))
            }
            Expr::InList(InList {
                expr,
                list,
                negated,
            }) => {
                let given = type_of(&expr)?;
                for item in &list {
                    comparable("IN", &given, &type_of(item)?)?;
                }
                if types::is_float(&given) && arithmetic::may_be_nan(&expr, schema) {
                    return in_list_of_doubles(*expr, list, negated, schema).map(Transformed::yes);
                }
                Ok(Transformed::no(Expr::InList(InList {
                    expr,
                    list,
                    negated,
                })))
            }
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => {
                if let Some(field) = subquery.subquery.schema().fields().first() {
                    comparable("IN", &type_of(&expr)?, field.data_type())?;
                    finite("IN", &expr, field, schema)?;
                }
                Ok(Transformed::no(Expr::InSubquery(InSubquery {
                    expr,
                    subquery,
                    negated,
                })))
            }
            Expr::SetComparison(comparison) => {
                if let Some(field) = comparison.subquery.subquery.schema().fields().first() {
                    comparable("ANY or ALL", &type_of(&comparison.expr)?, field.data_type())?;
                    finite("ANY or ALL", &comparison.expr, field, schema)?;
                }
                Ok(Transformed::no(Expr::SetComparison(comparison)))
            }
            Expr::Case(case) => of_case(case, schema),
            other => Ok(Transformed::no(other)),
        }
    }

    fn of_scalar(
        &self,
        mut function: ScalarFunction,
        schema: &DFSchema,
    ) -> Result<Transformed<Expr>> {
        let given = types_of(&function.args, schema)?;
        let engines = function.func.name().to_owned();
        match engines.as_str() {
            "make_array" => {
                let mut items = DataType::Null;
                for one in &given {
                    items = comparable("an array", &items, one)?;
                }
                function.args = function
                    .args
                    .into_iter()
                    .map(|arg| as_type(arg, &items, schema))
                    .collect::<Result<_>>()?;
                return Ok(Transformed::yes(Expr::ScalarFunction(function)));
            }
            "array_concat" | "array_append" | "array_prepend" => {
                return plan_err!(
                    "`||` of arrays is not on this engine: write concat of texts, or flatten"
                );
            }
            "array_element" => {
                let args = function.args;
                let call = ScalarFunction::new_udf(Arc::clone(&self.subscript), args);
                return Ok(Transformed::yes(Expr::ScalarFunction(call)));
            }
            _ => {}
        }
        let Some(name) = self.names.get(&engines) else {
            return Ok(Transformed::no(Expr::ScalarFunction(function)));
        };
        let takes = self.accepted(name, &given)?;
        function.args = converted(function.args, &given, &takes);
        if let Some(special) = self.replaced.function(name, &function.args, schema)? {
            return Ok(Transformed::yes(special));
        }
        let call = Expr::ScalarFunction(function);
        let returns = call.get_type(schema)?;
        // The engine counts in unsigned or short integers.
        let counts = matches!(returns, DataType::UInt64 | DataType::UInt32)
            || (returns == DataType::Int32
                && *name != "codepoint"
                && !given.contains(&DataType::Int32));
        Ok(Transformed::yes(match counts {
            true => datafusion::logical_expr::cast(call, DataType::Int64),
            false => call,
        }))
    }

    fn accepted(&self, name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
        match signatures::accepted(name, given) {
            Some(takes) => Ok(takes),
            None => {
                let given: Vec<String> = given.iter().map(type_name).collect();
                plan_err!(
                    "call it as {}, not with ({})",
                    signatures::ways(name),
                    given.join(", ")
                )
            }
        }
    }

    fn of_aggregate(
        &self,
        mut function: AggregateFunction,
        schema: &DFSchema,
    ) -> Result<Transformed<Expr>> {
        let params = &mut function.params;
        if let Some(filter) = &params.filter {
            boolean(&filter.get_type(schema)?, "FILTER")?;
        }
        if let Some(name) = self.names.get(function.func.name()) {
            // The planner passes a literal for `count(*)`.
            let given = types_of(&params.args, schema)?;
            let takes = self.accepted(name, &given)?;
            if PAIRS.contains(name) && !given.contains(&DataType::Float64) {
                return plan_err!(
                    "{name} of two integers or decimals is of type real on Athena: cast one to double"
                );
            }
            params.args = converted(std::mem::take(&mut params.args), &given, &takes);
            let nan_differs = PAIRS.contains(name) || matches!(*name, "max_by" | "min_by");
            // Of `max_by`, the value that orders decides.
            let deciding = match PAIRS.contains(name) {
                true => params.args.as_slice(),
                false => params.args.get(1..).unwrap_or_default(),
            };
            if nan_differs
                && deciding.iter().any(|arg| {
                    arg.get_type(schema)
                        .is_ok_and(|given| types::is_float(&given))
                        && !matches!(arg, Expr::Column(_))
                        && arithmetic::may_be_nan(arg, schema)
                })
            {
                return plan_err!(
                    "{name} of a value that may be NaN has another result on Athena: filter it, or cast it to decimal"
                );
            }
            if *name == "sum"
                && let [one] = given.as_slice()
                && types::integer_digits(one).is_some()
            {
                function.func = Arc::clone(&self.integer_sum);
                let args = std::mem::take(&mut params.args);
                params.args = converted(args, &given, &[SUMMAND]);
            }
            if matches!(*name, "max" | "min")
                && let [arg] = params.args.as_mut_slice()
                && types::is_float(&arg.get_type(schema)?)
                && arithmetic::may_be_nan(arg, schema)
            {
                let nan = casts::call(datafusion::functions::math::isnan(), vec![arg.clone()]);
                *arg = datafusion::logical_expr::when(
                    nan,
                    datafusion::logical_expr::lit(datafusion::scalar::ScalarValue::Float64(None)),
                )
                .otherwise(arg.clone())?;
            }
        }
        Ok(Transformed::yes(Expr::AggregateFunction(function)))
    }

    fn of_window(
        &self,
        mut function: WindowFunction,
        schema: &DFSchema,
    ) -> Result<Transformed<Expr>> {
        let name = match &function.fun {
            WindowFunctionDefinition::AggregateUDF(inner) => inner.name().to_owned(),
            WindowFunctionDefinition::WindowUDF(inner) => inner.name().to_owned(),
        };
        if let Some(name) = self.names.get(&name) {
            let params = &mut function.params;
            let given = types_of(&params.args, schema)?;
            let takes = self.accepted(name, &given)?;
            // A column of a subquery has lost the note that it is finite.
            let may_be_nan = |arg: &Expr| {
                let is_float = arg
                    .get_type(schema)
                    .is_ok_and(|given| types::is_float(&given));
                is_float && !matches!(arg, Expr::Column(_)) && arithmetic::may_be_nan(arg, schema)
            };
            // Values leave only a frame whose start moves.
            let slides = !matches!(&params.window_frame.start_bound, WindowFrameBound::Preceding(by) if by.is_null());
            if matches!(*name, "sum" | "avg" | "max" | "min" | "max_by" | "min_by")
                && slides
                && params.args.iter().any(may_be_nan)
            {
                return plan_err!(
                    "{name} over a frame that slides takes prices and volumes, or integers: elsewhere, a value that is not finite has another effect on Athena"
                );
            }
            if let Some(key) = params.order_by.first()
                && types::is_time(&key.expr.get_type(schema)?)
                && params.window_frame.units == WindowFrameUnits::Range
            {
                let bounds = [
                    &params.window_frame.start_bound,
                    &params.window_frame.end_bound,
                ];
                let is_number = |bound: &&WindowFrameBound| match bound {
                    WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => match by {
                        ScalarValue::Utf8(Some(text)) => text.parse::<f64>().is_ok(),
                        by => !by.is_null() && !types::is_interval(&by.data_type()),
                    },
                    WindowFrameBound::CurrentRow => false,
                };
                if bounds.iter().any(is_number) {
                    return plan_err!(
                        "the bounds of RANGE over times are intervals: INTERVAL '1' MINUTE PRECEDING"
                    );
                }
            }
            if matches!(function.fun, WindowFunctionDefinition::AggregateUDF(_)) {
                params.args = converted(std::mem::take(&mut params.args), &given, &takes);
            }
        }
        Ok(Transformed::yes(Expr::WindowFunction(Box::new(function))))
    }
}

/// Refuses doubles that may be NaN where the engine takes NaN for equal to itself.
fn finite(place: &str, expr: &Expr, field: &Field, schema: &DFSchema) -> Result<()> {
    let may_be_nan =
        types::is_float(&expr.get_type(schema)?) && arithmetic::may_be_nan(expr, schema);
    if may_be_nan
        || (types::is_float(field.data_type())
            && !field.metadata().contains_key(arithmetic::FINITE))
    {
        return plan_err!(
            "{place} of doubles that may be NaN is not on this engine: write a join, or compare with max or min"
        );
    }
    Ok(())
}

/// `x IN (a, b)` as comparisons, since a NaN is in no list.
fn in_list_of_doubles(
    expr: Expr,
    list: Vec<Expr>,
    negated: bool,
    schema: &DFSchema,
) -> Result<Expr> {
    let equals = list.into_iter().map(|item| {
        let equal = BinaryExpr::new(Box::new(expr.clone()), Operator::Eq, Box::new(item));
        arithmetic::comparison(equal, schema).map(|equal| equal.data)
    });
    let equals = equals.collect::<Result<Vec<_>>>()?;
    let any = datafusion::logical_expr::utils::disjunction(equals);
    let any = any.unwrap_or_else(|| datafusion::logical_expr::lit(false));
    Ok(if negated {
        Expr::Not(Box::new(any))
    } else {
        any
    })
}

fn of_binary(binary: BinaryExpr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (left, right) = (
        binary.left.get_type(schema)?,
        binary.right.get_type(schema)?,
    );
    let op = binary.op;
    match op {
        Operator::And | Operator::Or => {
            boolean(&left, &op.to_string())?;
            boolean(&right, &op.to_string())?;
        }
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq => {
            let both = comparable(&format!("`{op}`"), &left, &right)?;
            if !types::is_orderable(&both) {
                return plan_err!(
                    "`{op}` of {} has another meaning on Athena: compare their parts",
                    type_name(&both)
                );
            }
            if types::is_float(&left) || types::is_float(&right) {
                return arithmetic::comparison(binary, schema);
            }
        }
        Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => {
            comparable("IS DISTINCT FROM", &left, &right)?;
        }
        Operator::Plus
        | Operator::Minus
        | Operator::Multiply
        | Operator::Divide
        | Operator::Modulo => {
            return arithmetic::operation(binary, &left, &right);
        }
        Operator::StringConcat => {
            let fits = |given: &DataType| types::is_text(given) || given.is_null();
            if !fits(&left) || !fits(&right) || common(&left, &right).is_none() {
                return plan_err!(
                    "`||` takes two texts or two arrays, not {} and {}: write CAST(… AS varchar)",
                    type_name(&left),
                    type_name(&right)
                );
            }
        }
        _ => {}
    }
    Ok(Transformed::no(Expr::BinaryExpr(binary)))
}

fn of_case(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let operand = match &case.expr {
        Some(operand) => Some(operand.get_type(schema)?),
        None => None,
    };
    let mut result = DataType::Null;
    for (when, then) in &case.when_then_expr {
        let given = when.get_type(schema)?;
        match &operand {
            Some(operand) => drop(comparable("CASE", operand, &given)?),
            None => boolean(&given, "WHEN")?,
        }
        result = comparable("the results of CASE", &result, &then.get_type(schema)?)?;
    }
    if let Some(other) = &case.else_expr {
        result = comparable("the results of CASE", &result, &other.get_type(schema)?)?;
    }
    let typed = |expr: Box<Expr>| as_type(*expr, &result, schema).map(Box::new);
    let when_then_expr = case.when_then_expr.into_iter();
    let when_then_expr = when_then_expr.map(|(when, then)| Ok((when, typed(then)?)));
    Ok(Transformed::yes(Expr::Case(Case {
        expr: case.expr,
        when_then_expr: when_then_expr.collect::<Result<_>>()?,
        else_expr: case.else_expr.map(typed).transpose()?,
    })))
}
