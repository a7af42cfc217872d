//! The analytics table: errors of a step's transactions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ports::{
    AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StateChange, StoredState,
    StreamRecord,
};
use aws::dynamodb::AnalyticsTable;
use aws::dynamodb::analytics::ReadRange;
use aws::emf::InvocationMetrics;
use aws_sdk_dynamodb::Client;
use domain::Pair;
use domain::analytics::{
    AnalysisConfig, Anomaly, AnomalyReason, Candle, Interval, Member, PairState,
};
use domain::{Tick, TickId};
use serde_json::{Value, json};
use testkit::throttled_table::{ThrottledTable, UNLIMITED};
use testkit::ticks::{START_MS, tick};
use tokio::time::Instant;

use crate::dynamodb_ticks::At;
use crate::throttled_ticks::wire_of;
use aws_client::scripted_http::{Answer, Call, Wire};

const TIMEOUT: Duration = Duration::from_secs(2);

fn table(wire: &Wire) -> AnalyticsTable {
    let clock = Arc::new(At(START_MS));
    let client = Client::new(&wire.config());
    AnalyticsTable::new(client, "tickstream-analytics", 30, TIMEOUT, clock)
}

fn change(token: &str) -> StateChange {
    let pair = Pair::of(&tick(token, 1));
    let state = PairState::new(pair.token.clone(), pair.quote.clone());
    StateChange {
        base: 7.into(),
        stored: StoredState {
            last_sequence: 9.into(),
            state,
        },
        pair,
    }
}

fn step(tokens: &[&str]) -> AnalysisCommit {
    AnalysisCommit {
        states: tokens.iter().map(|token| change(token)).collect(),
        ..AnalysisCommit::default()
    }
}

fn cancelled(codes: &[&str]) -> Answer {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    let body = json!({ "__type": kind, "Message": "cancelled", "CancellationReasons": reasons });
    Answer::Refused(400, body)
}

fn nothing() -> Answer {
    Answer::Good(json!({}))
}

async fn commit(wire: &Wire, step: AnalysisCommit) -> Result<Vec<Candle>, PortError> {
    table(wire).commit(3, 9.into(), step).await
}

/// The pair whose state a transaction updates.
fn moved(call: &Call) -> Option<String> {
    assert_eq!(call.operation, "TransactWriteItems");
    let actions = call.body["TransactItems"].as_array().unwrap();
    let keys = actions
        .iter()
        .map(|action| &action["Put"]["Item"]["pk"]["S"]);
    let mut states = keys.filter_map(|key| key.as_str()?.strip_prefix("state#").map(str::to_owned));
    states.next()
}

#[tokio::test(start_paused = true)]
async fn a_changed_state_is_reported_and_not_retried() {
    let wire = Wire::new(|_, _| cancelled(&["ConditionalCheckFailed", "None"]));
    let error = commit(&wire, step(&["BTC"])).await.unwrap_err();
    assert!(error.retryable, "the step succeeds once it is folded again");
    let message = error.source.to_string();
    assert!(
        message.contains("the state of BTC/USD has changed"),
        "{message}"
    );
    assert_eq!(wire.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_and_a_throttled_table_are_retried_until_the_deadline() {
    for code in ["TransactionConflict", "ThrottlingError"] {
        let wire = Wire::new(move |number, _| match number {
            0..3 => cancelled(&["None", code]),
            _ => nothing(),
        });
        commit(&wire, step(&["BTC"])).await.unwrap();
        let calls = wire.calls();
        assert_eq!(calls.len(), 4, "{code}");
        let token = |call: &Call| call.body["ClientRequestToken"].clone();
        let tokens: Vec<Value> = calls.iter().map(token).collect();
        assert!(
            tokens[0].is_string() && tokens.iter().all(|it| *it == tokens[0]),
            "{tokens:?}"
        );

        let wire = Wire::new(move |_, _| cancelled(&["None", code]));
        let start = Instant::now();
        let error = commit(&wire, step(&["BTC"])).await.unwrap_err();
        assert!(error.retryable && error.source.to_string().contains(code));
        assert!(start.elapsed() <= TIMEOUT);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_transaction_is_not_retried() {
    let wire = Wire::new(|_, _| cancelled(&["ValidationError"]));
    let error = commit(&wire, step(&["BTC"])).await.unwrap_err();
    assert!(!error.retryable);
    assert_eq!(wire.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_pair_does_not_prevent_storing_the_others() {
    let wire = Wire::new(|_, call| match moved(call).as_deref() {
        Some("ETH#USD") => cancelled(&["ConditionalCheckFailed"]),
        _ => nothing(),
    });
    assert!(commit(&wire, step(&["BTC", "ETH", "SOL"])).await.is_err());
    let mut tried: Vec<String> = wire.calls().iter().filter_map(moved).collect();
    tried.sort();
    assert_eq!(tried, ["BTC#USD", "ETH#USD", "SOL#USD"]);
}

#[tokio::test(start_paused = true)]
async fn no_state_is_stored_unless_the_anomalies_are() {
    let made = tick("BTC", 1);
    let anomaly = Anomaly {
        token: made.token,
        quote: made.quote,
        tick_id: made.tick_id,
        timestamp_ms: made.timestamp_ms,
        price: made.price,
        score: 14.5,
        threshold: 8.0,
        window_ms: 1_200,
        reason: AnomalyReason::Jump,
        message: "rose".to_owned(),
    };
    let with_anomaly = AnalysisCommit {
        anomalies: vec![anomaly],
        ..step(&["BTC"])
    };
    let wire = Wire::new(|_, _| nothing());
    commit(&wire, with_anomaly.clone()).await.unwrap();
    let operations: Vec<String> = wire.calls().into_iter().map(|it| it.operation).collect();
    assert_eq!(operations, ["BatchWriteItem", "TransactWriteItems"]);

    let wire = Wire::new(|_, call| {
        assert_eq!(call.operation, "BatchWriteItem", "no state is stored");
        Answer::Good(json!({ "UnprocessedItems": call.body["RequestItems"] }))
    });
    assert!(commit(&wire, with_anomaly).await.unwrap_err().retryable);
}

#[tokio::test(start_paused = true)]
async fn a_stored_candle_is_read_and_must_be_unchanged_when_it_is_corrected() {
    let candle = Candle {
        revision: 4,
        ..Candle::of(&tick("BTC", 1), Interval::OneSecond)
    };
    let correction = Candle::of(
        &Tick {
            tick_id: TickId::derive("late", &["1"]),
            ..tick("BTC", 1)
        },
        Interval::OneSecond,
    );
    // The second commit reads what the first one wrote.
    let first = Wire::new(|_, _| nothing());
    let stored = AnalysisCommit {
        candles: vec![candle],
        ..step(&["BTC"])
    };
    commit(&first, stored).await.unwrap();
    let item = first.calls()[0].body["TransactItems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|action| action["Put"]["Item"].clone())
        .find(|item| item["trades"].is_object())
        .unwrap();

    let wire = Wire::new(move |_, call| match call.operation.as_str() {
        "BatchGetItem" => {
            let asked = &call.body["RequestItems"]["tickstream-analytics"];
            assert_eq!(asked["ConsistentRead"], true);
            Answer::Good(json!({ "Responses": { "tickstream-analytics": [item] } }))
        }
        _ => nothing(),
    });
    let correct = AnalysisCommit {
        corrections: vec![correction],
        ..step(&["BTC"])
    };
    let corrected = commit(&wire, correct).await.unwrap();
    assert_eq!((corrected[0].tick_count, corrected[0].revision), (2, 5));
    let put = &wire.calls()[1].body["TransactItems"][0]["Put"];
    assert_eq!(put["ConditionExpression"], "#revision = :read");
    assert_eq!(put["ExpressionAttributeValues"][":read"]["N"], "4");
}

#[tokio::test(start_paused = true)]
async fn unprocessed_keys_are_requested_again_and_missing_states_are_none() {
    let pairs: Vec<Pair> = (0..150)
        .map(|n| Pair::of(&tick(&format!("T{n}"), 1)))
        .collect();
    let wire = Wire::new(|number, call| {
        let asked = call.body["RequestItems"]["tickstream-analytics"].clone();
        let keys = asked["Keys"].as_array().unwrap();
        assert!(keys.len() <= 100);
        match number {
            0 => Answer::Good(json!({
                "UnprocessedKeys": { "tickstream-analytics": { "Keys": keys[..10] } }
            })),
            _ => Answer::Good(json!({ "Responses": {} })),
        }
    });
    let found = table(&wire).load(0, &pairs).await.unwrap();
    assert_eq!(found.len(), 150);
    assert!(found.iter().all(Option::is_none));
    let counts: Vec<usize> = wire
        .calls()
        .iter()
        .map(|call| {
            call.body["RequestItems"]["tickstream-analytics"]["Keys"]
                .as_array()
                .unwrap()
                .len()
        })
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 160, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_stay_unprocessed_are_an_error_and_not_missing_states() {
    let wire =
        Wire::new(|_, call| Answer::Good(json!({ "UnprocessedKeys": call.body["RequestItems"] })));
    let error = table(&wire)
        .load(0, &[Pair::of(&tick("BTC", 1))])
        .await
        .unwrap_err();
    assert!(error.retryable);
}

/// A table on the model, without limits.
fn modelled() -> (Arc<ThrottledTable>, Wire) {
    let model = Arc::new(ThrottledTable::new(UNLIMITED, UNLIMITED, 1));
    (Arc::clone(&model), wire_of(model, Instant::now(), |_| {}))
}

fn late_tick(n: u32) -> Tick {
    Tick {
        tick_id: TickId::derive("late", &[&n.to_string()]),
        ..tick("BTC", n)
    }
}

struct NoFeed;

#[async_trait::async_trait]
impl AnalysisFeed for NoFeed {
    async fn publish(&self, _: AnalysisUpdate) {}
}

fn analyser(table: &AnalyticsTable) -> Analyser {
    let config = AnalysisConfig {
        keep_members: true,
        ..AnalysisConfig::default()
    };
    Analyser::new(0, Arc::new(table.clone()), Arc::new(NoFeed), config)
}

/// Records with these sequence numbers, from `first`.
fn records(first: u64, ticks: impl IntoIterator<Item = Tick>) -> Vec<StreamRecord> {
    let numbered = (first..).zip(ticks);
    let record = |(n, tick): (u64, Tick)| StreamRecord {
        sequence: n.into(),
        tick,
    };
    numbered.map(record).collect()
}

async fn fold(analyser: &mut Analyser, records: &[StreamRecord]) {
    analyser.fold(records).await.unwrap();
    analyser.commit().await.unwrap();
}

async fn counts(table: &AnalyticsTable) -> Vec<u64> {
    let day = ReadRange {
        from_ms: START_MS,
        to_ms: START_MS + 86_400_000,
        limit: 10_000,
    };
    let pair = Pair::of(&tick("BTC", 1));
    let mut counts = Vec::new();
    for interval in Interval::ALL {
        let candles = table.candles(&pair, interval, day).await.unwrap();
        counts.push(candles.iter().map(|candle| candle.tick_count).sum());
    }
    counts
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Metrics {
    lines: Buffer,
    counted: Arc<InvocationMetrics>,
}

impl Default for Metrics {
    fn default() -> Self {
        let lines = Buffer::default();
        let clock = Arc::new(|| START_MS);
        let counted = InvocationMetrics::new(lines.clone(), clock, "analytics");
        Self {
            lines,
            counted: Arc::new(counted),
        }
    }
}

impl Metrics {
    /// The sum of a metric over all invocations.
    fn sum(&self, name: &str) -> u64 {
        self.counted.flush();
        let lines = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        let values = lines.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line[name].as_u64().unwrap_or(0)
        });
        values.sum()
    }
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_the_stream_holds_again_counts_once_whoever_reads_it() {
    let (_, wire) = modelled();
    let metrics = Metrics::default();
    let table = table(&wire).with_metrics(Arc::clone(&metrics.counted));
    let made: Vec<Tick> = (0..1_500).map(|n| tick("BTC", n)).collect();
    let mut first = analyser(&table);
    fold(&mut first, &records(1, made.clone())).await;
    assert_eq!(counts(&table).await, [1_500; 4]);
    // An old tick, one of the open second, and a new late one with its repeat; by the same process,
    // and by one that loads the state.
    let again = [
        made[3].clone(),
        made[1_499].clone(),
        late_tick(9),
        late_tick(9),
    ];
    fold(&mut first, &records(2_000, again.clone())).await;
    assert_eq!(counts(&table).await, [1_501; 4]);
    let mut other = analyser(&table);
    fold(&mut other, &records(3_000, again.into_iter().chain(made))).await;
    assert_eq!(counts(&table).await, [1_501; 4]);
    assert_eq!(metrics.sum("RepeatedTicks"), 3 + 4 + 1_500);
    assert_eq!(metrics.sum("StatesSetAside"), 0);
    // Of the late tick, only its first copy.
    let late = ["LateTicks", "TooLateTicks"].map(|name| metrics.sum(name));
    assert_eq!(late, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn members_are_read_once_per_second_and_returned_in_order() {
    let (_, wire) = modelled();
    let table = table(&wire);
    fold(
        &mut analyser(&table),
        &records(1, (0..5).map(|n| tick("BTC", n))),
    )
    .await;
    let before = wire.calls().len();
    let pair = Pair::of(&tick("BTC", 1));
    let at = |n: i64| (pair.clone(), START_MS + n * 1_000);
    let found = table.members(&[at(2), at(77), at(1), at(2)]).await.unwrap();
    let of = |n| vec![Member::of(&tick("BTC", n))];
    assert_eq!(found, [of(2), vec![], of(1), of(2)]);
    assert_eq!(wire.calls().len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_cannot_be_read_is_set_aside_and_the_others_go_on() {
    let (model, wire) = modelled();
    let metrics = Metrics::default();
    let table = table(&wire).with_metrics(Arc::clone(&metrics.counted));
    let made = |from, to| (from..to).flat_map(|n| ["BTC", "ETH"].map(|token| tick(token, n)));
    fold(&mut analyser(&table), &records(1, made(0, 100))).await;
    let pairs = ["BTC", "ETH"].map(|token| Pair::of(&tick(token, 1)));
    let averages = async || {
        let states = table.load(0, &pairs).await.unwrap();
        states
            .into_iter()
            .map(|state| state.unwrap().state.averages())
            .collect::<Vec<_>>()
    };
    let before = averages().await;

    let key = ("state#BTC#USD".to_owned(), "state".to_owned());
    let mut item = Value::Object(model.items()[&key].clone());
    item["state"] = json!({ "B": "AAAA" });
    model.set(item);
    assert_eq!(averages().await[1], before[1]);
    assert_eq!(metrics.sum("StatesSetAside"), 1);

    // Repeats, late ticks and new ones: all count once.
    let mut next = analyser(&table);
    let more = made(0, 100).chain([late_tick(50)]).chain(made(100, 150));
    fold(&mut next, &records(1_000, more)).await;
    assert_eq!(counts(&table).await, [151; 4]);
    assert_eq!(metrics.sum("RepeatedTicks"), 200);
    let stored = table.load(0, &pairs).await.unwrap();
    assert_eq!(
        metrics.sum("StatesSetAside"),
        2,
        "the state is readable again"
    );
    let last = stored.iter().flatten().map(|it| it.last_sequence).max();
    assert_eq!(last, Some((1_000 + 301 - 1).into()));
}

#[tokio::test(start_paused = true)]
async fn a_state_without_candles_in_a_month_begins_again() {
    let (model, wire) = modelled();
    let key =
        json!({ "pk": { "S": "state#BTC#USD" }, "sk": { "S": "state" }, "state": { "B": "AAAA" } });
    model.set(key);
    let pair = Pair::of(&tick("BTC", 1));
    let states = table(&wire).load(0, &[pair]).await.unwrap();
    let state = states[0].as_ref().unwrap();
    assert_eq!(state.last_sequence, SequenceNumber::START);
    assert_eq!(state.state.open_candles().count(), 0);
    let queries = wire
        .calls()
        .iter()
        .filter(|call| call.operation == "Query")
        .count();
    assert_eq!(queries, 32, "one per day");
}
