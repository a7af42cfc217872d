//! What becomes of a batch of a queue.

use integration::event_source::Answer;
use integration::event_source::queue::{QueueOutcome, queue_outcome};
use serde_json::{Value, json};

const IDS: [&str; 3] = ["a", "b", "c"];

fn returned(partial_failures: bool, returned: &Value) -> Vec<String> {
    let outcome = queue_outcome(partial_failures, &IDS, &Answer::Returned(returned.clone()));
    assert!(
        !outcome.is_error && !outcome.backs_off,
        "a response is a success: {returned}"
    );
    outcome.deleted
}

#[test]
fn a_response_deletes_what_it_does_not_name() {
    let failures = |ids: &[&str]| {
        let failures: Vec<Value> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
        json!({"batchItemFailures": failures})
    };
    assert_eq!(returned(true, &failures(&["b"])), ["a", "c"]);
    for done in [
        failures(&[]),
        json!(null),
        json!({}),
        json!({"batchItemFailures": null}),
    ] {
        assert_eq!(returned(true, &done), IDS, "{done}");
    }
    let wrong_key = json!({"batchItemFailures": [{"id": "a"}]});
    for all_failed in [failures(&[""]), failures(&["b", "d"]), wrong_key] {
        assert!(returned(true, &all_failed).is_empty(), "{all_failed}");
    }
    // All are named: nothing tells Lambda that the function is failing.
    assert!(returned(true, &failures(&IDS)).is_empty());
    assert_eq!(returned(false, &failures(&["b"])), IDS);
}

#[test]
fn lambda_backs_off_after_an_error_unless_failures_are_reported_by_message() {
    let raised = |partial_failures| {
        queue_outcome(
            partial_failures,
            &IDS,
            &Answer::Raised("no table".to_owned()),
        )
    };
    let failed = QueueOutcome {
        deleted: Vec::new(),
        is_error: true,
        backs_off: true,
    };
    assert_eq!(raised(false), failed);
    let without_backoff = QueueOutcome {
        backs_off: false,
        ..failed
    };
    assert_eq!(raised(true), without_backoff);
}
