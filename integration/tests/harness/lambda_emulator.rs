//! Every bootstrap in AWS's Lambda Runtime Interface Emulator: events, the largest ones too, an error, a crash, the time
//! limit, and a SIGTERM.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use integration::bootstraps::{self, FUNCTIONS};
use integration::faults::{Fault, Times};
use integration::lambda_emulator::LambdaEmulator;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::{START_MS, tick};

use crate::resources::{Resources, webhook_event};

/// In seconds: longer than any invocation here takes, and one that a service delays exceeds.
const TIMEOUTS: [u32; 2] = [60, 5];

/// The largest event that Lambda passes on: 6 MiB.
const EVENT_BYTES_MAX: usize = 6 * 1_024 * 1_024;

/// What the functions call first.
const FIRST_CALLS: [&str; 7] = [
    "BatchGetItem",
    "BatchWriteItem",
    "GetItem",
    "Query",
    "PutRecords",
    "DescribeStreamSummary",
    // S3's operations go by their methods.
    "GET",
];

fn data(n: u32) -> Vec<u8> {
    let mut data = Vec::new();
    codec::json::write_json(&tick("BTC", n), &mut data);
    data
}

fn delivery(n: u32) -> Value {
    webhook_event(&format!("[{}]", String::from_utf8(data(n)).unwrap()))
}

/// Records from this number on; the size of all is close to that of `bytes`.
fn records(from: u32, bytes: usize) -> Value {
    let record = |n: u32| {
        let sequence = format!("{n:056}");
        json!({
            "eventID": format!("shardId-000000000000:{sequence}"), "eventSource": "aws:kinesis",
            "kinesis": {
                "sequenceNumber": sequence, "data": BASE64_STANDARD.encode(data(n)),
                "partitionKey": "BTC", "approximateArrivalTimestamp": 1_767_225_600.123,
            },
        })
    };
    let mut records = vec![record(from)];
    // Records of the same number of digits have the same size.
    let count = bytes / (record(from).to_string().len() + 20);
    for n in 1..u32::try_from(count).unwrap() {
        records.push(record(from + n));
    }
    json!({ "Records": records })
}

fn messages() -> Value {
    let body = String::from_utf8(data(1)).unwrap();
    json!({ "Records": [{ "messageId": "m", "body": body, "eventSource": "aws:sqs" }] })
}

/// A subscriber to one token, of the WebSocket API.
fn connect() -> Value {
    json!({
        "requestContext": {
            "routeKey": "$connect", "eventType": "CONNECT", "connectionId": "c",
            "requestId": "r", "apiId": "a", "stage": "live", "connectedAt": START_MS,
            "identity": { "sourceIp": "192.0.2.1" },
        },
        "queryStringParameters": { "tokens": "BTC" }, "isBase64Encoded": false,
    })
}

/// An event of the function, and the answer to it.
fn event(function: &str) -> (Value, Value) {
    let done = json!({ "batchItemFailures": [] });
    match function {
        "webhook" => (delivery(1), json!(200)),
        "analytics" => (records(1, 0), done),
        "redrive" => (messages(), done),
        // Its schedule's event says nothing.
        "compaction" => (json!({}), json!({ "compacted": 0, "unchanged": 0 })),
        // It remembers for a second that nobody watches, but not who connects.
        "broadcast" => (connect(), json!({ "statusCode": 200 })),
        // Nor does this one's.
        _ => (json!({}), json!({ "outcome": "unchanged", "open": 1 })),
    }
}

/// A bootstrap that leaves its process id in a file.
fn with_id(folder: &Path, function: &str) -> PathBuf {
    let script = folder.join("bootstrap");
    let program = bootstraps::program(function).unwrap();
    let text = format!(
        "#!/bin/sh\necho $$ > '{}'\nexec '{}'\n",
        folder.join("id").display(),
        program.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    script
}

/// A function, and what it is tried with.
struct Subject {
    function: &'static str,
    resources: Resources,
    /// The bootstrap's folder.
    folder: TempDir,
    event: String,
    /// The answer to the event.
    expected: Value,
}

impl Subject {
    async fn new(function: &'static str) -> Self {
        let mut resources = Resources::new().await;
        let proxy = resources.proxied.proxy.url().to_owned();
        resources.set("AWS_ENDPOINT_URL", &proxy);
        resources.set("AWS_LAMBDA_FUNCTION_NAME", function);
        let (event, expected) = event(function);
        Self {
            function,
            resources,
            folder: tempfile::tempdir().unwrap(),
            event: event.to_string(),
            expected,
        }
    }

    async fn start(&self, timeout_seconds: u32) -> Option<LambdaEmulator> {
        let bootstrap = with_id(self.folder.path(), self.function);
        let environment = &self.resources.environment;
        let unshown = format!(
            "{} in AWS's Lambda Runtime Interface Emulator",
            self.function
        );
        let started = LambdaEmulator::start(&bootstrap, environment, timeout_seconds, &unshown);
        started.await.unwrap()
    }

    /// Sends a signal to the bootstrap; returns whether it exists.
    fn signal(&self, signal: &str) -> bool {
        let id = fs::read_to_string(self.folder.path().join("id")).unwrap();
        let sent = Command::new("kill")
            .args(["-s", signal, id.trim()])
            .output();
        sent.unwrap().status.success()
    }

    /// Compares an answer, without what changes from time to time.
    #[track_caller]
    fn assert_answer(&self, lambda: &LambdaEmulator, answer: &str, expected: &Value) {
        let answer: Value = serde_json::from_str(answer).unwrap_or_else(|_| answer.into());
        let answer = match self.function {
            "webhook" => answer["statusCode"].clone(),
            _ => answer,
        };
        assert_eq!(&answer, expected, "{}", lambda.log());
    }

    async fn invoke(&self, lambda: &LambdaEmulator) {
        let answer = lambda.invoke(self.event.clone()).await.unwrap();
        self.assert_answer(lambda, &answer, &self.expected);
    }

    /// Events, an error, and a crash between two events, after which Lambda starts the bootstrap again.
    async fn events(&self, lambda: &LambdaEmulator) {
        self.invoke(lambda).await;
        self.invoke(lambda).await;
        let error = lambda.invoke("{\"Records\": 7}").await.unwrap();
        let error: Value = serde_json::from_str(&error).unwrap();
        let reads_its_event = !["compaction", "scaler"].contains(&self.function);
        assert_eq!(error["errorType"].is_string(), reads_its_event, "{error}");
        self.invoke(lambda).await;

        assert!(self.signal("KILL"));
        let mut answer = String::new();
        for _ in 0..3 {
            // The invocation that finds it dead may fail.
            answer = lambda.invoke(self.event.clone()).await.unwrap();
            let parsed = serde_json::from_str::<Value>(&answer);
            if parsed.is_ok_and(|it| it["errorType"].is_null()) {
                break;
            }
        }
        self.assert_answer(lambda, &answer, &self.expected);
    }

    /// The largest event, for functions that get one.
    async fn largest(&self, lambda: &LambdaEmulator) {
        let bytes = EVENT_BYTES_MAX - 2_000;
        let (event, expected) = match self.function {
            "webhook" => (webhook_event(&"7".repeat(bytes)), json!(413)),
            "analytics" => (records(10_000, bytes), self.expected.clone()),
            _ => return,
        };
        let event = event.to_string();
        let sizes = EVENT_BYTES_MAX * 8 / 10..EVENT_BYTES_MAX;
        assert!(sizes.contains(&event.len()), "{}", event.len());
        let answer = lambda.invoke(event).await.unwrap();
        self.assert_answer(lambda, &answer, &expected);
    }

    /// When a service does not respond, the invocation times out, and the next invocation runs in a restarted process.
    async fn time_limit(&self, lambda: &LambdaEmulator) {
        self.invoke(lambda).await;
        let proxy = &self.resources.proxied.proxy;
        for operation in FIRST_CALLS {
            let slow = Fault::Slow(Duration::from_secs(20));
            proxy.fail(operation, slow, Times::Always).unwrap();
        }
        if self.function == "webhook" {
            // It answers within limits of its own. A new tick, since it knows the other one.
            let answer = lambda.invoke(delivery(2).to_string()).await.unwrap();
            self.assert_answer(lambda, &answer, &json!(503));
        } else {
            let answer = lambda.invoke(self.event.clone()).await.unwrap();
            let timed_out = format!("Task timed out after {}.00 seconds", TIMEOUTS[1]);
            assert_eq!(answer, timed_out, "{}", lambda.log());
        }
        proxy.heal();
        self.invoke(lambda).await;
    }
}

async fn check(function: &'static str) {
    let subject = Subject::new(function).await;
    let Some(lambda) = subject.start(TIMEOUTS[0]).await else {
        return;
    };
    subject.events(&lambda).await;
    subject.largest(&lambda).await;
    assert!(lambda.terminate().await.unwrap().success());
    assert!(
        !subject.signal("0"),
        "the bootstrap ends with its environment"
    );
    let lambda = subject.start(TIMEOUTS[1]).await.unwrap();
    subject.time_limit(&lambda).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bootstrap_runs_in_the_lambda_emulator() {
    futures_util::future::join_all(FUNCTIONS.map(check)).await;
}
