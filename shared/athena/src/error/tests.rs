use std::time::Duration;

use super::message::position_of;
use super::*;

fn ended(state: State, reason: &str) -> AthenaError {
    of_end(&Execution {
        id: "q1".to_owned(),
        sql: String::new(),
        state,
        reason: Some(reason.to_owned()),
        retryable: false,
        submitted_at_ms: None,
        queued: Duration::ZERO,
        ran: Duration::ZERO,
        scanned_bytes: 7,
        reused: false,
        result: None,
        is_query: true,
    })
}

fn refused(code: &str, message: &str) -> AthenaError {
    of_refusal(CallError::Refused {
        code: code.to_owned(),
        message: message.to_owned(),
        status: 400,
        request_id: "R1".to_owned(),
    })
}

#[test]
fn a_position_is_parsed_and_removed_from_the_message() {
    let reason = "COLUMN_NOT_FOUND: line 3:17: Column 'prise' cannot be resolved or requester \
                  is not authorized to access requested resources\nThis query ran against the \
                  \"tickstream\" database, unless qualified by the query.";
    let AthenaError::Statement { message, position } = ended(State::Failed, reason) else {
        panic!()
    };
    let expected = Position {
        line: 3,
        column: 17,
    };
    assert_eq!(position, Some(expected));
    assert_eq!(
        message,
        "COLUMN_NOT_FOUND: Column 'prise' cannot be resolved or requester is not authorized \
         to access requested resources"
    );
    let none = |text| assert_eq!(position_of(text), None, "{text}");
    none("line 1");
    none("a line of 3:4");
    none("line x:4: no");
    assert_eq!(
        position_of("the second line: line 12:1: yes"),
        Some(Position {
            line: 12,
            column: 1
        })
    );
}

#[test]
fn a_missing_table_or_database_suggests_init() {
    for reason in [
        "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.tickstream.price_history' does not exist",
        "SCHEMA_NOT_FOUND: line 1:15: Schema 'tickstream' does not exist",
        "SYNTAX_ERROR: line 1:15: Table awsdatacatalog.tickstream.ticks does not exist",
        "Catalog Error: Table with name ticks does not exist!",
    ] {
        let error = ended(State::Failed, reason);
        assert!(matches!(error, AthenaError::Missing { .. }), "{error:?}");
        assert!(error.to_string().contains("ticksql init"), "{error}");
    }
    let error = ended(State::Failed, "line 1:8: Function 'maxby' not registered");
    assert!(matches!(error, AthenaError::Statement { .. }), "{error:?}");
}

#[test]
fn a_missing_permission_is_named() {
    let message = "User: arn:aws:iam::111122223333:user/ana is not authorized to perform: \
                   glue:GetTable on resource: arn:aws:glue:us-east-1:111122223333:catalog";
    for error in [
        refused("AccessDeniedException", message),
        refused("MetadataException", message),
        ended(
            State::Failed,
            &format!("Insufficient permissions to execute the query. {message}"),
        ),
    ] {
        let AthenaError::Denied { action, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(action.as_deref(), Some("glue:GetTable"));
        let text = error.to_string();
        assert!(text.contains("not allowed to glue:GetTable"), "{text}");
    }
    let s3 = "Permission denied on S3 path: s3://b/price-archive/x.parquet";
    let error = ended(State::Failed, s3);
    assert!(
        matches!(error, AthenaError::Denied { action: None, .. }),
        "{error:?}"
    );
}

#[test]
fn the_scan_limit_is_distinguished_from_a_cancelled_query() {
    let limit = ended(State::Cancelled, "Bytes scanned limit was exceeded");
    assert!(
        matches!(
            limit,
            AthenaError::ScanLimit {
                scanned_bytes: 7,
                ..
            }
        ),
        "{limit:?}"
    );
    let person = ended(State::Cancelled, "Query cancelled by user");
    assert!(
        matches!(person, AthenaError::Cancelled { .. }),
        "{person:?}"
    );
    assert_eq!(
        person.to_string(),
        "the query q1 was cancelled: Query cancelled by user"
    );
}

#[test]
fn errors_by_code_say_what_to_do() {
    let check = |code, part: &str| {
        let text = refused(code, "no").to_string();
        assert!(text.contains(part), "{text}");
    };
    check("ExpiredTokenException", "log in again");
    check("UnrecognizedClientException", "log in again");
    check("TooManyRequestsException", "wait a minute");
    check("ThrottlingException", "wait a minute");
    check("InternalServerException", "InternalServerException: no");
    assert!(refused("TooManyRequestsException", "no").is_transient());
    assert!(!refused("AccessDeniedException", "no").is_transient());
}

#[test]
fn a_missing_response_is_reported_without_debug_output() {
    let message =
        "dispatch failure: io error: Connection refused (os error 111) (DispatchFailure {})";
    let error = of_refusal(CallError::Unanswered(message.to_owned()));
    assert!(error.is_transient());
    assert_eq!(
        error.to_string(),
        "AWS does not respond (dispatch failure: io error: Connection refused): check the \
         network, AWS_REGION and AWS_ENDPOINT_URL"
    );
}

#[test]
fn known_failures_come_with_advice() {
    let cut = "HIVE_CANNOT_OPEN_SPLIT: s3://b/price-archive/year=2026/x.parquet is not a valid Parquet File";
    let text = ended(State::Failed, cut).to_string();
    assert!(
        text.contains("x.parquet") && text.contains("cannot be read"),
        "{text}"
    );
    let gone = "HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split (offset=0): NoSuchKey, s3://b/k";
    assert!(
        ended(State::Failed, gone)
            .to_string()
            .contains("run it again")
    );
    let other = ended(
        State::Failed,
        "GENERIC_INTERNAL_ERROR: something.\nThis query ran against the x",
    );
    assert_eq!(
        other.to_string(),
        "the query failed: GENERIC_INTERNAL_ERROR: something"
    );
}
