//! The flag in a parameter: caching, read failures, and history.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::RolloutFlag;
use aws::ssm::ParameterError;
use aws::ssm::live::{LiveParameters, Outcome, Reading};
use aws::ssm::record::SsmFlagRecord;
use aws::ssm::rollout::{FLAG_INTERVAL, SsmRollout};
use aws_sdk_ssm::Client;
use domain::{Rollout, RolloutKey};
use ops::flag_record::{FlagChange, FlagContent, FlagRecord, FlagValue};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use aws_client::scripted_http::{Answer, Call, Wire};

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

/// Converts a response of GetParameter, which operators use, to one of GetParameters.
fn of_several(answer: Answer, call: &Call) -> Answer {
    match answer {
        Answer::Good(mut body) => {
            let mut parameter = body["Parameter"].take();
            parameter["Name"] = call.body["Names"][0].clone();
            Answer::Good(json!({"Parameters": [parameter], "InvalidParameters": []}))
        }
        Answer::Refusal(400, "ParameterNotFound") => {
            Answer::Good(json!({"Parameters": [], "InvalidParameters": [NAME]}))
        }
        other @ (Answer::Refusal(..)
        | Answer::Refused(..)
        | Answer::Object(..)
        | Answer::Silence) => other,
    }
}

/// A parameter whose response the test sets, and its wire.
fn parameter(first: Answer) -> (Arc<Mutex<Answer>>, Wire) {
    let answer = Arc::new(Mutex::new(first));
    let says = Arc::clone(&answer);
    let wire = Wire::new(move |_, call| {
        let answer = says.lock().unwrap().clone();
        match call.operation.as_str() {
            "PutParameter" => Answer::Good(json!({"Version": 2, "Tier": "Standard"})),
            "GetParameters" => of_several(answer, call),
            _ => answer,
        }
    });
    (answer, wire)
}

fn set(answer: &Mutex<Answer>, to: Answer) {
    *answer.lock().unwrap() = to;
}

/// The flag of a process with this environment.
async fn opened(client: &Client, env: Rollout) -> Result<SsmRollout, ParameterError> {
    let parameters = LiveParameters::start(client, &[(NAME, FLAG_INTERVAL)]).await?;
    SsmRollout::new(Arc::new(parameters), NAME, env).await
}

async fn open(wire: &Wire) -> Result<SsmRollout, ParameterError> {
    opened(&Client::new(&wire.config()), rollout("100")).await
}

#[tokio::test(start_paused = true)]
async fn a_value_is_cached_for_five_seconds() {
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
    let body = json!({"Names": [NAME], "WithDecryption": true});
    assert_eq!(wire.calls()[1].body, body);
}

#[tokio::test(start_paused = true)]
async fn one_caller_refreshes_while_the_others_use_the_last_value() {
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
async fn the_last_valid_value_is_used_while_the_parameter_cannot_be_read_or_parsed() {
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
    advance(Duration::from_millis(2_400)).await;
    assert_eq!(flag.current().await, rollout("10"), "too soon");
    advance(Duration::from_millis(2_700)).await;
    assert_eq!(
        flag.current().await,
        rollout("0"),
        "it is retried within five seconds"
    );
}

#[tokio::test(start_paused = true)]
async fn a_process_does_not_start_without_a_valid_flag() {
    for (answer, parts) in [
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
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_environments_off_switch_wins_and_sends_no_request() {
    let (_, wire) = parameter(value("100"));
    let off = Rollout {
        use_kinesis: false,
        ..rollout("100")
    };
    let client = Client::new(&wire.config());
    let flag = opened(&client, off).await.unwrap();
    advance(Duration::from_secs(60)).await;
    assert!(!flag.current().await.use_kinesis);
    assert_eq!(wire.calls().len(), 1, "the one at the start");
}

#[tokio::test(start_paused = true)]
async fn retries_after_a_failure_have_jitter() {
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (answer, wire) = parameter(value("10"));
        let flag = open(&wire).await.unwrap();
        set(&answer, Answer::Refusal(400, "ThrottlingException"));
        advance(Duration::from_secs(6)).await;
        flag.current().await;
        let (failed, calls) = (Instant::now(), wire.calls().len());
        while wire.calls().len() == calls {
            advance(Duration::from_millis(10)).await;
            flag.current().await;
        }
        waits.insert(failed.elapsed());
    }
    let (shortest, longest) = (*waits.first().unwrap(), *waits.last().unwrap());
    assert!(shortest >= Duration::from_millis(2_490), "{waits:?}");
    assert!(longest <= Duration::from_millis(5_020), "{waits:?}");
    assert!(waits.len() > 5, "{waits:?}");
}

const SECRETS: &str = "/t/secrets";

/// Two parameters, of which `GetParameters` returns those that are asked for.
fn two_parameters() -> Wire {
    Wire::new(|number, call| {
        let names = call.body["Names"].as_array().unwrap().iter();
        let parameters = names.map(|name| match name.as_str().unwrap() {
            NAME => json!({"Name": NAME, "Value": "10", "Version": 1}),
            name => json!({"Name": name, "Value": format!("secret-{number}"), "Version": 3}),
        });
        Answer::Good(json!({"Parameters": parameters.collect::<Vec<_>>()}))
    })
}

fn secret(reading: Option<Reading>) -> String {
    match reading.unwrap().outcome {
        Outcome::Value(text) => text.expose_secret().to_owned(),
        other @ (Outcome::Missing | Outcome::Unread) => panic!("{other:?}"),
    }
}

/// SSM allows 40 calls a second for all processes of an account: what is due at the same time is one call.
#[tokio::test(start_paused = true)]
async fn flag_and_secrets_are_read_in_one_call_each_after_its_own_interval() {
    let wire = two_parameters();
    let client = Client::new(&wire.config());
    let intervals = [(SECRETS, Duration::from_secs(30)), (NAME, FLAG_INTERVAL)];
    let parameters = LiveParameters::start(&client, &intervals).await.unwrap();
    let parameters = Arc::new(parameters);
    let flag = SsmRollout::new(Arc::clone(&parameters), NAME, rollout("100"));
    let flag = flag.await.unwrap();
    let minute = Duration::from_secs(60);
    for _ in 0..60 {
        assert_eq!(flag.current().await, rollout("10"));
        secret(parameters.reading(SECRETS, minute).await);
        advance(Duration::from_secs(1)).await;
    }
    let calls = wire.calls();
    let names = |call: &Call| call.body["Names"].as_array().unwrap().len();
    let counts: Vec<usize> = calls.iter().map(names).collect();
    assert_eq!(counts, [2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1]);
    assert!(calls.iter().all(|call| call.body["WithDecryption"] == true));
}

/// A process that Lambda had frozen: whoever comes first reads, and nobody is answered with what is old.
#[tokio::test(start_paused = true)]
async fn a_value_that_is_too_old_is_waited_for_by_everybody() {
    let wire = two_parameters().with_latency(Duration::from_millis(100));
    let client = Client::new(&wire.config());
    let interval = Duration::from_secs(30);
    let parameters = LiveParameters::start(&client, &[(SECRETS, interval)]).await;
    let parameters = Arc::new(parameters.unwrap());
    let read = || {
        let parameters = Arc::clone(&parameters);
        tokio::spawn(
            async move { secret(parameters.reading(SECRETS, Duration::from_secs(60)).await) },
        )
    };
    // Due, but not old: one reads, the others go on.
    advance(Duration::from_secs(31)).await;
    let (first, second) = (read(), read());
    assert_eq!(first.await.unwrap(), "secret-1");
    assert_eq!(second.await.unwrap(), "secret-0");
    advance(Duration::from_secs(61)).await;
    let readers: Vec<_> = (0..20).map(|_| read()).collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), "secret-2");
    }
    assert_eq!(wire.calls().len(), 3);
}

/// Its connection may be gone.
#[tokio::test(start_paused = true)]
async fn an_old_value_is_tried_twice_at_once() {
    for (failures, outcome) in [(1, true), (2, false)] {
        let wire = Wire::new(move |number, call| match number {
            0 => of_several(value("one"), call),
            number if number <= failures => Answer::Refusal(500, "InternalServerError"),
            _ => of_several(value("two"), call),
        });
        let client = Client::new(&wire.config());
        let parameters = LiveParameters::start(&client, &[(SECRETS, FLAG_INTERVAL)]).await;
        let parameters = parameters.unwrap();
        advance(Duration::from_secs(3_600)).await;
        let reading = parameters.reading(SECRETS, Duration::from_secs(60)).await;
        let is_read = matches!(reading.unwrap().outcome, Outcome::Value(_));
        assert_eq!(is_read, outcome, "{failures}");
        assert_eq!(wire.calls().len(), 3, "{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_retries_for_five_seconds_regardless_of_the_clients_limits() {
    let began = Instant::now();
    let wire = Wire::new(move |_, call| match began.elapsed().as_millis() {
        0..1_000 => Answer::Refusal(400, "ThrottlingException"),
        // One attempt without a response (1.5 s) and the longest wait (1.6 s) fit into the 5 s.
        1_000..1_800 => Answer::Silence,
        _ => of_several(value("10"), call),
    });
    let timeouts = aws_sdk_ssm::config::timeout::TimeoutConfig::builder()
        .operation_timeout(Duration::from_millis(600))
        .build();
    let config = wire.config().into_builder().timeout_config(timeouts);
    let client = Client::new(&config.build());
    let flag = opened(&client, rollout("100")).await.unwrap();
    assert_eq!(flag.current().await, rollout("10"));
    assert!(wire.calls().len() > 3);

    let (_, wire) = parameter(Answer::Refusal(400, "ThrottlingException"));
    let began = Instant::now();
    assert!(open(&wire).await.is_err());
    let took = began.elapsed();
    assert!((Duration::from_secs(3)..=Duration::from_secs(5)).contains(&took));
    assert!(
        wire.calls().len() <= 12,
        "a throttled service is not flooded"
    );
}

fn change(key: Option<RolloutKey>) -> FlagChange {
    FlagChange {
        at_ms: 1_767_323_045_006,
        who: "alice".to_owned(),
        why: "canary".to_owned(),
        value: FlagValue {
            use_kinesis: true,
            percentage: "1".parse().unwrap(),
            key,
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_written_with_who_when_and_why_and_returns_its_version() {
    let (_, wire) = parameter(value("0"));
    let record = SsmFlagRecord::new(&Client::new(&wire.config()), NAME);
    assert_eq!(record.write(&change(None)).await.unwrap(), 2);
    let put = wire.calls().last().unwrap().body.clone();
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
            "by": "alice",
            "reason": "canary",
            "at": "2026-01-02T03:04:05.006Z",
        }),
        "a key that was not chosen does not overwrite the processes' own"
    );
    record
        .write(&change(Some(RolloutKey::Token)))
        .await
        .unwrap();
    let put = wire.calls().last().unwrap().body.clone();
    assert!(put["Value"].as_str().unwrap().contains("\"key\":\"token\""));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_or_missing_flag_is_reported_without_an_error() {
    let (answer, wire) = parameter(value("1O"));
    let record = SsmFlagRecord::new(&Client::new(&wire.config()), NAME);
    let read = record.read().await.unwrap();
    let FlagContent::Unreadable(what) = read.content else {
        panic!("{read:?}");
    };
    assert!(what.contains("`1O`"), "{what}");
    assert_eq!(read.version, 1);
    set(&answer, Answer::Refusal(400, "ParameterNotFound"));
    let read = record.read().await.unwrap();
    assert_eq!((read.version, read.content), (0, FlagContent::Missing));
    set(&answer, Answer::Refusal(400, "AccessDeniedException"));
    assert!(record.read().await.is_err());
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
    let wire = Wire::new(move |_, call| match call.body.get("NextToken") {
        None => Answer::Good(pages[0].clone()),
        Some(_) => Answer::Good(pages[1].clone()),
    });
    let record = SsmFlagRecord::new(&Client::new(&wire.config()), NAME);
    let history = record.history(10).await.unwrap();
    let changes: Vec<(i64, &str)> = history
        .iter()
        .map(|past| (past.version, past.change.who.as_str()))
        .collect();
    assert_eq!(changes, [(3, "alice"), (1, "arn:aws:iam::1:user/bob")]);
    assert_eq!(history[0].change.value.key, Some(RolloutKey::Token));
    let plain = &history[1].change;
    assert_eq!(plain.at_ms, 1_767_225_600_500);
    assert_eq!(
        (plain.value.share(), plain.value.key),
        ("0".parse().unwrap(), None)
    );
    assert_eq!(record.history(1).await.unwrap().len(), 1);
}
