//! An aggregate over a frame that slides, computed anew for each row: what the engine takes back from a sum leaves a rest
//! if it was NaN or infinite, or far larger than the others. Athena recomputes too.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::scalar::ScalarValue;

/// Builds it from the engine's aggregate.
pub(crate) fn recomputed(inner: &Arc<AggregateUDF>) -> AggregateUDF {
    AggregateUDF::from(Recomputed {
        inner: Arc::clone(inner),
        signature: Signature::variadic_any(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Recomputed {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for Recomputed {
    fn name(&self) -> &'static str {
        "recomputed"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        self.inner.return_type(given)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Frame {
            inner: Arc::clone(&self.inner),
            schema: args.schema.clone(),
            return_field: args.return_field,
            exprs: args.exprs.to_vec(),
            expr_fields: args.expr_fields.to_vec(),
            rows: Vec::new(),
        }))
    }
}

/// The rows of a frame.
#[derive(Debug)]
struct Frame {
    inner: Arc<AggregateUDF>,
    schema: Schema,
    return_field: FieldRef,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    expr_fields: Vec<FieldRef>,
    /// By argument.
    rows: Vec<ArrayRef>,
}

impl Accumulator for Frame {
    fn update_batch(&mut self, rows: &[ArrayRef]) -> Result<()> {
        if self.rows.is_empty() {
            self.rows = rows.to_vec();
            return Ok(());
        }
        for (held, new) in self.rows.iter_mut().zip(rows) {
            *held = concat(&[held.as_ref(), new.as_ref()])?;
        }
        Ok(())
    }

    fn retract_batch(&mut self, rows: &[ArrayRef]) -> Result<()> {
        for (held, gone) in self.rows.iter_mut().zip(rows) {
            *held = held.slice(gone.len(), held.len().saturating_sub(gone.len()));
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut inner = self.inner.accumulator(AccumulatorArgs {
            return_field: Arc::clone(&self.return_field),
            schema: &self.schema,
            ignore_nulls: false,
            order_bys: &[],
            is_reversed: false,
            name: self.inner.name(),
            is_distinct: false,
            exprs: &self.exprs,
            expr_fields: &self.expr_fields,
        })?;
        if !self.rows.is_empty() {
            inner.update_batch(&self.rows)?;
        }
        inner.evaluate()
    }

    fn size(&self) -> usize {
        let rows = self.rows.iter().map(|rows| rows.get_array_memory_size());
        size_of_val(self) + rows.sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        exec_err!("a frame is not divided")
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        exec_err!("a frame is not divided")
    }
}
