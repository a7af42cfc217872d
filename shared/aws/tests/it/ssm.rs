//! The flag in a parameter: how fresh it is, what holds when it cannot be read, its history.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::{RolloutFlag, RolloutStore};
use app::rollout::RolloutChange;
use aws::ssm::{ParameterError, SsmRollout, secrets};
use aws_sdk_ssm::Client;
use domain::{Rollout, RolloutKey};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use crate::wire::{Answer, Wire};

const NAME: &str = "/tickstream/rollout";

fn rollout(percentage: &str) -> Rollout {
    Rollout {
        use_kinesis: true,
        percentage: percentage.parse().unwrap(),
        key: RolloutKey::Tick,
    }
}

fn value(text: &str) -> Answer {
    Answer::Good(
        json!({"Parameter": {"Name": NAME, "Type": "String", "Value": text, "Version": 1}}),
    )
}

/// A parameter whose answer the test sets, and the wire to it.
fn parameter(first: Answer) -> (Arc<Mutex<Answer>>, Wire) {
    let answer = Arc::new(Mutex::new(first));
    let says = Arc::clone(&answer);
    let wire = Wire::new(move |_, call| match call.operation.as_str() {
        "PutParameter" => Answer::Good(json!({"Version": 2, "Tier": "Standard"})),
        _ => says.lock().unwrap().clone(),
    });
    (answer, wire)
}

fn set(answer: &Mutex<Answer>, to: Answer) {
    *answer.lock().unwrap() = to;
}

async fn open(wire: &Wire) -> Result<SsmRollout, ParameterError> {
    SsmRollout::open(&Client::new(&wire.config()), NAME, rollout("100")).await
}

#[tokio::test(start_paused = true)]
async fn a_value_holds_for_five_seconds() {
    let (answer, wire) = parameter(value("10"));
    let flag = open(&wire).await.unwrap();
    set(&answer, value("50"));
    advance(Duration::from_millis(4_900)).await;
    assert_eq!(flag.current().await, rollout("10"));
    assert_eq!(wire.calls().len(), 1);
    advance(Duration::from_millis(100)).await;
    assert_eq!(flag.current().await, rollout("50"));
    for _ in 0..100 {
        assert_eq!(flag.current().await, rollout("50"));
    }
    assert_eq!(wire.calls().len(), 2);
    assert_eq!(
        wire.calls()[1].body,
        json!({"Name": NAME, "WithDecryption": true})
    );
}

#[tokio::test(start_paused = true)]
async fn one_caller_reads_and_the_others_go_on_with_the_last_value() {
    let (answer, wire) = parameter(value("10"));
    let wire = wire.with_latency(Duration::from_millis(100));
    let flag = Arc::new(open(&wire).await.unwrap());
    set(&answer, value("50"));
    advance(Duration::from_secs(6)).await;
    let reader = tokio::spawn({
        let flag = Arc::clone(&flag);
        async move { flag.current().await }
    });
    tokio::task::yield_now().await;
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(flag.current().await, rollout("10"));
    }
    assert_eq!(started.elapsed(), Duration::ZERO, "nobody else waits");
    assert_eq!(reader.await.unwrap(), rollout("50"));
    assert_eq!(wire.calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_value_holds_while_the_parameter_cannot_be_read_or_understood() {
    let (answer, wire) = parameter(value("10"));
    let flag = open(&wire).await.unwrap();
    for trouble in [
        Answer::Refusal(500, "InternalServerError"),
        Answer::Refusal(400, "ThrottlingException"),
        Answer::Refusal(400, "ParameterNotFound"),
        value("everything"),
        value("{\"use_kinesis\":false}"),
        Answer::Silence,
    ] {
        set(&answer, trouble.clone());
        advance(Duration::from_secs(6)).await;
        let (started, calls) = (Instant::now(), wire.calls().len());
        assert_eq!(flag.current().await, rollout("10"), "{trouble:?}");
        assert!(
            started.elapsed() <= Duration::from_millis(301),
            "{trouble:?}"
        );
        assert_eq!(flag.current().await, rollout("10"), "{trouble:?}");
        assert_eq!(wire.calls().len(), calls + 1, "{trouble:?}");
    }
    set(&answer, value("0"));
    advance(Duration::from_millis(1_100)).await;
    assert_eq!(
        flag.current().await,
        rollout("0"),
        "a second later it is tried again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_does_not_start_with_a_flag_that_it_does_not_know() {
    for (answer, told) in [
        (value("1O"), vec![NAME, "`1O`", "percentage from 0 to 100"]),
        (
            value("{\"use_kinesis\":1}"),
            vec![NAME, "use_kinesis", "such as"],
        ),
        (
            Answer::Refusal(400, "ParameterNotFound"),
            vec![NAME, "does not exist"],
        ),
        (
            Answer::Refusal(400, "AccessDeniedException"),
            vec![NAME, "could not be read"],
        ),
        (Answer::Silence, vec![NAME, "could not be read"]),
    ] {
        let (_, wire) = parameter(answer.clone());
        let Err(error) = open(&wire).await else {
            panic!("{answer:?} was taken");
        };
        for part in told {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn switched_off_in_the_environment_wins_and_costs_no_call() {
    let (_, wire) = parameter(value("100"));
    let off = Rollout {
        use_kinesis: false,
        ..rollout("100")
    };
    let client = Client::new(&wire.config());
    let flag = SsmRollout::open(&client, NAME, off).await.unwrap();
    advance(Duration::from_secs(60)).await;
    assert!(!flag.current().await.use_kinesis);
    let change = RolloutChange {
        at_ms: 0,
        who: "alice".to_owned(),
        why: "canary".to_owned(),
        rollout: rollout("1"),
    };
    flag.change(change).await.unwrap();
    assert!(!flag.current().await.use_kinesis);
    let reads = wire
        .calls()
        .iter()
        .filter(|call| call.operation == "GetParameter")
        .count();
    assert_eq!(reads, 1, "the one at the start");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_written_with_who_when_and_why_and_holds_at_once() {
    let (_, wire) = parameter(value("0"));
    let flag = open(&wire).await.unwrap();
    let change = RolloutChange {
        at_ms: 1_767_323_045_006,
        who: "alice".to_owned(),
        why: "canary".to_owned(),
        rollout: rollout("1"),
    };
    flag.change(change).await.unwrap();
    assert_eq!(flag.current().await, rollout("1"));
    let calls = wire.calls();
    let put = &calls.last().unwrap().body;
    assert_eq!(
        (&put["Name"], &put["Overwrite"], &put["Type"]),
        (&json!(NAME), &json!(true), &json!("String"))
    );
    let written: Value = serde_json::from_str(put["Value"].as_str().unwrap()).unwrap();
    assert_eq!(
        written,
        json!({
            "use_kinesis": true,
            "percentage": "1",
            "key": "tick",
            "by": "alice",
            "reason": "canary",
            "at": "2026-01-02T03:04:05.006Z",
        })
    );
}

#[tokio::test(start_paused = true)]
async fn the_history_is_read_in_pages_newest_first() {
    let version = |version: u32, text: &str| {
        json!({
            "Name": NAME, "Version": version, "Value": text,
            "LastModifiedDate": 1_767_225_600.5, "LastModifiedUser": "arn:aws:iam::1:user/bob",
        })
    };
    let change = r#"{"use_kinesis":true,"percentage":"50","key":"token","by":"alice","reason":"half","at":"2026-01-02T03:04:05Z"}"#;
    let pages = [
        json!({"Parameters": [version(1, "0"), version(2, "nonsense")], "NextToken": "more"}),
        json!({"Parameters": [version(3, change)]}),
    ];
    let wire = Wire::new(move |_, call| match call.operation.as_str() {
        "GetParameterHistory" if call.body.get("NextToken").is_none() => {
            Answer::Good(pages[0].clone())
        }
        "GetParameterHistory" => Answer::Good(pages[1].clone()),
        _ => value("0"),
    });
    let flag = open(&wire).await.unwrap();
    let history = flag.history(10).await.unwrap();
    let whos: Vec<&str> = history.iter().map(|change| change.who.as_str()).collect();
    assert_eq!(whos, ["alice", "arn:aws:iam::1:user/bob"]);
    assert_eq!(history[0].rollout.key, RolloutKey::Token);
    assert_eq!(
        (history[1].at_ms, history[1].rollout),
        (1_767_225_600_500, rollout("0"))
    );
    assert_eq!(flag.history(1).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn secrets_are_read_decrypted_and_never_blank() {
    let (answer, wire) = parameter(value("whsec_one,whsec_two"));
    let client = Client::new(&wire.config());
    let read = secrets(&client, "/tickstream/webhook-secrets")
        .await
        .unwrap();
    assert_eq!(read.expose_secret(), "whsec_one,whsec_two");
    assert!(!format!("{read:?}").contains("whsec_one"));
    assert_eq!(wire.calls()[0].body["WithDecryption"], true);
    set(&answer, value(" "));
    let error = secrets(&client, "/tickstream/webhook-secrets")
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("/tickstream/webhook-secrets"),
        "{error}"
    );
}
