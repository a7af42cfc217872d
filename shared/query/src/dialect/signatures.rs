//! The functions that are here and on Athena, with the arguments that Athena takes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;

use super::types;

/// Each function and the ways to call it. A letter is an argument: `b` boolean, `l` bigint, `f` double, `n` any number,
/// `v` varchar, `x` varbinary, `d` date, `t` date, timestamp or moment, `y` interval, `a` array, `e` an item or key of the array or map
/// before it, `m` map, `r` anything, `s` the same type as the first such argument, `c` a lambda; `*` repeats the last.
const FUNCTIONS: [(&str, &str); 174] = [
    ("abs", "n"),
    ("acos", "f"),
    ("any_match", "ac"),
    ("any_value", "r"),
    ("approx_distinct", "r"),
    ("approx_percentile", "nf"),
    ("arbitrary", "r"),
    ("array_agg", "r"),
    ("array_distinct", "a"),
    ("array_except", "aa"),
    ("array_intersect", "aa"),
    ("array_join", "av avv"),
    ("array_remove", "ae"),
    ("asin", "f"),
    ("at_timezone", "tv"),
    ("atan", "f"),
    ("atan2", "ff"),
    ("avg", "g"),
    ("bitwise_and", "ll"),
    ("bitwise_and_agg", "l"),
    ("bitwise_or", "ll"),
    ("bitwise_or_agg", "l"),
    ("bitwise_xor", "ll"),
    ("bitwise_xor_agg", "l"),
    ("bool_and", "b"),
    ("bool_or", "b"),
    ("cardinality", "a m"),
    ("cbrt", "f"),
    ("ceil", "n"),
    ("ceiling", "n"),
    ("chr", "l"),
    ("coalesce", "ss*"),
    ("codepoint", "v"),
    ("concat", "vv*"),
    ("concat_ws", "vv*"),
    ("contains", "ae"),
    ("corr", "ff"),
    ("cos", "f"),
    ("cosh", "f"),
    ("count", "* r"),
    ("count_if", "b"),
    ("covar_pop", "ff"),
    ("covar_samp", "ff"),
    ("cume_dist", ""),
    ("current_date", ""),
    ("current_timestamp", ""),
    ("date", "v t"),
    ("date_add", "vlt"),
    ("date_diff", "vtt"),
    ("date_format", "tv"),
    ("date_parse", "vv"),
    ("date_trunc", "vt"),
    ("day", "t"),
    ("day_of_month", "t"),
    ("day_of_week", "t"),
    ("day_of_year", "t"),
    ("degrees", "f"),
    ("dense_rank", ""),
    ("dow", "t"),
    ("doy", "t"),
    ("element_at", "al me"),
    ("every", "b"),
    ("exp", "f"),
    ("filter", "ac"),
    ("first_value", "r"),
    ("flatten", "a"),
    ("floor", "n"),
    ("from_base", "vl"),
    ("from_base64", "v"),
    ("from_big_endian_64", "x"),
    ("from_hex", "v"),
    ("from_iso8601_date", "v"),
    ("from_iso8601_timestamp", "v"),
    ("from_unixtime", "f fv"),
    ("from_utf8", "x"),
    ("greatest", "ss*"),
    ("grouping", "r*"),
    ("hour", "t"),
    ("if", "bs bss"),
    ("is_nan", "f"),
    ("json_extract_scalar", "vv"),
    ("lag", "s sl sls"),
    ("last_day_of_month", "t"),
    ("last_value", "r"),
    ("lead", "s sl sls"),
    ("least", "ss*"),
    ("length", "v"),
    ("levenshtein_distance", "vv"),
    ("listagg", "vv"),
    ("ln", "f"),
    ("log", "ff"),
    ("log10", "f"),
    ("log2", "f"),
    ("lower", "v"),
    ("ltrim", "v vv"),
    ("map", "aa"),
    ("map_keys", "m"),
    ("map_values", "m"),
    ("max", "r"),
    ("max_by", "rr"),
    ("md5", "x"),
    ("millisecond", "t"),
    ("min", "r"),
    ("min_by", "rr"),
    ("minute", "t"),
    ("mod", "nn"),
    ("month", "t"),
    ("now", ""),
    ("nth_value", "rl"),
    ("ntile", "l"),
    ("nullif", "ss"),
    ("percent_rank", ""),
    ("pi", ""),
    ("pow", "ff"),
    ("power", "ff"),
    ("quarter", "t"),
    ("radians", "f"),
    ("rand", ""),
    ("random", ""),
    ("rank", ""),
    ("regexp_extract", "vv vvl"),
    ("regexp_like", "vv"),
    ("regexp_replace", "vv vvv"),
    ("regr_intercept", "ff"),
    ("regr_slope", "ff"),
    ("repeat", "rl"),
    ("replace", "vvv"),
    ("reverse", "v"),
    ("round", "n nl"),
    ("row", "r*"),
    ("row_number", ""),
    ("rtrim", "v vv"),
    ("second", "t"),
    ("sequence", "ll lll dd tty"),
    ("sha256", "x"),
    ("sha512", "x"),
    ("sign", "n"),
    ("sin", "f"),
    ("sinh", "f"),
    ("split", "vv vvl"),
    ("split_part", "vvl"),
    ("sqrt", "f"),
    ("starts_with", "vv"),
    ("stddev", "f"),
    ("stddev_pop", "f"),
    ("stddev_samp", "f"),
    ("strpos", "vv"),
    ("substr", "vl vll"),
    ("substring", "vl vll"),
    ("sum", "n"),
    ("tan", "f"),
    ("tanh", "f"),
    ("to_base", "ll"),
    ("to_base64", "x"),
    ("to_big_endian_64", "l"),
    ("to_hex", "x"),
    ("to_iso8601", "t"),
    ("to_unixtime", "t"),
    ("to_utf8", "v"),
    ("transform", "ac"),
    ("translate", "vvv"),
    ("trim", "v vv"),
    ("truncate", "n ql"),
    ("typeof", "r"),
    ("upper", "v"),
    ("var_pop", "f"),
    ("var_samp", "f"),
    ("variance", "f"),
    ("week", "t"),
    ("week_of_year", "t"),
    ("with_timezone", "tv"),
    ("xxhash64", "x"),
    ("year", "t"),
    ("year_of_week", "t"),
];

static BY_NAME: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| FUNCTIONS.into_iter().collect());

/// The names of the functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.into_iter().map(|(name, _)| name)
}

/// Whether a function, in lower case, is on both.
pub(crate) fn is_known(name: &str) -> bool {
    BY_NAME.contains_key(name)
}

/// Aggregates, which take DISTINCT, ORDER BY and FILTER.
const AGGREGATES: &str = " any_value approx_distinct approx_percentile arbitrary array_agg avg bitwise_and_agg \
    bitwise_or_agg bitwise_xor_agg bool_and bool_or corr count count_if covar_pop covar_samp every \
    listagg max max_by min min_by regr_intercept regr_slope stddev stddev_pop stddev_samp sum var_pop var_samp variance ";

/// Functions of windows alone.
const WINDOW_ONLY: &str = " cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number ";

/// Whether a function, in lower case, is an aggregate.
pub(crate) fn is_aggregate(name: &str) -> bool {
    AGGREGATES.contains(&format!(" {name} "))
}

/// Whether a function, in lower case, needs OVER.
pub(crate) fn needs_window(name: &str) -> bool {
    WINDOW_ONLY.contains(&format!(" {name} "))
}

/// The types of the arguments after Athena's conversions; `None` if it refuses them.
pub(crate) fn accepted(name: &str, given: &[DataType]) -> Option<Vec<DataType>> {
    let calls = BY_NAME.get(name)?;
    // A NULL could be a varchar or JSON.
    if name.starts_with("json_") && given.first().is_some_and(DataType::is_null) {
        return None;
    }
    if calls.is_empty() {
        return given.is_empty().then(Vec::new);
    }
    let calls = calls.split(' ');
    calls.into_iter().find_map(|call| of_call(call, given))
}

fn of_call(call: &str, given: &[DataType]) -> Option<Vec<DataType>> {
    let (letters, repeats) = match call.strip_suffix('*') {
        Some(letters) => (letters, true),
        None => (call, false),
    };
    let letters: Vec<char> = letters.chars().collect();
    if given.len() < letters.len() || (given.len() > letters.len() && !repeats) {
        return None;
    }
    let same = || {
        let mut same = DataType::Null;
        for (place, given) in given.iter().enumerate() {
            if letter(&letters, place) == Some('s') {
                same = types::common(&same, given)?;
            }
        }
        Some(same)
    };
    let mut takes = Vec::with_capacity(given.len());
    for (place, one) in given.iter().enumerate() {
        takes.push(match letter(&letters, place)? {
            's' => same()?,
            'e' => item(given.get(place.checked_sub(1)?)?, one)?,
            letter => converted(letter, one)?,
        });
    }
    Some(takes)
}

fn letter(letters: &[char], place: usize) -> Option<char> {
    letters.get(place).or(letters.last()).copied()
}

fn item(array: &DataType, given: &DataType) -> Option<DataType> {
    match array {
        DataType::Map(..) => Some(given.clone()),
        _ => types::common(types::items(array)?, given),
    }
}

fn converted(letter: char, given: &DataType) -> Option<DataType> {
    let keep = |fits: bool| (fits || given.is_null()).then(|| given.clone());
    match letter {
        'b' => types::is_boolean(given).then_some(DataType::Boolean),
        'l' => {
            (types::integer_digits(given).is_some() || given.is_null()).then_some(DataType::Int64)
        }
        'f' => (types::is_number(given) || given.is_null()).then_some(DataType::Float64),
        'n' => keep(types::is_number(given)),
        'g' => keep(types::is_number(given) && !matches!(given, DataType::Decimal128(..))),
        'q' => keep(matches!(given, DataType::Decimal128(..))),
        'v' => keep(types::is_text(given)),
        'x' => keep(types::is_bytes(given)),
        'd' => keep(*given == DataType::Date32),
        't' => keep(types::is_time(given)),
        'y' => keep(types::is_interval(given)),
        'a' => keep(types::items(given).is_some()),
        'm' => keep(matches!(given, DataType::Map(..))),
        'r' | 'c' => Some(given.clone()),
        _ => None,
    }
}

/// How a function can be called, for messages.
pub(crate) fn ways(name: &str) -> String {
    let calls = BY_NAME.get(name).copied().unwrap_or_default().split(' ');
    let ways = calls.map(|call| {
        let letters = call.chars().filter(|letter| *letter != '*').map(described);
        let list = letters.collect::<Vec<_>>().join(", ");
        let more = if call.ends_with('*') { ", …" } else { "" };
        format!("{name}({list}{more})")
    });
    ways.collect::<Vec<_>>().join(" or ")
}

fn described(letter: char) -> &'static str {
    match letter {
        'b' => "boolean",
        'l' => "bigint",
        'f' => "double",
        'n' => "number",
        'g' => "double",
        'q' => "decimal",
        'v' => "varchar",
        'x' => "varbinary",
        'd' => "date",
        't' => "timestamp",
        'y' => "interval",
        'a' => "array",
        'e' => "item",
        'm' => "map",
        'c' => "x -> …",
        _ => "value",
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::FunctionRegistry as _;

    use super::*;

    /// What the rewriting makes of functions that no session has.
    const REWRITTEN: [&str; 3] = ["any_match", "filter", "transform"];

    #[test]
    fn every_function_is_there() {
        let context = datafusion::prelude::SessionContext::new();
        crate::functions::register(&context).unwrap();
        let is_missing = |name: &&str| {
            context.udf(name).is_err() && context.udaf(name).is_err() && context.udwf(name).is_err()
        };
        let missing: Vec<&str> = names()
            .filter(is_missing)
            .filter(|name| !REWRITTEN.contains(name))
            .collect();
        assert_eq!(missing, [] as [&str; 0]);
    }
}
