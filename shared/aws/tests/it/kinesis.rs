//! The stream: chunks, partial failures, order, deadlines.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use app::ports::{Refused, TickStream};
use aws::kinesis::KinesisStream;
use aws_sdk_kinesis::Client;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::base64;
use aws_smithy_types::config_bag::ConfigBag;
use domain::Tick;
use serde_json::{Value, json};
use testkit::ticks::{tick, ticks};
use tokio::time::Instant;

use aws_client::scripted_http::{Answer, Call, Wire};

/// The adapter's deadline.
const DEADLINE: Duration = Duration::from_millis(400);

fn stream(wire: &Wire) -> KinesisStream {
    let client = Client::new(&wire.config());
    KinesisStream::new(&client, "tickstream-ticks", DEADLINE)
}

async fn append(wire: &Wire, ticks: &[Tick]) -> Vec<Refused> {
    let all: Vec<&Tick> = ticks.iter().collect();
    stream(wire).append(&all, None).await.unwrap()
}

/// The ticks in a PutRecords request, with their partition keys.
fn sent(call: &Call) -> Vec<(String, Tick)> {
    assert_eq!(call.operation, "PutRecords");
    assert_eq!(call.body["StreamName"], "tickstream-ticks");
    let records = call.body["Records"].as_array().unwrap();
    records
        .iter()
        .map(|record| {
            let data = base64::decode(record["Data"].as_str().unwrap()).unwrap();
            let key = record["PartitionKey"].as_str().unwrap().to_owned();
            (key, codec::json::from_json(&data).unwrap())
        })
        .collect()
}

/// A response to PutRecords that refuses the records selected by `refuses`.
fn answered(call: &Call, refuses: impl Fn(usize, &Tick) -> bool) -> Answer {
    let records: Vec<Value> = sent(call)
        .iter()
        .enumerate()
        .map(|(position, (_, tick))| {
            if refuses(position, tick) {
                json!({
                    "ErrorCode": "ProvisionedThroughputExceededException",
                    "ErrorMessage": "Rate exceeded for shard shardId-000000000000",
                })
            } else {
                json!({"ShardId": "shardId-000000000000", "SequenceNumber": "1"})
            }
        })
        .collect();
    let failed = records.iter().filter(|r| r.get("ErrorCode").is_some());
    Answer::Good(json!({"FailedRecordCount": failed.count(), "Records": records}))
}

fn taken_all(call: &Call) -> Answer {
    answered(call, |_, _| false)
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_in_chunks_of_500_with_the_token_as_partition_key() {
    let wire = Wire::new(|_, call| taken_all(call));
    let made = ticks(&["A", "B", "C"], 401);
    assert_eq!(append(&wire, &made).await, []);
    let calls = wire.calls();
    assert_eq!(calls.len(), 3);
    let mut arrived = Vec::new();
    for call in &calls {
        let sent = sent(call);
        assert!(sent.len() <= 500);
        for (key, tick) in sent {
            assert_eq!(key, tick.token.as_str());
            arrived.push(tick);
        }
    }
    for token in ["A", "B", "C"] {
        let of = |ticks: &[Tick]| -> Vec<Tick> {
            let of_token = |tick: &&Tick| tick.token.as_str() == token;
            ticks.iter().filter(of_token).cloned().collect()
        };
        assert_eq!(of(&arrived), of(&made), "all of {token}, in order");
    }
}

#[tokio::test]
async fn an_empty_batch_sends_no_request() {
    let wire = Wire::new(|_, call| taken_all(call));
    assert_eq!(append(&wire, &[]).await, []);
    assert!(wire.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_refused_records_are_retried() {
    let wire = Wire::new(|n, call| answered(call, |position, _| n == 0 && position == 1));
    let made = ticks(&["A", "B", "C"], 1);
    assert_eq!(append(&wire, &made).await, []);
    let sizes: Vec<usize> = wire.calls().iter().map(|call| sent(call).len()).collect();
    assert_eq!(sizes, [3, 1]);
    assert_eq!(sent(&wire.calls()[1])[0].1, made[1]);
}

#[tokio::test(start_paused = true)]
async fn later_ticks_of_a_token_wait_for_its_refused_tick() {
    // 700 ticks of one token: two requests, of which the first has its last record refused twice.
    let last = tick("A", 499).tick_id;
    let wire = Wire::new(move |n, call| answered(call, |_, tick| n < 2 && tick.tick_id == last));
    let made = ticks(&["A"], 700);
    assert_eq!(append(&wire, &made).await, []);
    let requests: Vec<Vec<Tick>> = wire
        .calls()
        .iter()
        .map(|call| sent(call).into_iter().map(|(_, tick)| tick).collect())
        .collect();
    let sizes: Vec<usize> = requests.iter().map(Vec::len).collect();
    assert_eq!(sizes, [500, 1, 1, 200]);
    assert_eq!(requests[3], made[500..]);
}

#[tokio::test(start_paused = true)]
async fn requests_are_sequential_per_token_and_concurrent_across_tokens() {
    let names: Vec<String> = (0..20).map(|n| format!("T{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wire = Wire::new(|n, call| answered(call, |position, _| n % 3 == 0 && position % 7 == 0))
        .with_latency(Duration::from_millis(10));
    assert_eq!(append(&wire, &ticks(&names, 150)).await, []);
    let spans: Vec<(Instant, Instant, HashSet<String>)> = wire
        .calls()
        .iter()
        .map(|call| {
            let tokens = sent(call).into_iter().map(|(key, _)| key).collect();
            (call.sent, call.answered.unwrap(), tokens)
        })
        .collect();
    let mut overlapping = 0;
    for (place, (sent, answered, tokens)) in spans.iter().enumerate() {
        for (other_sent, other_answered, other_tokens) in &spans[..place] {
            if sent < other_answered && other_sent < answered {
                overlapping += 1;
                assert!(tokens.is_disjoint(other_tokens));
            }
        }
    }
    assert!(overlapping > 0, "six chunks should not wait for each other");
}

#[tokio::test(start_paused = true)]
async fn ticks_throttled_until_the_deadline_are_refused_with_the_reason() {
    let hot = tick("HOT", 1);
    let wire = Wire::new(|_, call| answered(call, |_, tick| tick.token.as_str() == "HOT"));
    let started = Instant::now();
    let refused = append(&wire, &[tick("A", 1), hot, tick("B", 1)]).await;
    assert!(started.elapsed() < DEADLINE);
    assert_eq!(
        refused,
        [Refused {
            index: 1,
            reason: "ProvisionedThroughputExceededException: Rate exceeded for shard shardId-000000000000".to_owned(),
        }]
    );
    let tries = wire.calls().len();
    assert!((4..=10).contains(&tries), "{tries} tries");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_respond_takes_no_longer_than_the_deadline() {
    let wire = Wire::new(|_, _| Answer::Silence);
    let started = Instant::now();
    let refused = append(&wire, &ticks(&["A"], 600)).await;
    assert!(started.elapsed() <= DEADLINE + Duration::from_millis(1));
    assert_eq!(refused.len(), 600);
    assert!(
        refused[0].reason.contains("no response"),
        "{:?}",
        refused[0]
    );
    assert!(
        refused[599].reason.starts_with("not sent"),
        "{:?}",
        refused[599]
    );
    assert!(refused.iter().map(|refused| refused.index).eq(0..600));
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_retried() {
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "LimitExceededException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
    ] {
        let wire = Wire::new(move |n, call| {
            if n < 2 {
                Answer::Refusal(status, code)
            } else {
                taken_all(call)
            }
        });
        assert_eq!(append(&wire, &ticks(&["A"], 3)).await, [], "{code}");
        assert_eq!(wire.calls().len(), 3, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_not_retried() {
    let wire = Wire::new(|_, _| Answer::Refusal(400, "AccessDeniedException"));
    let refused = append(&wire, &ticks(&["A"], 700)).await;
    assert_eq!(
        wire.calls().len(),
        1,
        "the token's other ticks are not sent either"
    );
    assert_eq!(refused.len(), 700);
    assert!(
        refused[0]
            .reason
            .starts_with("AccessDeniedException: the test says so")
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_result_does_not_count_as_appended() {
    let wire = Wire::new(|n, call| {
        if n == 0 {
            Answer::Good(
                json!({"FailedRecordCount": 0, "Records": [{"SequenceNumber": "1", "ShardId": "s"}]}),
            )
        } else {
            taken_all(call)
        }
    });
    assert_eq!(append(&wire, &ticks(&["A"], 3)).await, []);
    let sizes: Vec<usize> = wire.calls().iter().map(|call| sent(call).len()).collect();
    assert_eq!(sizes, [3, 2]);
}

#[derive(Debug)]
struct Broken;

impl Intercept for Broken {
    fn name(&self) -> &'static str {
        "Broken"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Err("this client is broken".into())
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_created_is_an_error_of_the_call() {
    let wire = Wire::new(|_, call| taken_all(call));
    let config = aws_sdk_kinesis::config::Builder::from(&wire.config()).interceptor(Broken);
    let client = Client::from_conf(config.build());
    let stream = KinesisStream::new(&client, "tickstream-ticks", DEADLINE);
    let error = stream.append(&[&tick("A", 1)], None).await.unwrap_err();
    assert!(!error.retryable && wire.calls().is_empty());
    assert!(
        error.source.to_string().contains("this client is broken"),
        "{}",
        error.source
    );
}

#[tokio::test(start_paused = true)]
async fn under_random_refusals_each_tick_arrives_once_or_is_reported() {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::sync::{Arc, Mutex};

    for seed in 0..6 {
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        let share = f64::from(u8::try_from(seed).unwrap()) / 6.0;
        let arrived: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let seen = Arc::clone(&arrived);
        let wire = Wire::new(move |_, call| {
            answered(call, |_, tick| {
                let refuses = random.lock().unwrap().random_bool(share);
                if !refuses {
                    let id = tick.tick_id.to_string();
                    *seen.lock().unwrap().entry(id).or_default() += 1;
                }
                refuses
            })
        });
        let made = ticks(&["A", "B", "C", "D", "E"], 130);
        let refused: HashSet<usize> = append(&wire, &made)
            .await
            .iter()
            .map(|refused| refused.index)
            .collect();
        for (index, tick) in made.iter().enumerate() {
            let times = arrived
                .lock()
                .unwrap()
                .get(&tick.tick_id.to_string())
                .copied();
            let expected = (!refused.contains(&index)).then_some(1);
            assert_eq!(times, expected, "seed {seed}, tick {index}");
        }
    }
}
