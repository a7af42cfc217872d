//! `tickctl verify --athena`: the archive as an analyst sees it, compared with table and stream tick by tick.

use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, CohortTick, TickQueue as _, TickStore as _, TickStream as _};
use aws::dynamodb::{ListedTicks, StoreTimeout, TickTable, TickTableConfig};
use aws::kinesis::KinesisStream;
use aws::sqs::SqsQueue;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_sdk_kinesis::types::StreamStatus;
use domain::{Price, Tick, TickId};
use integration::bootstraps;
use integration::emulator::{self, Emulator};
use serde_json::Value;
use testkit::ticks::{in_cohort, ticks};
use tokio::process::Command;

use super::athena_engine::{self, AthenaEngine};
use super::{analyst_of, awkward};
use crate::project::{CommandOutput, until};
use crate::sql::files::Bucket;

const DAY_MS: i64 = 86_400_000;

/// Long enough for a busy machine.
const WITHIN: Duration = Duration::from_secs(30);

/// The stores of a project, without its functions.
struct Stores {
    name: String,
    emulator: &'static Emulator,
    table: ListedTicks,
    stream: KinesisStream,
    queues: aws_sdk_sqs::Client,
    redrive_url: String,
    bucket: Bucket,
}

impl Stores {
    async fn new(emulator: &'static Emulator) -> Self {
        let name = emulator.unique_project();
        let ticks = format!("{name}-ticks");
        let config = emulator.sdk_config();
        let tables = aws_sdk_dynamodb::Client::new(&config);
        create_table(&tables, &ticks).await;
        let streams = aws_sdk_kinesis::Client::new(&config);
        create_stream(&streams, &ticks).await;
        let queues = aws_sdk_sqs::Client::new(&config);
        let redrive = queues.create_queue().queue_name(format!("{name}-redrive"));
        let redrive = redrive.send().await.unwrap();
        let settings = TickTableConfig {
            table: ticks.clone(),
            retention_days: 30,
            timeout: StoreTimeout {
                base: WITHIN,
                max: WITHIN,
            },
            new_ids_from_ms: 0,
        };
        let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
        let table = Arc::new(TickTable::new(tables.clone(), settings, clock));
        Self {
            table: ListedTicks::new(table, &tables, ticks.clone(), 30),
            stream: KinesisStream::new(&streams, ticks, WITHIN),
            queues,
            redrive_url: redrive.queue_url().unwrap().to_owned(),
            bucket: Bucket::make(emulator, &format!("{name}-archive")).await,
            name,
            emulator,
        }
    }

    /// Stores ticks, and appends those of the cohort to the stream.
    async fn deliver(&self, decided: &[CohortTick]) {
        self.table.put(decided).await.unwrap();
        let cohort = decided.iter().filter(|it| it.in_cohort);
        let cohort: Vec<&Tick> = cohort.map(|it| &it.tick).collect();
        assert_eq!(self.stream.append(&cohort, None).await.unwrap(), []);
    }

    /// Runs `tickctl verify` for an operator; with an engine, Athena is asked for the archive.
    async fn verify(&self, engine: Option<&AthenaEngine>, more: &[&str]) -> CommandOutput {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(bootstraps::program("tickctl").unwrap());
        command
            .args(["verify", "--aws", "--project", &self.name, "--json"])
            .args(["--from", "1h", "--archive"])
            .arg(self.bucket.archive())
            .args(more)
            .env("HOME", home.path());
        for (variable, value) in self.emulator.environment() {
            // What it names would be taken for an emulator of Athena, too.
            if variable != "AWS_ENDPOINT_URL" {
                command.env(variable, value);
            }
        }
        for service in ["DYNAMODB", "KINESIS", "S3", "SQS"] {
            let variable = format!("AWS_ENDPOINT_URL_{service}");
            command.env(variable, self.emulator.endpoint());
        }
        if let Some(engine) = engine {
            command.arg("--athena");
            command.env("AWS_ENDPOINT_URL_ATHENA", &engine.api);
        }
        CommandOutput::of(&command.output().await.unwrap())
    }
}

async fn create_table(client: &aws_sdk_dynamodb::Client, name: &str) {
    let mut create = client.create_table().table_name(name);
    for (key, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(key)
            .attribute_type(ScalarAttributeType::S);
        let element = KeySchemaElement::builder()
            .attribute_name(key)
            .key_type(kind);
        create = create
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(element.build().unwrap());
    }
    let create = create.billing_mode(BillingMode::PayPerRequest);
    create.send().await.unwrap();
}

async fn create_stream(client: &aws_sdk_kinesis::Client, name: &str) {
    let create = client.create_stream().stream_name(name).shard_count(2);
    create.send().await.unwrap();
    until("the stream is there", async || {
        let described = client
            .describe_stream_summary()
            .stream_name(name)
            .send()
            .await;
        let described = described.unwrap();
        let summary = described.stream_description_summary().unwrap();
        summary.stream_status() == &StreamStatus::Active
    })
    .await;
}

/// Ticks that were received ten minutes ago, of events of three days, some with values at the limits of their columns.
fn received() -> Vec<Tick> {
    let received_ms = runtime::clock::now_ms() - 600_000;
    let mut made = ticks(&["BTC", "ETH"], 60);
    made.extend(awkward());
    for (n, tick) in (0..).zip(&mut made) {
        tick.ingested_at_ms = received_ms + n;
        tick.timestamp_ms = tick.ingested_at_ms - 50 - DAY_MS * (n % 3);
        tick.tick_id = TickId::parse(&format!("{n:032x}")).unwrap();
    }
    made
}

/// The counts of a place.
fn counts(output: &CommandOutput, place: &str) -> [u64; 5] {
    let report: Value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"));
    let counts = &report["proof"]["counts"][place];
    ["matched", "missing", "different", "repeated", "extra"].map(|name| {
        counts[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{output:?}"))
    })
}

/// After minutes of throttling, the redrive queue has ticks that are due: it appends them itself.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_repaired_while_the_redrive_queue_has_messages() {
    let emulator = emulator::start().await.unwrap();
    let stores = Stores::new(emulator).await;
    let made = received();
    stores.table.put(&in_cohort(&made)).await.unwrap();
    let refused: Vec<&Tick> = made.iter().take(2).collect();
    let streamed: Vec<&Tick> = made.iter().skip(2).collect();
    assert_eq!(stores.stream.append(&streamed, None).await.unwrap(), []);
    stores.bucket.put_archived(&[made[2..].to_vec()]).await;
    let redrive = SqsQueue::new(&stores.queues, &stores.redrive_url, WITHIN);
    assert_eq!(redrive.send(&refused).await.unwrap(), []);

    let run = stores.verify(None, &["--repair"]).await;
    assert_eq!(run.code, 3, "{run:?}");
    let found = "-redrive has about 2 messages (2 visible, 0 in flight, 0 delayed)";
    assert!(run.err.contains(found), "{run:?}");
    // What was received is in flight.
    let receive = stores.queues.receive_message();
    let receive = receive
        .queue_url(&stores.redrive_url)
        .max_number_of_messages(10);
    receive.visibility_timeout(3_600).send().await.unwrap();
    let run = stores.verify(None, &["--repair"]).await;
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("(0 visible, 2 in flight"), "{run:?}");
    let run = stores.verify(None, &[]).await;
    let missing = [made.len() as u64 - 2, 2, 0, 0, 0];
    assert_eq!((run.code, counts(&run, "stream")), (1, missing), "{run:?}");

    // Once the queue is drained or purged, what the stream lacks is appended once.
    let purge = stores.queues.purge_queue().queue_url(&stores.redrive_url);
    purge.send().await.unwrap();
    let run = stores.verify(None, &["--repair"]).await;
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["proof"]["repaired"]["appended"], 2, "{run:?}");
    let run = stores.verify(None, &[]).await;
    let matched = [made.len() as u64, 0, 0, 0, 0];
    assert_eq!(counts(&run, "stream"), matched, "{run:?}");
}

/// What a comparison found, without the times at which it was made.
fn report(output: &CommandOutput) -> Value {
    let mut report: Value = serde_json::from_str(&output.out).unwrap();
    let proof = &mut report["proof"];
    proof["made_at_ms"].take();
    proof["scope"].take();
    // Parts are compared at the same time.
    let examples = proof["examples"].as_array_mut().unwrap();
    examples.sort_by_key(Value::to_string);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_compared_as_its_files_and_as_athena_has_it() {
    let emulator = emulator::start().await.unwrap();
    let stores = Stores::new(emulator).await;
    let made = received();
    let all = made.len() as u64;
    let [lost, changed, doubled, outside, ..] = &made[..] else {
        panic!()
    };
    let mut decided = in_cohort(&made);
    decided[3].in_cohort = false;
    stores.deliver(&decided).await;
    let little = Price::new("0.000000001".parse().unwrap()).unwrap();
    let dearer = Tick {
        price: Price::new(changed.price.decimal() + little.decimal()).unwrap(),
        ..changed.clone()
    };
    let sound = &made[4..];
    stores.bucket.put_archived(&[sound.to_vec()]).await;
    let faulty = vec![dearer, doubled.clone(), outside.clone()];
    stores
        .bucket
        .put_archived(&[faulty, vec![doubled.clone()]])
        .await;

    // Of the cohort, one is lost, one is different, and one is there twice; one does not belong there.
    let expected = [all - 4, 1, 1, 1, 1];
    let files = stores.verify(None, &[]).await;
    assert_eq!(
        (files.code, counts(&files, "archive")),
        (1, expected),
        "{files:?}"
    );
    assert_eq!(counts(&files, "stream"), [all - 1, 0, 0, 0, 0], "{files:?}");

    let unshown = "tickctl verify --athena on Athena's engine";
    let Some(engine) = athena_engine::start(emulator, unshown).await else {
        return;
    };
    // Before there is a workgroup, nothing is proven and nothing is missing.
    let unseen = stores.verify(Some(engine), &[]).await;
    assert_eq!(
        (unseen.code, counts(&unseen, "archive")),
        (3, [0; 5]),
        "{unseen:?}"
    );
    assert!(unseen.out.contains("ticksql init"), "{unseen:?}");

    analyst_of(engine, emulator, &stores.bucket, &stores.name).await;
    let seen = stores.verify(Some(engine), &[]).await;
    assert_eq!(
        (seen.code, counts(&seen, "archive")),
        (1, expected),
        "{seen:?}"
    );
    assert_eq!(report(&seen), report(&files));
    let examples = report(&seen)["proof"]["examples"].to_string();
    assert!(examples.contains(&lost.tick_id.to_string()), "{examples}");

    // What only the archive lacks is written to it, and Athena has it then.
    let repaired = stores.verify(Some(engine), &["--repair"]).await;
    let repair: Value = serde_json::from_str(&repaired.out).unwrap();
    assert_eq!(repair["proof"]["repaired"]["archived"], 1, "{repaired:?}");
    let after = stores.verify(Some(engine), &[]).await;
    assert_eq!(
        counts(&after, "archive"),
        [all - 3, 0, 1, 1, 1],
        "{after:?}"
    );

    // Without the faults, it is proven.
    let sound = Stores::new(emulator).await;
    sound.deliver(&decided).await;
    let cohort = decided.iter().filter(|it| it.in_cohort);
    let cohort: Vec<Tick> = cohort.map(|it| it.tick.clone()).collect();
    sound.bucket.put_archived(&[cohort]).await;
    analyst_of(engine, emulator, &sound.bucket, &sound.name).await;
    let proven = sound.verify(Some(engine), &[]).await;
    assert_eq!(
        (proven.code, counts(&proven, "archive")),
        (0, [all - 1, 0, 0, 0, 0]),
        "{proven:?}"
    );
}
