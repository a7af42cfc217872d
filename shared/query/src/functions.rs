//! Trino's functions on the local engine, so that the same SQL runs here and on Athena: those that
//! the engine lacks, and those that it has under the same name with another meaning.
//!
//! What still differs is listed in `docs/sql.md`.

mod approx_percentile;
mod arg_type;
mod bytes;
mod calendar;
mod count_if;
mod expr_functions;
mod json_extract;
mod letter_case;
pub(crate) mod mapped;
mod max_by;
mod mysql_format;
mod mysql_parse;
mod null_propagation;
mod number_bases;
mod of_items;
pub(crate) mod recomputed;
mod regexp;
mod regexp_pattern;
mod replaced_text;
mod scalar_function;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of the engine's types are times"
)]
mod sequence;
pub(crate) mod spaces;
mod split_part;
mod split_text;
mod substring;
pub(crate) mod timestamps;
mod url_host;
pub(crate) mod zone_names;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of the engine's types are times"
)]
pub(crate) mod zones;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;

use crate::dialect::array_function::ArrayFunction as _;
use crate::dialect::array_items::{Contains, Item};
use crate::dialect::nan::NanLast;
use crate::dialect::random_below::RandomBelow;
use crate::dialect::to_text::ToText;

/// Functions of the engine that go by another name in Trino: the engine's name, Trino's.
const SCALAR_NAMES: [(&str, &str); 10] = [
    // The analyzer puts the name of Athena's type in its place.
    ("arrow_typeof", "typeof"),
    // The engine's own of this name removes the first one only.
    ("array_remove_all", "array_remove"),
    ("random", "rand"),
    ("ceil", "ceiling"),
    ("trunc", "truncate"),
    ("signum", "sign"),
    ("isnan", "is_nan"),
    ("levenshtein", "levenshtein_distance"),
    ("ascii", "codepoint"),
    // The planner takes the arguments of `map` for keys and values in turn.
    ("map", "__map"),
];

/// The same for aggregates.
const AGGREGATE_NAMES: [(&str, &str); 7] = [
    ("var_samp", "variance"),
    ("bit_and", "bitwise_and_agg"),
    ("bit_or", "bitwise_or_agg"),
    ("bit_xor", "bitwise_xor_agg"),
    ("any_value", "arbitrary"),
    ("bool_and", "every"),
    ("string_agg", "listagg"),
];

/// Registers Trino's functions with a session.
pub(crate) fn register(context: &SessionContext) -> Result<()> {
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
        context.register_udf(ScalarUDF::from(null_propagation::NullIfAnyIs::of(&inner)));
    }
    let scalars = bytes::functions()
        .into_iter()
        .chain(calendar::functions())
        .chain(timestamps::functions())
        .chain(json_extract::functions())
        .chain(number_bases::functions())
        .chain(split_part::functions())
        .chain([
            split_text::function(),
            replaced_text::function(),
            url_host::function(),
        ])
        .chain(substring::functions())
        .chain(letter_case::functions())
        .chain(regexp::functions())
        .chain([substring::shortened_function()]);
    for function in scalars {
        context.register_udf(ScalarUDF::from(function));
    }
    for function in zones::functions()
        .into_iter()
        .chain(sequence::functions())
        .chain(of_items::functions())
        .chain([
            ToText { iso: true }.udf(),
            Item { is_lenient: true }.udf(),
            Item { is_lenient: false }.udf(),
            Contains.udf(),
            NanLast.udf(),
            RandomBelow.udf(),
        ])
    {
        context.register_udf(function);
    }
    for function in expr_functions::functions(context)? {
        context.register_udf(ScalarUDF::from(function));
    }
    for function in max_by::functions(&context.udaf("first_value")?) {
        context.register_udaf(function);
    }
    context.register_udaf(approx_percentile::approx_percentile());
    context.register_udaf(count_if::count_if(&context.udaf("count")?));
    Ok(())
}
