"""A statement on the engine as a query of Athena: it runs in a thread of its own, and leaves its result on S3."""

import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import athena_results
import engine as athena

PREPARED = "given"
STOPPED = "Query cancelled by user"
TIMEOUT_SECONDS = 60
# What the engine says of a mistake in the statement; Athena says it of categories, 1 is its own, 2 the user's.
USERS_MISTAKE = 2
# Athena's parser refuses these before there is a query.
NOT_STARTED = "SYNTAX_ERROR"


class NotStarted(Exception):
    """The statement is not SQL; the engine's words."""


class Execution:
    """A query. `results` is the folder of its result, such as s3://BUCKET/PREFIX/; None keeps it in the service."""

    def __init__(self, connection, request, statement, results, s3):
        self.request, self.results, self.s3 = request, results, s3
        self.kind = kind_of(request["QueryString"])
        self.state, self.reason = "QUEUED", None
        self.submitted, self.completed = time.time(), None
        self.columns, self.rows, self.stats = [], [], {}
        self.next_page, self.is_stopped = None, False
        headers = {}
        if parameters := request.get("ExecutionParameters"):
            headers["X-Trino-Prepared-Statement"] = f"{PREPARED}={urllib.parse.quote_plus(statement)}"
            statement = f"EXECUTE {PREPARED} USING {', '.join(parameters)}"
        schema = request.get("QueryExecutionContext", {}).get("Database")
        self.pages = connection.pages(statement, schema, headers, parse_float=str)
        # The engine parses a statement before it leaves its queue.
        while True:
            page = next(self.pages)
            self.id = page["id"]
            if page.get("error", {}).get("errorName") == NOT_STARTED:
                raise NotStarted(page["error"]["message"])
            if "/queued/" not in page.get("nextUri", ""):
                break
        threading.Thread(target=self._run, args=[page], daemon=True).start()

    def _run(self, page):
        try:
            self._take(page)
            for page in self.pages:
                self._take(page)
            self._end(page.get("error"))
        except Exception as error:  # The thread has nobody else to tell.
            cancelled = self.is_stopped and isinstance(error, urllib.error.HTTPError)
            self._ended("CANCELLED" if cancelled else "FAILED", STOPPED if cancelled else f"INTERNAL_ERROR: {error}")

    def _take(self, page):
        self.next_page, self.stats = page.get("nextUri"), page["stats"]
        self.columns = page.get("columns") or self.columns
        self.rows += page.get("data") or []
        if self.stats["state"] == "RUNNING":
            self.state = "RUNNING"

    def _end(self, error):
        if error is None:
            kinds = [column["typeSignature"] for column in self.columns]
            self.rows = [[athena_results.text(*cell) for cell in zip(row, kinds)] for row in self.rows]
            if self.results:
                self.s3.put(self.place(), self._object().encode())
            self._ended("SUCCEEDED", None)
        elif error["errorName"] == "USER_CANCELED":
            self._ended("CANCELLED", STOPPED)
        else:
            self._ended("FAILED", athena.error_of({"error": error}))

    def _ended(self, state, reason):
        self.completed, self.reason = time.time(), reason
        # Last, since whoever sees it may read the rest.
        self.state = state

    def _object(self):
        if self.kind == "DML":
            return athena_results.csv(self.names(), self.rows)
        return athena_results.lines(self.rows)

    def stop(self):
        """Cancels the statement on the engine. One that has ended stays as it is."""
        address = self.next_page
        if self.has_ended() or address is None:
            return
        self.is_stopped = True
        request = urllib.request.Request(address, headers={"X-Trino-User": "analyst"}, method="DELETE")
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()

    def has_ended(self):
        return self.state not in ("QUEUED", "RUNNING")

    def names(self):
        return [column["name"] for column in self.columns]

    def place(self):
        return f"{self.results}{self.id}.{'csv' if self.kind == 'DML' else 'txt'}"

    def described(self):
        """The answer of GetQueryExecution."""
        status = {"State": self.state, "SubmissionDateTime": self.submitted}
        if self.has_ended():
            status["CompletionDateTime"] = self.completed
        if self.reason:
            status["StateChangeReason"] = self.reason
        if self.state == "FAILED":
            status["AthenaError"] = {
                "ErrorCategory": USERS_MISTAKE, "ErrorType": 1, "Retryable": False, "ErrorMessage": self.reason,
            }
        milliseconds = lambda name: int(self.stats.get(name, 0))
        return {
            "QueryExecutionId": self.id,
            "Query": self.request["QueryString"],
            "StatementType": self.kind,
            "WorkGroup": self.request["WorkGroup"],
            "ResultConfiguration": {"OutputLocation": self.place()} if self.results else {},
            "ResultReuseConfiguration": self.request.get("ResultReuseConfiguration", {}),
            "QueryExecutionContext": self.request.get("QueryExecutionContext", {}),
            "EngineVersion": {"EffectiveEngineVersion": "Athena engine version 3"},
            "Status": status,
            "Statistics": {
                "DataScannedInBytes": int(self.stats.get("physicalInputBytes", 0)),
                "EngineExecutionTimeInMillis": milliseconds("elapsedTimeMillis"),
                "QueryQueueTimeInMillis": milliseconds("queuedTimeMillis"),
                "TotalExecutionTimeInMillis": milliseconds("elapsedTimeMillis"),
                "ResultReuseInformation": {"ReusedPreviousResult": False},
            },
        } | ({"ExecutionParameters": given} if (given := self.request.get("ExecutionParameters")) else {})

    def table(self):
        """The rows of GetQueryResults: those of a query begin with the names of its columns."""
        return ([self.names()] if self.kind == "DML" else []) + self.rows


def kind_of(sql):
    """Athena's kind of a statement."""
    word = sql.lstrip().split(None, 1)[0].upper()
    if word in ("CREATE", "DROP", "ALTER", "MSCK"):
        return "DDL"
    return "UTILITY" if word in ("SHOW", "DESCRIBE", "DESC", "EXPLAIN") else "DML"
