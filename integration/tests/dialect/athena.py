"""Reports what Athena's engine v3 would refuse in each SQL text.

Reads a JSON array of {"name", "sql", "kind"} from stdin, where kind is "query", "view" or "table", and
writes an array of {"name", "problems"}. sqlglot's parser accepts more than Trino does, so functions,
types and keywords of other engines are searched for as well.
"""

import json
import sys

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

# The functions of Trino that are useful here. Check Athena's documentation before adding one.
FUNCTIONS = set(
    """
    abs approx_distinct approx_most_frequent approx_percentile arbitrary array_agg array_distinct
    array_except array_intersect array_join array_max array_min array_position array_remove array_sort
    array_union arrays_overlap at_timezone avg bitwise_and bitwise_not bitwise_or bitwise_xor bool_and
    bool_or cardinality cast cbrt ceil ceiling checksum chr coalesce codepoint combinations
    concat concat_ws contains corr cos count count_if covar_pop covar_samp crc32 cume_dist current_date
    date date_add date_diff date_format date_parse date_trunc day day_of_month day_of_week day_of_year
    degrees dense_rank dow doy e element_at every exp extract first_value flatten floor format
    format_datetime from_base from_base64 from_big_endian_64 from_hex from_iso8601_date
    from_iso8601_timestamp from_unixtime from_unixtime_nanos from_utf8 geometric_mean greatest
    hamming_distance histogram hmac_sha256 hour if infinity is_finite is_infinite is_nan json_extract
    json_extract_scalar json_format json_parse kurtosis lag last_day_of_month last_value lead least
    length levenshtein_distance listagg ln log log10 log2 lower lpad ltrim map map_agg map_filter
    map_from_entries map_keys map_values max max_by md5 millisecond min min_by minute mod month nan now
    nth_value ntile nullif parse_datetime percent_rank pi pow power quarter radians rand random rank
    reduce regexp_count regexp_extract regexp_extract_all regexp_like regexp_position regexp_replace
    regexp_split regr_intercept regr_slope repeat replace reverse round row_number rpad rtrim second
    sequence sha1 sha256 sha512 sign sin skewness slice soundex split split_part sqrt starts_with stddev
    stddev_pop stddev_samp strpos substr substring sum to_base to_base64 to_big_endian_64 to_hex
    to_iso8601 to_unixtime to_utf8 transform trim truncate try try_cast typeof unnest upper url_decode
    url_encode uuid var_pop var_samp variance week week_of_year width_bucket with_timezone word_stem
    xxhash64 year year_of_week zip
    """.split()
)

# Keywords and types that may precede a parenthesis.
WORDS = set(
    """
    all and any array as between by case char cross cube decimal distinct else end except exists filter
    from group having in intersect interval into is join like not on or order over partition rollup row
    select sets some then time timestamp union using values varchar when where with within
    """.split()
)

TYPES = {
    exp.DataType.Type[name]
    for name in """
        ARRAY BIGINT BOOLEAN CHAR DATE DECIMAL DOUBLE FLOAT INT INTERVAL JSON MAP SMALLINT STRUCT
        TIME TIMESTAMP TIMESTAMPTZ TINYINT VARBINARY VARCHAR
    """.split()
}

# Syntax of other engines that Trino does not have, by sqlglot's names.
FOREIGN_TOKENS = {
    TokenType.DCOLON: "a cast with ::",
    TokenType.QUALIFY: "QUALIFY",
    TokenType.ILIKE: "ILIKE",
    TokenType.DARROW: "->>",
    TokenType.RLIKE: "RLIKE",
    TokenType.PIVOT: "PIVOT",
    TokenType.ASOF: "ASOF",
    TokenType.SEMI: "a SEMI join",
    TokenType.ANTI: "an ANTI join",
    TokenType.LATERAL: "LATERAL",
    TokenType.TOP: "TOP",
    TokenType.DIV: "DIV",
}


def problems_of(sql, kind):
    try:
        statements = sqlglot.parse(sql, dialect="athena", error_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError as error:
        return [f"it cannot be parsed: {error}"]
    if len(statements) != 1 or statements[0] is None:
        return ["it is not one statement"]
    tree = statements[0]
    expected = exp.Query if kind == "query" else exp.Create
    if not isinstance(tree, expected):
        return [f"it is a {type(tree).__name__.upper()}, not a {kind}"]
    if kind == "table":
        return tables_problems(tree)
    return list(words_problems(sql)) + list(trees_problems(tree))


def tables_problems(tree):
    problems = []
    if not tree.find(exp.PartitionedByProperty):
        problems.append("no PARTITIONED BY")
    if not tree.find(exp.LocationProperty):
        problems.append("no LOCATION")
    if not tree.find(exp.ExternalProperty):
        problems.append("not EXTERNAL")
    problems += [f"{command.sql()!r} is not understood" for command in tree.find_all(exp.Command)]
    return problems


def words_problems(sql):
    tokens = sqlglot.tokenize(sql, dialect="athena")
    for token, after in zip(tokens, tokens[1:] + [None]):
        if token.token_type in FOREIGN_TOKENS:
            yield f"{FOREIGN_TOKENS[token.token_type]} at line {token.line}"
        if sql[token.start] == "`":
            yield f"a name in backticks at line {token.line}"
        is_name = token.text.replace("_", "").isalnum() and sql[token.start] not in "'\"`"
        if after is None or after.token_type != TokenType.L_PAREN or not is_name:
            continue
        name = token.text.lower()
        if name not in FUNCTIONS and name not in WORDS and not name.isdigit():
            yield f"no function {name} at line {token.line}"


def trees_problems(tree):
    for node in tree.walk():
        if isinstance(node, exp.DataType) and node.this not in TYPES:
            yield f"no type {node.sql(dialect='athena')}"
        if isinstance(node, exp.Distinct) and node.args.get("on"):
            yield "DISTINCT ON"
        if isinstance(node, exp.Star) and any(node.args.values()):
            yield "a star with EXCEPT, EXCLUDE, REPLACE or RENAME"
        if isinstance(node, exp.Group) and node.args.get("all"):
            yield "GROUP BY ALL"
        if isinstance(node, (exp.Command, exp.Parameter)):
            yield f"{node.sql(dialect='athena')!r} is not understood"


def main():
    answers = [
        {"name": text["name"], "problems": problems_of(text["sql"], text["kind"])}
        for text in json.load(sys.stdin)
    ]
    json.dump(answers, sys.stdout)


main()
