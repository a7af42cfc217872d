//! The program and Athena: what is known before a query runs, and what happens to one that is stopped,
//! lost, or stopped by others.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{Call, Reply, Service, listing};
use crate::world::{bare, hearing_hang_up, ignoring_hang_up, outcome_of};

const KEYS: [(&str, u64); 4] = [
    (
        "price-archive/year=2026/month=03/day=07/a.parquet",
        5_000_000,
    ),
    (
        "price-archive/year=2026/month=03/day=08/b.parquet",
        6_000_000,
    ),
    ("quarantine/year=2026/month=03/day=07/q.jsonl", 700),
    ("quarantine/year=2026/month=03/day=09/r.jsonl", 900),
];

/// A user with an account on a service.
struct Analyst {
    service: Service,
    home: TempDir,
}

impl Analyst {
    /// Answers what every test needs: tables, their files, and a start.
    fn of(reply: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let service = Service::start(move |call| {
            reply(call).unwrap_or_else(|| match call.operation.as_str() {
                "StartQueryExecution" => Reply::Json(json!({"QueryExecutionId": "q1"})),
                "StopQueryExecution" => Reply::Json(json!({})),
                "GetTableMetadata" => table(&call.body),
                "ListTableMetadata" => Reply::Json(json!({"TableMetadataList": []})),
                address if address.starts_with("GET /archive") => listing(address, &KEYS),
                other => panic!("{other}"),
            })
        });
        Self {
            service,
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(self.home.path(), args);
        command
            .args(["--engine", "athena"])
            .env("AWS_ENDPOINT_URL", &self.service.url)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// Exit code, standard output and standard error.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        outcome_of(&self.command(args).output().unwrap())
    }

    /// The same, with Ctrl-C as soon as an operation of the service is called.
    fn interrupted(&self, args: &[&str], operation: &str) -> (i32, String, String) {
        self.signalled(self.command(args), "-INT", operation)
    }

    /// The same with any signal.
    fn signalled(
        &self,
        mut command: Command,
        signal: &str,
        operation: &str,
    ) -> (i32, String, String) {
        let process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.service.wait_for(operation);
        let kill = Command::new("kill")
            .args([signal, &process.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        outcome_of(&process.wait_with_output().unwrap())
    }
}

fn table(request: &Value) -> Reply {
    let name = request["TableName"].as_str().unwrap();
    let folder = match name {
        "price_archive" => "price-archive",
        other => other,
    };
    Reply::Json(json!({"TableMetadata": {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Columns": [{"Name": "source", "Type": "string"}],
        "Parameters": {"location": format!("s3://archive/{folder}")},
    }}))
}

fn execution(state: &str, scanned_bytes: u64, reason: &str) -> Reply {
    Reply::Json(json!({"QueryExecution": {
        "QueryExecutionId": "q1",
        "Query": "SELECT 1",
        "StatementType": "DML",
        "Status": {"State": state, "StateChangeReason": reason},
        "Statistics": {"EngineExecutionTimeInMillis": 20, "DataScannedInBytes": scanned_bytes},
    }}))
}

const DAY: &str = "year = 2026 AND month = 3 AND day = 7";

#[test]
fn every_table_of_the_archive_is_estimated_in_its_own_folder() {
    let analyst = Analyst::of(|_| None);
    let explained = |args: &[&str], parts: &[&str]| {
        let args = [&["explain"], args].concat();
        let (code, output, status) = analyst.run(&args);
        assert_eq!(code, 0, "{args:?}: {status}");
        for part in parts {
            assert!(output.contains(part), "{part} of {args:?}: {output}");
        }
    };
    let ticks = format!("SELECT price FROM price_archive WHERE {DAY}");
    explained(&[&ticks], &["files   1\n", "bytes   at most 5.0 MB\n"]);
    let quarantine = format!("SELECT reason FROM quarantine WHERE {DAY}");
    explained(&[&quarantine], &["files   1\n", "bytes   at most 700 B\n"]);
    explained(
        &[
            "data_quality",
            "-p",
            "from=2026-03-09",
            "-p",
            "to=2026-03-10",
        ],
        &["days    1 (2026-03-09)\n", "bytes   at most 900 B\n"],
    );
    explained(
        &["SELECT 1 FROM ticks t, quarantine q \
           WHERE t.year = 2026 AND t.month = 3 AND q.year = 2026 AND q.day = 7"],
        &[
            "days    2 (2026-03-07 to 2026-03-08)\n",
            "files   3\n",
            "at most 11.0 MB\n",
        ],
    );
    explained(
        &["SELECT * FROM other.big_table"],
        &[
            "bytes   unknown: the size of `other.big_table`",
            "cost    unknown\n",
        ],
    );
}

#[test]
fn an_unknown_size_does_not_pass_a_scan_limit() {
    let analyst = Analyst::of(|_| None);
    let refused = |query: &str, more: &[&str], part: &str| {
        let args = [&["--max-scan", "1B", query], more].concat();
        let (code, output, status) = analyst.run(&args);
        assert_eq!((code, output.as_str()), (3, ""), "{query}: {status}");
        assert!(status.contains(part), "{part} of {query}: {status}");
    };
    let quarantine = format!("SELECT reason FROM quarantine WHERE {DAY}");
    refused(&quarantine, &[], "the query would read up to 700 B");
    refused("SELECT reason FROM quarantine", &[], "would be read");
    refused(
        "SELECT * FROM other.big_table",
        &[],
        "the size of `other.big_table` is unknown",
    );
    refused(
        "SELECT words THAT only Athena KNOWS",
        &["--full-scan"],
        "only Athena can parse this statement",
    );
    let operations = analyst.service.operations();
    assert!(
        !operations.iter().any(|of| of == "StartQueryExecution"),
        "{operations:?}"
    );
}

#[test]
fn another_archive_than_the_tables_is_refused() {
    let analyst = Analyst::of(|_| None);
    let query = format!("SELECT price FROM price_archive WHERE {DAY}");
    for command in [&["explain", &query][..], &["init"]] {
        let args = [command, &["--archive", "s3://other/price-archive/"]].concat();
        let (code, _, status) = analyst.run(&args);
        assert_eq!(code, 2, "{status}");
        for part in ["s3://archive/price-archive/", "s3://other/price-archive/"] {
            assert!(status.contains(part), "{part}: {status}");
        }
        let same = [command, &["--archive", "s3://archive/price-archive"]].concat();
        if command != ["init"] {
            assert_eq!(analyst.run(&same).0, 0);
        }
    }
    let operations = analyst.service.operations();
    let creates = |of: &String| of.starts_with("Create") || of.starts_with("Start");
    assert!(!operations.iter().any(creates), "{operations:?}");
}

#[test]
fn a_query_that_can_no_longer_be_watched_is_stopped() {
    let blind = |stop: fn() -> Option<Reply>| {
        Analyst::of(move |call| match call.operation.as_str() {
            "GetQueryExecution" => Some(Reply::Refusal("ExpiredTokenException")),
            "StopQueryExecution" => stop(),
            _ => None,
        })
    };
    let analyst = blind(|| None);
    let (code, _, status) = analyst.run(&["SELECT 1"]);
    assert_eq!(code, 5, "{status}");
    assert!(
        status.contains("query q1 could no longer be watched and was stopped"),
        "{status}"
    );
    assert!(analyst.service.was_called("StopQueryExecution"));

    let analyst = blind(|| Some(Reply::Refusal("ExpiredTokenException")));
    let (code, _, status) = analyst.run(&["SELECT 1"]);
    assert_eq!(code, 5, "{status}");
    for part in ["may still run", "`ticksql cancel q1`"] {
        assert!(status.contains(part), "{part}: {status}");
    }
}

#[test]
fn a_query_that_somebody_else_stops_has_its_own_exit_code() {
    let analyst = Analyst::of(|call| {
        let stopped = || execution("CANCELLED", 20_000_000, "Query cancelled by user");
        (call.operation == "GetQueryExecution").then(stopped)
    });
    let (code, output, status) = analyst.run(&["SELECT 1"]);
    assert_eq!((code, output.as_str()), (6, ""), "{status}");
    for part in [
        "q1",
        "Query cancelled by user",
        "not from here",
        "$0.000100",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
}

#[test]
fn a_query_that_is_stopped_reports_its_cost() {
    let analyst = running(1_000_000_000, 1_200_000_000);
    let (code, _, status) = analyst.interrupted(&["SELECT 1"], "GetQueryExecution");
    assert_eq!(code, 130, "{status}");
    let expected =
        "interrupted; query q1 is cancelled; it had read 1.2 GB: 1.2 GB billed, $0.006000";
    assert!(status.contains(expected), "{status}");
}

/// A query that runs until it is stopped; the bytes that it has read until then, and at its end.
fn running(by_now_bytes: u64, at_end_bytes: u64) -> Analyst {
    let stopped = Arc::new(AtomicBool::new(false));
    Analyst::of(move |call| match call.operation.as_str() {
        "GetQueryExecution" => Some(match stopped.load(Ordering::SeqCst) {
            false => execution("RUNNING", by_now_bytes, ""),
            true => execution("CANCELLED", at_end_bytes, "cancelled"),
        }),
        "StopQueryExecution" => {
            stopped.store(true, Ordering::SeqCst);
            None
        }
        _ => None,
    })
}

/// Standard input is not a terminal: a session that ends sends this signal to its programs.
#[test]
fn a_hang_up_stops_the_query_without_a_terminal_too() {
    let analyst = running(0, 0);
    let command = hearing_hang_up(&analyst.command(&["SELECT 1"]));
    let (code, _, status) = analyst.signalled(command, "-HUP", "GetQueryExecution");
    assert_eq!(code, 129, "{status}");
    assert!(status.contains("query q1 is cancelled"), "{status}");
    assert!(analyst.service.was_called("StopQueryExecution"));
}

#[test]
fn a_hang_up_that_nohup_has_ignored_stays_ignored() {
    let analyst = running(0, 0);
    let command = ignoring_hang_up(&analyst.command(&["--timeout", "2", "SELECT 1"]));
    let (code, _, status) = analyst.signalled(command, "-HUP", "GetQueryExecution");
    assert_eq!(code, 4, "{status}");
}

#[test]
fn the_region_is_reported_and_may_be_the_wrong_one() {
    let analyst = Analyst::of(|call| {
        let refusal = || Reply::RefusalOf("InvalidRequestException", "WorkGroup is not found.");
        (call.operation == "StartQueryExecution").then(refusal)
    });
    let (code, _, status) = analyst.run(&["SELECT 1", "--workgroup", "ours"]);
    assert_eq!(code, 2, "{status}");
    for part in [
        "engine athena: workgroup ours, database tickstream, region us-east-1\n",
        "no workgroup ours in the region us-east-1",
        "set AWS_REGION",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
}

#[test]
fn a_missing_profile_is_named() {
    let home = tempfile::tempdir().unwrap();
    let others = home.path().join("config");
    fs::write(&others, "[profile other]\nregion = eu-west-1\n").unwrap();
    for (region, config) in [
        (None, None),
        (Some("us-east-1"), None),
        (None, Some(&others)),
    ] {
        let mut command = bare(home.path(), &["--engine", "athena", "SELECT 1"]);
        command
            .env("AWS_PROFILE", "nosuch")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        if let Some(region) = region {
            command.env("AWS_REGION", region);
        }
        if let Some(config) = config {
            command.env("AWS_CONFIG_FILE", config);
        }
        let (code, _, status) = outcome_of(&command.output().unwrap());
        assert_eq!(code, 2, "{status}");
        assert!(status.contains("no AWS profile `nosuch`"), "{status}");
    }
}

#[test]
fn an_empty_archive_hints_at_the_share() {
    let analyst = Analyst::of(|call| match call.operation.as_str() {
        "GetQueryExecution" => Some(execution("SUCCEEDED", 0, "")),
        "GetQueryResults" => Some(Reply::Json(json!({"ResultSet": {
            "ResultSetMetadata": {"ColumnInfo": [{"Name": "a", "Type": "integer"}]},
            "Rows": [{"Data": [{"VarCharValue": "a"}]}],
        }}))),
        address if address.starts_with("GET /archive") => Some(listing(address, &[])),
        _ => None,
    });
    let query = format!("SELECT 1 AS a FROM price_archive WHERE {DAY}");
    let (code, _, status) = analyst.run(&[&query]);
    assert_eq!(code, 0, "{status}");
    assert!(
        status.contains("has no files yet") && status.contains("`just status` shows the share"),
        "{status}"
    );
}

#[test]
fn a_history_without_the_workgroup_says_so_and_shows_what_is_known() {
    let gone = Analyst::of(|call| match call.operation.as_str() {
        "ListQueryExecutions" => Some(Reply::Json(json!({"QueryExecutionIds": []}))),
        "GetWorkGroup" => Some(Reply::RefusalOf(
            "InvalidRequestException",
            "WorkGroup is not found.",
        )),
        _ => None,
    });
    let folder = gone.home.path().join(".local/share/ticksql");
    fs::create_dir_all(&folder).unwrap();
    let line = json!({
        "engine": "local", "id": "local-1", "at_ms": 1, "state": "succeeded",
        "ran_ms": 1, "scanned_bytes": 1, "sql": "SELECT 'kept'",
    });
    fs::write(folder.join("history.jsonl"), format!("{line}\n")).unwrap();
    let (code, output, status) = gone.run(&["history", "--workgroup", "nosuch", "-f", "csv"]);
    assert_eq!(code, 2, "{status}");
    assert!(output.contains("local-1"), "{output}");
    for part in ["cannot be queried", "no workgroup nosuch"] {
        assert!(status.contains(part), "{part}: {status}");
    }
}

/// A service that answers every query with one row.
fn answering(reply: impl Fn(&Call) -> Option<Reply> + Send + Sync + 'static) -> Analyst {
    Analyst::of(move |call| {
        reply(call).or_else(|| match call.operation.as_str() {
            "GetQueryExecution" => Some(execution("SUCCEEDED", 0, "")),
            "GetQueryResults" => Some(Reply::Json(json!({"ResultSet": {
                "ResultSetMetadata": {"ColumnInfo": [{"Name": "a", "Type": "integer"}]},
                "Rows": [{"Data": [{"VarCharValue": "a"}]}, {"Data": [{"VarCharValue": "1"}]}],
            }}))),
            _ => None,
        })
    })
}

/// Trino takes nothing else there.
#[test]
fn a_number_of_rows_is_sent_as_a_bare_integer() {
    let analyst = answering(|_| None);
    let query = "SELECT :n AS a FROM (VALUES (1)) v OFFSET :m LIMIT :n";
    let (code, _, status) = analyst.run(&[query, "-p", "n=5", "-p", "m=0"]);
    assert_eq!(code, 0, "{status}");
    let sent = "SELECT BIGINT '5' AS a FROM (VALUES (1)) v OFFSET 0 LIMIT 5";
    assert_eq!(analyst.service.statements(), [sent]);
}

/// The days are listed only for a condition that keeps many, and between the first and the last.
#[test]
fn the_guard_measures_by_the_days_of_the_archive() {
    let analyst = answering(|_| None);
    let listings = || {
        let operations = analyst.service.operations();
        operations
            .iter()
            .filter(|of| of.starts_with("GET /archive"))
            .count()
    };
    let query = |condition: &str| format!("SELECT 1 AS a FROM price_archive WHERE {condition}");
    assert_eq!(analyst.run(&[&query(DAY)]).0, 0);
    assert_eq!(listings(), 0);
    let (code, _, status) = analyst.run(&[&query("year = 2026")]);
    assert_eq!(code, 3, "{status}");
    assert!(
        status.contains("keep 2 of the 2 days that the archive has"),
        "{status}"
    );
    assert!(listings() > 0);
}

#[test]
fn a_shell_lists_the_days_once() {
    let analyst = answering(|_| None);
    let script = "SELECT 1 AS a FROM price_archive WHERE year = 2026;\n".repeat(3);
    let file = analyst.home.path().join("script.sql");
    fs::write(&file, script).unwrap();
    let mut command = analyst.command(&["shell"]);
    let outcome = outcome_of(
        &command
            .stdin(fs::File::open(file).unwrap())
            .output()
            .unwrap(),
    );
    assert_eq!(outcome.0, 3, "{}", outcome.2);
    assert_eq!(
        outcome.2.matches("keep 2 of the 2 days").count(),
        3,
        "{}",
        outcome.2
    );
    let operations = analyst.service.operations();
    let years = operations
        .iter()
        .filter(|of| of.ends_with("prefix=price-archive/year="));
    assert_eq!(years.count(), 1, "{operations:?}");
}

#[test]
fn a_bucket_that_may_not_be_listed_is_measured_by_the_calendar() {
    let analyst = answering(|call| {
        let refusal = || Reply::Refusal("AccessDenied");
        call.operation.starts_with("GET /archive").then(refusal)
    });
    let query = |condition: &str| format!("SELECT 1 AS a FROM price_archive WHERE {condition}");
    let (code, _, status) = analyst.run(&[&query("year = 2026")]);
    assert_eq!(code, 0, "{status}");
    assert!(
        status.contains("note: the days of the archive cannot be listed")
            && status.contains("measured against 2000 to today"),
        "{status}"
    );
    let (code, _, status) = analyst.run(&[&query("year > 2000")]);
    assert_eq!(code, 3, "{status}");
    assert!(status.contains("days since 2000"), "{status}");
}

#[test]
fn nobody_is_advised_to_pass_what_they_passed() {
    let analyst = answering(|_| None);
    let advice = "pass --full-scan";
    let only_athena = "SELECT words THAT only Athena KNOWS";
    let (code, _, status) = analyst.run(&[only_athena]);
    assert_eq!(code, 1, "{status}");
    assert!(status.contains(advice), "{status}");
    for query in [
        only_athena,
        "/* ours */ (SELECT words THAT only Athena KNOWS)",
    ] {
        let (code, _, status) = analyst.run(&[query, "--full-scan"]);
        assert_eq!(code, 0, "{query}: {status}");
    }
    let (code, _, status) = analyst.run(&["OPTIMIZE x REWRITE DATA", "--full-scan"]);
    assert_eq!(code, 1, "{status}");
    assert!(
        !status.contains(advice) && status.contains("begins with SELECT"),
        "{status}"
    );
}

#[test]
fn a_plan_of_athena_marks_an_error_where_it_is() {
    let analyst = Analyst::of(|call| {
        let reason = "SYNTAX_ERROR: line 1:16: Column 'prise' cannot be resolved";
        (call.operation == "GetQueryExecution").then(|| execution("FAILED", 0, reason))
    });
    let query = format!("SELECT prise FROM price_archive WHERE {DAY}");
    let (code, _, status) = analyst.run(&["explain", "--plan", &query]);
    assert_eq!(code, 1, "{status}");
    assert!(
        status.contains("at line 1, column 8") && status.contains("\n    |        ^\n"),
        "{status}"
    );
}

/// Its answer is billed as a whole, and nothing is left to stop.
#[test]
fn a_query_that_had_succeeded_is_not_called_cancelled() {
    let analyst = Analyst::of(|call| match call.operation.as_str() {
        "GetQueryExecution" => Some(execution("SUCCEEDED", 20_000_000, "")),
        "GetQueryResults" => Some(Reply::Silence),
        _ => None,
    });
    let (code, _, status) = analyst.interrupted(&["SELECT 1"], "GetQueryResults");
    assert_eq!(code, 130, "{status}");
    for part in [
        "query q1 had already succeeded",
        "20.0 MB billed, $0.000100",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
    assert!(!status.contains("is cancelled"), "{status}");
    assert!(!analyst.service.was_called("StopQueryExecution"));
}

#[test]
fn a_query_that_reads_nothing_costs_the_same_everywhere() {
    let analyst = Analyst::of(|call| match call.operation.as_str() {
        "GetQueryExecution" => Some(execution("SUCCEEDED", 0, "")),
        "GetQueryResults" => Some(Reply::Json(json!({"ResultSet": {
            "ResultSetMetadata": {"ColumnInfo": [{"Name": "a", "Type": "integer"}]},
            "Rows": [{"Data": [{"VarCharValue": "a"}]}, {"Data": [{"VarCharValue": "1"}]}],
        }}))),
        "ListQueryExecutions" => Some(Reply::Json(json!({"QueryExecutionIds": ["q1"]}))),
        "BatchGetQueryExecution" => {
            let Reply::Json(mut one) = execution("SUCCEEDED", 0, "") else {
                panic!()
            };
            Some(Reply::Json(
                json!({"QueryExecutions": [one["QueryExecution"].take()]}),
            ))
        }
        _ => None,
    });
    let (code, output, status) = analyst.run(&["-f", "csv", "SELECT 1 AS a"]);
    assert_eq!((code, output.as_str()), (0, "a\n1\n"), "{status}");
    assert!(
        status.contains("0 B scanned, nothing billed, query q1"),
        "{status}"
    );
    // The service's list has no names: this query's name is kept here.
    let file = analyst.home.path().join("one.sql");
    fs::write(&file, "SELECT 1 AS a").unwrap();
    assert_eq!(analyst.run(&["one.sql"]).0, 0);
    let (code, output, status) = analyst.run(&["history", "-f", "jsonl"]);
    assert_eq!(code, 0, "{status}");
    assert!(
        output.contains("\"query\":\"one.sql: SELECT 1\""),
        "{output}"
    );
    let line: Value = serde_json::from_str(output.trim()).unwrap();
    assert_eq!((&line["id"], &line["usd"]), (&"q1".into(), &0.0.into()));
}
