"""Generated statements as trees, which can be made smaller step by step."""

# What a value of a type is replaced with, if nothing in it is needed.
SIMPLE = {
    "boolean": ["true", "CAST(NULL AS boolean)"],
    "integer": ["1", "0", "CAST(NULL AS integer)"],
    "bigint": ["BIGINT '1'", "CAST(NULL AS bigint)"],
    "double": ["1e0", "nan()", "CAST(NULL AS double)"],
    "decimal": ["1.5", "CAST(NULL AS decimal(2, 1))"],
    "varchar": ["'a'", "''", "CAST(NULL AS varchar)"],
    "varbinary": ["X'61'", "CAST(NULL AS varbinary)"],
    "date": ["DATE '2026-03-07'", "CAST(NULL AS date)"],
    "timestamp": ["TIMESTAMP '2026-03-07 10:00:00'", "CAST(NULL AS timestamp)"],
    "moment": ["TIMESTAMP '2026-03-07 10:00:00 UTC'", "CAST(NULL AS timestamp with time zone)"],
    "numbers": ["ARRAY[1]", "CAST(NULL AS array(integer))"],
    "texts": ["ARRAY['a']", "CAST(NULL AS array(varchar))"],
}


class Node:
    """A piece of SQL: texts, nodes and lists in order. Nodes of the same kind can stand for each other."""

    def __init__(self, kind, *parts):
        self.kind = kind
        self.parts = parts

    def __str__(self):
        return "".join(map(str, self.parts))

    def inner(self):
        """Every node inside, those further outside first."""
        level = [self]
        while level:
            children = [child for node in level for part in node.parts for child in nodes_of(part)]
            yield from children
            level = children

    def smaller(self):
        """The same with one thing less, what saves most first."""
        for node in self.inner():
            if node.kind and node.kind == self.kind:
                yield node
        for text in SIMPLE.get(self.kind, ()):
            if len(text) < len(str(self)):
                yield Node(self.kind, text)
        for at, part in enumerate(self.parts):
            if not isinstance(part, str):
                for less in part.smaller():
                    yield Node(self.kind, *self.parts[:at], less, *self.parts[at + 1 :])


class Several:
    """A list of nodes, of which `least` have to stay. Before the first stands `lead`, between them `between`."""

    def __init__(self, items, lead="", between=", ", least=0):
        self.items = list(items)
        self.lead = lead
        self.between = between
        self.least = least

    def __str__(self):
        return self.lead + self.between.join(map(str, self.items)) if self.items else ""

    def but(self, items):
        return Several(items, self.lead, self.between, self.least)

    def smaller(self):
        if len(self.items) > 1 and self.least <= 1:
            for item in self.items:
                yield self.but([item])
        if len(self.items) > self.least:
            for at in range(len(self.items)):
                yield self.but(self.items[:at] + self.items[at + 1 :])
        for at, item in enumerate(self.items):
            for less in item.smaller():
                yield self.but([*self.items[:at], less, *self.items[at + 1 :]])


def nodes_of(part):
    if isinstance(part, Node):
        return [part]
    return part.items if isinstance(part, Several) else []


def optional(*parts):
    """Something that may be left out."""
    return Several([Node(None, *parts)])


def smallest(tree, still_wrong, steps_max=60):
    """The smallest tree for which `still_wrong(trees)` finds one: it is asked for several, and returns one or None."""
    for _ in range(steps_max):
        length = len(str(tree))
        seen, candidates = set(), []
        for less in tree.smaller():
            text = str(less)
            if len(text) < length and text not in seen:
                seen.add(text)
                candidates.append(less)
        found = still_wrong(sorted(candidates, key=lambda less: len(str(less))))
        if found is None:
            return tree
        tree = found
    return tree
