"""Whether two answers of the engine say the same."""

import json

DIGITS = 1e-9


def number(value):
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def values(one, other):
    """Numbers to nine digits, since sums depend on the order of rows; the rest as it is."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(values, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(values(one[key], other[key]) for key in one)
    a, b = number(one), number(other)
    if a is None or b is None:
        return type(one) is type(other) and one == other
    # Whole numbers are exact.
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return a == b or abs(a - b) <= DIGITS * max(abs(a), abs(b))


def in_order(record):
    if "ORDER BY" in record["sql"].upper():
        return record["rows"]
    return sorted(record["rows"], key=lambda row: json.dumps(row, sort_keys=True))


def records(one, other):
    """Two lines of statements.jsonl. Of errors only the kind counts: their words name what is found first."""
    if "error" in one or "error" in other:
        return one.get("error", "").split(":")[0] == other.get("error", "").split(":")[0]
    if "rows" not in one or "rows" not in other:
        return False
    return one["columns"] == other["columns"] and values(in_order(one), in_order(other))


def shown(record, most=300):
    if "error" in record:
        return record["error"]
    if "rows" not in record:
        return "nothing"
    text = f"{record['columns']} {json.dumps(record['rows'], ensure_ascii=False)}"
    return text if len(text) <= most else text[:most] + " …"
