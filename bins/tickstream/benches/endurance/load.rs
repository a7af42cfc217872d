//! Deliveries of made-up trades, and what became of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::TickId;
use runtime::clock::now_ms;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::process::honest_client;

/// Tokens in turn.
pub(crate) const TOKENS: u64 = 10;

/// A delivery: its number says which ticks it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    pub(crate) number: u64,
    pub(crate) ticks: u64,
    pub(crate) at_ms: i64,
}

/// The id of a tick of a delivery.
pub(crate) fn tick_id(delivery: u64, index: u64) -> String {
    TickId::derive("endurance", &[&delivery.to_string(), &index.to_string()]).to_string()
}

impl Delivery {
    pub(crate) fn body(&self) -> String {
        let trade = |index: u64| {
            let price = 1_000 + (self.number * 7 + index) % 90;
            json!({
                "token": format!("T{}", (self.number + index) % TOKENS), "quote": "USD",
                "price": format!("{price}.25"), "volume": "1", "timestamp": self.at_ms + i64::try_from(index % 50).unwrap_or(0),
                "tick_id": tick_id(self.number, index),
            })
        };
        Value::from((0..self.ticks).map(trade).collect::<Vec<_>>()).to_string()
    }
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    Refused(u16),
    Failed,
}

pub(crate) async fn send(http: &reqwest::Client, url: &str, delivery: Delivery) -> End {
    let request = http
        .post(format!("{url}/webhooks/ticks"))
        .header("content-type", "application/json")
        .body(delivery.body());
    match request.send().await {
        Ok(response) => match response.status().as_u16() {
            // The connection must not be cut before the whole response is here.
            200 => response
                .bytes()
                .await
                .map_or(End::Failed, |_| End::Answered),
            status => End::Refused(status),
        },
        Err(_) => End::Failed,
    }
}

/// The deliveries of a load, in the order in which they ended.
pub(crate) type Ended = Vec<(Delivery, End)>;

/// Closed loop: each of `clients` sends one delivery after the other until it is stopped, or until one fails.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Ended>,
}

impl Clients {
    pub(crate) fn start(
        url: &str,
        clients: u64,
        ticks: u64,
        next: &Arc<AtomicU64>,
    ) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (stop, next, url) = (Arc::clone(&stop), Arc::clone(next), url.to_owned());
            let http = honest_client()?;
            tasks.spawn(async move {
                let mut ended = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let delivery = Delivery {
                        number,
                        ticks,
                        at_ms: now_ms(),
                    };
                    let end = send(&http, &url, delivery).await;
                    ended.push((delivery, end));
                    match end {
                        End::Failed => break,
                        End::Refused(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                        End::Answered => {}
                    }
                }
                ended
            });
        }
        Ok(Self { stop, tasks })
    }

    pub(crate) async fn stop(mut self) -> Outcome<Ended> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            all.extend(ended?);
        }
        Ok(all)
    }
}

/// The most deliveries without an answer. More connections are refused by the process.
const IN_FLIGHT_MAX: usize = 1_500;

/// Latencies of an open loop: a request is due at its time, whatever became of the others.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    sorted: Vec<Duration>,
    pub(crate) errors: u64,
    /// Deliveries that were due while too many others had no answer.
    pub(crate) not_sent: u64,
}

impl Latencies {
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let place = (self.sorted.len() * percent / 100).min(self.sorted.len().saturating_sub(1));
        self.sorted.get(place).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self) -> usize {
        self.sorted.len()
    }
}

/// Sends `rate` deliveries a second for a time.
pub(crate) async fn open_loop(
    url: &str,
    (rate, ticks): (u32, u64),
    time: Duration,
    next: &Arc<AtomicU64>,
) -> Outcome<(Latencies, Ended)> {
    let http = honest_client()?;
    let started = Instant::now();
    let (mut tasks, mut sent) = (JoinSet::new(), 0_u32);
    let (mut latencies, mut all) = (Latencies::default(), Vec::new());
    while started.elapsed() < time {
        let due = started + Duration::from_secs_f64(f64::from(sent) / f64::from(rate));
        tokio::time::sleep_until(due.into()).await;
        sent += 1;
        while let Some(done) = tasks.try_join_next() {
            note(&mut latencies, &mut all, done?);
        }
        if tasks.len() >= IN_FLIGHT_MAX {
            latencies.not_sent += 1;
            continue;
        }
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (http, url) = (http.clone(), url.to_owned());
        tasks.spawn(async move {
            let at_ms = now_ms();
            let delivery = Delivery {
                number,
                ticks,
                at_ms,
            };
            let end = send(&http, &url, delivery).await;
            (delivery, end, due.elapsed())
        });
    }
    while let Some(done) = tasks.join_next().await {
        note(&mut latencies, &mut all, done?);
    }
    latencies.sorted.sort_unstable();
    Ok((latencies, all))
}

fn note(
    latencies: &mut Latencies,
    all: &mut Ended,
    (delivery, end, took): (Delivery, End, Duration),
) {
    latencies.errors += u64::from(end != End::Answered);
    latencies.sorted.push(took);
    all.push((delivery, end));
}
