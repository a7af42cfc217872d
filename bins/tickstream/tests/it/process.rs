//! A process under test, with its own port and folder.

use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;
use tickstream::{Server, config::Config};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long tests wait for a condition on a busy machine.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// A running process. Its folder is kept after a stop, so it can be started again.
pub(crate) struct Process {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    stop: oneshot::Sender<()>,
    done: JoinHandle<anyhow::Result<tickstream::Ended>>,
}

pub(crate) async fn start(folder: &TempDir, arguments: &[&str]) -> Process {
    start_with(folder, arguments, |_| {}).await
}

/// Starts a process with more consumers.
pub(crate) async fn start_with(
    folder: &TempDir,
    arguments: &[&str],
    add: impl FnOnce(&Server),
) -> Process {
    let folder = folder.path().to_str().unwrap();
    let fixed = [
        "tickstream",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        folder,
    ];
    let config = Config::try_parse_from(fixed.iter().chain(arguments)).unwrap();
    let server = Server::start(config).await.unwrap();
    add(&server);
    let url = format!("http://{}", server.address());
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(server.run(async move {
        stopped.await.ok();
        Ok(())
    }));
    Process {
        url,
        http: reqwest::Client::new(),
        stop,
        done,
    }
}

/// A response: its status and its JSON.
pub(crate) type Answer = (u16, Value);

impl Process {
    /// Stops it gracefully.
    pub(crate) async fn stop(self) {
        drop(self.http);
        self.stop.send(()).unwrap();
        self.done.await.unwrap().unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let response = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        (
            status,
            response
                .json()
                .await
                .unwrap_or_else(|error| panic!("{path} {status}: {error}")),
        )
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) fn post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url));
        request
            .header("content-type", "application/json")
            .body(body)
    }

    pub(crate) async fn deliver(&self, source: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.post(&format!("/webhooks/{source}"), body))
            .await
    }

    pub(crate) async fn put_rollout(&self, change: Value) -> Answer {
        self.put("/api/rollout", change).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.http.put(format!("{}{path}", self.url)).json(&body))
            .await
    }

    /// Writes everything that was streamed so far to the archive.
    pub(crate) async fn flush_archive(&self) -> Answer {
        self.send(self.post("/api/archive/flush", String::new()))
            .await
    }

    /// The rows of a list from the read API.
    pub(crate) async fn list(&self, path: &str, name: &str) -> Vec<Value> {
        let (status, mut answer) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let Value::Array(rows) = answer[name].take() else {
            panic!("{path} has no {name}")
        };
        rows
    }

    /// Repeats a request until its response satisfies a condition.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                last = self.get(path).await.1;
                if wanted(&last) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(WAIT_TIMEOUT, waiting).await.is_err() {
            panic!("{path} did not satisfy the condition: {last}");
        }
        last
    }

    /// Waits until the analysis has processed the whole stream.
    pub(crate) async fn analysed(&self) {
        self.until("/api/status", |status| {
            status["consumers"][0]["lag_records"] == 0
        })
        .await;
    }
}

/// A delivery of `count` ticks of a token, a second apart.
pub(crate) fn ticks_body(token: &str, count: i64) -> String {
    let ticks: Vec<_> = (0..count)
        .map(|n| {
            json!({
                "token": token, "quote": "USD", "price": format!("{}.5", 100 + n % 50),
                "volume": "0.25", "timestamp": START_MS + n * 1_000, "id": format!("{token}-{n}"),
            })
        })
        .collect();
    Value::from(ticks).to_string()
}
