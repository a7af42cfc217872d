//! `max_by(x, y)` and `min_by(x, y)`: the x of the row with the greatest or least y, of equal ones
//! the first; rows whose y is NULL are skipped. With a row as y, `ROW(ts, tick_id)`, equal times
//! are ordered too.
//!
//! The planner replaces a call by the engine's `first_value(x ORDER BY y) FILTER (WHERE y IS NOT
//! NULL)`. That has no form for windows, which get an accumulator that keeps one row.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, UInt64Array, make_comparator};
use datafusion::arrow::compute::{SortOptions, take};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, SortExpr, Volatility,
};
use datafusion::scalar::ScalarValue;

/// The engine's function behind `ROW(…)`.
const ROW: &str = "struct";

pub(super) fn functions(first_value: &Arc<AggregateUDF>) -> [AggregateUDF; 2] {
    [("max_by", Extreme::Greatest), ("min_by", Extreme::Least)].map(|(name, extreme)| {
        AggregateUDF::from(ExtremeBy {
            name,
            extreme,
            first_value: Arc::clone(first_value),
            signature: Signature::any(2, Volatility::Immutable),
        })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Extreme {
    Greatest,
    Least,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ExtremeBy {
    name: &'static str,
    extreme: Extreme,
    first_value: Arc<AggregateUDF>,
    signature: Signature,
}

impl AggregateUDFImpl for ExtremeBy {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [value, _] => Ok(value.clone()),
            _ => exec_err!("{} takes two arguments", self.name),
        }
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let (name, first_value) = (self.name, Arc::clone(&self.first_value));
        let ascending = self.extreme == Extreme::Least;
        Some(Box::new(move |mut function: AggregateFunction, _| {
            let params = &mut function.params;
            let Ok([value, key]) = <[Expr; 2]>::try_from(std::mem::take(&mut params.args)) else {
                return plan_err!("{name} takes two arguments");
            };
            // Optimizer rules that ran before may have named it.
            let key = key.unalias_nested().data;
            let mut order_by = Vec::new();
            if let Expr::ScalarFunction(ScalarFunction { func, args }) = &key
                && func.name() == ROW
            {
                // Each field of a row by itself is faster. A NULL there is less than any value.
                let fields = args.iter().cloned();
                order_by.extend(fields.map(|field| SortExpr::new(field, ascending, ascending)));
            } else {
                let has_key = key.clone().is_not_null();
                params.filter = Some(Box::new(match params.filter.take() {
                    Some(filter) => filter.and(has_key),
                    None => has_key,
                }));
                order_by.push(SortExpr::new(key, ascending, false));
            }
            order_by.append(&mut params.order_by);
            params.order_by = order_by;
            params.args = vec![value];
            params.distinct = false;
            function.func = Arc::clone(&first_value);
            Ok(Expr::AggregateFunction(function))
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let named = |(field, part): (&FieldRef, &str)| {
            let name = format_state_name(args.name, part);
            Arc::new(field.as_ref().clone().with_name(name).with_nullable(true))
        };
        let fields = args.input_fields.iter().zip(["value", "key"]);
        Ok(fields.map(named).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let [value, key] = args.expr_fields else {
            return exec_err!("{} takes two arguments", self.name);
        };
        Ok(Box::new(BestRow {
            extreme: self.extreme,
            value_type: value.data_type().clone(),
            key_type: key.data_type().clone(),
            best: None,
        }))
    }
}

/// The best row of a window's frame so far.
#[derive(Debug)]
struct BestRow {
    extreme: Extreme,
    value_type: DataType,
    key_type: DataType,
    /// Its value and its key, arrays of one row.
    best: Option<(ArrayRef, ArrayRef)>,
}

impl Accumulator for BestRow {
    fn update_batch(&mut self, arguments: &[ArrayRef]) -> Result<()> {
        let [values, keys] = arguments else {
            return exec_err!("two arguments are needed, not {}", arguments.len());
        };
        let order = |left, right| make_comparator(left, right, SortOptions::default());
        let among_new = order(keys, keys)?;
        let with_best = match &self.best {
            Some((_, key)) => Some(order(key, keys)?),
            None => None,
        };
        let nulls = keys.logical_nulls();
        let mut winner = None;
        for row in 0..keys.len() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            let held = match (winner, &with_best) {
                (Some(held), _) => among_new(held, row),
                (None, Some(with_best)) => with_best(0, row),
                (None, None) => {
                    winner = Some(row);
                    continue;
                }
            };
            let better = match self.extreme {
                Extreme::Greatest => held.is_lt(),
                Extreme::Least => held.is_gt(),
            };
            if better {
                winner = Some(row);
            }
        }
        if let Some(row) = winner {
            let row = UInt64Array::from_value(row as u64, 1);
            self.best = Some((take(values, &row, None)?, take(keys, &row, None)?));
        }
        Ok(())
    }

    fn merge_batch(&mut self, state: &[ArrayRef]) -> Result<()> {
        self.update_batch(state)
    }

    /// The row is kept: a window evaluates after each of its rows.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        match &self.best {
            Some((value, _)) => ScalarValue::try_from_array(value, 0),
            None => ScalarValue::try_from(&self.value_type),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let key = match &self.best {
            Some((_, key)) => ScalarValue::try_from_array(key, 0)?,
            None => ScalarValue::try_from(&self.key_type)?,
        };
        Ok(vec![self.evaluate()?, key])
    }

    fn size(&self) -> usize {
        let row = self.best.as_ref().map_or(0, |(value, key)| {
            value.get_array_memory_size() + key.get_array_memory_size()
        });
        size_of_val(self) + row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Float64Array, Int64Array};

    fn best(extreme: Extreme) -> BestRow {
        BestRow {
            extreme,
            value_type: DataType::Float64,
            key_type: DataType::Int64,
            best: None,
        }
    }

    fn columns(rows: &[(Option<f64>, Option<i64>)]) -> Vec<ArrayRef> {
        let values: Float64Array = rows.iter().map(|row| row.0).collect();
        let keys: Int64Array = rows.iter().map(|row| row.1).collect();
        vec![Arc::new(values), Arc::new(keys)]
    }

    #[test]
    fn the_first_of_the_best_wins_and_rows_without_a_key_are_skipped() {
        let mut least = best(Extreme::Least);
        assert!(least.evaluate().unwrap().is_null());
        for (rows, expected) in [
            (&[(Some(7.0), None)][..], None),
            (&[(Some(2.0), Some(2)), (Some(3.0), Some(2))], Some(2.0)),
            (&[(Some(8.0), Some(2)), (Some(9.0), Some(3))], Some(2.0)),
            (&[(Some(1.0), Some(1)), (Some(9.0), Some(1))], Some(1.0)),
            (&[(None, Some(0))], None),
        ] {
            least.update_batch(&columns(rows)).unwrap();
            let expected = ScalarValue::Float64(expected);
            assert_eq!(least.evaluate().unwrap(), expected, "{rows:?}");
        }
        let mut greatest = best(Extreme::Greatest);
        let state = [(Some(2.0), Some(5)), (None, None), (Some(4.0), Some(6))];
        greatest.merge_batch(&columns(&state)).unwrap();
        let expected = [ScalarValue::from(4.0), ScalarValue::from(6_i64)];
        assert_eq!(greatest.state().unwrap(), expected);
    }

    /// A window updates it row by row, and each update costs as much as it holds.
    #[test]
    fn only_the_best_row_is_held() {
        let mut greatest = best(Extreme::Greatest);
        let mut sizes = Vec::new();
        for row in 0..10_000 {
            greatest
                .update_batch(&columns(&[(Some(1.0), Some(row))]))
                .unwrap();
            sizes.push(greatest.size());
        }
        sizes.dedup();
        assert_eq!(sizes.len(), 1, "{sizes:?}");
    }
}
