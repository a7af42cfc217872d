//! The rule of the analyzer that gives a plan Athena's types. It runs before the engine converts types by its own, more
//! generous rules.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, InSubquery, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::Values;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Operator, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::error_place::{first_span, placed};
use super::function_types::Functions;
use super::operands::boolean;
use super::plan_columns::{check_plan, check_recursion, without_using};
use super::{arithmetic, casts, multisets, nan, operator_types, set_operations};
use super::{stale_types, subqueries, types};
use crate::result_columns::type_name;

/// Athena's types for a plan.
#[derive(Debug, Default)]
pub(crate) struct AthenaTypes(OnceLock<Functions>);

impl AthenaTypes {
    /// Takes note of a session's functions, once they are all there.
    pub(crate) fn know(&self, context: &SessionContext) {
        self.0.get_or_init(|| Functions::of(context));
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
        plan.apply_with_subqueries(|plan| {
            check_recursion(plan)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        functions.typed(plan, &DFSchema::empty())
    }
}

impl Functions {
    /// The plan with types, from its leaves on. A subquery may refer to columns of the statements around it, `outer`.
    fn typed(&self, plan: LogicalPlan, outer: &DFSchema) -> Result<LogicalPlan> {
        let typed = plan.transform_up(|plan| {
            let plan = set_operations::with_common_types(plan)?;
            let mut schema = merge_schema(&plan.inputs());
            if let LogicalPlan::TableScan(scan) = &plan {
                let table = scan.source.schema();
                schema.merge(&DFSchema::try_from_qualified_schema(
                    scan.table_name.clone(),
                    &table,
                )?);
            }
            let mut around = schema.clone();
            around.merge(outer);
            let plan =
                plan.map_subqueries(|inner| self.typed(inner, &around).map(Transformed::yes))?;
            self.of_plan(plan.data, &schema, outer)
        })?;
        Ok(typed.data)
    }

    fn of_plan(
        &self,
        plan: LogicalPlan,
        schema: &DFSchema,
        outer: &DFSchema,
    ) -> Result<Transformed<LogicalPlan>> {
        check_plan(&plan, schema)?;
        subqueries::check(&plan, schema)?;
        if let LogicalPlan::Values(values) = &plan {
            self.check_values(values)?;
        }
        let nan = nan::in_plan(&plan);
        let names = NamePreserver::new(&plan);
        let plan = stale_types::with_outer_types(without_using(plan), outer);
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let typed = expr.transform_up(|expr| {
                let span = first_span(&expr);
                let typed = self.of_expr(stale_types::of_outer(expr, outer), schema);
                typed.map_err(|error| placed(error, span))
            })?;
            stale_types::check_lambdas(&typed.data, schema)?;
            let Some(nan) = nan else {
                return Ok(typed.update_data(|expr| name.restore(expr)));
            };
            typed.map_data(|expr| match expr {
                // The results of aggregates are left as they are.
                Expr::AggregateFunction(_) | Expr::Alias(_) => Ok(name.restore(expr)),
                Expr::GroupingSet(set)
                    if set.distinct_expr().iter().any(|key| nan::is_odd(key, schema)) =>
                {
                    plan_err!(
                        "ROLLUP, CUBE and GROUPING SETS of doubles that may be NaN are not on this engine: write UNION ALL"
                    )
                }
                expr => nan::with_nan(expr, nan, schema).map(|expr| name.restore(expr)),
            })
        })?
        .map_data(|plan| {
            let plan = stale_types::checked(plan.recompute_schema()?)?;
            let plan = nan::in_order(plan, schema)?;
            nan::distinct(multisets::with_places(plan)?)
        })
    }

    /// Refuses VALUES that the planner has cast to the type of a value that has another one on Athena.
    fn check_values(&self, values: &Values) -> Result<()> {
        let none = DFSchema::empty();
        for column in 0..values.schema.fields().len() {
            let (mut is_cast, mut changes) = (false, false);
            let mut times = BTreeSet::new();
            for value in values.values.iter().filter_map(|row| row.get(column)) {
                let given = match value {
                    Expr::Cast(Cast { expr, .. }) => expr,
                    value => value,
                };
                is_cast |= matches!(value, Expr::Cast(_));
                let planned = given.get_type(&none)?;
                if types::is_time(&planned) {
                    let has_zone = matches!(planned, DataType::Timestamp(_, Some(_)));
                    times.insert((planned == DataType::Date32, has_zone));
                }
                if matches!(planned, DataType::Decimal128(..)) {
                    let typed = given.clone();
                    let typed = typed.transform_up(|expr| self.of_expr(expr, &none))?.data;
                    changes |= typed.get_type(&none)? != planned;
                }
            }
            if is_cast && times.len() > 1 {
                return plan_err!(
                    "VALUES of dates and timestamps, or of times with and without a zone, are not on this engine: cast those of a column to one type"
                );
            }
            if is_cast && changes {
                return plan_err!(
                    "VALUES of a decimal that is computed and of other types are not on this engine: write SELECT … UNION ALL SELECT …"
                );
            }
        }
        Ok(())
    }

    fn of_expr(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        let type_of = |expr: &Expr| expr.get_type(schema);
        match expr {
            Expr::BinaryExpr(binary) => operator_types::of_binary(binary, schema),
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
                if !types::is_number(&given) && !types::is_interval(&given) {
                    return plan_err!("`-` takes a number, not {}", type_name(&given));
                }
                let is_literal = match inner.as_ref() {
                    Expr::Cast(Cast { expr, .. }) => matches!(expr.as_ref(), Expr::Literal(..)),
                    inner => matches!(inner, Expr::Literal(..)),
                };
                if types::is_integer(&given) && !is_literal {
                    // The engine's own wraps around.
                    let zero = Box::new(lit(ScalarValue::new_zero(&given)?));
                    let difference = BinaryExpr::new(zero, Operator::Minus, inner);
                    return arithmetic::operation(difference, &given, &given);
                }
                Ok(Transformed::no(Expr::Negative(inner)))
            }
            Expr::Like(like) => operator_types::of_like(like, schema),
            Expr::Between(between) => operator_types::of_between(between, schema),
            Expr::InList(list) => operator_types::of_in_list(list, schema),
            Expr::InSubquery(InSubquery {
                expr,
                subquery,
                negated,
            }) => {
                if let Some(field) = subquery.subquery.schema().fields().first() {
                    operator_types::finite("IN", &expr, field, schema)?;
                }
                Ok(Transformed::no(Expr::InSubquery(InSubquery {
                    expr,
                    subquery,
                    negated,
                })))
            }
            Expr::SetComparison(comparison) => {
                if let Some(field) = comparison.subquery.subquery.schema().fields().first() {
                    operator_types::finite("ANY or ALL", &comparison.expr, field, schema)?;
                }
                Ok(Transformed::no(Expr::SetComparison(comparison)))
            }
            Expr::Case(case) => operator_types::of_case(case, schema),
            // A subquery without rows is NULL, but DataFusion considers its column's nullability only.
            Expr::ScalarSubquery(inner)
                if inner
                    .subquery
                    .schema()
                    .fields()
                    .iter()
                    .all(|it| !it.is_nullable()) =>
            {
                Ok(Transformed::yes(casts::as_it_is(Expr::ScalarSubquery(
                    inner,
                ))))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}
