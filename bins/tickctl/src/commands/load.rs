//! `tickctl load`: sends generated ticks at a fixed rate (open loop) and reports the latency.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, value_parser};
use domain::count_of;
use hdrhistogram::Histogram;
use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::client::{PostError, Webhook};
use crate::market::Market;
use crate::open_loop::{End, NOT_SENT, Schedule, Tally};
use crate::process::{ProcessContext, print_line};
use crate::spinner::{bar, style};
use crate::target::Target;

/// If we were later than this, the figures say more about this machine than about the server.
const LATENESS_MS_WARN: f64 = 20.0;

/// How often the progress bar moves, per second.
const PROGRESS_HZ: u32 = 10;

/// Options of `tickctl load`.
#[derive(Debug, Args)]
#[command(after_help = "\
Open loop: request i is due at start + i/rate, regardless of the others, and its latency
is measured from that moment to its complete response. So a stall of the server affects the latency of
every request that was due meanwhile. Failed requests count too.

An error is a request without a readable 200 in time, with rejected ticks, or not sent because
--in-flight requests were pending. With any error, the exit code is 1.

Examples:
  tickctl load --rate 4000 --seconds 60
  tickctl load --rate 200 --batch 500 --seconds 60 --json
  TICKCTL_SECRET=... tickctl load --rate 100 --seconds 10 --to https://ticks.example/stage")]
pub struct LoadArgs {
    /// Requests per second (not ticks: see --batch).
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=200_000))]
    pub rate: u32,
    /// How long to send requests, in seconds.
    #[arg(long, value_name = "S", value_parser = value_parser!(u32).range(1..=86_400))]
    pub seconds: u32,
    /// Ticks in each request.
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// The number of tokens, used in turn: LOAD0001, LOAD0002, …
    #[arg(long, value_name = "T", default_value_t = 100, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub tokens: u32,
    /// The most connections; the latency includes the wait for a free one.
    #[arg(long, value_name = "C", default_value_t = 256, value_parser = value_parser!(u32).range(1..=10_000))]
    pub connections: u32,
    /// The most pending requests; further ones that are due are not sent and count as errors.
    #[arg(long, value_name = "M", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub in_flight: u32,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Where to send.
    #[command(flatten)]
    pub target: Target,
}

/// The report, which `--json` prints unchanged.
#[derive(Debug, Serialize)]
struct Report {
    /// Requests sent.
    sent: u64,
    /// Requests that failed or were not sent.
    errors: u64,
    errors_by_kind: BTreeMap<String, u64>,
    /// From due time to response, in milliseconds.
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Successful requests per second.
    requests_per_s: f64,
    /// Ticks stored, per second.
    ticks_per_s: f64,
    stored: u64,
    duplicate: u64,
    rejected: u64,
    ignored: u64,
    /// From the first due time to the last response.
    seconds: f64,
    /// How late this client itself was, in milliseconds. The latencies include it.
    client_late_p99_ms: f64,
}

/// Runs the load and prints its report.
///
/// # Errors
/// If any request failed, or the load was stopped early.
pub async fn run(args: LoadArgs, process: ProcessContext) -> anyhow::Result<()> {
    let connections = usize::try_from(args.connections)?;
    let webhook = Arc::new(Webhook::new(&args.target, "ticks", connections)?);
    let schedule = Schedule {
        rate: args.rate,
        requests: u64::from(args.rate) * u64::from(args.seconds),
        in_flight_max: usize::try_from(args.in_flight)?,
    };
    let free_connections = Arc::new(Semaphore::new(connections));
    let mut market = Market::new(args.tokens, new_run());
    let send = |_, due: Instant| {
        let body = market.delivery(args.batch, (process.now_ms)());
        let (webhook, free_connections) = (Arc::clone(&webhook), Arc::clone(&free_connections));
        async move {
            let sent = async {
                // The semaphore is never closed.
                let _permit = free_connections.acquire().await;
                webhook.post_unbounded(body).await
            };
            // The timeout also counts from the due time, so a load on a dead server ends.
            match tokio::time::timeout_at(due + webhook.timeout(), sent).await {
                Ok(Ok(answer)) => End::Answered {
                    stored: answer.stored,
                    duplicate: answer.duplicate,
                    ignored: answer.ignored,
                    rejected: answer.rejected,
                },
                Ok(Err(error)) => End::Failed(error.kind()),
                Err(_) => End::Failed(PostError::Timeout(webhook.timeout()).kind()),
            }
        }
    };
    let style = style("{wide_bar} {pos}/{len} requests, {eta} left");
    let bar = bar(schedule.requests, style);
    let step = u64::from((args.rate / PROGRESS_HZ).max(1));
    let progress = |due: u64| {
        if due.is_multiple_of(step) {
            bar.set_position(due);
        }
    };
    let tally = schedule.run(&process.stop, send, progress).await?;
    bar.finish_and_clear();
    let report = Report::new(
        &tally,
        Duration::from_secs(args.seconds.into()),
        process.stop.is_cancelled(),
    );
    report.print(&args, &webhook)?;
    if process.stop.is_cancelled() {
        bail!(
            "stopped after {} of {} requests",
            report.sent,
            schedule.requests
        );
    }
    if report.errors > 0 {
        let unauthorized = StatusCode::UNAUTHORIZED.as_str();
        let hint = if report.errors_by_kind.contains_key(unauthorized) {
            format!("; {}", args.target.about_secret())
        } else {
            String::new()
        };
        bail!(
            "{} of {} requests failed ({}){hint}",
            report.errors,
            schedule.requests,
            kinds(&report)
        );
    }
    Ok(())
}

/// A unique number of this run, which makes the ticks' ids unique.
fn new_run() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}

impl Report {
    fn new(tally: &Tally, planned: Duration, stopped: bool) -> Self {
        // Even if all responses were quick, the load lasted as long as planned.
        let elapsed = if stopped {
            tally.elapsed
        } else {
            tally.elapsed.max(planned)
        };
        let seconds = elapsed.as_secs_f64();
        let per_s = |count: u64| {
            if seconds > 0.0 {
                round(count as f64 / seconds)
            } else {
                0.0
            }
        };
        let latency = &tally.latency_us;
        Self {
            sent: tally.sent,
            errors: tally.errors(),
            errors_by_kind: tally.errors_by_kind.clone(),
            p50_ms: quantile_ms(latency, 0.50),
            p95_ms: quantile_ms(latency, 0.95),
            p99_ms: quantile_ms(latency, 0.99),
            max_ms: quantile_ms(latency, 1.0),
            requests_per_s: per_s(tally.answered),
            ticks_per_s: per_s(tally.stored),
            stored: tally.stored,
            duplicate: tally.duplicate,
            rejected: tally.rejected,
            ignored: tally.ignored,
            seconds: round(seconds),
            client_late_p99_ms: quantile_ms(&tally.lateness_us, 0.99),
        }
    }

    /// Prints the figures to stdout, and warnings about their validity to stderr.
    fn print(&self, args: &LoadArgs, webhook: &Webhook) -> anyhow::Result<()> {
        if args.json {
            print_line(&serde_json::to_string(self)?)?;
        } else {
            print_line(&self.text(args, webhook))?;
        }
        if self.client_late_p99_ms > LATENESS_MS_WARN {
            eprintln!(
                "tickctl: this machine itself was late (p99 {} ms), so the latencies say little about the server",
                self.client_late_p99_ms
            );
        }
        if let Some(count) = self.errors_by_kind.get(NOT_SENT) {
            eprintln!(
                "tickctl: {count} requests were not sent, since {} were pending (--in-flight)",
                args.in_flight
            );
        }
        Ok(())
    }

    fn text(&self, args: &LoadArgs, webhook: &Webhook) -> String {
        let errors = match self.errors {
            0 => "0".to_owned(),
            count => format!("{count} ({})", kinds(self)),
        };
        format!(
            "POST {}: {} requests/s of {} for {} s\n\
             sent        {} in {} s\n\
             errors      {errors}\n\
             latency     p50 {} ms, p95 {} ms, p99 {} ms, max {} ms (from due time)\n\
             throughput  {} requests/s, {} ticks/s stored\n\
             ticks       {} stored, {} duplicate, {} rejected, {} ignored\n\
             client      late by p99 {} ms",
            webhook.uri(),
            args.rate,
            count_of(u64::from(args.batch), "tick"),
            args.seconds,
            count_of(self.sent, "request"),
            self.seconds,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.max_ms,
            self.requests_per_s,
            self.ticks_per_s,
            self.stored,
            self.duplicate,
            self.rejected,
            self.ignored,
            self.client_late_p99_ms,
        )
    }
}

fn kinds(report: &Report) -> String {
    let kinds: Vec<_> = report
        .errors_by_kind
        .iter()
        .map(|(kind, count)| format!("{kind}: {count}"))
        .collect();
    kinds.join(", ")
}

fn quantile_ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    round(histogram.value_at_quantile(quantile) as f64 / 1_000.0)
}

/// Rounds to three digits after the point, the precision of the histogram.
fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
