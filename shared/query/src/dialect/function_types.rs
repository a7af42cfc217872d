//! Athena's types for calls of scalar functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{AggregateUDF, Expr, ExprSchemable as _, Operator, lit, when};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use super::operands::{comparable, converted, types_of};
use super::operator_types::compared;
use super::random_below::{RANDOM_BELOW, below};
use super::replaced::Replaced;
use super::signatures;
use crate::functions::mapped::integer_sum;
use crate::result_columns::type_name;

/// The functions of a session.
#[derive(Debug)]
pub(super) struct Functions {
    /// Athena's names of the engine's functions.
    pub(super) names: BTreeMap<String, &'static str>,
    pub(super) integer_sum: Arc<AggregateUDF>,
    replaced: Replaced,
}

impl Functions {
    pub(super) fn of(context: &SessionContext) -> Self {
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
            integer_sum: Arc::new(integer_sum(&sum_udaf())),
            replaced: Replaced::of(context),
        }
    }

    pub(super) fn of_scalar(
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
                function.args = converted(function.args, &given, &vec![items; given.len()]);
                return Ok(Transformed::yes(Expr::ScalarFunction(function)));
            }
            "get_field" => {
                return plan_err!(
                    "names of a row's fields and of a map's keys are not on this engine: write m['key'], or the columns themselves"
                );
            }
            "array_concat" | "array_append" | "array_prepend" => {
                return plan_err!(
                    "`||` of arrays is not on this engine: write concat of texts, or flatten"
                );
            }
            _ => {}
        }
        // The result is the first argument, whatever the type in which both are compared.
        if let ("nullif", [one, other]) = (engines.as_str(), function.args.as_slice()) {
            self.accepted("nullif", &given)?;
            let equal = compared(one.clone(), Operator::Eq, other.clone(), schema)?;
            let nullif = when(equal, lit(ScalarValue::Null)).otherwise(one.clone())?;
            return Ok(Transformed::yes(nullif));
        }
        if let (RANDOM_BELOW, [bound], [given]) = (engines.as_str(), &*function.args, &*given) {
            return Ok(Transformed::yes(below(bound, given)?));
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
                && !matches!(*name, "codepoint" | "element_at")
                && !given.contains(&DataType::Int32));
        Ok(Transformed::yes(match counts {
            true => datafusion::logical_expr::cast(call, DataType::Int64),
            false => call,
        }))
    }

    pub(super) fn accepted(&self, name: &str, given: &[DataType]) -> Result<Vec<DataType>> {
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
}
