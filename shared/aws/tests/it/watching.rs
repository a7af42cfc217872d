//! Watching a rollout beside the readers that a shard has already, on a model of Kinesis's limit of five reads a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::{Clock, PortError};
use async_trait::async_trait;
use aws::operator_ports::StreamArrivals;
use aws_client::scripted_http::{Answer, Call, Wire};
use aws_sdk_kinesis::Client;
use domain::Percentage;
use ops::flag_record::{FlagChange, FlagRead, FlagRecord, FlagValue, FlagVersion};
use ops::ports::{AlarmStates, Alarms};
use ops::rollout_controller::{Changed, RolloutController};
use serde_json::json;
use tokio::time::Instant;

const SHARDS: [&str; 3] = ["s0", "s1", "s2"];

/// Five a second for a shard, for all of its readers.
const READS_PER_SECOND: usize = 5;

/// Lambda and Firehose, which together take what a third reader must leave them.
const OTHER_READS_PER_SECOND: usize = 4;

/// How the reads of the watcher are answered.
#[derive(Clone, Copy, Debug)]
enum Stream {
    Quiet,
    /// More arrives than is read.
    Busy,
    /// Each second read is refused, although the watcher is within its share.
    Throttled,
    /// Each second iterator has expired.
    Expiring,
}

/// Nothing that the watch needs.
struct Nobody;

#[async_trait]
impl FlagRecord for Nobody {
    async fn read(&self) -> Result<FlagRead, PortError> {
        unreachable!("the flag is set")
    }
    async fn write(&self, _: &FlagChange) -> Result<i64, PortError> {
        unreachable!("the flag is set")
    }
    async fn history(&self, _: usize) -> Result<Vec<FlagVersion>, PortError> {
        unreachable!("the flag is set")
    }
}

#[async_trait]
impl Alarms for Nobody {
    async fn states(&self) -> Result<AlarmStates, PortError> {
        unreachable!("the step is made")
    }
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_767_225_600_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// Iterators are the shard and a count.
fn shard_of(call: &Call) -> String {
    let iterator = call.body["ShardIterator"].as_str().unwrap();
    iterator.split(' ').next().unwrap().to_owned()
}

fn wire(stream: Stream) -> Wire {
    let reads: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    Wire::new(move |number, call| match call.operation.as_str() {
        "ListShards" => {
            let range = json!({"StartingSequenceNumber": "0"});
            let keys = json!({"StartingHashKey": "0", "EndingHashKey": "1"});
            let shards = SHARDS.map(
                |id| json!({"ShardId": id, "HashKeyRange": keys, "SequenceNumberRange": range}),
            );
            Answer::Good(json!({"Shards": shards}))
        }
        "GetShardIterator" => {
            let shard = call.body["ShardId"].as_str().unwrap();
            Answer::Good(json!({"ShardIterator": format!("{shard} {number}")}))
        }
        "GetRecords" => {
            let shard = shard_of(call);
            let mut reads = reads.lock().unwrap();
            let read = reads.entry(shard.clone()).or_default();
            *read += 1;
            let behind_ms = match stream {
                Stream::Throttled if read.is_multiple_of(2) => {
                    return Answer::Refusal(400, "ProvisionedThroughputExceededException");
                }
                Stream::Expiring if read.is_multiple_of(2) => {
                    return Answer::Refusal(400, "ExpiredIteratorException");
                }
                Stream::Busy => 9,
                Stream::Quiet | Stream::Throttled | Stream::Expiring => 0,
            };
            Answer::Good(json!({
                "Records": [], "MillisBehindLatest": behind_ms,
                "NextShardIterator": format!("{shard} {number}"),
            }))
        }
        other => panic!("{other}"),
    })
}

/// The largest number of calls that begin within a second of each other.
fn most_in_a_second(sent: &[Instant]) -> usize {
    let within = |from: &Instant| {
        let second = *from..*from + Duration::from_secs(1);
        sent.iter().filter(|at| second.contains(at)).count()
    };
    sent.iter().map(within).max().unwrap_or(0)
}

/// Watches a step up for a while and a rollback until it is drained or given up, and returns the reads.
async fn watch(stream: Stream) -> Vec<Call> {
    let wire = wire(stream);
    let client = Client::new(&wire.config());
    let clock = TestClock(Instant::now());
    let controller = RolloutController {
        flag: &Nobody,
        alarms: &Nobody,
        clock: &clock,
    };
    let mut arrivals = StreamArrivals::new(&client, "tickstream-ticks");
    let changed = Changed {
        before: Some(Percentage::ZERO),
        value: FlagValue {
            use_kinesis: true,
            percentage: Percentage::FULL,
            key: None,
        },
        began_ms: clock.now_ms(),
        stored_after_ms: 0,
        proof: None,
        notes: Vec::new(),
    };
    let watched = controller.watch(&changed, &mut arrivals, Duration::from_secs(30));
    assert_eq!(watched.await.unwrap().arrived, 0);
    let drained = controller.watch_drained(&changed, &mut arrivals).await;
    let is_busy = matches!(stream, Stream::Busy);
    assert_eq!(drained.is_err(), is_busy, "{stream:?}: {drained:?}");
    let calls = wire.calls().into_iter();
    calls
        .filter(|call| call.operation == "GetRecords")
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_reads_each_shard_at_most_once_a_second() {
    for stream in [
        Stream::Quiet,
        Stream::Busy,
        Stream::Throttled,
        Stream::Expiring,
    ] {
        let reads = watch(stream).await;
        for shard in SHARDS {
            let of_shard = reads.iter().filter(|call| shard_of(call) == shard);
            let sent: Vec<Instant> = of_shard.map(|call| call.sent).collect();
            assert!(sent.len() >= 20, "{stream:?}: {}", sent.len());
            let most = most_in_a_second(&sent);
            let all = most + OTHER_READS_PER_SECOND;
            assert!(all <= READS_PER_SECOND, "{stream:?}, {shard}: {most}");
        }
    }
}
