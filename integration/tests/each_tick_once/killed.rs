//! The programs themselves: `tickstream` is killed under load, `tickctl` repairs its folder, and after the next start
//! everything is proven and no candle is to be rebuilt.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use integration::bootstraps;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::scenario::START_MS;

/// Decides after how many deliveries each round ends; the moment within a delivery is the machine's.
const SEED: u64 = 20;

const ROUNDS: u32 = 3;

/// Each of them delivers the ticks of a token, in order.
const SENDERS: usize = 4;

/// Deliveries of a sender in all rounds.
const DELIVERIES: u32 = 40;

const TICKS_PER_DELIVERY: u32 = 50;

/// How long a condition may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// A process that can be killed.
struct Tickstream {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Tickstream {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(bootstraps::program("tickstream").unwrap())
            .args(["--listen", "127.0.0.1:0", "--archive-seconds", "1"])
            .arg("--data-dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let dashboard = lines
            .map(Result::unwrap)
            .find(|line| line.contains("dashboard"));
        let dashboard = dashboard.unwrap();
        let url = dashboard.split_whitespace().last().unwrap();
        Self {
            child,
            url: url.trim_end_matches('/').to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// Kills the process with SIGKILL, so that it flushes nothing.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.http.get(format!("{}{path}", self.url)).send().await;
        response.unwrap().json().await.unwrap()
    }

    /// Waits until everything is in the stream, counted, analysed and archived.
    async fn settled(&self) {
        let waiting = async {
            loop {
                let (ledger, status) =
                    (self.get("/api/ledger").await, self.get("/api/status").await);
                let consumers = status["consumers"].as_array().unwrap();
                let done = |consumer: &Value| consumer["lag_records"] == 0;
                if ledger["pending"] == 0 && consumers.iter().all(done) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(WITHIN, waiting).await.unwrap();
    }
}

/// Some ticks of a sender's token; the same each time.
fn body(sender: usize, delivery: u32) -> String {
    let tick = |n: u32| {
        json!({
            "token": format!("T{sender}"), "quote": "USD", "price": format!("{}.25", 100 + n % 90), "volume": "1",
            "timestamp": START_MS + i64::from(n) * 400, "id": format!("{sender}-{n}"),
        })
    };
    let first = delivery * TICKS_PER_DELIVERY;
    let ticks = (first..first + TICKS_PER_DELIVERY).map(tick);
    Value::from(ticks.collect::<Vec<_>>()).to_string()
}

/// Delivers until all is delivered, or the process is gone; reports each response. Returns what is left to deliver.
async fn deliver(
    url: String,
    sender: usize,
    from: u32,
    done: mpsc::UnboundedSender<()>,
) -> (usize, u32) {
    let http = reqwest::Client::new();
    for delivery in from..DELIVERIES {
        let request = http
            .post(format!("{url}/webhooks/ticks"))
            .header("content-type", "application/json")
            .body(body(sender, delivery));
        match request.send().await {
            Ok(response) => assert_eq!(response.status(), 200),
            // It may be stored, or not.
            Err(_) => return (sender, delivery),
        }
        done.send(()).ok();
    }
    (sender, DELIVERIES)
}

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn tickctl(folder: &Path, arguments: &[&str]) -> Run {
    let output = Command::new(bootstraps::program("tickctl").unwrap())
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .env_remove("OPERATOR_TOKEN")
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Compares everything up to now. Returns the exit code and the proof.
fn verify(folder: &Path, more: &[&str]) -> (i32, Value) {
    let fixed = ["verify", "--from", "1h", "--due", "0", "--json"];
    let run = tickctl(folder, &[&fixed[..], more].concat());
    let report: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}", run.err));
    (run.code, report["proof"].clone())
}

/// Everything is where it belongs, once; and each candle is that of the stored ticks.
fn check(folder: &Path, round: u32) -> u64 {
    let (code, proof) = verify(folder, &[]);
    assert_eq!(code, 0, "round {round} of seed {SEED}: {proof}");
    let rebuild = ["rebuild", "--from", "2026-01-01", "--to", "2026-01-02"];
    let run = tickctl(folder, &rebuild);
    assert_eq!(
        run.code, 0,
        "round {round} of seed {SEED}: {}{}",
        run.out, run.err
    );
    assert!(run.out.contains("nothing to change"), "{}", run.out);
    proof["counts"]["matched"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_tickstream_is_repaired_and_proven_after_its_next_start() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut next = [0; SENDERS];
    let mut tickstream = Tickstream::start(folder);
    for round in 0..ROUNDS {
        let (done, mut deliveries) = mpsc::unbounded_channel();
        let mut senders = JoinSet::new();
        for (sender, from) in next.into_iter().enumerate() {
            let url = tickstream.url.clone();
            senders.spawn(deliver(url, sender, from, done.clone()));
        }
        // Of all rounds together, fewer than there are, so that each has some under way at its end.
        for _ in 0..random.u32(5..DELIVERIES) {
            deliveries.recv().await.unwrap();
        }
        tickstream.kill();
        for (sender, from) in senders.join_all().await {
            next[sender] = from;
        }
        assert!(next.iter().any(|it| *it < DELIVERIES), "all was delivered");

        // What the crash left in the outbox, or in front of the archive's writer, is on its way, and not repaired.
        let (code, proof) = verify(folder, &["--repair"]);
        assert!(
            [0, 3].contains(&code),
            "round {round} of seed {SEED}: {proof}"
        );
        let repaired = json!({"appended": 0, "left_out": 0, "archived": 0});
        assert_eq!(
            proof["repaired"], repaired,
            "round {round} of seed {SEED}: {proof}"
        );

        tickstream = Tickstream::start(folder);
        tickstream.settled().await;
        check(folder, round);
    }
    // The senders deliver the rest, and what was never acknowledged again.
    let (done, _deliveries) = mpsc::unbounded_channel();
    for (sender, from) in next.into_iter().enumerate() {
        let left = deliver(tickstream.url.clone(), sender, from, done.clone()).await;
        assert_eq!(left, (sender, DELIVERIES));
    }
    tickstream.settled().await;
    let all = SENDERS as u64 * u64::from(DELIVERIES * TICKS_PER_DELIVERY);
    assert_eq!(check(folder, ROUNDS), all);
    tickstream.kill();
}
