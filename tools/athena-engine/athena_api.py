"""Athena's API in front of the engine, as much of it as ticksql calls."""

import json
import re
import urllib.request

import athena_execution
import athena_results
import hive_tables

SQL_BYTES_MAX = 262_144
PAGE_ROWS_MAX = 1_000
TIMEOUT_SECONDS = 60
CATALOG = "AwsDataCatalog"
DATABASE = re.compile(r"CREATE DATABASE IF NOT EXISTS `([^`]+)`;?\s*")


class Refusal(Exception):
    """The answer to a request that Athena refuses: code and message."""


def invalid(message):
    return Refusal("InvalidRequestException", message)


class S3:
    """Writes objects to a service without a login, such as an emulator."""

    def __init__(self, endpoint):
        self.endpoint = endpoint.rstrip("/")

    def put(self, place, body):
        address = f"{self.endpoint}/{place.removeprefix('s3://')}"
        request = urllib.request.Request(address, body, {"Content-Type": "application/octet-stream"}, method="PUT")
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()


class Api:
    """The service. A method is an operation by its name, with what the request has, and must have no more."""

    def __init__(self, connection, s3_endpoint):
        self.connection, self.s3 = connection, S3(s3_endpoint)
        self.groups, self.executions, self.by_token, self.tables = {}, {}, {}, {}

    def answer(self, operation, body):
        if not operation[:1].isupper() or not hasattr(self, operation):
            raise Refusal("UnknownOperationException", f"{operation} is not here")
        try:
            return getattr(self, operation)(**body)
        except TypeError as error:
            raise invalid(f"{operation}: {error}") from error

    # Workgroups

    def CreateWorkGroup(self, Name, Configuration, Description=""):
        if Name in self.groups:
            raise invalid("WorkGroup is already created")
        self.groups[Name] = {
            "Name": Name, "State": "ENABLED", "Description": Description, "Configuration": Configuration,
        }
        return {}

    def GetWorkGroup(self, WorkGroup):
        if WorkGroup not in self.groups:
            raise invalid(f"WorkGroup {WorkGroup} is not found.")
        return {"WorkGroup": self.groups[WorkGroup]}

    def results(self, group):
        """Where a workgroup's results go; None if Athena keeps them."""
        settings = self.GetWorkGroup(group)["WorkGroup"]["Configuration"]
        if settings.get("ManagedQueryResultsConfiguration", {}).get("Enabled"):
            return None
        place = settings.get("ResultConfiguration", {}).get("OutputLocation")
        if not place:
            raise invalid("No output location provided. An output location is required either through the Workgroup "
                          "result configuration setting or as an API input.")
        return place

    # Queries

    def StartQueryExecution(self, QueryString, ClientRequestToken, WorkGroup, **more):
        if unknown := more.keys() - {"QueryExecutionContext", "ExecutionParameters", "ResultReuseConfiguration"}:
            raise TypeError(f"unexpected {sorted(unknown)}")
        if len(QueryString.encode()) > SQL_BYTES_MAX:
            raise invalid(f"the statement is longer than {SQL_BYTES_MAX} bytes")
        if "ExecutionParameters" in more and not all(more["ExecutionParameters"] or [""]):
            raise invalid("ExecutionParameters has no items, or an empty one")
        if ClientRequestToken not in self.by_token:
            request = more | {"QueryString": QueryString, "WorkGroup": WorkGroup}
            execution = self.started(request, self.results(WorkGroup))
            self.executions[execution.id] = execution
            self.by_token[ClientRequestToken] = execution.id
        return {"QueryExecutionId": self.by_token[ClientRequestToken]}

    def started(self, request, results):
        sql = request["QueryString"]
        database = request.get("QueryExecutionContext", {}).get("Database")
        created = None
        # Athena gives these to Hive.
        if found := DATABASE.fullmatch(sql):
            sql = f'CREATE SCHEMA IF NOT EXISTS "{found[1]}"'
        elif sql.startswith("CREATE EXTERNAL TABLE"):
            created = hive_tables.parsed(sql)
            sql = hive_tables.in_trino(created)
        try:
            execution = athena_execution.Execution(self.connection, request, sql, results, self.s3)
        except athena_execution.NotStarted as why:
            raise invalid(str(why)) from why
        if created:
            self.tables[database, created.name] = created
        return execution

    def execution(self, key):
        if key not in self.executions:
            raise invalid(f"QueryExecution {key} was not found")
        return self.executions[key]

    def GetQueryExecution(self, QueryExecutionId):
        return {"QueryExecution": self.execution(QueryExecutionId).described()}

    def StopQueryExecution(self, QueryExecutionId):
        self.execution(QueryExecutionId).stop()
        return {}

    def ListQueryExecutions(self, WorkGroup, MaxResults=50, NextToken="0"):
        self.GetWorkGroup(WorkGroup)
        newest = [one.id for one in reversed(self.executions.values()) if one.request["WorkGroup"] == WorkGroup]
        return paged("QueryExecutionIds", newest, NextToken, MaxResults, 50)

    def BatchGetQueryExecution(self, QueryExecutionIds):
        return {"QueryExecutions": [self.execution(key).described() for key in QueryExecutionIds]}

    def GetQueryResults(self, QueryExecutionId, MaxResults=PAGE_ROWS_MAX, NextToken="0"):
        execution = self.execution(QueryExecutionId)
        if execution.state != "SUCCEEDED":
            raise invalid(f"Query has not yet finished. Current state: {execution.state}")
        page = paged("Rows", execution.table(), NextToken, MaxResults, PAGE_ROWS_MAX)
        cell = lambda value: {} if value is None else {"VarCharValue": value}
        rows = [{"Data": [cell(value) for value in row]} for row in page.pop("Rows")]
        columns = [athena_results.column_info(column) for column in execution.columns]
        return page | {"UpdateCount": 0, "ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": columns}}}

    # The catalogue

    def GetDatabase(self, CatalogName, DatabaseName):
        found = self.connection.ask(f"SHOW SCHEMAS LIKE '{DatabaseName}'", None)
        if CatalogName != CATALOG or [DatabaseName] not in found.rows:
            raise Refusal("MetadataException", f"Database {DatabaseName} not found")
        return {"Database": {"Name": DatabaseName}}

    def GetTableMetadata(self, CatalogName, DatabaseName, TableName):
        for table in self.ListTableMetadata(CatalogName, DatabaseName)["TableMetadataList"]:
            if table["Name"] == TableName:
                return {"TableMetadata": table}
        raise Refusal("MetadataException", f"EntityNotFoundException: Table {TableName} not found.")

    def ListTableMetadata(self, CatalogName, DatabaseName):
        self.GetDatabase(CatalogName, DatabaseName)
        found = self.connection.must(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{DatabaseName}' ORDER BY table_name, ordinal_position",
            DatabaseName,
        )
        columns = {}
        for name, column, kind in found:
            columns.setdefault(name, []).append({"Name": column, "Type": kind})
        return {"TableMetadataList": [
            # The catalogue has the types of the tables in Hive's words.
            table_metadata(self.tables[DatabaseName, name]) if (DatabaseName, name) in self.tables
            else {"Name": name, "TableType": "VIRTUAL_VIEW", "Columns": columns[name]}
            for name in columns
        ]}


def table_metadata(table):
    columns = lambda listed: [{"Name": name, "Type": kind} for name, kind, _ in listed]
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Columns": columns(table.columns),
        "PartitionKeys": columns(table.partitions),
        "Parameters": table.properties | {"EXTERNAL": "TRUE", "location": table.location.rstrip("/")},
    }


def paged(name, items, token, most, limit):
    if not 1 <= most <= limit:
        raise invalid(f"MaxResults is {most}, and must be 1 to {limit}")
    first = int(token)
    more = {"NextToken": str(first + most)} if first + most < len(items) else {}
    return {name: items[first : first + most]} | more


def respond(api, operation, body):
    """Status and body of the answer to a request."""
    try:
        return 200, json.dumps(api.answer(operation, json.loads(body or b"{}")))
    except Refusal as refusal:
        code, message = refusal.args
        return 400, json.dumps({"__type": code, "Message": message})
