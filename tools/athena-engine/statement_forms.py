"""Statements at random, of the forms that analysts write: over constants, over rows of VALUES and over the archive."""

import random as chance

from expression_forms import NUMBERS, PLAIN, UNCOMPARED, Expressions
from statement_tree import Node, Several, optional

DAYS = "year = 2026 AND month = 11 AND token IN ('DUST', 'SAME', 'WHALE', 'BIGSLOT', 'btc')"
ARCHIVE = {
    "price_archive": [
        ("token", "varchar"), ("source", "varchar"), ("method", "varchar"), ("price", "double"), ("volume", "double"),
        ("ts", "bigint"), ("slot", "bigint"), ("year", "integer"), ("day", "integer"),
    ],
    "ticks": [
        ("token", "varchar"), ("method", "varchar"), ("price", "double"), ("volume", "double"), ("time", "timestamp"),
        ("cohort", "bigint"), ("month", "integer"), ("day", "integer"),
    ],
}
# Without approx_distinct, of which both engines have a sketch.
AGGREGATES = [
    "count(*)", "count({any})", "count(DISTINCT {plain})", "sum({integer})", "sum({bigint})", "sum({double})",
    "sum({decimal})", "avg({integer})", "avg({double})", "avg({decimal})", "min({any})", "max({any})", "min({double})",
    "max({double})", "max({varchar})", "min({time})", "count_if({boolean})", "bool_and({boolean})",
    "bool_or({boolean})",
    "every({boolean})", "stddev({double})", "stddev_pop({double})", "var_samp({double})", "variance({number})",
    "var_pop({integer})", "corr({double}, {double})", "covar_pop({double}, {double})", "regr_slope({double}, {double})",
    "sum(DISTINCT {integer})", "avg(DISTINCT {double})",
    "max_by({any}, {unique})", "min_by({any}, {unique})", "array_agg({plain} ORDER BY {unique})",
    "listagg({varchar}, ',') WITHIN GROUP (ORDER BY {unique})",
    "array_join(array_agg({varchar} ORDER BY {unique} DESC), '|')", "bitwise_and_agg({bigint})",
    "bitwise_or_agg({bigint})",
    "sum({double}) FILTER (WHERE {boolean})", "count(*) FILTER (WHERE {boolean})",
    "max({any}) FILTER (WHERE {boolean})",
    "approx_percentile({double}, 0.5)", "sum({integer}) * 1.0 / count(*)", "approx_percentile({double}, ARRAY[0.25, 0.9])",
    "covar_samp({double}, {double})", "regr_intercept({double}, {double})", "bitwise_xor_agg({bigint})",
    "geometric_mean({double})", "skewness({double})", "kurtosis({double})", "max({plain}, 2)", "min({plain}, 3)",
    "max_by({any}, {unique}, 2)", "min_by({any}, {unique}, 2)", "max_by({any}, ROW({integer}, {unique}))",
    "cardinality(array_agg(DISTINCT {plain}))", "cardinality(array_agg({any}) FILTER (WHERE {boolean}))", "max({moment})",
    "element_at(histogram({varchar}), 'a')", "element_at(map_agg({unique}, {any}), 1)", "sum({decimal}) / count(*)",
    "count(DISTINCT ({integer}, {varchar}))", "avg({bigint})", "stddev_samp({number})", "sum(DISTINCT {decimal})",
]
WINDOWS = [
    "row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile(3)", "lag({any})",
    "lead({any}, 2)",
    "lag({integer}, 1, 0)", "lead({varchar}, 1, 'z')", "lag({double}) IGNORE NULLS",
]
FRAMED = [
    "first_value({any})", "last_value({any})", "nth_value({any}, 2)", "sum({integer})", "sum({double})", "count(*)",
    "count({any})", "avg({double})", "min({double})", "max({varchar})", "avg({decimal})", "sum({decimal})",
    "max({time})",
    "last_value({double}) IGNORE NULLS", "bool_or({boolean})", "stddev({double})", "count_if({boolean})",
    "first_value({integer}) IGNORE NULLS", "max_by({varchar}, {unique})", "array_agg({integer})", "sum({bigint})",
    "var_pop({double})", "corr({double}, {double})", "min_by({double}, {unique})", "avg({integer})", "min({moment})",
    "bool_and({boolean})", "every({boolean})", "approx_percentile({double}, 0.5)", "arbitrary({unique})",
]
FRAMES = [
    "", "", " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
    " ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING", " RANGE UNBOUNDED PRECEDING", " ROWS 2 PRECEDING",
    " RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING", " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
    " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
]
MOMENTS = ["2026-03-07 10:00:00", "2026-03-08 01:30:00", "2026-11-01 00:30:00.123", "1969-12-31 23:59:59.999"]
CUTS = [" LIMIT 2", " OFFSET 1 LIMIT 2", " OFFSET 1", " FETCH FIRST 2 ROWS ONLY"]
HAVING = ["count(*) > 1", "sum({integer}) > 1", "max({double}) > 1"]
GROUPINGS = ["GROUP BY {0}", "GROUP BY {0}, {1}", "GROUP BY ROLLUP ({0}, {1})", "GROUP BY CUBE ({0}, {1})",
             "GROUP BY GROUPING SETS (({0}), ({1}), ())", "GROUP BY GROUPING SETS (({0}, {1}), ({0}))"]


class Statement:
    def __init__(self, seed):
        self.random = chance.Random(seed)

    def pick(self, of):
        return self.random.choice(of)

    def maybe(self, probability):
        return self.random.random() < probability

    def values(self, name="v"):
        """Rows with a column `k` that differs from row to row, and awkward values."""
        kinds = [self.pick(PLAIN) for _ in range(self.random.randint(1, 3))]
        plain = Expressions(self.random)
        # A column has one zone.
        zone = self.pick(["UTC", "America/New_York", "Asia/Kolkata"])
        leaf = lambda kind: f"TIMESTAMP '{self.pick(MOMENTS)} {zone}'" if kind == "moment" else plain.leaf(kind)
        rows = []
        for number in range(self.random.randint(1, 5)):
            cells = [Node(None, f", {'NULL' if number and self.maybe(0.15) else leaf(kind)}") for kind in kinds]
            rows.append(Node(None, f"({number + 1}", *cells, ")"))
        columns = [f"c{at}" for at in range(len(kinds))]
        known = [("k", "integer"), *zip(columns, kinds)]
        return Node(None, "(VALUES ", Several(rows, least=1), f") AS {name} (k, {', '.join(columns)})"), known, ["k"]

    def source(self):
        """What stands after FROM, its columns, those that no two rows share, and a condition that must stay."""
        if self.maybe(0.6):
            return *self.values(), None
        table = self.pick(list(ARCHIVE))
        unique = ["ts", "tick_id"] if table == "price_archive" else ["time", "tick_id"]
        return Node(None, table), ARCHIVE[table], unique, DAYS

    def where(self, expressions, must):
        condition = expressions.argument("boolean", 2)
        if must:
            return Node(None, f" WHERE {must}", optional(" AND (", condition, ")") if self.maybe(0.5) else "")
        return optional(" WHERE ", condition) if self.maybe(0.5) else ""

    def items(self, expressions, most=3, depth=3):
        count = self.random.randint(1, most)
        kinds = [self.pick(PLAIN if self.maybe(0.9) else UNCOMPARED) for _ in range(count)]
        nodes = [Node(None, expressions.of(kind, depth), f" AS r{at}") for at, kind in enumerate(kinds)]
        return Several(nodes, least=1), kinds

    def calls(self, expressions, forms, unique, count):
        if unique.startswith("ROW("):
            # The engine's answer differs from run to run.
            forms = [form for form in forms if "{unique}, 2)" not in form]
        nodes = []
        for at in range(count):
            form = self.pick(forms).replace("{unique}", unique).replace("{plain}", "{" + self.pick(PLAIN) + "}")
            nodes.append(expressions.filled(None, form, 2))
        return nodes

    def constants(self):
        return Node(None, "SELECT ", self.items(Expressions(self.random))[0])

    def rows(self):
        table, columns, unique, must = self.source()
        expressions = Expressions(self.random, columns)
        items, _ = self.items(expressions)
        key = ""
        if self.maybe(0.3):
            # The rows of equal keys have an order only by what no two have in common.
            direction = self.pick(["", " DESC", " NULLS FIRST", " DESC NULLS LAST"])
            key = optional(expressions.of(self.pick(PLAIN), 2), f"{direction}, ")
        order = ", ".join(unique)
        cut = optional(self.pick(CUTS)) if self.maybe(0.2) else ""
        tail = optional(" FROM ", table, self.where(expressions, must), " ORDER BY ", key, order, cut)
        return Node(None, "SELECT ", items, tail)

    def distinct(self):
        table, columns, _, must = self.source()
        expressions = Expressions(self.random, columns)
        items, _ = self.items(expressions, 2, 2)
        return Node(None, "SELECT DISTINCT ", items, optional(" FROM ", table, self.where(expressions, must)))

    def aggregated(self):
        table, columns, unique, must = self.source()
        expressions = Expressions(self.random, columns)
        key = unique[0] if len(unique) == 1 else f"ROW({', '.join(unique)})"
        calls = self.calls(expressions, AGGREGATES, key, self.random.randint(1, 3))
        calls = Several([Node(None, call, f" AS r{at}") for at, call in enumerate(calls)], least=1)
        keys = [name for name, kind in columns if name not in ("k", "ts", "time", "slot")]
        grouping, key_item = "", ""
        if self.maybe(0.6) and keys:
            keys = [self.pick(keys), self.pick(keys)]
            form = self.pick(GROUPINGS)
            # Athena takes only columns in ROLLUP, CUBE and GROUPING SETS.
            if form in GROUPINGS[:2] and self.maybe(0.5):
                keys[0] = str(expressions.of(self.pick(PLAIN), 1))
            grouping = optional(" " + form.format(*keys))
            key_item = optional(f"{keys[0]} AS g, ")
        having = optional(" HAVING ", *self.calls(expressions, HAVING, "k", 1)) if self.maybe(0.15) else ""
        tail = optional(" FROM ", table, self.where(expressions, must), grouping, having)
        return Node(None, "SELECT ", key_item, calls, tail)

    def windowed(self):
        table, columns, unique, must = self.source()
        expressions = Expressions(self.random, columns)
        order = ", ".join(unique)
        nodes = []
        for at in range(self.random.randint(1, 2)):
            ranked = self.maybe(0.4)
            [call] = self.calls(expressions, WINDOWS if ranked else FRAMED, unique[0], 1)
            partition = optional("PARTITION BY ", expressions.of(self.pick(PLAIN), 1), " ") if self.maybe(0.5) else ""
            frame = "" if ranked else self.pick(FRAMES)
            if "RANGE BETWEEN 1" in frame and unique != ["k"]:
                # It needs one number that orders the rows.
                frame = ""
            direction = self.pick(["", "", " DESC"])
            by = order.replace(",", direction + ",") + direction
            frame = optional(frame) if frame else ""
            nodes.append(Node(None, call, " OVER (", partition, f"ORDER BY {by}", frame, f") AS r{at}"))
        items = Several(nodes, least=1)
        return Node(None, "SELECT ", items, " FROM ", table, self.where(expressions, must), f" ORDER BY {order}")

    def combined(self):
        """UNION, EXCEPT and INTERSECT."""
        kinds = [self.pick(PLAIN) for _ in range(self.random.randint(1, 2))]
        sides = []
        for side in range(2):
            table, columns, _, must = self.source()
            expressions = Expressions(self.random, columns)
            of = [self.pick(NUMBERS) if kind in NUMBERS and self.maybe(0.5) else kind for kind in kinds]
            nodes = [Node(None, expressions.of(kind, 2), f" AS r{at}") for at, kind in enumerate(of)]
            items = Several(nodes, least=len(of))
            sides.append(Node("side", "SELECT ", items, optional(" FROM ", table, self.where(expressions, must))))
        operator = self.pick(["UNION", "UNION ALL", "EXCEPT", "INTERSECT", "UNION"])
        return Node("side", sides[0], f" {operator} ", sides[1])

    def joined(self):
        one, columns, _ = self.values("a")
        other, others, _ = self.values("b")
        known = [(f"a.{name}", kind) for name, kind in columns] + [(f"b.{name}", kind) for name, kind in others]
        expressions = Expressions(self.random, known)
        items, _ = self.items(expressions, 3, 2)
        kind = self.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"])
        pairs = [(x, y) for x, p in known for y, q in known if x < y and x[0] != y[0] and p in NUMBERS and q in NUMBERS]
        on = ""
        if kind != "CROSS JOIN":
            equal = Node(None, "{} = {}".format(*self.pick(pairs)))
            more = optional(" AND ", expressions.argument("boolean", 1)) if self.maybe(0.4) else ""
            on = Node(None, " ON ", equal, more)
        where = self.where(expressions, None)
        tail = optional(" FROM ", one, f" {kind} ", other, on, where, " ORDER BY a.k, b.k")
        return Node(None, "SELECT ", items, tail)

    def nested(self):
        """Subqueries in conditions and in FROM, and WITH."""
        table, columns, unique, must = self.source()
        inner, inner_columns, _ = self.values("w")
        outside, inside = Expressions(self.random, columns), Expressions(self.random, inner_columns)
        kind = self.pick(PLAIN)
        order = " ORDER BY " + ", ".join(unique)
        negated = self.pick(["", "NOT "])
        where = f" WHERE {must} AND " if must else " WHERE "
        items, _ = self.items(outside, 2, 2)
        form = self.random.randrange(5)
        if form == 0:
            test = (outside.argument(kind, 1), f" {negated}IN (SELECT ", inside.of(kind, 1), " FROM ", inner, ")")
        elif form == 1:
            test = (f"{negated}EXISTS (SELECT 1 FROM ", inner, " WHERE ", inside.argument("boolean", 2), ")")
        elif form == 2:
            comparison = self.pick(["=", "<", ">=", "<>"])
            quantifier = self.pick(["ANY", "ALL", "SOME"])
            operator = f" {comparison} {quantifier} (SELECT "
            test = (outside.argument(kind, 1), operator, inside.of(kind, 1), " FROM ", inner, ")")
        elif form == 3:
            return Node(None, "WITH q AS (SELECT ", inside.of(kind, 2), " AS x FROM ", inner, ") SELECT x, ",
                        Expressions(self.random, [("x", kind)]).of(self.pick(PLAIN), 2), " AS r FROM q")
        else:
            [call] = self.calls(inside, ["max({integer})", "min({double})", "sum({decimal})", "count(*)"], "k", 1)
            test = (outside.argument(self.pick(NUMBERS), 1), " < (SELECT ", call, " FROM ", inner, ")")
        more = optional(self.pick([" AND ", " OR "]), outside.argument("boolean", 1)) if self.maybe(0.3) else ""
        tail = optional(" FROM ", table, optional(where, "(", Node("boolean", *test), more, ")"), order)
        return Node(None, "SELECT ", items, tail)


FORMS = [
    (Statement.constants, 5), (Statement.rows, 4), (Statement.distinct, 1), (Statement.aggregated, 5),
    (Statement.windowed, 3), (Statement.combined, 2), (Statement.joined, 2), (Statement.nested, 2),
]


def statement(seed):
    """The statement of a seed."""
    new = Statement(seed)
    forms, weights = zip(*FORMS)
    [form] = new.random.choices(forms, weights)
    return form(new)
