//! Records what each function sends to AWS, with everything that it can do: `infra/operations.txt` is that list, and a test
//! of the templates holds the policies to it, both ways.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use app::ports::TickStream as _;
use app::replay::Blocks as _;
use archive::Archive;
use aws::dynamodb::CandleTable;
use aws::kinesis::KinesisStream;
use aws_sdk_ssm::types::ParameterType;
use domain::{Price, Tick};
use integration::bootstraps::{self, FUNCTIONS};
use integration::emulator::{self, ACCOUNT, Emulator, REGION};
use integration::event_source::function::BootstrapFunction;
use integration::event_source::{
    Answer, EventSource, Function as _, MappingSettings, StartingPosition,
};
use integration::faults::{Fault, FaultyEndpoint, Times};
use integration::stream_metrics;
use serde_json::{Value, json};
use testkit::anomalies::jump_at;
use testkit::ticks::{START_MS, tick};

use crate::resources::{SECRET, webhook_event};

/// The recorded list, next to the templates.
const RECORDED: &str = "../infra/operations.txt";

const HEADER: &str = "\
# What each function sends to AWS: function, action, resource. Recorded by integration/tests/harness/operations.rs, which
# fails if it is not so; integration/tests/templates/permissions.rs holds the policies of service.yaml to it.
";

const TIMEOUT: Duration = Duration::from_secs(60);

/// A project whose resources have the names that the templates give them.
struct Project {
    emulator: &'static Emulator,
    name: String,
}

impl Project {
    async fn new() -> Self {
        let emulator = emulator::start().await.unwrap();
        let project = Self {
            emulator,
            name: emulator.unique_project(),
        };
        let config = emulator.sdk_config();
        let proxied = crate::faults::proxied().await;
        for (table, keys) in [
            ("ticks", ["pk", "sk"]),
            ("analytics", ["pk", "sk"]),
            ("connections", ["topic", "connection_id"]),
        ] {
            crate::faults::table(&proxied, &project.of(table), &keys).await;
        }
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let create = kinesis.create_stream().stream_name(project.of("ticks"));
        create.shard_count(1).send().await.unwrap();
        let s3 = emulator.s3();
        let create = s3.create_bucket().bucket(project.of("archive"));
        create.send().await.unwrap();
        let sqs = aws_sdk_sqs::Client::new(&config);
        for queue in ["broadcast", "redrive"] {
            let create = sqs.create_queue().queue_name(project.of(queue));
            create.send().await.unwrap();
        }
        let sns = aws_sdk_sns::Client::new(&config);
        for topic in ["malformed", "anomalies"] {
            sns.create_topic()
                .name(project.of(topic))
                .send()
                .await
                .unwrap();
        }
        let ssm = aws_sdk_ssm::Client::new(&config);
        for (parameter, kind, value) in [
            ("rollout", ParameterType::String, "100"),
            ("webhook-secrets", ParameterType::SecureString, SECRET),
        ] {
            let put = ssm
                .put_parameter()
                .name(format!("/{}/{parameter}", project.name));
            put.r#type(kind).value(value).send().await.unwrap();
        }
        project
    }

    fn of(&self, resource: &str) -> String {
        format!("{}-{resource}", self.name)
    }

    fn queue(&self, queue: &str) -> String {
        format!("{}/{ACCOUNT}/{}", self.emulator.endpoint(), self.of(queue))
    }

    /// A function, and the endpoint that records what it sends.
    async fn function(&self, function: &str) -> (Arc<BootstrapFunction>, FaultyEndpoint) {
        let endpoint = FaultyEndpoint::start(self.emulator).await.unwrap();
        let url = endpoint.url().to_owned();
        let topic = |name| format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", self.of(name));
        let mut environment = self.emulator.environment();
        environment.extend([
            ("AWS_ENDPOINT_URL", url.clone()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.of(function)),
            ("TICKS_TABLE", self.of("ticks")),
            ("ANALYTICS_TABLE", self.of("analytics")),
            ("CONNECTIONS_TABLE", self.of("connections")),
            ("STREAM_NAME", self.of("ticks")),
            ("BROADCAST_QUEUE_URL", self.queue("broadcast")),
            ("REDRIVE_QUEUE_URL", self.queue("redrive")),
            ("ARCHIVE_BUCKET", self.of("archive")),
            (
                "ARCHIVE_URL",
                format!("s3://{}/price-archive/", self.of("archive")),
            ),
            (
                "ANOMALIES_URL",
                format!("s3://{}/anomalies/", self.of("archive")),
            ),
            ("MALFORMED_TOPIC_ARN", topic("malformed")),
            ("ANOMALIES_TOPIC_ARN", topic("anomalies")),
            ("LIVE_CALLBACK_URL", format!("{url}/live")),
            ("ROLLOUT_PARAMETER", format!("/{}/rollout", self.name)),
            (
                "WEBHOOK_SECRETS_PARAMETER",
                format!("/{}/webhook-secrets", self.name),
            ),
            ("CANDLE_DELAY_SECONDS", "0".to_owned()),
            ("SHARDS_MIN", "1".to_owned()),
        ]);
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let program = bootstraps::program(function).unwrap();
        let function = BootstrapFunction::new(function, program, &environment, TIMEOUT);
        (Arc::new(function), endpoint)
    }

    /// Has a function do all that it does.
    async fn exercise(
        &self,
        name: &str,
        function: &Arc<BootstrapFunction>,
        endpoint: &FaultyEndpoint,
    ) {
        match name {
            "webhook" => webhook(function, endpoint).await,
            "analytics" => self.analytics(function).await,
            "broadcast" => broadcast(function).await,
            "redrive" => redrive(function).await,
            "scaler" => self.scaler(function).await,
            "compaction" => self.compaction(function).await,
            other => panic!("nothing is recorded of {other}: add it"),
        }
    }

    /// Batches of the stream, with poison, a jump of the price, and a cold start between them; twice what the schedule asks for.
    async fn analytics(&self, function: &Arc<BootstrapFunction>) {
        let config = self.emulator.sdk_config();
        let name = self.of("ticks");
        let kinesis = aws_sdk_kinesis::Client::new(&config);
        let stream = KinesisStream::new(&kinesis, &name, TIMEOUT);
        let settings = MappingSettings::deployed();
        let as_function = Arc::clone(function) as _;
        let from = StartingPosition::TrimHorizon;
        let source = EventSource::open(&config, &name, as_function, settings, from, None);
        let mut source = source.await.unwrap();
        let start_ms = runtime::clock::now_ms() / 600_000 * 600_000 - 7_200_000;
        for round in 0..2_u32 {
            let ticks: Vec<Tick> = (0..400).map(|n| moved(round * 400 + n, start_ms)).collect();
            let all: Vec<&Tick> = ticks.iter().collect();
            assert_eq!(stream.append(&all, None).await.unwrap(), []);
            let poison = kinesis.put_record().stream_name(&name).partition_key("SOL");
            let poison = poison.data(aws_sdk_kinesis::primitives::Blob::new("not a tick"));
            poison.send().await.unwrap();
            source.drain().await.unwrap();
            returned(function, json!({ "settle": true })).await;
            // The next instance reads snapshot and records again.
            function.cool_down().await;
        }
        assert_eq!(source.report().errors, Vec::<String>::new());
    }

    /// A stream of one shard that is too small.
    async fn scaler(&self, function: &BootstrapFunction) {
        let config = self.emulator.sdk_config();
        let stream = self.of("ticks");
        let add = stream_metrics::add_traffic(&config, &stream, 1.5);
        add.await.unwrap();
        let answer = returned(function, json!({})).await;
        assert_eq!(
            answer,
            json!({ "outcome": "requested", "from": 1, "to": 2 })
        );
    }

    /// Two files of a closed day, and an anomaly.
    async fn compaction(&self, function: &BootstrapFunction) {
        let data = tempfile::tempdir().unwrap();
        let archive = Archive::open(data.path()).unwrap();
        let day_ms = runtime::clock::now_ms() / 86_400_000 * 86_400_000 - 5 * 86_400_000;
        for range in 0..2_u32 {
            let ticks: Vec<Tick> = (0..50).map(|n| moved(range * 50 + n, day_ms)).collect();
            let first = u64::from(range) * 50;
            archive.write_range(0, first, first + 49, &ticks).unwrap();
        }
        let folder = data.path().join("price-archive");
        upload(self.emulator, &self.of("archive"), data.path(), &folder).await;
        let answer = returned(function, json!({})).await;
        assert_eq!(answer, json!({ "compacted": 1, "unchanged": 0 }));
        let dynamodb = aws_sdk_dynamodb::Client::new(&self.emulator.sdk_config());
        let candles = CandleTable::new(
            &dynamodb,
            self.of("analytics"),
            1,
            TIMEOUT,
            Arc::new(runtime::clock::now_ms),
        );
        let anomaly = jump_at(&moved(0, day_ms));
        candles
            .put_anomalies(std::slice::from_ref(&anomaly))
            .await
            .unwrap();
        let hour = json!({ "scheduled": "2026-03-07T14:00:00Z" });
        let archived = returned(function, hour.clone()).await;
        // The analysis, which ran before, may have found some, too.
        assert!(archived["anomalies"].as_u64() >= Some(1), "{archived}");
        // It is listed again, and the archive has it.
        candles.put_anomalies(&[anomaly]).await.unwrap();
        let again = returned(function, hour).await;
        assert_eq!(again, json!({ "anomalies": 0 }));
    }
}

/// A tick of the price about 100, which jumps once.
fn moved(n: u32, start_ms: i64) -> Tick {
    let price = if n % 400 == 390 {
        "250"
    } else {
        ["100", "100.1", "99.9"][n as usize % 3]
    };
    let tick = tick("SOL", n);
    let timestamp_ms = tick.timestamp_ms - START_MS + start_ms;
    Tick {
        price: Price::parse(price).unwrap(),
        timestamp_ms,
        ingested_at_ms: timestamp_ms,
        ..tick
    }
}

async fn returned(function: &BootstrapFunction, event: Value) -> Value {
    match function.invoke(event).await {
        Answer::Returned(answer) => answer,
        other @ (Answer::Raised(_) | Answer::NotInvoked(_)) => panic!("{other:?}"),
    }
}

async fn upload(emulator: &Emulator, bucket: &str, root: &Path, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            Box::pin(upload(emulator, bucket, root, &path)).await;
            continue;
        }
        let key = path
            .strip_prefix(root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let put = emulator.s3().put_object().bucket(bucket).key(key);
        let body = aws_sdk_s3::primitives::ByteStream::from(std::fs::read(&path).unwrap());
        put.body(body).send().await.unwrap();
    }
}

fn text(tick: &Tick) -> String {
    let mut json = Vec::new();
    codec::json::write_json(tick, &mut json);
    String::from_utf8(json).unwrap()
}

/// New and repeated ticks, one that gets the time of its receipt, one that is malformed, and a stream that refuses.
async fn webhook(function: &BootstrapFunction, endpoint: &FaultyEndpoint) {
    let delivery = |n| webhook_event(&format!("[{}]", text(&tick("SOL", n))));
    let of_jupiter =
        r#"{"So11111111111111111111111111111111111111112":{"usdPrice":147.5,"blockId":348004026}}"#;
    let mut stamped = webhook_event(of_jupiter);
    stamped["rawPath"] = json!("/webhooks/jupiter");
    stamped["requestContext"]["http"]["path"] = json!("/webhooks/jupiter");
    let malformed = webhook_event(r#"[{"token":"SOL","price":"-1"}]"#);
    for event in [delivery(1), delivery(1), stamped, malformed] {
        assert_eq!(returned(function, event).await["statusCode"], 200);
    }
    let refuses = endpoint.fail("PutRecords", Fault::Unavailable, Times::Always);
    refuses.unwrap();
    assert_eq!(returned(function, delivery(2)).await["statusCode"], 200);
    endpoint.heal();
}

/// A connection from its beginning to its end, with a tick in between.
async fn broadcast(function: &BootstrapFunction) {
    let socket = |kind: &str, route: &str, body: Option<&str>| {
        json!({
            "requestContext": {
                "routeKey": route, "eventType": kind, "connectionId": "c", "requestId": "r",
                "apiId": "a", "stage": "live", "connectedAt": START_MS,
                "identity": { "sourceIp": "192.0.2.1" },
            },
            "queryStringParameters": { "tokens": "SOL" }, "isBase64Encoded": false, "body": body,
        })
    };
    let subscribe = r#"{"action":"subscribe","tokens":["SOL","BTC"]}"#;
    returned(function, socket("CONNECT", "$connect", None)).await;
    returned(function, socket("MESSAGE", "$default", Some(subscribe))).await;
    let body = text(&tick("SOL", 1));
    let message = json!({ "messageId": "m", "body": body, "eventSource": "aws:sqs" });
    // The emulator does not know the connection, which the function takes for gone.
    drop(function.invoke(json!({ "Records": [message] })).await);
    returned(function, socket("DISCONNECT", "$disconnect", None)).await;
}

/// A tick, and what is none.
async fn redrive(function: &BootstrapFunction) {
    let bodies = [text(&tick("SOL", 1)), "not a tick".to_owned()];
    let records = bodies.iter().enumerate().map(
        |(n, body)| json!({ "messageId": n.to_string(), "body": body, "eventSource": "aws:sqs" }),
    );
    let event = json!({ "Records": records.collect::<Vec<_>>() });
    let answer = returned(function, event).await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_operations_are_what_the_functions_send() {
    let project = Project::new().await;
    let mut lines = BTreeSet::new();
    for name in FUNCTIONS {
        let (function, endpoint) = project.function(name).await;
        project.exercise(name, &function, &endpoint).await;
        for permission in endpoint.permissions() {
            let line = format!("{name} {permission}").replace(&project.name, "PROJECT");
            // An iterator names its stream in a way of the service's own; there is only this one.
            lines.insert(line.replace("stream/?", "stream/PROJECT-ticks"));
        }
    }
    let sent: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let sent = format!("{HEADER}{sent}");
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join(RECORDED);
    if std::fs::read_to_string(&recorded).unwrap_or_default() != sent {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("operations.txt");
        std::fs::write(&copy, &sent).unwrap();
        panic!(
            "the functions send something else than infra/operations.txt says: compare it with {}, and copy that over it",
            copy.display()
        );
    }
}
