//! Secrets are nowhere in what the program writes.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Method;
use tempfile::TempDir;

use crate::process::ticks_body;

const SENDERS: &str = "marked-c0ffee-secret-of-a-sender";
const SIGNED: &str = "whsec_bWFya2VkLWMwZmZlZS1zZWNyZXQtb2YtYS1zaWduZXI=";
const OPERATORS: &str = "marked-c0ffee-token-of-the-operators";
/// What a stranger tries.
const WRONG: &str = "marked-c0ffee-guess-of-a-stranger";

/// The parts that must not be found: of the plain ones, of the signing key, and of its decoded form.
const MARKS: [&str; 2] = ["c0ffee", "bWFya2VkLWMwZmZlZS1"];

fn assert_no_mark(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for mark in MARKS {
        let found = text.find(mark);
        let around = found.map(|at| {
            text[at.saturating_sub(80)..]
                .chars()
                .take(200)
                .collect::<String>()
        });
        assert_eq!(around, None, "{place}");
    }
}

fn assert_no_mark_in_files(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_no_mark_in_files(&path);
        } else {
            let mut bytes = Vec::new();
            File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
            assert_no_mark(&path.display().to_string(), &bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn marked_secrets_are_in_no_output() {
    check(false).await;
}

/// The environment of a process cannot be cleared, and core files have it: files keep secrets out of it.
#[tokio::test(flavor = "multi_thread")]
async fn marked_secrets_of_files_are_not_in_the_environment_either() {
    check(true).await;
}

async fn check(are_in_files: bool) {
    let folder = TempDir::new().unwrap();
    let (data, log, out) = (
        folder.path().join("data"),
        folder.path().join("log"),
        folder.path().join("out"),
    );
    let secrets = [
        ("WEBHOOK_SECRETS", format!("{SENDERS},{SIGNED}")),
        ("OPERATOR_TOKEN", OPERATORS.to_owned()),
    ];
    let secrets = secrets.map(|(name, value)| {
        if !are_in_files {
            return (name.to_owned(), value);
        }
        let file = folder.path().join(name);
        fs::write(&file, format!("{value}\n")).unwrap();
        (format!("{name}_FILE"), file.display().to_string())
    });
    let mut child = Command::new(env!("CARGO_BIN_EXE_tickstream"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--archive-seconds",
            "1",
            "--log",
            "trace",
            "--data-dir",
        ])
        .arg(&data)
        .envs(secrets)
        .env("RUST_BACKTRACE", "1")
        .stdout(Stdio::from(File::create(&out).unwrap()))
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let url = loop {
        let text = fs::read_to_string(&out).unwrap();
        if let Some(line) = text.lines().find(|line| line.contains("dashboard")) {
            break line
                .split_whitespace()
                .last()
                .unwrap()
                .trim_end_matches('/')
                .to_owned();
        }
        assert!(
            child.try_wait().unwrap().is_none(),
            "{}",
            fs::read_to_string(&log).unwrap()
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let http = reqwest::Client::new();
    let change = r#"{"percentage":"10","who":"ann","why":"a test"}"#;
    let mut statuses = Vec::new();
    for secret in [SENDERS, SIGNED, OPERATORS, WRONG, ""] {
        for (method, path, body) in [
            (Method::POST, "/webhooks/ticks", ticks_body("BTC", 2)),
            (Method::POST, "/webhooks/ticks", "[{}]".to_owned()),
            (Method::POST, "/webhooks/nobody", "x".to_owned()),
            (Method::POST, "/webhooks/helius", "{".to_owned()),
            (Method::PUT, "/api/rollout", change.to_owned()),
            (Method::PUT, "/api/rollout", "{".to_owned()),
            (Method::POST, "/api/archive/flush", String::new()),
            (Method::POST, "/api/backup", String::new()),
            (Method::GET, "/api/status", String::new()),
            (Method::GET, "/api/rollout", String::new()),
            (Method::GET, "/api/quarantine", String::new()),
            (Method::GET, "/api/nothing", String::new()),
            (Method::GET, "/metrics", String::new()),
            (Method::GET, "/healthz", String::new()),
            (Method::GET, "/ws", String::new()),
        ] {
            for header in [
                secret.to_owned(),
                format!("Bearer {secret}"),
                format!("Basic {secret}"),
            ] {
                let request = http
                    .request(method.clone(), format!("{url}{path}"))
                    .header("content-type", "application/json")
                    .header("authorization", header)
                    .header("webhook-id", "m-1")
                    .header("webhook-timestamp", "1")
                    .header("webhook-signature", format!("v1,{secret}"))
                    .body(body.clone());
                let response = request.send().await.unwrap();
                statuses.push(response.status().as_u16());
                assert_no_mark(path, format!("{:?}", response.headers()).as_bytes());
                assert_no_mark(path, &response.bytes().await.unwrap());
            }
        }
    }
    for status in [200, 400, 401, 404] {
        assert!(statuses.contains(&status), "nothing ended with {status}");
    }
    #[cfg(target_os = "linux")]
    assert_no_mark(
        "arguments",
        &fs::read(format!("/proc/{}/cmdline", child.id())).unwrap(),
    );
    #[cfg(target_os = "linux")]
    if are_in_files {
        let environment = fs::read(format!("/proc/{}/environ", child.id())).unwrap();
        assert!(!environment.is_empty());
        assert_no_mark("environment", &environment);
    }
    let id = child.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &id]).status();
    assert!(interrupted.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let logged = fs::read(&log).unwrap();
    assert!(!logged.is_empty());
    assert_no_mark("log", &logged);
    assert_no_mark("output", &fs::read(&out).unwrap());
    assert_no_mark_in_files(&data);
}
