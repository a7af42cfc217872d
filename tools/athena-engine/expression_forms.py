"""Expressions at random, by their type. A form is a text with the types of its arguments in braces."""

import re

from statement_tree import Node

NUMBERS = ("integer", "bigint", "double", "decimal")
TIMES = ("date", "timestamp", "moment")
VALUES = {
    "boolean": ["true", "false", "NULL"],
    "integer": ["0", "1", "-1", "2", "3", "7", "10", "-7", "255", "2026", "2147483647", "-2147483648", "INTEGER '5'"],
    "bigint": ["BIGINT '0'", "BIGINT '5'", "CAST(-3 AS bigint)", "9223372036854775807", "-9223372036854775807",
               "1772877600123", "4294967296", "BIGINT '63'"],
    "double": ["0e0", "1e0", "-1e0", "0.1e0", "2.5e0", "-2.5e0", "0.5e0", "1e300", "1e-300", "nan()", "infinity()",
               "-infinity()", "123456789.125e0", "1e15", "1e-5", "DOUBLE '7'", "-0e0"],
    "decimal": ["0.1", "1.0", "2.5", "-2.5", "10.00", "0.005", "99.99", "-0.5", "12345678901234567890.5",
                "DECIMAL '1.10'", "CAST(1.5 AS decimal(10, 2))", "DECIMAL '7'", "CAST(3 AS decimal(38, 10))"],
    "varchar": ["''", "'a'", "'abc'", "'ABC'", "'äöÜ'", "'日本'", "'a_b'", "'100%'", "' x '", "'12'", "'-1.5'",
                "'2026-03-07'", "'NaN'", "'true'", "'it''s'", "'a,b,,c'", "'😀x'", "'ß'", "'x\\y'", "'1e3'",
                "CAST('abc' AS varchar)", "'STEP'", "'ff'"],
    "varbinary": ["X''", "X'00'", "X'61ff'", "to_utf8('ä')", "X'0000000000000001'"],
    "date": ["DATE '2026-03-07'", "DATE '2024-02-29'", "DATE '1970-01-01'", "DATE '1969-12-31'", "DATE '2026-12-31'",
             "DATE '2026-01-31'", "DATE '1582-10-10'", "DATE '9999-12-31'"],
    "timestamp": ["TIMESTAMP '2026-03-07 10:05:09'", "TIMESTAMP '2026-03-07 10:05:09.123'",
                  "TIMESTAMP '1969-12-31 23:59:59.999'", "TIMESTAMP '2024-02-29 00:00:00'",
                  "TIMESTAMP '1910-03-07 10:05:09.877'", "TIMESTAMP '2026-01-31 12:00:00.500'"],
    "moment": ["TIMESTAMP '2026-03-07 10:00:00 UTC'", "TIMESTAMP '2026-03-08 01:30:00 America/New_York'",
               "TIMESTAMP '2026-03-07 10:05:09.123 +05:30'", "from_unixtime(1772877600)",
               "TIMESTAMP '2026-11-01 00:30:00 America/New_York'", "from_unixtime(0, 'Asia/Tokyo')"],
    "numbers": ["ARRAY[1, 2, 3]", "ARRAY[]", "ARRAY[1, NULL, 1]", "ARRAY[NULL]", "ARRAY[3, -1]", "sequence(1, 4)"],
    "texts": ["ARRAY['a', 'b']", "ARRAY['b', NULL, 'a']", "ARRAY['']", "split('x,y', ',')"],
}
NULLS = {
    "decimal": "decimal(10, 2)", "moment": "timestamp with time zone", "numbers": "array(integer)",
    "texts": "array(varchar)", "timestamp": "timestamp",
}
# What a type may be given instead, as the engine converts it.
NARROWER = {
    "bigint": ["integer"], "double": ["integer", "bigint", "decimal"], "decimal": ["integer", "bigint"],
    "timestamp": ["date"], "moment": ["timestamp"],
}
ZONES = ["'UTC'", "'America/New_York'", "'Asia/Kolkata'", "'+02:00'"]
UNITS = ["'millisecond'", "'second'", "'minute'", "'hour'", "'day'", "'week'", "'month'", "'quarter'", "'year'"]
PATTERNS = ["'a%'", "'%b%'", "'_'", "'%'", "''", "'a\\_b'", "'%\\%'", "'_b_'", "'A%'", "'%ö%'"]
REGEXPS = [r"'a'", r"'\d+'", r"'^a.*c$'", r"'(?i)ABC'", r"'([a-z])([a-z])'", r"'[^a]'",
           r"'\s'", r"'.'", r"'b|c'", r"'^$'"]
FORMATS = ["'%Y-%m-%d %H:%i:%s'", "'%a %b %e %c %y'", "'%W %M %j'", "'%h %p %f'", "'%T'", "'%v %x'"]
DOCUMENTS = ["""'{"a": {"b": [1, "x"]}}'""", """'{"a": null}'""", """'{"a": 1.50, "b": true}'""", """'[1, [2, 3]]'""",
             """'{"a": "1"'""", """'{"a": {"b": 1}, "a": 2}'""", "'5'", "'x'", "''", """'{"a b": "ä\\n"}'"""]
PATHS = ["'$'", "'$.a'", "'$.a.b'", "'$.a.b[1]'", "'$[1][0]'", "'$[0]'", """'$["a b"]'""", "'$.b'"]
SMALL = ["0", "1", "2", "3", "-1", "-2", "5"]
WORDS = {"zone": ZONES, "unit": UNITS, "pattern": PATTERNS, "regexp": REGEXPS, "format": FORMATS, "small": SMALL,
         "document": DOCUMENTS, "path": PATHS}

FORMS = {
    "boolean": """
        {boolean} AND {boolean}; {boolean} OR {boolean}; NOT {boolean}
        {any} IS NULL; {any} IS NOT NULL; {varchar} LIKE {pattern}; {varchar} NOT LIKE {pattern}
        {varchar} LIKE 'a#_b' ESCAPE '#'; starts_with({varchar}, {varchar}); regexp_like({varchar}, {regexp})
        is_nan({double}); contains({numbers}, {integer})
        contains({texts}, {varchar}); any_match({numbers}, x -> x > {small})
        {varchar} IN ({varchar}, {varchar}); {integer} IN ({integer}, {bigint}, {integer})
        {integer} NOT IN ({integer}, {integer}); {double} IN ({double}, {integer}); CAST({integer} AS boolean)
        {number} = {number}; {number} <> {number}; {number} < {number}; {number} >= {number}
        {double} = {double}; {double} > {double}; {double} <= {double}; {decimal} < {double}
        {varchar} = {varchar}; {varchar} < {varchar}; {time} < {time}; {time} = {time}; {date} <= {timestamp}
        {integer} BETWEEN {integer} AND {bigint}; {double} BETWEEN {double} AND {double}
        {double} NOT BETWEEN {integer} AND {double}; {varchar} BETWEEN {varchar} AND {varchar}
        {double} IS DISTINCT FROM {double}; {integer} IS NOT DISTINCT FROM {integer}; {boolean} = {boolean}
        {varbinary} = {varbinary}; {varbinary} < {varbinary}; TRY_CAST({varchar} AS boolean)
        is_finite({double}); is_infinite({double}); none_match({numbers}, x -> x > {small})
        arrays_overlap({numbers}, {numbers}); arrays_overlap({texts}, {texts})
        ({integer}, {varchar}) = ({integer}, {varchar}); ({integer}, {varchar}) <> ({bigint}, {varchar})
        ({integer}, {varchar}) IN (({integer}, {varchar}), (1, 'a')); ROW({integer}, {date}) < ROW({integer}, {date})""",
    "integer": """
        {integer} + {integer}; {integer} - {integer}; {integer} * {integer}; {integer} / {integer}
        {integer} % {integer}; - {integer}; codepoint('ä')
        CAST({number} AS integer)
        TRY_CAST({varchar} AS integer); TRY_CAST({double} AS integer); CAST({boolean} AS integer)
        element_at({numbers}, {small})
        sign({integer}); CAST({integer} AS smallint); CAST({small} AS tinyint); TRY_CAST({decimal} AS integer)""",
    "bigint": """
        {bigint} + {integer}; {bigint} - {bigint}; {bigint} * {small}; {bigint} / {integer}; {bigint} % {bigint}
        length({varchar}); length({varbinary}); position('b' IN {varchar}); strpos({varchar}, {varchar})
        cardinality({numbers})
        levenshtein_distance({varchar}, {varchar})
        bitwise_and({bigint}, {bigint}); bitwise_or({bigint}, {integer}); bitwise_xor({integer}, {bigint})
        year({time}); quarter({time}); month({time}); week({time}); day({time}); day_of_week({time})
        day_of_year({time}); year_of_week({time}); hour({timestamp}); minute({moment}); second({timestamp})
        millisecond({timestamp}); extract(DAY FROM {time}); extract(HOUR FROM {timestamp})
        date_diff({unit}, {timestamp}, {timestamp}); date_diff('day', {date}, {date})
        date_diff({unit}, {moment}, {moment}); date_diff('month', {date}, {date}); from_base({varchar}, 16)
        CAST({number} AS bigint); CAST({double} AS bigint); TRY_CAST({varchar} AS bigint)
        from_big_endian_64(X'0000000000000001'); width_bucket({double}, {double}, {number}, 5); bitwise_not({bigint})
        width_bucket({number}, 0, 10, {small}); date_diff({unit}, {date}, {date})""",
    "double": """
        {double} + {double}; {double} - {number}; {double} * {double}; {double} / {double}; {double} % {double}
        - {double}; sqrt({double}); cbrt({double}); exp({double}); ln({double}); log2({double}); log10({double})
        log({double}, {double}); power({number}, {double}); power({integer}, {integer}); sin({double})
        atan2({double}, {double})
        degrees({double}); radians({double}); acos({double}); CAST({number} AS double)
        CAST({varchar} AS double); TRY_CAST({varchar} AS double); to_unixtime({timestamp}); to_unixtime({moment})
        round({double}); round({double}, {small}); truncate({double}); floor({double}); ceil({double}); abs({double})
        sign({double}); mod({double}, {double}); greatest({double}, {double}); least({double}, {number})
        round({double}, 2); CAST({decimal} AS double); asin({double}); atan({double}); cos({double})
        {number} / {double}""",
    "decimal": """
        {decimal} + {decimal}; {decimal} - {decimal}; {decimal} * {decimal}; {decimal} / {decimal}
        {decimal} % {decimal}
        {decimal} + {integer}; {decimal} * {bigint}; {integer} / {decimal}; - {decimal}; round({decimal})
        round({decimal}, {small}); truncate({decimal}); truncate({decimal}, 1); floor({decimal}); ceil({decimal})
        abs({decimal}); sign({decimal}); mod({decimal}, {decimal}); CAST({number} AS decimal(12, 2))
        CAST({double} AS decimal(10, 3)); TRY_CAST({varchar} AS decimal(6, 2)); TRY_CAST({decimal} AS decimal(4, 1))""",
    "varchar": """
        {varchar} || {varchar}; lower({varchar}); upper({varchar}); trim({varchar}); ltrim({varchar}); rtrim({varchar})
        trim('a' FROM {varchar}); reverse({varchar}); substr({varchar}, {small}); substr({varchar}, {small}, {small})
        replace({varchar}, {varchar}, {varchar}); replace({varchar}, 'a'); split_part({varchar}, ',', 2)
        split_part({varchar}, 'a', 1); concat({varchar}, {varchar}); concat_ws('-', {varchar}, {varchar})
        regexp_extract({varchar}, {regexp}); regexp_extract({varchar}, '(a)(b)?', 2)
        regexp_replace({varchar}, {regexp})
        regexp_replace({varchar}, {regexp}, 'x'); regexp_replace({varchar}, '([a-z])', '<$1>')
        translate({varchar}, 'ab', 'x')
        CAST({integer} AS varchar); CAST({bigint} AS varchar); CAST({double} AS varchar)
        CAST({decimal} AS varchar); CAST({boolean} AS varchar); CAST({date} AS varchar); CAST({timestamp} AS varchar)
        CAST({moment} AS varchar); CAST({varchar} AS varchar(2)); date_format({timestamp}, {format})
        date_format({moment}, {format}); to_iso8601({timestamp}); to_iso8601({date}); to_hex({varbinary})
        to_base64({varbinary})
        to_hex(md5({varbinary})); to_hex(sha256({varbinary})); to_hex(xxhash64({varbinary})); to_base({bigint}, 16)
        chr({integer})
        from_utf8({varbinary}); array_join({numbers}, ','); array_join({texts}, '-', '?'); element_at({texts}, {small})
        json_extract_scalar('{{"a": {{"b": [1, "x"]}}}}', '$.a.b[1]'); json_extract_scalar({document}, {path})
        format_datetime({timestamp}, 'yyyy-MM-dd HH:mm:ss'); url_extract_host({varchar}); CAST({time} AS varchar)
        substring({varchar}, {small}, {small}); to_hex(sha512({varbinary})); {varchar} || CAST({number} AS varchar)
        typeof({any})""",
    "varbinary": """
        to_utf8({varchar}); from_hex('00ff'); from_base64('w6Q='); md5({varbinary})
        to_big_endian_64({bigint}); CAST({varchar} AS varbinary); xxhash64({varbinary})""",
    "date": """
        date({timestamp}); date({varchar}); CAST({timestamp} AS date); CAST({moment} AS date)
        TRY_CAST({varchar} AS date)
        date_add('day', {small}, {date}); date_add('month', {small}, {date}); date_add('year', {small}, {date})
        date_trunc('month', {date}); date_trunc('week', {date}); date_trunc('quarter', {date})
        last_day_of_month({time})
        {date} + INTERVAL '1' DAY; {date} - INTERVAL '1' MONTH; from_iso8601_date('2026-03-07')""",
    "timestamp": """
        date_trunc({unit}, {timestamp}); date_add({unit}, {small}, {timestamp}); CAST({date} AS timestamp)
        CAST({moment} AS timestamp); {timestamp} + INTERVAL '90' MINUTE; {timestamp} - INTERVAL '1' MONTH
        TRY_CAST({varchar} AS timestamp); date_parse('2026-03-07 10', '%Y-%m-%d %H'); CAST({timestamp} AS timestamp(0))
        {timestamp} + INTERVAL '1.5' SECOND""",
    "moment": """
        from_unixtime({integer}); from_unixtime({double}); from_unixtime({small}, {zone}); {moment} AT TIME ZONE {zone}
        at_timezone({moment}, {zone}); with_timezone({timestamp}, {zone}); date_trunc({unit}, {moment})
        date_add({unit}, {small}, {moment}); {moment} + INTERVAL '1' DAY; {moment} - INTERVAL '1' MONTH
        CAST({timestamp} AS timestamp with time zone); from_iso8601_timestamp('2026-03-07T10:00:00+02:00')
        {timestamp} AT TIME ZONE {zone}""",
    "numbers": """
        ARRAY[{integer}, {integer}]; array_distinct({numbers})
        array_remove({numbers}, {integer})
        array_union({numbers}, {numbers}); array_except({numbers}, {numbers}); array_intersect({numbers}, {numbers})
        reverse({numbers}); filter({numbers}, x -> x > 1)
        transform({numbers}, x -> x * 2); repeat({integer}, 3); flatten(ARRAY[{numbers}, {numbers}])""",
    "texts": """
        split({varchar}, ','); split({varchar}, 'a'); ARRAY[{varchar}, {varchar}]
        array_distinct({texts})
        array_remove({texts}, {varchar}); transform({numbers}, x -> CAST(x AS varchar))""",
}
FORMS = {kind: [form.strip() for form in re.split(r"[;\n]", text) if form.strip()] for kind, text in FORMS.items()}
# For every type.
ANY_TYPE = [
    "coalesce({T}, {T})", "nullif({T}, {T})", "if({boolean}, {T}, {T})", "if({boolean}, {T})",
    "CASE WHEN {boolean} THEN {T} WHEN {boolean} THEN {T} ELSE {T} END", "CASE {integer} WHEN 1 THEN {T} ELSE {T} END",
    "CASE {varchar} WHEN {varchar} THEN {T} END", "greatest({T}, {T})", "least({T}, {T})", "({T})",
]
UNCOMPARED = ("numbers", "texts")
HOLE = re.compile(r"\{(\w+)\}")
KINDS = list(VALUES)
PLAIN = [kind for kind in KINDS if kind not in UNCOMPARED]


class Expressions:
    """Expressions over columns, each a name and its type."""

    def __init__(self, random, columns=()):
        self.random = random
        self.columns = list(columns)

    def of(self, kind, depth):
        if depth <= 0 or self.random.random() < 0.15:
            return self.leaf(kind)
        forms = FORMS[kind]
        if self.random.random() < 0.15:
            forms = [form.replace("{T}", "{" + kind + "}") for form in ANY_TYPE]
            if kind in UNCOMPARED:
                forms = [form for form in forms if not form.startswith(("nullif", "greatest", "least"))]
        return self.filled(kind, self.random.choice(forms), depth)

    def filled(self, kind, form, depth):
        """A form with expressions in its braces."""
        parts = HOLE.split(form.replace("{{", "\0").replace("}}", "\1"))
        for at in range(1, len(parts), 2):
            parts[at] = self.argument(parts[at], depth - 1)
        for at in range(0, len(parts), 2):
            parts[at] = parts[at].replace("\0", "{").replace("\1", "}")
        return Node(kind, *parts)

    def argument(self, wanted, depth):
        if wanted in WORDS:
            return Node(f"a {wanted}", self.random.choice(WORDS[wanted]))
        if wanted == "number":
            wanted = self.random.choice(NUMBERS)
        elif wanted == "time":
            wanted = self.random.choice(TIMES)
        elif wanted == "any":
            wanted = self.random.choice(PLAIN)
        chance = self.random.random()
        if chance < 0.1 and wanted in NARROWER:
            wanted = self.random.choice(NARROWER[wanted])
        elif chance > 0.985:
            # Athena refuses most of these.
            wanted = self.random.choice(KINDS)
        inner = self.of(wanted, depth)
        is_one = re.fullmatch(r"[\w.'\"]*|[\w ]*\(.*\)", str(inner))
        return inner if is_one else Node(wanted, "(", inner, ")")

    def leaf(self, kind):
        names = [name for name, type_ in self.columns if type_ == kind]
        if names and self.random.random() < 0.7:
            return Node(kind, self.random.choice(names))
        if self.random.random() < 0.08:
            return Node(kind, f"CAST(NULL AS {NULLS.get(kind, kind)})")
        return Node(kind, self.random.choice(VALUES[kind]))
