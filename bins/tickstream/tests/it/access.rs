//! Who may post, change and read: senders' secrets, the operators' token, and closed reading.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Parser as _;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tickstream::Server;
use tickstream::config::Config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::process::{Process, start, ticks_body};

const SECRETS: &str = "first-secret-text,second-secret-text";

pub(crate) const TOKEN: &str = "operator-0123456789-0123456789-0";

/// A change of the rollout.
fn change(process: &Process) -> RequestBuilder {
    let url = format!("{}/api/rollout", process.url);
    let change = json!({"percentage": 0, "who": "ann", "why": "test"});
    process.http.put(url).json(&change)
}

/// What a person says about an anomaly, and about a pair.
fn marks(process: &Process) -> [RequestBuilder; 2] {
    ["mark", "mute"].map(|path| {
        let url = format!("{}/api/anomalies/{path}", process.url);
        process.http.put(url).json(&json!({"who": "ann"}))
    })
}

/// Requests that only operators may send.
fn operator_requests(process: &Process) -> Vec<RequestBuilder> {
    let [mark, mute] = marks(process);
    vec![change(process), flush(process), mark, mute]
}

fn flush(process: &Process) -> RequestBuilder {
    process.post("/api/archive/flush", String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_secrets_every_delivery_needs_one() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--webhook-secrets", SECRETS]).await;
    for (authorization, status) in [
        (None, 401),
        (Some("wrong-secret-text"), 401),
        (Some("first-secret-text"), 200),
        (Some("second-secret-text"), 200),
    ] {
        let mut request = process.post("/webhooks/ticks", ticks_body("BTC", 1));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let (seen, answer) = process.send(request).await;
        assert_eq!(seen, status, "{authorization:?}: {answer}");
    }
    let (status, _) = process.get("/api/tokens").await;
    assert_eq!(status, 200, "reading needs no secret");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_echoes_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let secured = ["--webhook-secrets", SECRETS];
    let process = start(&folder, &secured).await;
    for request in operator_requests(&process) {
        let (status, answer) = process.send(request.bearer_auth("first-secret-text")).await;
        assert_eq!(status, 403, "{answer}");
        assert_eq!(answer["reason"], "operator_token_not_set");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains("OPERATOR_TOKEN"), "{detail}");
    }
    assert_eq!(process.get("/api/rollout").await.1["percentage"], 100.0);
    process.stop().await;

    let with_token = [&secured[..], &["--operator-token", TOKEN]].concat();
    let process = start(&folder, &with_token).await;
    for shown in ["first-secret-text", "", &TOKEN.replace('0', "1")] {
        for request in operator_requests(&process) {
            let response = request.bearer_auth(shown).send().await.unwrap();
            assert_eq!(response.status(), 401, "{shown}");
            let asked = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(asked.starts_with("Bearer "), "{asked}");
            let answer: Value = response.json().await.unwrap();
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.contains("OPERATOR_TOKEN"), "{detail}");
        }
    }
    // What a browser sends by itself is not enough.
    let entered = change(&process).basic_auth("ann", Some(TOKEN));
    assert_eq!(process.send(entered).await.0, 401);
    assert_eq!(process.get("/api/rollout").await.1["percentage"], 100.0);
    for request in [change(&process), flush(&process)] {
        let (status, answer) = process.send(request.bearer_auth(TOKEN)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let bare = change(&process).header("authorization", TOKEN);
    assert_eq!(process.send(bare).await.0, 200);
    let delivery = process.post("/webhooks/ticks", ticks_body("BTC", 1));
    let (status, _) = process.send(delivery.bearer_auth(TOKEN)).await;
    assert_eq!(status, 401, "nor is the token a sender's");
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_enough_to_close_changes_on_loopback() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &["--operator-token", TOKEN]).await;
    assert_eq!(process.send(change(&process)).await.0, 401);
    let known = change(&process).bearer_auth(TOKEN);
    assert_eq!(process.send(known).await.0, 200);
    let (status, _) = process.deliver("ticks", ticks_body("BTC", 1)).await;
    assert_eq!(status, 200);
    process.stop().await;
}

#[tokio::test]
async fn a_start_that_lets_strangers_in_is_refused() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path().to_str().unwrap();
    let fixed = ["tickstream", "--data-dir", folder, "--listen"];
    let short = "short-secret-15";
    for (arguments, parts) in [
        (&["0.0.0.0:0"][..], ["not a loopback", "WEBHOOK_SECRETS"]),
        (
            &["127.0.0.1:0", "--public-host", "ticks.example"],
            ["ticks.example", "WEBHOOK_SECRETS"],
        ),
        (
            &["127.0.0.1:0", "--webhook-secrets", short],
            ["WEBHOOK_SECRETS", "shorter than 16 characters"],
        ),
        (
            &["127.0.0.1:0", "--webhook-secrets", "1234123412341234"],
            ["WEBHOOK_SECRETS", "fewer than 6 different"],
        ),
        (
            &[
                "127.0.0.1:0",
                "--operator-token",
                "a-token-that-is-too-short",
            ],
            ["OPERATOR_TOKEN", "shorter than 32 characters"],
        ),
        (
            &[
                "127.0.0.1:0",
                "--operator-token",
                TOKEN,
                "--webhook-secrets",
                TOKEN,
            ],
            ["OPERATOR_TOKEN", "also in WEBHOOK_SECRETS"],
        ),
        (
            &["127.0.0.1:0", "--protect-reads"],
            ["--protect-reads", "set OPERATOR_TOKEN"],
        ),
    ] {
        let config = Config::try_parse_from(fixed.iter().chain(arguments)).unwrap();
        let refused = Server::start(config).await.err().unwrap();
        let refused = format!("{refused:#}");
        for part in parts {
            assert!(refused.contains(part), "{arguments:?}: {refused}");
        }
        for secret in [short, "1234", "too-short", TOKEN] {
            assert!(!refused.contains(secret), "{refused}");
        }
    }
}

/// The status of an attempt to read the feed.
async fn feed(process: &Process, authorization: Option<String>) -> u16 {
    let url = format!("{}/ws", process.url.replace("http://", "ws://"));
    let mut request = url.into_client_request().unwrap();
    if let Some(authorization) = authorization {
        let headers = request.headers_mut();
        headers.insert("authorization", authorization.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_can_be_closed() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--protect-reads", "--operator-token", TOKEN];
    let process = start(&folder, &arguments).await;
    let (status, _) = process.deliver("ticks", ticks_body("BTC", 1)).await;
    assert_eq!(status, 200, "deliveries have secrets of their own");
    assert_eq!(process.get("/healthz").await.0, 200);
    let request = |method: &str, path: &str| {
        let url = format!("{}{path}", process.url);
        process
            .http
            .request(Method::from_bytes(method.as_bytes()).unwrap(), url)
    };
    for (method, path, found) in [
        ("GET", "/", 200),
        ("GET", "/assets/dashboard.js", 200),
        ("GET", "/api/tokens", 200),
        ("GET", "/api/ticks/BTC", 200),
        ("GET", "/api/quarantine", 200),
        ("GET", "/api/rollout", 200),
        ("GET", "/api/status", 200),
        ("GET", "/metrics", 200),
        ("HEAD", "/api/tokens", 200),
        ("GET", "/webhooks/ticks", 405),
        ("GET", "/nothing", 404),
        ("GET", "/healthz/../api/tokens", 404),
    ] {
        let response = request(method, path).send().await.unwrap();
        if !path.contains("..") {
            assert_eq!(response.status(), 401, "{method} {path}");
            let asked = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(asked.starts_with("Basic "), "browsers ask the person");
        }
        if found != 404 {
            for wrong in ["", "first-secret-text"] {
                let refused = request(method, path).bearer_auth(wrong);
                assert_eq!(refused.send().await.unwrap().status(), 401, "{path}");
            }
            for known in [
                request(method, path).bearer_auth(TOKEN),
                request(method, path).basic_auth("ann", Some(TOKEN)),
            ] {
                assert_eq!(known.send().await.unwrap().status(), found, "{path}");
            }
        }
    }
    assert_eq!(feed(&process, None).await, 401);
    assert_eq!(feed(&process, Some("Bearer wrong".to_owned())).await, 401);
    assert_eq!(feed(&process, Some(format!("Bearer {TOKEN}"))).await, 101);
    let entered = BASE64_STANDARD.encode(format!("ann:{TOKEN}"));
    assert_eq!(feed(&process, Some(format!("Basic {entered}"))).await, 101);
    process.stop().await;
}
