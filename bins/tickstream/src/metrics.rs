//! The metrics of the process.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use store::{CONSUMERS, EmbeddedStore};

use crate::supervisor::Supervisor;
use crate::traffic_history::TrafficHistory;

/// Upper bounds of the latency buckets, in seconds.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// The time over which the rate of ticks is computed, in milliseconds.
const RATE_WINDOW_MS: i64 = 60_000;

/// Samples of the rate kept: one a second at most.
const RATE_SAMPLE_MS: i64 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: String,
    route: String,
    status: u16,
}

type Latencies = Family<Route, Histogram, fn() -> Histogram>;

/// The metrics of a process.
pub(crate) struct Metrics {
    registry: Registry,
    latencies: Latencies,
    rate: Mutex<Rate>,
    pub(crate) traffic: TrafficHistory,
}

impl Metrics {
    pub(crate) fn new(store: EmbeddedStore, supervisor: Supervisor) -> Self {
        let mut registry = Registry::with_prefix("tickstream");
        let latencies = Latencies::new_with_constructor(|| Histogram::new(SECONDS));
        registry.register_with_unit(
            "http_request",
            "Request duration by route and status",
            Unit::Seconds,
            latencies.clone(),
        );
        registry.register_collector(Box::new(Store(store)));
        registry.register_collector(Box::new(Consumers(supervisor)));
        Self {
            registry,
            latencies,
            rate: Mutex::default(),
            traffic: TrafficHistory::default(),
        }
    }

    /// Measures the requests of all routes.
    pub(crate) fn layer(self: &Arc<Self>, router: Router) -> Router {
        router.layer(axum::middleware::from_fn_with_state(
            Arc::clone(self),
            measure,
        ))
    }

    /// All metrics in the OpenMetrics text format, which Prometheus reads.
    pub(crate) fn render(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }

    /// Ticks stored a second, over the last minute; `stored` counts all so far. Called for each
    /// look at the status and once a second.
    pub(crate) fn ticks_per_second(&self, now_ms: i64, stored: u64) -> f64 {
        self.rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .sample(now_ms, stored)
    }
}

async fn measure(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The route's pattern instead of the path, which would create a metric per token.
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or_else(|| "other".to_owned(), |route| route.as_str().to_owned());
    let method = request.method().as_str();
    let known = ["GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"];
    let method = if known.contains(&method) {
        method
    } else {
        "OTHER"
    }
    .to_owned();
    let response = next.run(request).await;
    if response.status().is_server_error() && route.starts_with("/webhooks/") {
        metrics.traffic.count_server_error();
    }
    let route = Route {
        method,
        route,
        status: response.status().as_u16(),
    };
    metrics
        .latencies
        .get_or_create(&route)
        .observe(started.elapsed().as_secs_f64());
    response
}

/// Samples of the count, oldest first.
#[derive(Default)]
struct Rate(VecDeque<(i64, u64)>);

impl Rate {
    fn sample(&mut self, now_ms: i64, stored: u64) -> f64 {
        let Self(samples) = self;
        if samples
            .back()
            .is_none_or(|(at, _)| now_ms - at >= RATE_SAMPLE_MS)
        {
            samples.push_back((now_ms, stored));
        }
        while samples
            .get(1)
            .is_some_and(|(at, _)| now_ms - at >= RATE_WINDOW_MS)
        {
            samples.pop_front();
        }
        let Some((at, before)) = samples.front().copied().filter(|(at, _)| *at < now_ms) else {
            return 0.0;
        };
        let per_ms = to_f64(stored.saturating_sub(before)) / to_f64((now_ms - at).unsigned_abs());
        (per_ms * 1_000.0 * 10.0).round() / 10.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate shown to people")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Reads the store's own counts when metrics are asked for.
struct Store(EmbeddedStore);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConsumerLabel {
    consumer: String,
}

impl Collector for Store {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(store) = self;
        let ledger = store.ledger();
        let committed = &ledger.committed;
        for (name, help, count) in [
            ("received", "Entries that came in", ledger.received()),
            ("stored", "Ticks stored", ledger.stored_rows),
            (
                "duplicate",
                "Ticks that were stored before",
                committed.duplicate,
            ),
            ("ignored", "Entries that are not a price", committed.ignored),
            (
                "in_cohort",
                "Stored ticks that belong to the rollout's cohort",
                committed.in_cohort,
            ),
            (
                "streamed",
                "Ticks appended to the stream",
                committed.streamed,
            ),
            (
                "redriven",
                "Ticks that the stream refused at first",
                committed.redriven,
            ),
            (
                "quarantined",
                "Entries kept in the quarantine",
                ledger.quarantined,
            ),
            (
                "analysis_states_resumed",
                "Pairs whose analytics state could not be read, and continues after their candles",
                store.analysis_counters().states_resumed,
            ),
            (
                "stream_blocks_unreadable",
                "Blocks of the stream that could not be read, so that the analysis and the archive lack their ticks",
                store.unreadable_blocks(),
            ),
        ] {
            let counter = ConstCounter::new(count);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        let rejected = committed.rejected_by_reason.iter();
        let counters: Vec<_> = rejected
            .map(|(reason, count)| (reason.as_str(), ConstCounter::new(*count)))
            .collect();
        if let Some((_, first)) = counters.first() {
            let help = "Entries refused, by reason";
            let mut family =
                encoder.encode_descriptor("rejected", help, None, first.metric_type())?;
            for (reason, counter) in &counters {
                counter.encode(family.encode_family(&ReasonLabel { reason })?)?;
            }
        }
        for (name, help, value) in [
            (
                "pending_ticks",
                "Ticks stored whose delivery is still in the outbox",
                ledger.pending_rows,
            ),
            (
                "ledger_difference",
                "How far the ledger counters are from reconciling; anything but 0 is a defect",
                ledger.difference(),
            ),
            (
                "disk_free_bytes",
                "Room on the disk of the data folder",
                store.free_disk_bytes(),
            ),
            (
                "pairs",
                "Pairs of token and quote with ticks in the retention",
                store.pairs_live(),
            ),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let lags: Vec<_> = CONSUMERS
            .iter()
            .map(|name| {
                // A lag that cannot be read must not look like 0.
                let lag = store.lag_records(name).unwrap_or(u64::MAX);
                let gauge = ConstGauge::new(i64::try_from(lag).unwrap_or(i64::MAX));
                ((*name).to_owned(), gauge)
            })
            .collect();
        by_consumer(
            &mut encoder,
            "consumer_lag_records",
            "Records of the stream that a consumer has not processed",
            &lags,
        )?;
        let set_aside: Vec<_> = CONSUMERS
            .iter()
            .map(|name| ((*name).to_owned(), ConstCounter::new(store.set_aside(name))))
            .collect();
        by_consumer(
            &mut encoder,
            "consumer_set_aside",
            "Ticks of the stream for which a consumer fails, and which are in the quarantine",
            &set_aside,
        )
    }
}

/// Reads how the consumers are doing when metrics are asked for.
struct Consumers(Supervisor);

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumers")
    }
}

impl Collector for Consumers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(supervisor) = self;
        let health = supervisor.health();
        let up: Vec<_> = health
            .iter()
            .map(|it| {
                let up = i64::from(it.down_since_ms.is_none());
                (it.name.clone(), ConstGauge::new(up))
            })
            .collect();
        by_consumer(
            &mut encoder,
            "consumer_up",
            "1 if a consumer works, 0 if it has failed and not worked since",
            &up,
        )?;
        let restarts: Vec<_> = health
            .iter()
            .map(|it| (it.name.clone(), ConstCounter::new(it.restarts)))
            .collect();
        by_consumer(
            &mut encoder,
            "consumer_restarts",
            "Restarts of a consumer after a failure",
            &restarts,
        )
    }
}

/// A metric with a value for each consumer.
fn by_consumer<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(String, M)],
) -> fmt::Result {
    let Some((_, first)) = values.first() else {
        return Ok(());
    };
    let mut family = encoder.encode_descriptor(name, help, None, first.metric_type())?;
    for (consumer, value) in values {
        let consumer = consumer.clone();
        value.encode(family.encode_family(&ConsumerLabel { consumer })?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_over_the_last_minute() {
        let mut rate = Rate::default();
        assert!(
            rate.sample(0, 1_000).abs() < f64::EPSILON,
            "one sample is not a rate"
        );
        assert!((rate.sample(10_000, 2_000) - 100.0).abs() < 0.01);
        for second in 11..=200 {
            rate.sample(second * 1_000, 2_000);
        }
        assert!(
            rate.sample(200_000, 2_000).abs() < f64::EPSILON,
            "samples older than a minute are dropped"
        );
    }
}
