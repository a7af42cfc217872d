//! Athena: the requests, their retries, and how responses are handled.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod answers;
mod catalog;
mod rows;

use std::time::Duration;

use athena::error::{AthenaError, Position};
use athena::{Athena, Query, REUSE_AGE_MAX, SQL_BYTES_MAX, State};
use serde_json::{Value, json};

use answers::{execution, refused};
use aws_client::scripted_http::{Answer, Call, Wire};

const WORKGROUP: &str = "tickstream";

fn athena(wire: &Wire) -> Athena {
    Athena::new(&wire.config(), WORKGROUP, "prices")
}

/// A wire with the same response to every call.
fn always(answer: Answer) -> Wire {
    Wire::new(move |_, _| answer.clone())
}

#[tokio::test]
async fn a_start_sends_statement_parameters_database_and_token() {
    let wire = always(Answer::Good(json!({"QueryExecutionId": "q1"})));
    let query = Query {
        sql: "SELECT price FROM ticks WHERE token = ? AND ts >= ?".to_owned(),
        parameters: vec!["'it''s'".to_owned(), "42".to_owned()],
        reuse_age: Some(Duration::from_secs(3_600)),
        without_database: false,
    };
    assert_eq!(athena(&wire).start(&query).await.unwrap(), "q1");
    let [call] = &wire.calls()[..] else { panic!() };
    assert_eq!(call.operation, "StartQueryExecution");
    let mut body = call.body.clone();
    let token = body["ClientRequestToken"].take();
    // The service's limits for it: 32 to 128 characters.
    assert!((32..=128).contains(&token.as_str().unwrap().len()));
    assert_eq!(
        body,
        json!({
            "QueryString": query.sql,
            "ClientRequestToken": null,
            "ExecutionParameters": ["'it''s'", "42"],
            "QueryExecutionContext": {"Catalog": "AwsDataCatalog", "Database": "prices"},
            "WorkGroup": WORKGROUP,
            "ResultReuseConfiguration": {
                "ResultReuseByAgeConfiguration": {"Enabled": true, "MaxAgeInMinutes": 60}
            },
        })
    );
}

#[tokio::test]
async fn unset_options_are_not_sent() {
    let wire = always(Answer::Good(json!({"QueryExecutionId": "q1"})));
    let plain = Query {
        without_database: true,
        ..Query::new("CREATE DATABASE prices")
    };
    athena(&wire).start(&plain).await.unwrap();
    let old = Query {
        reuse_age: Some(REUSE_AGE_MAX * 2),
        ..Query::new("SELECT 1")
    };
    athena(&wire).start(&old).await.unwrap();
    let calls = wire.calls();
    for absent in ["ExecutionParameters", "ResultReuseConfiguration"] {
        assert!(calls[0].body.get(absent).is_none(), "{absent}");
    }
    assert_eq!(
        calls[0].body["QueryExecutionContext"],
        json!({"Catalog": "AwsDataCatalog"})
    );
    let reuse = &calls[1].body["ResultReuseConfiguration"]["ResultReuseByAgeConfiguration"];
    assert_eq!(reuse["MaxAgeInMinutes"], 10_080);
}

#[tokio::test(start_paused = true)]
async fn a_retried_start_has_the_same_token() {
    let wire = Wire::new(|n, _| match n {
        0 => Answer::Refusal(400, "TooManyRequestsException"),
        1 => Answer::Refusal(500, "InternalServerException"),
        _ => Answer::Good(json!({"QueryExecutionId": "q1"})),
    });
    athena(&wire).start(&Query::new("SELECT 1")).await.unwrap();
    let calls = wire.calls();
    let tokens: Vec<&Value> = calls
        .iter()
        .map(|call| &call.body["ClientRequestToken"])
        .collect();
    assert_eq!(tokens.len(), 3);
    assert!(tokens.iter().all(|token| *token == tokens[0]));
}

#[tokio::test]
async fn a_statement_that_is_too_long_is_not_sent() {
    let wire = always(Answer::Silence);
    let long = Query::new(" ".repeat(SQL_BYTES_MAX + 1));
    let error = athena(&wire).start(&long).await.unwrap_err();
    assert!(error.to_string().contains("262144"), "{error}");
    assert!(wire.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_refused_says_what_to_do() {
    let refusal = async |code, message: &str| {
        let wire = always(refused(code, message));
        let error = athena(&wire).start(&Query::new("SELEC 1")).await;
        error.unwrap_err()
    };
    let invalid = "InvalidRequestException";
    let error = refusal(invalid, "line 1:1: mismatched input 'SELEC'. Expecting: …").await;
    let AthenaError::Statement { message, position } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*position, Some(Position { line: 1, column: 1 }));
    assert!(message.starts_with("mismatched input"), "{message}");
    for (message, part) in [
        ("WorkGroup tickstream is not found.", "run `ticksql init`"),
        (
            "No output location provided. An output location is required either through the \
             Workgroup result configuration setting or as an API input.",
            "no query result location",
        ),
    ] {
        let text = refusal(invalid, message).await.to_string();
        assert!(text.contains(part) && text.contains(WORKGROUP), "{text}");
        // It may exist in another region.
        for part in ["in the region us-east-1", "set AWS_REGION"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let text = refusal("TooManyRequestsException", "Rate exceeded").await;
    assert!(matches!(text, AthenaError::Throttled(_)), "{text:?}");
    let text = refusal("ExpiredTokenException", "The security token is expired").await;
    assert!(matches!(text, AthenaError::Credentials(_)), "{text:?}");
    let text = refusal(
        "AccessDeniedException",
        "User: arn:aws:iam::1:user/ana is not authorized to perform: athena:StartQueryExecution \
         on resource: arn:aws:athena:us-east-1:1:workgroup/tickstream",
    )
    .await
    .to_string();
    assert!(text.contains("athena:StartQueryExecution"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn polls_become_less_frequent() {
    let wire = Wire::new(|n, _| {
        execution(match n {
            0..5 => json!({"Status": {"State": "QUEUED"}}),
            5..20 => json!({
                "Status": {"State": "RUNNING"},
                "Statistics": {"DataScannedInBytes": 1_000_000 * n, "QueryQueueTimeInMillis": 900},
            }),
            _ => json!({"Status": {"State": "SUCCEEDED"}}),
        })
    });
    let mut seen = Vec::new();
    let ended = athena(&wire)
        .wait("q1", |execution| {
            seen.push((execution.state, execution.scanned_bytes));
        })
        .await
        .unwrap();
    assert_eq!(ended.state, State::Succeeded);
    assert_eq!(seen[0], (State::Queued, 0));
    assert_eq!(seen[7], (State::Running, 7_000_000));
    let calls = wire.calls();
    let waits: Vec<u128> = calls
        .windows(2)
        .map(|pair| (pair[1].sent - pair[0].sent).as_millis())
        .collect();
    assert!((100..=102).contains(&waits[0]), "{waits:?}");
    assert!(waits.is_sorted(), "{waits:?}");
    let longest = *waits.last().unwrap();
    assert!((2_000..=2_002).contains(&longest), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn failed_polls_are_retried_a_limited_number_of_times() {
    let flaky = Wire::new(|n, _| match n {
        3 => execution(json!({"Status": {"State": "SUCCEEDED"}})),
        _ => Answer::Refusal(400, "TooManyRequestsException"),
    });
    // The SDK retries a few times, and the loop polls again.
    assert!(athena(&flaky).wait("q1", |_| ()).await.is_ok());
    let dead = always(Answer::Refusal(503, "ServiceUnavailable"));
    let error = athena(&dead).wait("q1", |_| ()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let denied = always(Answer::Refusal(400, "AccessDeniedException"));
    assert!(athena(&denied).wait("q1", |_| ()).await.is_err());
    assert_eq!(denied.calls().len(), 1, "a permanent error is not retried");
}

#[tokio::test(start_paused = true)]
async fn a_query_that_fails_or_is_cancelled_says_why() {
    let ended = async |status: Value| {
        let status = json!({"Status": status, "Statistics": {"DataScannedInBytes": 12}});
        let wire = always(execution(status));
        athena(&wire).wait("q1", |_| ()).await.unwrap_err()
    };
    let failed = ended(json!({
        "State": "FAILED",
        "StateChangeReason": "COLUMN_NOT_FOUND: line 2:8: Column 'prise' cannot be resolved",
        "AthenaError": {"ErrorCategory": 2, "ErrorType": 1006, "Retryable": false},
    }));
    let AthenaError::Statement { position, .. } = failed.await else {
        panic!()
    };
    assert_eq!(position, Some(Position { line: 2, column: 8 }));
    let retryable = ended(json!({
        "State": "FAILED",
        "StateChangeReason": "GENERIC_INTERNAL_ERROR: try again",
        "AthenaError": {"ErrorCategory": 1, "Retryable": true},
    }))
    .await;
    assert!(retryable.is_transient(), "{retryable:?}");
    let limit = ended(
        json!({"State": "CANCELLED", "StateChangeReason": "Bytes scanned limit was exceeded"}),
    );
    assert!(matches!(
        limit.await,
        AthenaError::ScanLimit {
            scanned_bytes: 12,
            ..
        }
    ));
    let person = ended(json!({"State": "CANCELLED"})).await;
    assert!(
        matches!(person, AthenaError::Cancelled { .. }),
        "{person:?}"
    );
}

#[tokio::test]
async fn a_query_is_stopped_by_its_id() {
    let wire = always(Answer::Good(json!({})));
    athena(&wire).stop("q1").await.unwrap();
    let [call] = &wire.calls()[..] else { panic!() };
    assert_eq!(call.operation, "StopQueryExecution");
    assert_eq!(call.body, json!({"QueryExecutionId": "q1"}));
}

#[tokio::test]
async fn the_history_has_the_workgroups_newest_queries_first() {
    let page = |from: u32, to: u32| (from..to).map(|n| format!("q{n}")).collect::<Vec<_>>();
    let wire = Wire::new(move |_, call: &Call| {
        if call.operation == "ListQueryExecutions" {
            return Answer::Good(match call.body.get("NextToken") {
                None => json!({"QueryExecutionIds": page(0, 50), "NextToken": "more"}),
                Some(_) => json!({"QueryExecutionIds": page(50, 100), "NextToken": "even more"}),
            });
        }
        let ids = call.body["QueryExecutionIds"].as_array().unwrap();
        let one = |id: &Value| {
            let number: u32 = id.as_str().unwrap()[1..].parse().unwrap();
            json!({
                "QueryExecutionId": id,
                "Query": "SELECT 1",
                "Status": {"State": "SUCCEEDED", "SubmissionDateTime": 1_767_225_600 - number},
                "Statistics": {"EngineExecutionTimeInMillis": 5, "DataScannedInBytes": 7},
            })
        };
        let all: Vec<Value> = ids.iter().rev().map(one).collect();
        Answer::Good(json!({"QueryExecutions": all}))
    });
    let history = athena(&wire).history(60).await.unwrap();
    let ids: Vec<&str> = history.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), 60);
    assert_eq!((ids[0], ids[59]), ("q0", "q59"));
    assert_eq!(history[0].submitted_at_ms, Some(1_767_225_600_000));
    assert_eq!(history[0].ran, Duration::from_millis(5));
    let calls = wire.calls();
    let lists = calls
        .iter()
        .filter(|call| call.operation == "ListQueryExecutions")
        .count();
    assert_eq!((lists, calls.len()), (2, 4));
    assert_eq!(calls[0].body["WorkGroup"], WORKGROUP);
    assert_eq!(calls[0].body["MaxResults"], 50);
}
