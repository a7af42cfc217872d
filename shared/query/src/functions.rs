//! Trino's words on the local engine, so that one text runs here and on Athena: what the engine
//! lacks, and what it has under the same name with another meaning.
//!
//! What differs all the same is listed in `docs/sql.md`.

mod bytes;
mod calendar;
mod clock;
mod extreme;
mod json;
mod kind;
mod mysql_format;
mod nulls;
mod numbers;
mod percentile;
mod rewritten;
mod scalar;
mod texts;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

/// Functions of the engine that go by another name in Trino: the engine's name, Trino's.
const SCALAR_NAMES: [(&str, &str); 7] = [
    ("ceil", "ceiling"),
    ("trunc", "truncate"),
    ("signum", "sign"),
    ("isnan", "is_nan"),
    ("string_to_array", "split"),
    ("levenshtein", "levenshtein_distance"),
    ("ascii", "codepoint"),
];

/// The same for aggregates.
const AGGREGATE_NAMES: [(&str, &str); 3] = [
    ("any_value", "arbitrary"),
    ("bool_and", "every"),
    ("string_agg", "listagg"),
];

/// Gives a session Trino's words.
pub(super) fn register(context: &SessionContext) -> Result<()> {
    for (engines, trinos) in SCALAR_NAMES {
        let function = context.udf(engines)?;
        context.register_udf(function.as_ref().clone().with_aliases([trinos]));
    }
    for (engines, trinos) in AGGREGATE_NAMES {
        let function = context.udaf(engines)?;
        context.register_udaf(function.as_ref().clone().with_aliases([trinos]));
    }
    for name in ["concat", "greatest", "least"] {
        let inner = context.udf(name)?;
        context.register_udf(ScalarUDF::from(nulls::NullIfAnyIs::of(&inner)));
    }
    let scalars = bytes::functions()
        .into_iter()
        .chain(calendar::functions())
        .chain(clock::functions())
        .chain(json::functions())
        .chain(numbers::functions())
        .chain(texts::functions());
    for function in scalars {
        context.register_udf(ScalarUDF::from(function));
    }
    for function in rewritten::functions(context)? {
        context.register_udf(ScalarUDF::from(function));
    }
    for function in extreme::functions() {
        context.register_udaf(function);
    }
    context.register_udaf(percentile::approx_percentile(
        &context.udaf("approx_percentile_cont")?,
    ));
    context.register_udaf(rewritten::count_if(&context.udaf("count")?));
    Ok(())
}

/// A function of the engine by its name.
fn udf(context: &SessionContext, name: &str) -> Result<Arc<ScalarUDF>> {
    context.udf(name)
}
