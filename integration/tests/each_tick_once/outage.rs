//! DynamoDB is away for an hour, and Kinesis with it, a little longer: by the clock, not by a number of failures. Webhook,
//! analytics and redrive run on it together, with the deployed mappings; nobody does anything.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use app::ingest::Ingest;
use app::ports::{Clock, RolloutFlag};
use app::redrive::Redrive;
use app::replay::Settings;
use async_trait::async_trait;
use aws::dynamodb::candle_blocks::ReadRange;
use aws::emf::InvocationMetrics;
use domain::analytics::{Candle, Interval};
use domain::{Pair, Percentage, Rollout, RolloutKey, Tick, TickId, Token};
use futures_util::future::join_all;
use integration::event_source::answer::{Answer, outcome};
use integration::event_source::event::{Origin, invocation};
use integration::event_source::mapping::MappingSettings;
use integration::event_source::queue::{
    REDRIVE_MESSAGES_MAX, REDRIVE_RECEIVES_MAX, REDRIVE_VISIBILITY_SECONDS, queue_outcome,
};
use integration::event_source::record::Record;
use integration::event_source::shard::{Batch, Shard, Step};
use redrive::handler::Redriver;
use serde_json::json;
use testkit::memory_objects::MemoryObjects;
use testkit::replay::expected_candles;
use testkit::ticks::tick;
use tokio::time::{sleep, timeout};

use crate::cloud::{SHARDS, candle_table, data_of, decided, function, name_of, tick_table};
use crate::ports::{Ignored, Queue};
use crate::world::{BACK_AT, DYNAMODB_AWAY_FROM, Ports, START_MS, World, client};

/// Deliveries are sent from the start until so long after the outage, one each so many seconds.
const SENT_UNTIL: u64 = BACK_AT + 300;
const SECONDS_BETWEEN: u64 = 60;

/// The test ends when the last sender has surely tried again, and the last candles are stored.
const ENDS_AT: u64 = BACK_AT + 4 * 3_600;

/// What docs/operations.md says: until when the stream is analysed, and the redrive queue is empty, after the services are
/// back.
const ANALYSED_WITHIN: u64 = 120;
const REDRIVEN_WITHIN: u64 = 200;

/// The function's timeout.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);

const TOKENS: [&str; 4] = ["SOL", "BTC", "ETH", "BONK"];

/// How senders try again after a 503. The first does what `Retry-After` says, and then doubles its waits up to a minute. The
/// second has the schedule that Standard Webhooks recommends (section "Deliverability and reliability" of its
/// specification): <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
const WAITS: [&[u64]; 2] = [
    &[1, 2, 4, 8, 16, 32, 60],
    &[5, 300, 1_800, 7_200, 18_000, 36_000],
];

struct AllIn;

#[async_trait]
impl RolloutFlag for AllIn {
    async fn current(&self) -> Rollout {
        Rollout {
            use_kinesis: true,
            percentage: Percentage::FULL,
            key: RolloutKey::Tick,
        }
    }
}

/// The ticks of a delivery, of the moment when it is first sent.
fn delivery(number: u64, second: u64) -> Vec<Tick> {
    let timestamp_ms = START_MS + i64::try_from(second * 1_000 + number % 1_000).unwrap();
    let of_token = |token: &&str| Tick {
        tick_id: TickId::derive("outage", &[token, &number.to_string()]),
        timestamp_ms,
        ingested_at_ms: timestamp_ms,
        ..tick(token, u32::try_from(number).unwrap())
    };
    TOKENS.iter().map(of_token).collect()
}

/// Sends a delivery until it is accepted. Returns when, and how often it was refused.
async fn send(world: &World, ingest: &Ingest, ticks: &[Tick], waits: &[u64]) -> (u64, usize) {
    let mut body = Vec::from(b"[");
    body.extend(ticks.iter().map(data_of).collect::<Vec<_>>().join(&b','));
    body.push(b']');
    let source = sources::find("ticks").unwrap();
    for refused in 0.. {
        let delivered = ingest.deliver(source, &body).await;
        if delivered.is_ok() {
            return (world.seconds(), refused);
        }
        let wait = waits.get(refused).or(waits.last()).unwrap();
        sleep(Duration::from_secs(*wait)).await;
    }
    unreachable!("it is sent until it is accepted")
}

/// The event source of a shard, with the deployed mapping. `analysed` is when the last record was done.
async fn analyse(
    world: &World,
    number: usize,
    new: impl Fn() -> analytics::handler::Analytics,
    analysed: &RefCell<Vec<u64>>,
) {
    let mapping = MappingSettings::deployed();
    let (mut shard, mut offered, mut instance) = (Shard::new(mapping.clone()), 0, new());
    let now_ms = || START_MS + i64::try_from(world.start.elapsed().as_millis()).unwrap();
    while world.seconds() < ENDS_AT {
        if world.stream.shards[number].lock().unwrap().len() > offered {
            let records = world.stream.records(number);
            let news = records.iter().skip(offered).map(|(sequence, tick)| Record {
                sequence_number: *sequence,
                arrival_ms: now_ms(),
                partition_key: tick.token.to_string(),
                data: data_of(tick),
            });
            shard.offer(news.collect(), now_ms()).unwrap();
            offered = records.len();
        }
        match shard.step(now_ms()) {
            Step::Read | Step::WaitUntil(_) => sleep(Duration::from_secs(1)).await,
            Step::GiveUp(batch, condition) => panic!("{condition:?}: {batch:?}"),
            Step::Invoke(batch) => {
                let answer = invoke(&instance, number, &batch).await;
                if answer.is_none() {
                    // Lambda ends the process.
                    instance = new();
                }
                let answer = answer.unwrap_or(Answer::Raised("timed out".to_owned()));
                shard
                    .answered(&outcome(&mapping, &answer), now_ms())
                    .unwrap();
                if shard.is_idle() {
                    analysed.borrow_mut().push(world.seconds());
                }
            }
        }
    }
    assert!(shard.is_idle());
}

/// The answer of the function; `None` if it took too long.
async fn invoke(
    instance: &analytics::handler::Analytics,
    shard: usize,
    batch: &Batch,
) -> Option<Answer> {
    let origin = Origin {
        stream_arn: "arn:stream".to_owned(),
        shard_id: name_of(shard),
        function_arn: "arn:function".to_owned(),
        region: "us-east-1".to_owned(),
    };
    let event = serde_json::from_value(invocation(&origin, batch)).unwrap();
    let response = timeout(FUNCTION_TIMEOUT, instance.handle(event))
        .await
        .ok()?;
    Some(match response {
        Ok(response) => Answer::Returned(serde_json::to_value(response).unwrap()),
        Err(error) => Answer::Raised(error.to_string()),
    })
}

/// The hourly schedule of analytics, which stores what is due in shards without new records.
async fn settle(world: &World, instance: &analytics::handler::Analytics) -> usize {
    let mut failed = 0;
    while world.seconds() < ENDS_AT {
        sleep(Duration::from_secs(3_600)).await;
        failed += usize::from(!matches!(
            timeout(FUNCTION_TIMEOUT, instance.settle()).await,
            Ok(Ok(_))
        ));
    }
    failed
}

/// The event source of the redrive queue. Returns when the last message was deleted.
async fn redrive(world: &World, redriver: &Redriver) -> u64 {
    let mut emptied_at = 0;
    while world.seconds() < ENDS_AT {
        sleep(Duration::from_secs(1)).await;
        let now = world.seconds();
        let mut records = Vec::new();
        for (id, message) in world.redrive.lock().unwrap().iter_mut() {
            if message.visible_at <= now && records.len() < REDRIVE_MESSAGES_MAX {
                message.visible_at = now + REDRIVE_VISIBILITY_SECONDS;
                message.receives += 1;
                assert!(message.receives <= REDRIVE_RECEIVES_MAX, "it is in the DLQ");
                records.push(json!({"messageId": id.to_string(), "body": message.body}));
            }
        }
        if records.is_empty() {
            continue;
        }
        let ids: Vec<String> = records
            .iter()
            .map(|record| record["messageId"].as_str().unwrap().to_owned())
            .collect();
        let event = serde_json::from_value(json!({ "Records": records })).unwrap();
        let answer = match redriver.handle(event).await {
            Ok(response) => Answer::Returned(serde_json::to_value(response).unwrap()),
            Err(error) => Answer::Raised(error.to_string()),
        };
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut queue = world.redrive.lock().unwrap();
        for id in queue_outcome(true, &ids, &answer).deleted {
            queue.remove(&id.parse::<usize>().unwrap());
            emptied_at = world.seconds();
        }
    }
    emptied_at
}

fn counts(candles: &[Candle]) -> Vec<(Token, i64, u64)> {
    let count = |it: &Candle| (it.token.clone(), it.start_ms, it.tick_count());
    let mut counts: Vec<_> = candles.iter().map(count).collect();
    counts.sort();
    counts
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_dynamodb_loses_nothing_and_ends_by_itself() {
    fastrand::seed(19);
    let world = World::new();
    let start = world.start;
    let clock: Arc<dyn Clock> =
        Arc::new(move || START_MS + i64::try_from(start.elapsed().as_millis()).unwrap());
    let of_ticks = client(&world, |world| &world.ticks);
    let of_analytics = client(&world, |world| &world.analytics);
    let ports = Arc::new(Ports(Arc::clone(&world)));
    let ingest = Ingest {
        store: Arc::new(tick_table(&of_ticks, &clock)),
        stream: Arc::clone(&ports) as _,
        broadcast: Arc::new(Queue::default()),
        redrive: Some(Arc::clone(&ports) as _),
        quarantine: Arc::new(Ignored),
        ledger: Arc::new(Ignored),
        flag: Arc::new(AllIn),
        clock: Arc::clone(&clock),
        new_ids_from_ms: 0,
        settings: Arc::default(),
        recent_offers: Arc::default(),
    };
    let redriver = Redriver {
        redrive: Redrive {
            stream: Arc::clone(&ports) as _,
        },
        quarantine: Arc::new(Ignored),
        clock: Arc::clone(&clock),
        metrics: Arc::new(InvocationMetrics::new(
            std::io::sink(),
            Arc::clone(&clock),
            "redrive",
        )),
    };
    let snapshots: Arc<MemoryObjects> = Arc::default();
    let instance = || {
        function(
            &of_analytics,
            &snapshots,
            &world.stream,
            &clock,
            Settings::default(),
        )
    };

    let seconds = (0..SENT_UNTIL).step_by(usize::try_from(SECONDS_BETWEEN).unwrap());
    let deliveries: Vec<(u64, Vec<Tick>)> = seconds
        .zip(0..)
        .map(|(at, number)| (at, delivery(number, at)))
        .collect();
    let senders = join_all(deliveries.iter().zip(WAITS.iter().cycle()).map(
        |((at, ticks), waits)| async {
            sleep(Duration::from_secs(*at)).await;
            send(&world, &ingest, ticks, waits).await
        },
    ));
    let analysed = RefCell::default();
    let shards = (0..SHARDS).map(|number| analyse(&world, number, instance, &analysed));
    let scheduled = instance();
    let (accepted, _, redriven_at, settles_failed) = tokio::join!(
        senders,
        join_all(shards),
        redrive(&world, &redriver),
        settle(&world, &scheduled)
    );
    // The one that fell into the outage.
    assert_eq!(settles_failed, 1);

    // Refused only while the store is away, and accepted by the first attempt after that.
    for (((at, _), waits), (accepted_at, refused)) in
        deliveries.iter().zip(WAITS.iter().cycle()).zip(&accepted)
    {
        let is_during = (DYNAMODB_AWAY_FROM..BACK_AT).contains(at);
        assert_eq!(*refused > 0, is_during, "of second {at}");
        let longest_wait = waits
            .get(refused.saturating_sub(1))
            .or(waits.last())
            .unwrap();
        assert!(
            *accepted_at <= at.max(&BACK_AT) + longest_wait + 5,
            "of second {at}"
        );
    }
    // Nothing is lost in the store or the stream, and nothing is in the store twice.
    let sent: Vec<Tick> = deliveries
        .into_iter()
        .flat_map(|(_, ticks)| ticks)
        .collect();
    let all: BTreeSet<TickId> = sent.iter().map(|tick| tick.tick_id).collect();
    let items = world.ticks.items();
    let stored: Vec<TickId> = items
        .values()
        .map(|item| decided(item).tick.tick_id)
        .collect();
    assert_eq!(stored.len(), all.len());
    assert_eq!(stored.into_iter().collect::<BTreeSet<_>>(), all);
    let shards = world.stream.shards.iter();
    let streamed = shards.flat_map(|shard| shard.lock().unwrap().clone());
    assert_eq!(
        streamed.map(|tick| tick.tick_id).collect::<BTreeSet<_>>(),
        all
    );
    // Ticks were stored while the stream was away already, and came to it by themselves.
    assert!(world.has_refused.load(Ordering::Relaxed));
    assert!(world.redrive.lock().unwrap().is_empty());
    let redriven = BACK_AT..=BACK_AT + REDRIVEN_WITHIN;
    assert!(redriven.contains(&redriven_at), "{redriven_at}");
    let analysed = analysed.into_inner();
    assert!(analysed.iter().any(|at| *at < DYNAMODB_AWAY_FROM));
    let again = analysed.iter().find(|at| **at >= BACK_AT).unwrap();
    assert!(*again <= BACK_AT + ANALYSED_WITHIN, "{again}");
    // Each tick counts once, also those that came hours late.
    let table = candle_table(&of_analytics, &clock);
    let mut found = Vec::new();
    for token in TOKENS {
        let range = ReadRange {
            from_ms: START_MS - 3_600_000,
            to_ms: START_MS + 86_400_000,
            limit: 10_000,
        };
        let pair = Pair::of(&tick(token, 0));
        found.extend(
            table
                .candles(&pair, Interval::OneMinute, range)
                .await
                .unwrap(),
        );
    }
    assert_eq!(
        counts(&found),
        counts(&expected_candles(&sent, Interval::OneMinute))
    );
}
