//! A deployed project, seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::types::ShardIteratorType;
use domain::{Percentage, Rollout, RolloutKey, Tick, TickId};
use integration::bootstraps::{self, Zips};
use integration::emulator::{self, Emulator};
use integration::python::Tools;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How long tests wait for a condition.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a Lambda may use a cached flag.
pub(crate) const FLAG_CACHED: Duration = Duration::from_secs(5);

/// A project on the emulator.
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) emulator: &'static Emulator,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    http: reqwest::Client,
    outputs: BTreeMap<String, String>,
    secret: String,
}

/// The output and the exit code of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl CommandOutput {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What it printed; it must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }
}

impl Project {
    /// Deploys the templates with the real bootstraps and the real script.
    pub(crate) async fn deploy() -> Self {
        let emulator = emulator::start().await.unwrap();
        let name = &emulator.unique_project();
        let deployed = run(emulator, name, &["infra"], None).await.ok();
        println!("{deployed}");
        let config = emulator.sdk_config();
        let mut outputs = BTreeMap::new();
        for line in deployed.lines() {
            if let Some((key, value)) = line.split_once(char::is_whitespace) {
                outputs.insert(key.to_owned(), value.trim().to_owned());
            }
        }
        let ssm = aws_sdk_ssm::Client::new(&config);
        let secret = ssm
            .get_parameter()
            .name(format!("/{name}/webhook-secrets"))
            .with_decryption(true)
            .send()
            .await
            .unwrap();
        Self {
            name: name.to_owned(),
            emulator,
            kinesis: aws_sdk_kinesis::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            s3: emulator.s3(),
            http: reqwest::Client::new(),
            outputs,
            secret: secret.parameter.unwrap().value.unwrap(),
        }
    }

    /// Runs a verb of `infra/deploy.sh`.
    pub(crate) async fn run(&self, arguments: &[&str]) -> CommandOutput {
        run(self.emulator, &self.name, arguments, None).await
    }

    /// Runs a verb with other zips than those of the tests.
    pub(crate) async fn run_with_zips(&self, arguments: &[&str], zips: &Path) -> CommandOutput {
        run(self.emulator, &self.name, arguments, Some(zips)).await
    }

    /// Copies the zips of the tests, with a comment that makes one of them another file.
    pub(crate) async fn other_zips(&self, folder: &Path, changed: &str) {
        let zips = &PROGRAMS.get_or_init(programs).await.zips;
        for name in bootstraps::FUNCTIONS {
            let file = format!("{name}.zip");
            let mut bytes = std::fs::read(zips.folder().join(&file)).unwrap();
            if name == changed {
                // A zip ends with the length of its comment, and the comment.
                let length = bytes.len() - 2;
                assert_eq!(bytes[length..], [0, 0], "{file} has a comment");
                bytes[length] = 1;
                bytes.push(b'x');
            }
            std::fs::write(folder.join(file), bytes).unwrap();
        }
    }

    /// The value that the deploy printed for a name.
    #[track_caller]
    pub(crate) fn output(&self, key: &str) -> &str {
        self.outputs
            .get(key)
            .unwrap_or_else(|| panic!("no {key} in {:?}", self.outputs))
    }

    /// The webhook's address for a source.
    pub(crate) fn webhook(&self, source: &str) -> String {
        self.output("webhook").replace("SOURCE", source)
    }

    /// Posts a body like a provider, and returns the status and the body of the response.
    pub(crate) async fn post(&self, source: &str, body: String) -> (u16, Value) {
        let response = self
            .http
            .post(self.webhook(source))
            .header("authorization", &self.secret)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let json = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text));
        (status, json)
    }

    /// Posts ticks in our own JSON; each must be stored.
    pub(crate) async fn post_ticks(&self, ticks: &[Tick]) -> Value {
        let (status, answer) = self.post("ticks", body_of(ticks)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Delivers ticks like a provider: a few at a time, with retries after a 503, since the emulator
    /// sometimes pauses while it writes its archive.
    pub(crate) async fn deliver(&self, ticks: &[Tick]) {
        for few in ticks.chunks(20) {
            let mut attempts = 0;
            loop {
                let (status, answer) = self.post("ticks", body_of(few)).await;
                if status == 200 {
                    break;
                }
                attempts += 1;
                assert!(status == 503 && attempts < 10, "{status}: {answer}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }

    /// The ids in the table of ticks.
    pub(crate) async fn stored(&self) -> BTreeSet<TickId> {
        let mut pages = self
            .dynamodb
            .scan()
            .table_name(format!("{}-ticks", self.name))
            .into_paginator()
            .items()
            .send();
        let mut ids = BTreeSet::new();
        while let Some(item) = pages.next().await {
            let item = item.unwrap();
            if let Some(AttributeValue::S(id)) = item.get("tick_id") {
                ids.insert(TickId::parse(id).unwrap());
            }
        }
        ids
    }

    /// The data of every record in the stream.
    pub(crate) async fn records(&self) -> Vec<Vec<u8>> {
        let stream = format!("{}-ticks", self.name);
        let shards = self
            .kinesis
            .list_shards()
            .stream_name(&stream)
            .send()
            .await
            .unwrap();
        let mut records = Vec::new();
        for shard in shards.shards() {
            let begin = self
                .kinesis
                .get_shard_iterator()
                .stream_name(&stream)
                .shard_id(shard.shard_id())
                .shard_iterator_type(ShardIteratorType::TrimHorizon)
                .send()
                .await
                .unwrap();
            let mut next = begin.shard_iterator;
            while let Some(at) = next {
                let page = self
                    .kinesis
                    .get_records()
                    .shard_iterator(at)
                    .send()
                    .await
                    .unwrap();
                if page.records().is_empty() {
                    break;
                }
                records.extend(page.records().iter().map(|r| r.data().as_ref().to_vec()));
                next = page.next_shard_iterator;
            }
        }
        records
    }

    /// The ticks in the stream.
    pub(crate) async fn streamed(&self) -> Vec<Tick> {
        let records = self.records().await;
        let ticks = records
            .iter()
            .filter_map(|data| codec::json::from_json(data).ok());
        ticks.collect()
    }

    /// The number of messages in a queue, including those in flight.
    pub(crate) async fn depth(&self, queue: &str) -> u64 {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let url = self
            .sqs
            .get_queue_url()
            .queue_name(format!("{}-{queue}", self.name))
            .send()
            .await
            .unwrap();
        let found = self
            .sqs
            .get_queue_attributes()
            .set_queue_url(url.queue_url)
            .attribute_names(Name::All)
            .send()
            .await
            .unwrap();
        let count = |name: Name| {
            let value = found.attributes().and_then(|all| all.get(&name));
            value.map_or(0, |text| text.parse::<u64>().unwrap())
        };
        count(Name::ApproximateNumberOfMessages)
            + count(Name::ApproximateNumberOfMessagesNotVisible)
    }

    /// The objects of the archive bucket under a prefix.
    pub(crate) async fn objects(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let bucket = self.archive_bucket().await;
        let listed = self
            .s3
            .list_objects_v2()
            .bucket(&bucket)
            .prefix(prefix)
            .send()
            .await
            .unwrap();
        let mut objects = Vec::new();
        for object in listed.contents() {
            let key = object.key().unwrap().to_owned();
            let got = self
                .s3
                .get_object()
                .bucket(&bucket)
                .key(&key)
                .send()
                .await
                .unwrap();
            let bytes = got.body.collect().await.unwrap().into_bytes();
            objects.push((key, bytes.to_vec()));
        }
        objects
    }

    /// Downloads the objects under a prefix that are not in the folder yet.
    pub(crate) async fn fetch(&self, prefix: &str, folder: &Path) {
        let bucket = self.archive_bucket().await;
        let request = self.s3.list_objects_v2().bucket(&bucket).prefix(prefix);
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let key = object.key().unwrap();
                let file = folder.join(key.replace('/', "+"));
                if !file.exists() {
                    let got = self.s3.get_object().bucket(&bucket).key(key);
                    let bytes = got.send().await.unwrap().body.collect().await.unwrap();
                    std::fs::write(file, bytes.into_bytes()).unwrap();
                }
            }
        }
    }

    /// The bucket of archive, quarantine and query results.
    pub(crate) async fn archive_bucket(&self) -> String {
        let listed = self.s3.list_buckets().send().await.unwrap();
        let start = format!("{}-archive-", self.name);
        let names = listed.buckets().iter().filter_map(|bucket| bucket.name());
        let mut own = names.filter(|name| name.starts_with(&start));
        own.next().unwrap().to_owned()
    }
}

/// Waits until `done` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let began = Instant::now();
    while !done().await {
        assert!(
            began.elapsed() < WAIT_TIMEOUT,
            "waited too long until {what}"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Ticks as a body in our own JSON.
pub(crate) fn body_of(ticks: &[Tick]) -> String {
    let mut body = Vec::from(b"[");
    for (index, tick) in ticks.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        codec::json::write_json(tick, &mut body);
    }
    body.push(b']');
    String::from_utf8(body).unwrap()
}

/// The programs that the script uses, located once.
struct Programs {
    zips: Zips,
    tickctl: PathBuf,
    tools: Tools,
}

static PROGRAMS: OnceCell<Programs> = OnceCell::const_new();

async fn programs() -> Programs {
    let zips = tokio::task::spawn_blocking(bootstraps::zips).await;
    Programs {
        zips: zips.unwrap().unwrap(),
        tickctl: bootstraps::program("tickctl").unwrap(),
        tools: emulator::tools().await.unwrap(),
    }
}

async fn run(
    emulator: &Emulator,
    project: &str,
    arguments: &[&str],
    other_zips: Option<&Path>,
) -> CommandOutput {
    let Programs {
        zips,
        tickctl,
        tools,
    } = PROGRAMS.get_or_init(programs).await;
    let output = Command::new("bash")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/deploy.sh"))
        .args(arguments)
        .env("PROJECT", project)
        .env("USER", "night shift")
        .env("ZIPS", other_zips.unwrap_or(zips.folder()))
        .env("TICKCTL", tickctl)
        .env("AWS_CLI", &tools.aws)
        // The ticks of the tests are old: their candles are stored with their batch.
        .env("SERVICE_PARAMETERS", "CandleDelaySeconds=0")
        .envs(emulator.environment())
        // Users may only set AWS_REGION, which pip's CLI does not read.
        .env_remove("AWS_DEFAULT_REGION")
        .output()
        .await
        .unwrap();
    CommandOutput::of(&output)
}

/// The ids of the ticks that a share admits.
pub(crate) fn cohort(ticks: &[Tick], percent: &str) -> BTreeSet<TickId> {
    let rollout = Rollout {
        use_kinesis: true,
        percentage: percent.parse::<Percentage>().unwrap(),
        key: RolloutKey::Tick,
    };
    let inside = ticks.iter().filter(|tick| rollout.admits(tick));
    inside.map(|tick| tick.tick_id).collect()
}
