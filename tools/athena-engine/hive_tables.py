"""The tables of sql/tables in Trino's words. Athena takes Hive's DDL, which Trino does not.

Hive's text stays the only source: what this does not understand is an error, and nothing is left out.
"""

import collections
import pathlib
import re
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPES = {"string": "varchar", "int": "integer", "bigint": "bigint", "double": "double", "boolean": "boolean"}
FORMATS = {
    "STORED AS PARQUET": "PARQUET",
    "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'": "OPENX_JSON",
}
# Views in the order of their use of each other.
VIEWS = ("price_history", "ticks")
TABLES = {
    "price_archive": ("{archive}", "price-archive"),
    "quarantine": ("{quarantine}", "quarantine"),
    "anomalies": ("{anomalies}", "anomalies"),
}

COLUMN = re.compile(r"`(?P<name>\w+)` (?P<type>\w+)(?: COMMENT '(?P<comment>(?:[^']|'')*)')?")
STATEMENT = re.compile(
    r"CREATE EXTERNAL TABLE IF NOT EXISTS (?P<name>\w+) \(\n(?P<columns>.*?)\n\)\n"
    r"PARTITIONED BY \((?P<partitions>[^)]*)\)\n"
    r"(?P<format>[^\n]+)\n"
    r"LOCATION '(?P<location>[^']*)'\n"
    r"TBLPROPERTIES \(\n(?P<properties>.*)\n\)\n?",
    re.DOTALL,
)
PROPERTY = re.compile(r"'([^']+)' = '([^']*)'")

HiveTable = collections.namedtuple("HiveTable", "name columns partitions format location properties")


def each(pattern, text, separator):
    """The parts of a list, each of which the pattern must match as a whole."""
    for part in re.split(separator, text):
        found = pattern.fullmatch(part.strip())
        if not found:
            raise SystemExit(f"sql/tables: {part.strip()!r} is not understood; extend hive_tables.py")
        yield found


def projection(properties, name):
    """How the values of a partition column are computed; takes its properties out."""
    take = lambda word, default=None: properties.pop(f"projection.{name}.{word}", default)
    low, high = take("range").split(",")
    parts = [
        f"partition_projection_type = '{take('type').upper()}'",
        f"partition_projection_range = ARRAY['{low}', '{high}']",
    ]
    if digits := take("digits"):
        parts.append(f"partition_projection_digits = {digits}")
    return ", ".join(parts)


def parsed(hive):
    """The table of a Hive text: its names, and each column as (name, type, comment)."""
    found = STATEMENT.fullmatch(re.sub(r"^--.*\n", "", hive, flags=re.MULTILINE))
    if not found:
        raise SystemExit(f"sql/tables: this form is not understood; extend hive_tables.py:\n{hive}")
    columns = lambda text, separator: [column.group("name", "type", "comment") for column in each(COLUMN, text, separator)]
    return HiveTable(
        found["name"],
        columns(found["columns"], r",\n"),
        columns(found["partitions"], ","),
        FORMATS[found["format"]],
        found["location"],
        dict(part.groups() for part in each(PROPERTY, found["properties"], r",\n")),
    )


def in_trino(table):
    """CREATE TABLE of a table."""
    properties = dict(table.properties)
    lines = []
    for name, kind, comment in table.columns:
        lines.append(f'"{name}" {TYPES[kind]}' + (f" COMMENT '{comment}'" if comment else ""))
    for name, kind, _ in table.partitions:
        lines.append(f'"{name}" {TYPES[kind]} WITH ({projection(properties, name)})')
    names = ", ".join(f"'{name}'" for name, _, _ in table.partitions)
    settings = [
        f"format = '{table.format}'",
        f"external_location = '{table.location}'",
        f"partitioned_by = ARRAY[{names}]",
        f"partition_projection_enabled = {properties.pop('projection.enabled')}",
        f"partition_projection_location_template = '{properties.pop('storage.location.template')}'",
    ]
    if properties:
        raise SystemExit(f"sql/tables: {sorted(properties)} is not understood; extend hive_tables.py")
    return "CREATE TABLE IF NOT EXISTS {} (\n  {}\n) WITH (\n  {}\n)".format(
        table.name, ",\n  ".join(lines), ",\n  ".join(settings)
    )


def create(engine, schema, data):
    """Makes the tables and views of sql/ on a data folder, as a database of the name."""
    engine.must(f"CREATE SCHEMA {schema}", schema)
    folder = "local://" + urllib.parse.quote(str(pathlib.Path(data).resolve()))
    for name, (placeholder, part) in TABLES.items():
        # The engine refuses a table over a folder that does not exist, as before the first quarantined entry.
        (pathlib.Path(data) / part).mkdir(exist_ok=True)
        hive = (ROOT / "sql/tables" / f"{name}.sql").read_text()
        engine.must(in_trino(parsed(hive.replace(placeholder, f"{folder}/{part}/"))), schema)
    # As they stand.
    for name in VIEWS:
        engine.must((ROOT / "sql/views" / f"{name}.sql").read_text(), schema)
