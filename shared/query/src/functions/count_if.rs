//! `count_if(condition)`: counts the rows for which it is true.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, lit, when,
};

/// The engine's `count` of a CASE without ELSE.
pub(super) fn count_if(count: &Arc<AggregateUDF>) -> AggregateUDF {
    AggregateUDF::from(CountIf {
        count: Arc::clone(count),
        signature: Signature::exact(vec![DataType::Boolean], Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CountIf {
    count: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for CountIf {
    fn name(&self) -> &str {
        "count_if"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let count = Arc::clone(&self.count);
        Some(Box::new(move |mut function: AggregateFunction, _| {
            let args = std::mem::take(&mut function.params.args);
            let Ok([condition]) = <[Expr; 1]>::try_from(args) else {
                return plan_err!("count_if takes one argument");
            };
            function.params.args = vec![when(condition, lit(1_i64)).end()?];
            function.func = Arc::clone(&count);
            Ok(Expr::AggregateFunction(function))
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.count.state_fields(args)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        exec_err!("count_if cannot be used here: write count(*) FILTER (WHERE condition)")
    }
}
