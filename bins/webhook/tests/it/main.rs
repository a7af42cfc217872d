//! The Lambda's program with a fake Runtime API: HTTP events, and the required configuration.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod rotation;
mod units;

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hmac::{Hmac, KeyInit as _, Mac as _};
use runtime::lambda::Settings;
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::recording_service::RecordingService;
use testkit::runtime_api::{self, Answered, Bootstrap};
use webhook::BODY_BYTES_MAX;
use webhook::config::Config;

const PROGRAM: &str = env!("CARGO_BIN_EXE_webhook");

const SECRET: &str = "open-sesame-1234";

/// The bytes 07 07 … 07 as a signing key of Standard Webhooks.
const SIGNING_KEY: [u8; 32] = [7; 32];

const ENVIRONMENT: [(&str, &str); 8] = [
    ("TICKS_TABLE", "tickstream-ticks"),
    ("STREAM_NAME", "tickstream-ticks"),
    ("BROADCAST_QUEUE_URL", "http://127.0.0.1:9/broadcast"),
    ("REDRIVE_QUEUE_URL", "http://127.0.0.1:9/redrive"),
    ("ARCHIVE_BUCKET", "archive"),
    (
        "MALFORMED_TOPIC_ARN",
        "arn:aws:sns:us-east-1:000000000000:malformed",
    ),
    ("CODE_SHA256", "abc123"),
    // Nobody listens on this port, so every call fails at once.
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
];

async fn start(more: &[(&str, &str)]) -> Bootstrap {
    let mut environment = ENVIRONMENT.to_vec();
    environment.extend_from_slice(more);
    runtime_api::start(PROGRAM, &environment).await
}

/// An event in payload format 2.0, like those of HTTP APIs and function URLs.
fn event(method: &str, path: &str, headers: Value, body: Option<&str>, base64: bool) -> Value {
    json!({
        "version": "2.0", "routeKey": format!("{method} {path}"), "rawPath": path,
        "rawQueryString": "", "headers": headers,
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "domainName": "api.example",
            "domainPrefix": "api", "requestId": "r", "routeKey": "$default", "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_i64,
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "test",
            },
        },
        "body": body, "isBase64Encoded": base64,
    })
}

async fn status_and_body(bootstrap: &Bootstrap, event: Value) -> (u64, Value) {
    let answered = bootstrap.invoke(event).await;
    let Answered::Response(response) = answered else {
        panic!("{answered:?}");
    };
    let body = response["body"].as_str().unwrap_or_default();
    let status = response["statusCode"].as_u64().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_program_serves_the_routes_and_stores_nothing_without_its_table() {
    let bootstrap = start(&[("WEBHOOK_SECRETS", SECRET)]).await;
    bootstrap.ready().await;
    let health = event("GET", "/healthz", json!({}), None, false);
    let (status, body) = status_and_body(&bootstrap, health).await;
    assert_eq!(status, 200);
    assert_eq!(body["status"], "ok");
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(body["code_sha256"], "abc123");

    let tick =
        r#"[{"id":"1","token":"BTC","quote":"USD","price":"1.5","timestamp":1767225600000}]"#;
    let nobody = event("POST", "/webhooks/ticks", json!({}), Some(tick), false);
    assert_eq!(status_and_body(&bootstrap, nobody).await.0, 401);

    let headers = json!({"authorization": SECRET, "content-type": "application/json"});
    let known = event("POST", "/webhooks/ticks", headers, Some(tick), false);
    let (status, body) = status_and_body(&bootstrap, known).await;
    assert_eq!(status, 503, "{body}");
    assert!(
        body["detail"].as_str().unwrap().starts_with("not stored"),
        "{body}"
    );
}

/// A signed delivery whose body is these bytes, sent as base64.
fn signed(body: &[u8], signed_body: &[u8]) -> Value {
    let seconds = runtime::clock::now_ms() / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(&SIGNING_KEY).unwrap();
    mac.update(format!("msg_1.{seconds}.").as_bytes());
    mac.update(signed_body);
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let headers = json!({
        "webhook-id": "msg_1", "webhook-timestamp": seconds.to_string(),
        "webhook-signature": format!("v1,{signature}"), "content-type": "application/json",
    });
    let coded = BASE64_STANDARD.encode(body);
    event("POST", "/webhooks/ticks", headers, Some(&coded), true)
}

#[tokio::test]
async fn a_signature_is_checked_on_the_raw_bytes_of_a_base64_body() {
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(SIGNING_KEY));
    let bootstrap = start(&[("WEBHOOK_SECRETS", &secret)]).await;
    bootstrap.ready().await;
    // Not text, so the signature only matches the raw bytes.
    let bytes = b"\xff\xfe\x00[1]\r\n";
    let (status, body) = status_and_body(&bootstrap, signed(bytes, bytes)).await;
    assert_eq!(
        status, 503,
        "the signature is valid, but it cannot be quarantined: {body}"
    );
    let coded = BASE64_STANDARD.encode(bytes);
    let (status, _) = status_and_body(&bootstrap, signed(bytes, coded.as_bytes())).await;
    assert_eq!(status, 401);
}

/// The coding of a body is undone after its signature is checked, and its coding is that of the sender:
/// API Gateway passes a compressed body on as base64.
#[tokio::test]
async fn a_signature_is_that_of_the_compressed_body() {
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(SIGNING_KEY));
    let bootstrap = start(&[("WEBHOOK_SECRETS", &secret)]).await;
    bootstrap.ready().await;
    let tick = br#"[{"id":"1","token":"BTC","price":"1.5","timestamp":1767225600000}]"#;
    let gzip = gzip(tick);
    let coded = |mut event: Value, coding: &str| {
        event["headers"]["content-encoding"] = json!(coding);
        event
    };
    for coding in ["gzip", "GZIP", "x-gzip", "gzip, identity"] {
        let (status, body) = status_and_body(&bootstrap, coded(signed(&gzip, &gzip), coding)).await;
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(status == 503 && detail.starts_with("not stored"), "{body}");
    }
    let plain = coded(signed(&gzip, tick), "gzip");
    assert_eq!(status_and_body(&bootstrap, plain).await.0, 401);
    let unknown = coded(signed(tick, tick), "br");
    let (status, body) = status_and_body(&bootstrap, unknown).await;
    assert!(
        status == 415 && body["detail"].as_str().unwrap().contains("gzip"),
        "{body}"
    );
    // A body that decodes to more than the limit is only decoded for a sender who is known.
    let bomb = self::gzip(&vec![b' '; BODY_BYTES_MAX + 1]);
    let known = coded(signed(&bomb, &bomb), "gzip");
    assert_eq!(status_and_body(&bootstrap, known).await.0, 413);
    let unknown = coded(signed(&bomb, b"another"), "gzip");
    assert_eq!(status_and_body(&bootstrap, unknown).await.0, 401);
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn without_secrets_it_does_not_start() {
    let (status, log) = start(&[]).await.ended().await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("WEBHOOK_SECRETS"), "{log}");
    let (status, log) = start(&[("WEBHOOK_SECRETS", "")]).await.ended().await;
    assert!(
        !status.success() && log.contains("WEBHOOK_SECRETS"),
        "{log}"
    );
    for (weak, rule) in [
        ("short-secret-15", "secret 1 is shorter than 16 characters"),
        ("1212121212121212", "secret 1 has fewer than 6 different"),
    ] {
        let (status, log) = start(&[("WEBHOOK_SECRETS", weak)]).await.ended().await;
        assert!(!status.success() && log.contains(rule), "{log}");
        assert!(!log.contains(weak), "{log}");
    }
    let quoted = "\"open-sesame-1234\"";
    let (status, log) = start(&[("WEBHOOK_SECRETS", quoted)]).await.ended().await;
    assert!(
        !status.success() && log.contains("secret 1 is in quotes"),
        "{log}"
    );
    assert!(!log.contains("sesame"), "{log}");
}

#[tokio::test]
async fn an_invalid_flag_ends_the_start() {
    let more = [("WEBHOOK_SECRETS", SECRET), ("KINESIS_PERCENTAGE", "ten")];
    let (status, log) = start(&more).await.ended().await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(
        log.contains("KINESIS_PERCENTAGE") && log.contains("ten"),
        "{log}"
    );
}

#[tokio::test]
async fn a_parameter_that_cannot_be_read_ends_the_start() {
    let more = [
        ("WEBHOOK_SECRETS", SECRET),
        ("ROLLOUT_PARAMETER", "/t/rollout"),
    ];
    let (status, log) = start(&more).await.ended().await;
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("/t/rollout"), "{log}");
}

/// The longest name that the templates allow.
const FUNCTION_NAME: &str = "aproject-of-24-character-webhook";

/// The log is billed by its bytes, and costs more than the metrics that are in it.
#[tokio::test]
async fn a_delivery_of_one_tick_is_logged_in_at_most_300_bytes() {
    let service = RecordingService::start().await;
    let tick =
        r#"[{"id":"1","token":"BTC","quote":"USD","price":"1.5","timestamp":1767225600000}]"#;
    let headers = json!({"authorization": SECRET, "content-type": "application/json"});
    let delivery = event("POST", "/webhooks/ticks", headers, Some(tick), false);
    let written = async |deliveries: usize| {
        let bootstrap = start(&[
            ("AWS_ENDPOINT_URL", service.endpoint()),
            ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION_NAME),
            ("KINESIS_PERCENTAGE", "100"),
            ("WEBHOOK_SECRETS", SECRET),
        ])
        .await;
        bootstrap.ready().await;
        for _ in 0..deliveries {
            let (status, body) = status_and_body(&bootstrap, delivery.clone()).await;
            assert_eq!(status, 200, "{body}");
        }
        bootstrap.written().await
    };
    let (start, all) = (written(0).await, written(1).await);
    let log = all.strip_prefix(&start).unwrap();
    assert!(log.len() <= 300, "{} bytes: {log}", log.len());
    let line: Value = serde_json::from_str(log).unwrap();
    for metric in ["Received", "Stored", "Streamed"] {
        assert_eq!(line[metric], 1, "{log}");
    }
    assert_eq!(line["FunctionName"], FUNCTION_NAME);
    assert_eq!(line.as_object().unwrap().len(), 5, "{log}");
}

#[test]
fn the_environment_lists_the_variables_of_the_template() {
    assert_eq!(
        Config::environment(),
        [
            "ARCHIVE_BUCKET",
            "AWS_LAMBDA_FUNCTION_NAME",
            "BINANCE_TRADES",
            "BROADCAST_QUEUE_URL",
            "CODE_SHA256",
            "KINESIS_PERCENTAGE",
            "KINESIS_ROLLOUT_KEY",
            "LOG",
            "MALFORMED_TOPIC_ARN",
            "NEW_IDS_FROM_MS",
            "OFFER_WITHIN_MS",
            "PYTH_FEEDS",
            "PYTH_WIDE_CONFIDENCE",
            "REDRIVE_QUEUE_URL",
            "RETENTION_DAYS",
            "ROLLOUT_PARAMETER",
            "STREAM_NAME",
            "TICKS_TABLE",
            "USE_KINESIS",
            "WEBHOOK_SECRETS",
            "WEBHOOK_SECRETS_PARAMETER",
        ]
    );
}
