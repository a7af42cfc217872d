//! Functions of Athena that are expressions of others.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::parsed;
use super::refusal::invalid;
use crate::error::SqlError;

/// A function, the number of its arguments, and the expression: `{0}` is the first argument.
const EXPANSIONS: [(&str, usize, &str); 23] = [
    (
        "array_union",
        2,
        "if({0} IS NOT NULL AND {1} IS NOT NULL, array_distinct(flatten(ARRAY[{0}, {1}])))",
    ),
    (
        "arrays_overlap",
        2,
        "CASE WHEN cardinality({0}) = 0 OR cardinality({1}) = 0 THEN false \
         WHEN cardinality(array_intersect(array_filter({0}, x -> x IS NOT NULL), {1})) > 0 THEN true \
         WHEN array_any_match({0}, x -> x IS NULL) OR array_any_match({1}, x -> x IS NULL) THEN NULL \
         WHEN {0} IS NOT NULL AND {1} IS NOT NULL THEN false END",
    ),
    ("bitwise_not", 1, "(-1 - ({0}))"),
    ("current_timezone", 0, "'UTC'"),
    ("e", 0, "CAST('2.718281828459045' AS DOUBLE)"),
    ("from_unixtime", 2, "at_timezone(from_unixtime({0}), {1})"),
    // It is of type real if those are decimals, which this engine's avg refuses.
    (
        "geometric_mean",
        1,
        "if(avg({0}) IS NOT NULL, exp(avg(ln({0}))))",
    ),
    (
        "histogram",
        1,
        "__histogram(array_agg({0}) FILTER (WHERE {0} IS NOT NULL))",
    ),
    ("infinity", 0, "CAST('Infinity' AS DOUBLE)"),
    ("is_finite", 1, "(abs({0}) < CAST('Infinity' AS DOUBLE))"),
    ("is_infinite", 1, "(abs({0}) = CAST('Infinity' AS DOUBLE))"),
    (
        "kurtosis",
        1,
        "__kurtosis(array_agg(CAST('1' AS DOUBLE) * {0}) FILTER (WHERE {0} IS NOT NULL))",
    ),
    (
        "map_agg",
        2,
        "map(array_agg({0}) FILTER (WHERE {0} IS NOT NULL), array_agg({1}) FILTER (WHERE {0} IS NOT NULL))",
    ),
    (
        "max",
        2,
        "array_slice(array_agg({0} ORDER BY __nan_last({0}) DESC) FILTER (WHERE {0} IS NOT NULL), 1, {1})",
    ),
    (
        "max_by",
        3,
        "array_slice(array_agg({0} ORDER BY __nan_last({1}) DESC) FILTER (WHERE {1} IS NOT NULL), 1, {2})",
    ),
    (
        "min",
        2,
        "array_slice(array_agg({0} ORDER BY {0}) FILTER (WHERE {0} IS NOT NULL), 1, {1})",
    ),
    (
        "min_by",
        3,
        "array_slice(array_agg({0} ORDER BY {1}) FILTER (WHERE {1} IS NOT NULL), 1, {2})",
    ),
    ("nan", 0, "CAST('NaN' AS DOUBLE)"),
    ("none_match", 2, "(NOT array_any_match({0}, {1}))"),
    ("rand", 1, "__random({0})"),
    ("random", 1, "__random({0})"),
    (
        "skewness",
        1,
        "__skewness(array_agg(CAST('1' AS DOUBLE) * {0}) FILTER (WHERE {0} IS NOT NULL))",
    ),
    (
        "width_bucket",
        4,
        "CAST(CASE \
         WHEN {1} = {2} OR {3} < 1 OR is_nan({0}) OR NOT abs(CAST('1' AS DOUBLE) * {1} * {2}) < CAST('Infinity' AS DOUBLE) \
         THEN 1 / ({3} - {3}) \
         WHEN {0} < least({1}, {2}) THEN if({1} < {2}, 0, {3} + 1) \
         WHEN {0} >= greatest({1}, {2}) THEN if({1} < {2}, {3} + 1, 0) \
         WHEN {1} < {2} THEN 1 + floor({3} * (CAST('1' AS DOUBLE) * {0} - {1}) / ({2} - {1})) \
         WHEN {1} > {2} THEN {3} - floor({3} * (CAST('1' AS DOUBLE) * {0} - {2}) / ({1} - {2})) \
         END AS BIGINT)",
    ),
];

/// The prefix of the names that stand for the arguments while the expression is parsed.
const ARGUMENT: &str = "__argument";

/// Those of the n best.
const BEST: [&str; 4] = ["max", "max_by", "min", "min_by"];

/// Letters of `format_datetime`, and those of `date_format`.
const LETTERS: [(&str, &str); 6] = [
    ("yyyy", "%Y"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("HH", "%H"),
    ("mm", "%i"),
    ("ss", "%s"),
];

/// The names of the functions.
pub(super) fn is_known(name: &str) -> bool {
    name == "format_datetime" || EXPANSIONS.iter().any(|(of, ..)| *of == name)
}

/// The expression for a call, whose arguments are already rewritten; `None` if the function is another.
pub(super) fn expanded(
    function: &Function,
    name: &str,
    span: Span,
) -> Result<Option<Expr>, SqlError> {
    let FunctionArguments::List(list) = &function.args else {
        return Ok(None);
    };
    let mut args: Vec<&Expr> = list
        .args
        .iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        })
        .collect();
    let refused = |message| Err(invalid(message, span));
    let text = if let ("approx_percentile", [value, Expr::Array(shares)]) = (name, &*args) {
        args = std::iter::once(*value).chain(&shares.elem).collect();
        let of = |place| format!("approx_percentile({ARGUMENT}0, {ARGUMENT}{place})");
        let each: Vec<String> = (1..args.len()).map(of).collect();
        format!("if(count({ARGUMENT}0) > 0, ARRAY[{}])", each.join(", "))
    } else if name == "format_datetime" {
        let [_, Expr::Value(pattern)] = args.as_slice() else {
            return refused("call it as format_datetime(timestamp, 'pattern')");
        };
        let Value::SingleQuotedString(pattern) = &pattern.value else {
            return refused("call it as format_datetime(timestamp, 'pattern')");
        };
        let Some(format) = letters(pattern) else {
            return refused(
                "on this engine, format_datetime takes yyyy, MM, dd, HH, mm and ss alone: write date_format",
            );
        };
        format!("date_format({ARGUMENT}0, '{format}')")
    } else {
        let Some((.., template)) = EXPANSIONS
            .iter()
            .find(|(of, count, _)| *of == name && *count == args.len())
        else {
            return Ok(None);
        };
        if function.filter.is_some()
            || function.over.is_some()
            || list.duplicate_treatment.is_some()
            || !list.clauses.is_empty()
        {
            return refused(
                "on this engine, this form takes no DISTINCT, ORDER BY, FILTER or OVER: write it in a subquery",
            );
        }
        if BEST.contains(&name) && !args.last().is_some_and(|count| is_count(count)) {
            return refused("how many are the best is on this engine a literal from 1 to 10000");
        }
        template.replace('{', ARGUMENT).replace('}', "")
    };
    let mut expr = parsed(&text).map_err(|error| SqlError::Engine(error.to_string()))?;
    // Arguments are not printed and parsed again: the parser would turn a rewritten `substr(…)` into another form.
    let replaced = visit_expressions_mut(&mut expr, |part| {
        if let Expr::Identifier(name) = part
            && let Some(place) = name.value.strip_prefix(ARGUMENT)
            && let Some(arg) = place.parse().ok().and_then(|place: usize| args.get(place))
        {
            *part = (*arg).clone();
        }
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(replaced.is_continue());
    Ok(Some(expr))
}

/// Whether it is a literal from 1 to 10,000, which is the most that Athena takes.
fn is_count(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { expr, .. } => is_count(expr),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => {
                digits.parse().is_ok_and(|n: u32| (1..=10_000).contains(&n))
            }
            _ => false,
        },
        _ => false,
    }
}

fn letters(pattern: &str) -> Option<String> {
    let mut format = String::new();
    let mut rest = pattern;
    while let Some(char) = rest.chars().next() {
        if let Some((joda, mysql)) = LETTERS.iter().find(|(joda, _)| rest.starts_with(joda)) {
            format.push_str(mysql);
            rest = rest.strip_prefix(joda)?;
            // A letter more is another form.
            if rest.starts_with(joda.chars().next()?) {
                return None;
            }
        } else if char.is_ascii_alphabetic() || char == '\'' || char == '%' {
            return None;
        } else {
            format.push(char);
            rest = rest.strip_prefix(char)?;
        }
    }
    Some(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_few_letters_are_translated() {
        assert_eq!(
            letters("yyyy-MM-dd HH:mm:ss").as_deref(),
            Some("%Y-%m-%d %H:%i:%s")
        );
        for pattern in ["yyyyy", "EEE", "yyyy'T'HH", "SSS", "50%"] {
            assert_eq!(letters(pattern), None, "{pattern}");
        }
    }
}
