"""The named queries on Athena's engine, against the golden answers of sql/golden."""

import csv
import decimal
import json
import os
import pathlib

import hive_tables
import same

DATABASE = "golden"
# Smaller numbers count as 0: they are rounding errors of a difference of equal numbers.
ZERO = 1e-12


def folder():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or hive_tables.ROOT / "target")
    return target / "tmp/athena-golden"


def text(value):
    """A value of an answer as a golden file has it; None is NULL."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def cell_is(found, expected):
    """As in testkit::golden: whole numbers and texts as they are, other numbers to nine digits."""
    found = text(found)
    expected = expected or None
    if found is None or expected is None:
        return found == expected
    if found == expected or moment(found) == expected:
        return True
    try:
        a, b = decimal.Decimal(found), decimal.Decimal(expected)
    except decimal.InvalidOperation:
        return False
    if "." not in found + expected and "E" not in (found + expected).upper():
        return False
    return abs(a - b) <= max(decimal.Decimal(same.DIGITS) * abs(b), decimal.Decimal(ZERO))


def moment(found):
    """A time of the engine as the local engine writes it: no fraction if it is zero, a T before the clock."""
    return found.replace(" ", "T", 1).removesuffix(".000")


def difference(engine, name, sql):
    with open(hive_tables.ROOT / "sql/golden" / f"{name}.csv", newline="", encoding="utf-8") as file:
        columns, *rows = csv.reader(file)
    answer = engine.ask(sql, DATABASE)
    if answer.error:
        return f"golden answer {name}: the engine refuses the query: {answer.error}"
    found = [column for column, _ in answer.columns]
    if found != columns:
        return f"golden answer {name}: the engine's columns are {found}, expected {columns}"
    if len(answer.rows) != len(rows):
        return f"golden answer {name}: the engine has {len(answer.rows)} rows, expected {len(rows)}"
    for number, (row, expected) in enumerate(zip(answer.rows, rows), 1):
        for column, here, there in zip(columns, row, expected):
            if not cell_is(here, there):
                return f"golden answer {name}, row {number}, {column}: the engine has {text(here)}, expected {there}"
    return None


def cases():
    """The names and statements of all cases."""
    statements = folder() / "statements.jsonl"
    if not statements.exists():
        raise SystemExit(
            f"{statements} is missing; `cargo test --workspace --locked --test query_it golden` writes it"
        )
    with open(statements, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def differences(engine, all_cases):
    """Every case whose rows are not the engine's."""
    hive_tables.create(engine, DATABASE, folder() / "archive")
    found = [difference(engine, case["name"], case["sql"]) for case in all_cases]
    return [one for one in found if one]
