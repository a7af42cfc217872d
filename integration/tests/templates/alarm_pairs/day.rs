//! A simulated day: what the functions and AWS's services write, minute by minute.
//!
//! The functions' lines come from the code that writes them. AWS's metrics have their documented meaning:
//! - Lambda: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>
//! - API Gateway: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html>
//! - Kinesis: <https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html>
//! - Firehose: <https://docs.aws.amazon.com/firehose/latest/dev/monitoring-with-cloudwatch-metrics.html>
//! - DynamoDB: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html>
//! - SQS: `redrive_queue.rs`

mod consumers;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use app::ledger::LedgerEntry;
use app::ports::{Clock, LedgerWriter as _};
use aws::emf::{EmfLedger, EmfWriter, InvocationMetrics, STALE_SECRETS};
use domain::Reason;
use futures_util::FutureExt as _;
use testkit::written::Written;

use super::failure::Failure;
use super::redrive_queue::RedriveQueue;
use crate::alarm_evaluator::{MetricId, Metrics};

/// Minutes since the epoch: 00:00 UTC of a day.
pub(super) const MIDNIGHT: i64 = 20_000 * DAY;
pub(super) const HOUR: i64 = 60;
pub(super) const DAY: i64 = 24 * HOUR;

/// The shards of the stream when it is provisioned; on demand it has the same capacity.
const SHARDS: u64 = 4;

/// The share of 100 %.
pub(super) const WHOLE: u64 = 10_000;

/// How a day goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// How many of 10,000 ticks go to the stream.
    pub(super) share: u64,
    /// What fails.
    pub(super) failure: Option<Failing>,
}

/// A failure that lasts for some minutes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failing {
    pub(super) what: Failure,
    pub(super) from: i64,
    /// The first minute without it.
    pub(super) to: i64,
}

/// The metrics of some minutes.
pub(super) fn simulate(minutes: Range<i64>, plan: Plan) -> Metrics {
    let (now_ms, lines) = (Arc::new(AtomicI64::new(0)), Written::default());
    let clock: Arc<dyn Clock> = {
        let now_ms = Arc::clone(&now_ms);
        Arc::new(move || now_ms.load(Ordering::Relaxed))
    };
    let mut day = Day {
        plan,
        minute: 0,
        metrics: Metrics::default(),
        ledger: EmfLedger::new(lines.clone(), Arc::clone(&clock), "prices-webhook"),
        webhook: InvocationMetrics::new(lines.clone(), Arc::clone(&clock), "prices-webhook"),
        analytics: InvocationMetrics::new(lines.clone(), clock, "prices-analytics"),
        scaler: EmfWriter::new(lines.clone(), "prices-scaler"),
        redrive: RedriveQueue::default(),
        cohort: 0,
    };
    for minute in minutes {
        now_ms.store(minute * 60_000, Ordering::Relaxed);
        day.minute = minute;
        day.pass();
    }
    let mut metrics = day.metrics;
    for line in lines.json_lines() {
        metrics.put_emf(&line);
    }
    metrics
}

struct Day {
    plan: Plan,
    minute: i64,
    metrics: Metrics,
    ledger: EmfLedger,
    webhook: InvocationMetrics,
    analytics: InvocationMetrics,
    scaler: EmfWriter,
    redrive: RedriveQueue,
    /// Ten-thousandths of ticks of the cohort that are not counted yet, since a tick is in it or not.
    cohort: u64,
}

/// What a minute of deliveries left.
#[derive(Default)]
struct Offered {
    stored: u64,
    streamed: u64,
    redriven: u64,
}

impl Day {
    fn fails(&self, failure: Failure) -> bool {
        self.failing_for(failure).is_some()
    }

    /// Minutes since a failure began; `None` if it has not, or is over.
    fn failing_for(&self, failure: Failure) -> Option<i64> {
        let failing = self.plan.failure.filter(|now| now.what == failure)?;
        let is_on = (failing.from..failing.to).contains(&self.minute);
        is_on.then_some(self.minute - failing.from)
    }

    /// The minute of the day.
    fn clock(&self) -> i64 {
        self.minute.rem_euclid(DAY)
    }

    /// Deliveries in this minute, and ticks in each: quiet nights, and an hour with a hundred times as much.
    fn traffic(&self) -> (u64, u64) {
        match self.clock() / HOUR {
            _ if self.fails(Failure::NoSenders) => (0, 0),
            0..6 => (u64::from(self.minute % 4 == 0), 3),
            14 => (40, 25),
            _ => (10, 3),
        }
    }

    fn put(&mut self, (namespace, name): (&str, &str), dimension: (&str, &str), value: f64) {
        self.metrics.put(
            MetricId::new(namespace, name, &[dimension]),
            self.minute,
            value,
        );
    }

    fn lambda(&mut self, name: &str, function: &str, value: f64) {
        self.put(
            ("AWS/Lambda", name),
            ("FunctionName", &format!("prices-{function}")),
            value,
        );
    }

    /// An invocation: Lambda writes `Errors` for each, 0 or 1.
    fn invoke(&mut self, function: &'static str, is_error: bool) {
        self.lambda("Invocations", function, 1.0);
        self.lambda("Errors", function, f64::from(u8::from(is_error)));
        self.lambda("Duration", function, 30.0);
    }

    fn pass(&mut self) {
        let offered = self.deliver();
        self.strangers();
        let from_redrive = self.pass_redrive(offered.redriven);
        let arrived = self.pass_stream(offered.streamed + from_redrive);
        self.pass_analytics(arrived);
        self.pass_archive(arrived);
        self.pass_broadcast(offered.stored);
        self.pass_tables();
        self.pass_schedules();
    }

    /// A request to the API, and one to the function URL, which have the same outcome.
    fn answer(&mut self, status: u16, latency_ms: f64) {
        let (client, server) = (
            u8::from((400..500).contains(&status)),
            u8::from(status >= 500),
        );
        let api = ("ApiId", "import:prices-webhook-api");
        for (name, value) in [("Count", 1), ("4xx", client), ("5xx", server)] {
            self.put(("AWS/ApiGateway", name), api, f64::from(value));
        }
        self.put(("AWS/ApiGateway", "Latency"), api, latency_ms);
        for (name, value) in [
            ("UrlRequestCount", 1),
            ("Url4xxCount", client),
            ("Url5xxCount", server),
        ] {
            self.lambda(name, "webhook", f64::from(value));
        }
        self.lambda("UrlRequestLatency", "webhook", latency_ms);
    }

    fn deliver(&mut self) -> Offered {
        let mut offered = Offered::default();
        let (deliveries, ticks) = self.traffic();
        for delivery in 0..deliveries {
            // A cold start now and then; `Duration` leaves it out, and API Gateway's time has it.
            let is_cold = self.fails(Failure::ColdStarts)
                || (self.minute + i64::try_from(delivery).unwrap()) % 50 == 0;
            let latency_ms = match self.fails(Failure::ColdStarts) {
                true => 1_300.0,
                false if is_cold => 450.0,
                false => 40.0,
            };
            let refused = self.fails(Failure::SecretRotated) && delivery % 3 == 0;
            if refused || (self.fails(Failure::ApiThrottled) && delivery % 2 == 0) {
                self.answer(if refused { 401 } else { 429 }, 5.0);
                continue;
            }
            if self.fails(Failure::WebhookThrottled) {
                self.lambda("Throttles", "webhook", 1.0);
                self.answer(503, 5.0);
                continue;
            }
            let crashes = self.fails(Failure::WebhookCrashes);
            self.invoke("webhook", crashes);
            if crashes || self.fails(Failure::StoreDown) {
                self.answer(if crashes { 500 } else { 503 }, 600.0);
                continue;
            }
            if self.fails(Failure::SecretsUnread) {
                self.webhook.add(STALE_SECRETS, 1);
                self.webhook.flush();
            }
            self.answer(200, latency_ms);
            let entry = self.entry(ticks, delivery);
            offered.stored += entry.stored;
            offered.streamed += entry.streamed;
            offered.redriven += entry.redriven;
            self.ledger
                .commit(None, entry)
                .now_or_never()
                .unwrap()
                .unwrap();
        }
        offered
    }

    /// The counts of a delivery.
    fn entry(&mut self, ticks: u64, delivery: u64) -> LedgerEntry {
        let malformed = match self.fails(Failure::FormatChanged) {
            true => ticks.div_ceil(2),
            false => u64::from(self.minute % 10 == 0 && delivery == 7),
        };
        let stored = ticks - malformed;
        self.cohort += stored * self.plan.share;
        let in_cohort = self.cohort / WHOLE;
        self.cohort %= WHOLE;
        // Three minutes of a busy hour, in which a shard is full for a moment.
        let a_few = self.clock() / 3 == (14 * HOUR + 30) / 3 && delivery == 0;
        let redriven = match () {
            () if self.fails(Failure::StreamAndQueueDown) => 0,
            () if self.fails(Failure::StreamRefuses) || self.fails(Failure::StreamForbidden) => {
                in_cohort
            }
            () if a_few => in_cohort.min(2),
            () => 0,
        };
        LedgerEntry {
            received: ticks,
            stored: stored - u64::from(self.fails(Failure::CountsDiffer)),
            rejected_by_reason: match malformed {
                0 => BTreeMap::new(),
                _ => BTreeMap::from([(Reason::InvalidPrice, malformed)]),
            },
            in_cohort,
            streamed: match self.fails(Failure::StreamAndQueueDown) {
                true => 0,
                false => in_cohort - redriven,
            },
            redriven,
            ..LedgerEntry::default()
        }
    }

    /// Somebody tries addresses: for eight minutes each night, and now and then during the day.
    fn strangers(&mut self) {
        let scans = (3 * HOUR..3 * HOUR + 8).contains(&self.clock());
        let requests = if scans {
            30
        } else {
            u64::from(self.minute % 17 == 0)
        };
        for _ in 0..requests {
            self.answer(404, 2.0);
        }
    }
}
