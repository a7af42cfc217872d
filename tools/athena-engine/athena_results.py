"""Results as Athena leaves them: values as texts, the types of columns, and the CSV object."""

import base64
import re

BASE = re.compile(r"\([^()]*\)")
VARCHAR_MAX = 2147483647
# What Athena says of types that have no precision of their own.
PRECISIONS = {
    "tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19, "real": 17, "double": 17, "timestamp": 3,
    "timestamp with time zone": 3, "varchar": VARCHAR_MAX, "varbinary": 1073741824,
}


def base_type(kind):
    """`timestamp(3) with time zone` without what is in parentheses; `array(array(bigint))` is an array."""
    while "(" in kind:
        kind = BASE.sub("", kind)
    return kind


def column_info(column):
    kind = base_type(column["type"])
    precision, scale = PRECISIONS.get(kind, 0), 0
    numbers = [part["value"] for part in column["typeSignature"]["arguments"] if part["kind"] == "LONG"]
    if kind == "decimal":
        precision, scale = numbers
    elif kind in ("varchar", "char") and numbers:
        precision = numbers[0]
    return {
        "CatalogName": "hive", "SchemaName": "", "TableName": "", "Name": column["name"], "Label": column["name"],
        "Type": kind, "Precision": precision, "Scale": scale, "Nullable": "UNKNOWN",
        "CaseSensitive": kind in ("varchar", "char"),
    }


def text(value, signature):
    """A value of the engine's JSON, whose numbers with a point are texts already; None is NULL."""
    kind, arguments = signature["rawType"], signature["arguments"]
    if value is None:
        return None
    if kind == "varbinary":
        return " ".join(f"{byte:02x}" for byte in base64.b64decode(value))
    if kind == "array":
        return "[" + ", ".join(inner(item, arguments[0]["value"]) for item in value) + "]"
    if kind == "map":
        pairs = (f"{key}={inner(item, arguments[1]['value'])}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if kind == "row":
        fields = [part["value"] for part in arguments]
        names = [(field.get("fieldName") or {}).get("name") or f"field{at}" for at, field in enumerate(fields)]
        pairs = (f"{name}={inner(item, field['typeSignature'])}" for name, item, field in zip(names, value, fields))
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def inner(value, signature):
    found = text(value, signature)
    return "null" if found is None else found


def csv(names, rows):
    """The object of a query: every value in quotes, and NULL as nothing, so that it is not the empty text."""
    cell = lambda value: "" if value is None else '"' + value.replace('"', '""') + '"'
    return "".join(",".join(map(cell, row)) + "\n" for row in [names, *rows])


def lines(rows):
    """The object of any other statement."""
    return "".join("\t".join("" if value is None else value for value in row) + "\n" for row in rows)
