//! The built program as a separate process.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::Outcome;

/// The secret of the honest senders.
const SECRET: &str = "made-up-secret-of-honest-senders";

/// The operators' token.
const OPERATOR_TOKEN: &str = "made-up-token-of-the-operators-here";

/// A client that sends it.
pub(crate) fn honest_client() -> Outcome<reqwest::Client> {
    let mut headers = HeaderMap::new();
    let secret = HeaderValue::from_str(&format!("Bearer {SECRET}"))?;
    headers.insert(AUTHORIZATION, secret);
    Ok(reqwest::Client::builder()
        .default_headers(headers)
        .build()?)
}

/// How long a start may take.
const START_WITHIN: Duration = Duration::from_secs(60);

/// A running process.
pub(crate) struct Process {
    child: Child,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    /// How long it took until it listened.
    pub(crate) start: Duration,
}

impl Process {
    /// Starts the program on a data folder. Its log is appended to a file among the temporary ones.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Outcome<Self> {
        let started = Instant::now();
        let log = std::env::temp_dir().join("tickstream-endurance.log");
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)?;
        // A process that starts itself again listens on the same port.
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tickstream"))
            .args(["--listen", &free, "--archive-seconds", "1"])
            .arg("--data-dir")
            .arg(folder)
            .args(arguments)
            .env("WEBHOOK_SECRETS", SECRET)
            .env("OPERATOR_TOKEN", OPERATOR_TOKEN)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        for line in lines {
            let line = line?;
            if line.contains("dashboard") {
                let url = line.split_whitespace().last().unwrap_or_default();
                return Ok(Self {
                    child,
                    url: url.trim_end_matches('/').to_owned(),
                    http: honest_client()?,
                    start: started.elapsed(),
                });
            }
            if started.elapsed() > START_WITHIN {
                break;
            }
        }
        child.kill()?;
        Err("the process did not start; its log says why".into())
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> Outcome {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str) -> Outcome<(u16, Value)> {
        let response = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// Writes the archive now.
    pub(crate) async fn flush_archive(&self) -> Outcome {
        let flush = self.http.post(format!("{}/api/archive/flush", self.url));
        let flush = flush.bearer_auth(OPERATOR_TOKEN);
        flush.send().await?.error_for_status()?;
        Ok(())
    }

    /// Waits until a response is as wanted.
    pub(crate) async fn until(&self, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Outcome {
        loop {
            let (_, answer) = self.get(path).await?;
            if is_wanted(&answer) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Memory now and at most, in MB.
    pub(crate) fn memory_mb(&self) -> Outcome<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            let kb = line.and_then(|line| line.split_whitespace().nth(1));
            kb.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_000
        };
        Ok((of("VmRSS"), of("VmHWM")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
