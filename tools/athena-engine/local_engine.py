"""The local engine: statements to `ticksql shell`, and its answers compared with those of Athena's engine."""

import base64
import binascii
import datetime
import json
import math
import re
import subprocess
import zoneinfo

import same

RUNAWAY_SECONDS = 10
# A variance or a difference of equal numbers may be this much instead of 0.
ROUNDING = (1e-40, 1e-15)
# Sums of products depend on the order of rows more than others, and may overflow in one order alone.
OF_PRODUCTS = re.compile(r"\b(stddev|var|variance|covar|corr|regr)(_\w+)?\(")
PRODUCT_DIGITS = 1e-5
WITHOUT_SQUARE = "1e300"
# Of equal points, a line is NULL or any, by the rounding.
OF_LINES = re.compile(r"\b(corr|regr_\w+)\(")
# How an answer of a marker begins on standard output. Markers stand between statements.
MARKER = '{"columns":[{"name":"mark","type":"varchar"}]'


class Row(list):
    """The values of a JSON object in order. A row of SQL, or a map, is one too."""

    def __init__(self, pairs):
        super().__init__(value for _, value in pairs)
        self.names = [name for name, _ in pairs]


class Local:
    """An answer: columns and rows, or an error."""

    def __init__(self, answer=None, error=None):
        self.error = error
        if answer is not None:
            fields = dict(zip(answer.names, answer))
            self.columns = [dict(zip(column.names, column))["name"] for column in fields["columns"]]
            self.rows = fields["rows"]


def ask(program, data, statements):
    """The answer to each statement. A statement that ends the process has the error `crash`."""
    answers = []
    while len(answers) < len(statements):
        answers += _one_process(program, data, statements[len(answers) :])
    return answers


def _one_process(program, data, statements):
    script = "".join(
        f"{statement};\nSELECT 'mark {at}' AS mark;\nSELECT * FROM mark_{at}_;\n"
        for at, statement in enumerate(statements)
    )
    shell = ["shell", "--engine", "local", "--data-dir", data, "--full-scan", "--quiet", "--format", "json"]
    done = subprocess.run(
        [program, *shell, "--timeout", str(RUNAWAY_SECONDS)], input=script.encode(), capture_output=True
    )
    output, status = done.stdout.decode(), done.stderr.decode()
    messages = re.split(r"^(?=ticksql: )", status, flags=re.MULTILINE)
    answers = []
    for at in range(len(statements)):
        end = output.find(f'"mark":"mark {at}"')
        if end < 0:
            answers.append(Local(error=f"crash: exit code {done.returncode}: {status[-300:]}"))
            break
        start = output.rfind(MARKER, 0, end)
        text, output = output[:start].strip(), output[output.index("\n", end) + 1 :]
        mine = []
        while messages and f"mark_{at}_" not in messages[0]:
            mine.append(messages.pop(0))
        messages = messages[1:]
        error = "".join(mine).strip().removeprefix("ticksql: ")
        try:
            answers.append(Local(json.loads(text, object_pairs_hook=Row)))
        except json.JSONDecodeError:
            answers.append(Local(error=error or "no answer"))
    return answers


def difference(sql, athena, local):
    """What differs between two answers; None if they say the same, as the tests of ticksql see it."""
    there, here = [name.lower() for name, _ in athena.columns], [name.lower() for name in local.columns]
    if there != here:
        return f"columns {here}, not {there}"
    if len(athena.rows) != len(local.rows):
        return f"{len(local.rows)} rows, not {len(athena.rows)}"
    kinds = [kind for _, kind in athena.columns]
    of_products = OF_PRODUCTS.search(sql)
    if of_products and WITHOUT_SQUARE in sql:
        return None
    of_lines = OF_LINES.search(sql)
    is_row = lambda one, other, digits: len(one) == len(other) and all(
        (digits and of_lines and cells[2] == "double" and None in cells) or is_same(*cells, digits)
        for cells in zip(one, other, kinds)
    )
    digits = PRODUCT_DIGITS if of_products else same.DIGITS
    if is_ordered(sql):
        for number, (one, other) in enumerate(zip(athena.rows, local.rows), 1):
            if not is_row(one, other, digits):
                return f"values of row {number}"
        return None
    left, missing = list(local.rows), list(athena.rows)
    # Rows that are the same to the last digit come first, since a row may be close to several.
    for most in (0, digits):
        for row in list(missing):
            found = next((at for at, other in enumerate(left) if is_row(row, other, most)), None)
            if found is not None:
                left.pop(found)
                missing.remove(row)
    return "values" if missing else None


def is_ordered(sql):
    """Whether the rows have an order: ORDER BY outside of all parentheses. Those of calls and windows are inside."""
    _, found, rest = sql.upper().rpartition("ORDER BY")
    return bool(found) and rest.count("(") >= rest.count(")")


def is_same(there, here, kind, digits):
    if isinstance(there, dict):
        pairs = dict(zip(here.names, here)) if isinstance(here, Row) else None
        return pairs is not None and pairs.keys() == there.keys() and all(
            is_same(there[key], pairs[key], kind, digits) for key in there
        )
    if isinstance(there, list):
        return isinstance(here, list) and len(there) == len(here) and all(
            is_same(one, other, kind, digits) for one, other in zip(there, here)
        )
    if isinstance(there, str) and isinstance(here, str):
        if there == here or ("varbinary" in kind and bytes_of(there) == here):
            return True
        # A text of a time has to be the same text.
        if "time" in kind or "date" in kind:
            return moment(there) is not None and moment(there) == moment(here)
    one, other = number(there, kind), number(here, kind)
    if one is None or other is None:
        return type(there) is type(here) and there == here
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return one == other or (math.isnan(one) and math.isnan(other)) or close(one, other, digits)


def close(one, other, digits):
    if 0 in (one, other) and ROUNDING[0] < abs(one - other) < ROUNDING[1]:
        return True
    return math.isfinite(one - other) and abs(one - other) <= digits * max(abs(one), abs(other))


def number(value, kind):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (value in ("NaN", "Infinity", "-Infinity") or "decimal" in kind):
        try:
            return float(value)
        except ValueError:
            return None
    return None


def bytes_of(text):
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return None


MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d+))?)?(?: ?([A-Za-z+-][\w/+:-]*))?")


def moment(text):
    """A time with the nanoseconds of its second, and its offset if it has one; a date is its first moment."""
    found = MOMENT.fullmatch(text)
    if not found:
        return None
    date, clock, fraction, zone = found.groups()
    try:
        at = datetime.datetime.fromisoformat(f"{date}T{clock or '00:00:00'}")
        nanos = int((fraction or "0").ljust(9, "0")[:9])
        if zone is None:
            return at, nanos, None
        if zone[0] in "+-":
            at = datetime.datetime.fromisoformat(f"{at.isoformat()}{zone}")
        else:
            at = at.replace(tzinfo=zoneinfo.ZoneInfo("UTC" if zone == "Z" else zone))
        return at.replace(tzinfo=None), nanos, at.utcoffset()
    except (ValueError, zoneinfo.ZoneInfoNotFoundError):
        return None
