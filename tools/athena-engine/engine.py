"""Athena's engine as a child of this process, and Trino's protocol to ask it statements."""

import collections
import json
import pathlib
import subprocess
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
CATALOG = "awsdatacatalog"
NOT_HERE = 3  # The exit code of `start` if this machine cannot run the engine.
STATEMENT_SECONDS_MAX = 120
STOP_SECONDS_MAX = 20
LOG_LINES_SHOWN = 15

Answer = collections.namedtuple("Answer", "columns rows error")


class Unavailable(Exception):
    """This machine cannot run the engine; the reason."""


class Unanswered(SystemExit):
    """The engine has not answered a statement in time, and was told to stop it."""


def short(error):
    """An error without what differs from run to run: names of Java's classes, lists in any order."""
    code, _, message = error.partition(": ")
    message = message.removeprefix("io.trino.spi.TrinoException: ").splitlines()[0]
    for list_of_all in (" Expected: ", ". Expecting: "):
        message = message.split(list_of_all)[0]
    return f"{code}: {message}"


def error_of(page):
    """The error of a page: its code and its message."""
    return f"{page['error']['errorName']}: {page['error'].get('message')}"


class Connection:
    """A running engine, by its address such as http://127.0.0.1:8080."""

    def __init__(self, address):
        self.address = address

    def ask(self, statement, schema):
        """Columns as [name, type] and rows as the engine sends them, or its error."""
        columns, rows = [], []
        until = time.monotonic() + STATEMENT_SECONDS_MAX
        for page in self.pages(statement, schema):
            if "error" in page:
                return Answer(None, None, error_of(page))
            if "columns" in page:
                columns = [[column["name"], column["type"]] for column in page["columns"]]
            rows += page.get("data") or []
            if time.monotonic() > until:
                if "nextUri" in page:
                    stop = urllib.request.Request(page["nextUri"], method="DELETE")
                    urllib.request.urlopen(stop, timeout=STOP_SECONDS_MAX).close()
                raise Unanswered(f"no answer within {STATEMENT_SECONDS_MAX} s to: {statement}")
        return Answer(columns, rows, None)

    def pages(self, statement, schema, more_headers=None, parse_float=None):
        """What the engine sends until the statement has ended. `nextUri` of a page is where the next one is; DELETE
        of it cancels the statement.
        """
        headers = {
            "X-Trino-User": "analyst",
            "X-Trino-Catalog": CATALOG,
            "X-Trino-Time-Zone": "UTC",
            # Otherwise times come without their precision, cut to milliseconds.
            "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",
        } | (more_headers or {})
        if schema:
            headers["X-Trino-Schema"] = schema
        # Athena takes a statement with its semicolon, as its clients leave it.
        statement = statement.rstrip().removesuffix(";")
        request = urllib.request.Request(f"{self.address}/v1/statement", statement.encode(), headers)
        while True:
            with urllib.request.urlopen(request, timeout=STATEMENT_SECONDS_MAX) as response:
                page = json.load(response, parse_float=parse_float)
            yield page
            if "nextUri" not in page:
                return
            request = urllib.request.Request(page["nextUri"], headers=headers)

    def must(self, statement, schema):
        """The rows of a statement that has to succeed."""
        answer = self.ask(statement, schema)
        if answer.error:
            raise SystemExit(f"the engine refuses a statement of the repository: {answer.error}\n{statement}")
        return answer.rows


class Engine(Connection):
    """An engine that this process starts: `with Engine() as engine`. It ends with the block, and with the process.
    The options are those of `start`.
    """

    def __init__(self, *options):
        super().__init__(None)
        self.options = options

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="athena-engine-")
        self.log = open(pathlib.Path(self.folder.name) / "log", "w+")
        self.process = subprocess.Popen(
            [HERE / "start", "0", pathlib.Path(self.folder.name) / "metastore", "--until-eof", *self.options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        for line in self.process.stdout:
            if line.startswith("listening "):
                self.address = line.split()[1]
                return self
        self.process.wait()
        self.log.seek(0)
        last = self.log.read().splitlines()[-LOG_LINES_SHOWN:]
        self.__exit__()
        if self.process.returncode == NOT_HERE:
            raise Unavailable(last[-1].removeprefix("athena-engine: "))
        raise SystemExit("the engine did not start; the end of its log:\n" + "\n".join(last))

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()
