"""Reports what Athena would refuse in the Hive DDL of each text, which Trino does not take.

Reads a JSON array of {"name", "sql"} from stdin, and writes an array of {"name", "problems"}.
"""

import json
import sys

import sqlglot
from sqlglot import exp


def problems_of(sql):
    try:
        statements = sqlglot.parse(sql, dialect="athena", error_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError as error:
        return [f"it cannot be parsed: {error}"]
    if len(statements) != 1 or statements[0] is None:
        return ["it is not one statement"]
    tree = statements[0]
    if not isinstance(tree, exp.Create):
        return [f"it is a {type(tree).__name__.upper()}, not a table"]
    problems = []
    if not tree.find(exp.PartitionedByProperty):
        problems.append("no PARTITIONED BY")
    if not tree.find(exp.LocationProperty):
        problems.append("no LOCATION")
    if not tree.find(exp.ExternalProperty):
        problems.append("not EXTERNAL")
    problems += [f"{command.sql()!r} is not understood" for command in tree.find_all(exp.Command)]
    return problems


def main():
    answers = [{"name": text["name"], "problems": problems_of(text["sql"])} for text in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)


main()
