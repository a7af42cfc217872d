//! The functions that are here and on Athena, with the arguments that Athena takes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use datafusion::arrow::datatypes::DataType;

use super::types;

/// The functions by the ways to call them. A letter is an argument: `b` boolean, `l` bigint, `f` double, `n` any number,
/// `v` varchar, `x` varbinary, `d` date, `t` date, timestamp or moment, `y` interval, `a` array, `e` an item or key of the array or map
/// before it, `m` map, `r` anything, `s` the same type as the first such argument, `c` a lambda; `*` repeats the last.
const FUNCTIONS: [(&str, &str); 48] = [
    (
        "f",
        "acos asin atan cbrt cos cosh degrees exp is_nan ln log10 log2 radians sin sinh sqrt stddev \
        stddev_pop stddev_samp tan tanh var_pop var_samp variance",
    ),
    (
        "t",
        "day day_of_month day_of_week day_of_year dow doy hour last_day_of_month millisecond minute month \
        quarter second to_iso8601 to_unixtime week week_of_year year year_of_week",
    ),
    (
        "",
        "cume_dist current_date current_timestamp dense_rank now percent_rank pi rand random rank row_number",
    ),
    (
        "v",
        "codepoint from_base64 from_hex from_iso8601_date from_iso8601_timestamp length lower reverse to_utf8 \
        upper url_extract_host",
    ),
    (
        "ff",
        "atan2 corr covar_pop covar_samp log pow power regr_intercept regr_slope",
    ),
    (
        "r",
        "any_value approx_distinct arbitrary array_agg first_value last_value max min typeof",
    ),
    (
        "x",
        "from_big_endian_64 from_utf8 md5 sha256 sha512 to_base64 to_hex xxhash64",
    ),
    (
        "vv",
        "date_parse json_extract_scalar levenshtein_distance listagg regexp_like starts_with strpos",
    ),
    (
        "l",
        "bitwise_and_agg bitwise_or_agg bitwise_xor_agg chr ntile to_big_endian_64",
    ),
    ("n", "abs ceil ceiling floor sign sum"),
    ("b", "bool_and bool_or count_if every"),
    ("ll", "bitwise_and bitwise_or bitwise_xor to_base"),
    ("aa", "array_except array_intersect map"),
    ("ac", "any_match filter transform"),
    ("ss*", "coalesce greatest least"),
    ("tv", "at_timezone date_format with_timezone"),
    ("v vv", "ltrim rtrim trim"),
    ("a", "array_distinct flatten"),
    ("ae", "array_remove contains"),
    ("m", "map_keys map_values"),
    ("r*", "grouping row"),
    ("rl", "nth_value repeat"),
    ("rr", "max_by min_by"),
    ("s sl sls", "lag lead"),
    ("vl vll", "substr substring"),
    ("vv vvl", "regexp_extract split"),
    ("vv*", "concat concat_ws"),
    ("vvv", "replace translate"),
    ("* r", "count"),
    ("a m", "cardinality"),
    ("al me", "element_at"),
    ("av avv", "array_join"),
    ("bs bss", "if"),
    ("f fv", "from_unixtime"),
    ("g", "avg"),
    ("gf", "approx_percentile"),
    ("ll lll dd tty", "sequence"),
    ("n nl", "round"),
    ("n ql", "truncate"),
    ("nn", "mod"),
    ("ss", "nullif"),
    ("v t", "date"),
    ("vl", "from_base"),
    ("vlt", "date_add"),
    ("vt", "date_trunc"),
    ("vtt", "date_diff"),
    ("vv vvv", "regexp_replace"),
    ("vvl", "split_part"),
];

static BY_NAME: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| {
    let each =
        |(calls, names): (_, &'static str)| names.split_whitespace().map(move |it| (it, calls));
    FUNCTIONS.into_iter().flat_map(each).collect()
});

/// The names of the functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BY_NAME.keys().copied()
}

/// Whether a function, in lower case, is on both.
pub(crate) fn is_known(name: &str) -> bool {
    BY_NAME.contains_key(name)
}

/// Aggregates, which take DISTINCT, ORDER BY and FILTER.
const AGGREGATES: &str = " any_value approx_distinct approx_percentile arbitrary array_agg avg bitwise_and_agg \
    bitwise_or_agg bitwise_xor_agg bool_and bool_or corr count count_if covar_pop covar_samp every \
    listagg max max_by min min_by regr_intercept regr_slope stddev stddev_pop stddev_samp sum var_pop var_samp variance ";

/// Functions of which NULL without a type is not the first argument.
const AMBIGUOUS_FIRST: [&str; 6] = [
    "json_extract_scalar",
    "listagg",
    "reverse",
    "substr",
    "substring",
    "sum",
];

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
    // Athena has such functions of other types too, and does not choose one for NULL.
    let is_null = |given: &[DataType]| given.iter().any(DataType::is_null);
    if AMBIGUOUS_FIRST.contains(&name) && is_null(given.get(..1).unwrap_or_default())
        || name == "concat" && is_null(given)
        || name == "concat_ws" && given.len() == 2 && is_null(given.get(1..).unwrap_or_default())
    {
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
        'n' if given.is_null() => Some(DataType::Int8),
        'n' => keep(types::is_number(given)),
        // Athena has such functions of other types too.
        'g' if given.is_null() => None,
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
