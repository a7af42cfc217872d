//! The webhook for HTTP APIs and function URLs, with its ports on AWS, and `GET /healthz`.
//!
//! Lambda freezes the process after the response, so background work would be lost. Therefore it only
//! responds once the whole delivery is done: each port has its own time limit, and together they take
//! less than [`ANSWER_WITHIN`].

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use app::digest::DigestingQuarantine;
use app::ingest::Ingest;
use app::ports::{Clock, RolloutFlag};
use async_trait::async_trait;
use aws::client::{self, Timeouts};
use aws::clients;
use aws::dynamodb::{
    ListedTicks, STORE_TIMEOUT, STORE_TIMEOUT_MAX, StoreTimeout, TickTable, TickTableConfig,
};
use aws::emf::{EmfLedger, InvocationMetrics};
use aws::kinesis::KinesisStream;
use aws::s3::S3Quarantine;
use aws::sns::SnsTopic;
use aws::sqs::SqsQueue;
use aws::ssm::live::LiveParameters;
use aws::ssm::rollout::{FLAG_INTERVAL, SsmRollout};
use axum::routing::get;
use axum::{Json, Router};
use domain::Rollout;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::auth::{ActiveSecrets, FixedSecrets, Secrets};
use crate::config::Config;
use crate::parameter_secrets::{ParameterSecrets, SECRETS_INTERVAL};
use crate::{Webhook, router};

/// The longest time to a response: longer than the ports' limits together ([`PORTS_WITHIN`]), and
/// shorter than the function's timeout (10 s in the template).
pub const ANSWER_WITHIN: Duration = Duration::from_secs(9);

/// The longest time that store, stream and redrive queue take in sequence.
const PORTS_WITHIN: Duration = Duration::from_secs(8);

/// The redrive queue's time limit. It is longer than senders like to wait, since after it only the
/// sender's retry is left.
const REDRIVE_WITHIN: Duration = Duration::from_secs(2);

/// The time for storing a delivery, next to those of stream and redrive queue.
fn store_timeout(offer_within: Duration) -> StoreTimeout {
    let left = PORTS_WITHIN.saturating_sub(offer_within + REDRIVE_WITHIN);
    StoreTimeout {
        base: STORE_TIMEOUT.max(offer_within),
        max: STORE_TIMEOUT_MAX.min(left),
    }
}

/// A flag that only a deploy changes.
struct FixedRollout(Rollout);

#[async_trait]
impl RolloutFlag for FixedRollout {
    async fn current(&self) -> Rollout {
        self.0
    }
}

/// What is deployed.
#[derive(Debug, Clone, Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_sha256: Option<String>,
}

/// Serves deliveries until Lambda ends the process.
///
/// # Errors
/// Without usable secrets, with a rollout parameter that cannot be read, or if the Lambda
/// runtime interface fails.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let offer_within = Duration::from_millis(config.offer_within_ms);
    let sdk = client::config(Timeouts {
        attempt: client::INTERACTIVE.attempt.max(offer_within),
        operation: client::INTERACTIVE.operation.max(offer_within),
        ..client::INTERACTIVE
    })
    .await;
    let clock: Arc<dyn Clock> = Arc::new(runtime::clock::now_ms);
    // One call for both, to save time at a cold start and calls against SSM's limit.
    let parameters = LiveParameters::start(&clients::ssm(&sdk), &parameters(&config)).await?;
    let parameters = Arc::new(parameters);
    let secrets = secrets(&config, &parameters, &clock).await?;
    let flag = flag(&config, &parameters).await?;
    let queues = clients::sqs(&sdk);
    let queue = |url: &str, within| SqsQueue::new(&queues, url, within);
    let quarantine = DigestingQuarantine::new(
        Arc::new(S3Quarantine::new(
            &clients::s3(&sdk),
            &config.archive_bucket,
        )),
        Arc::new(SnsTopic::new(
            &clients::sns(&sdk),
            &config.malformed_topic_arn,
        )),
        Arc::clone(&clock),
    );
    let tables = clients::dynamodb(&sdk);
    let table = TickTable::new(
        tables.clone(),
        TickTableConfig {
            table: config.ticks_table.clone(),
            retention_days: config.retention_days,
            timeout: store_timeout(offer_within),
            new_ids_from_ms: config.new_ids_from_ms,
        },
        Arc::clone(&clock),
    );
    let ingest = Ingest {
        store: Arc::new(ListedTicks::new(
            Arc::new(table),
            &tables,
            config.ticks_table,
            config.retention_days,
        )),
        stream: Arc::new(KinesisStream::new(
            &clients::kinesis(&sdk),
            &config.stream_name,
            offer_within,
        )),
        broadcast: Arc::new(queue(&config.broadcast_queue_url, offer_within)),
        redrive: Some(Arc::new(queue(&config.redrive_queue_url, REDRIVE_WITHIN))),
        quarantine: Arc::new(quarantine),
        ledger: Arc::new(EmfLedger::new(
            std::io::stdout(),
            Arc::clone(&clock),
            config.function_name,
        )),
        flag,
        clock,
        new_ids_from_ms: config.new_ids_from_ms,
        settings: Arc::new(config.sources.settings()),
        recent_offers: Arc::default(),
    };
    let webhook = Webhook::new(ingest, secrets, ANSWER_WITHIN);
    runtime::lambda::serve_http(routes(webhook, config.code_sha256)).await
}

/// The webhook's routes, and `GET /healthz`.
fn routes(webhook: Webhook, code_sha256: Option<String>) -> Router {
    let health = Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        code_sha256,
    };
    let answer = move || std::future::ready(Json(health.clone()));
    router(Arc::new(webhook)).route("/healthz", get(answer))
}

/// The parameters of the process, each with how often it is read again.
fn parameters(config: &Config) -> Vec<(&str, Duration)> {
    let secrets = config.webhook_secrets_parameter.as_deref();
    let flag = config.rollout_parameter.as_deref();
    let secrets = secrets.map(|name| (name, SECRETS_INTERVAL));
    let flag = flag.map(|name| (name, FLAG_INTERVAL));
    secrets.into_iter().chain(flag).collect()
}

async fn secrets(
    config: &Config,
    parameters: &Arc<LiveParameters>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Arc<dyn ActiveSecrets>> {
    if let Some(name) = &config.webhook_secrets_parameter {
        let name_of_function = config.function_name.as_str();
        let metrics =
            InvocationMetrics::new(std::io::stdout(), Arc::clone(clock), name_of_function);
        let secrets = ParameterSecrets::new(Arc::clone(parameters), name, metrics).await?;
        return Ok(Arc::new(secrets));
    }
    let Some(text) = &config.webhook_secrets else {
        bail!("set WEBHOOK_SECRETS or WEBHOOK_SECRETS_PARAMETER")
    };
    let secrets = Secrets::parse(text.expose_secret()).context("WEBHOOK_SECRETS")?;
    ensure!(
        !secrets.is_empty(),
        "WEBHOOK_SECRETS has no secret, so anybody could deliver: add at least one"
    );
    Ok(Arc::new(FixedSecrets::new(secrets)))
}

async fn flag(
    config: &Config,
    parameters: &Arc<LiveParameters>,
) -> anyhow::Result<Arc<dyn RolloutFlag>> {
    let fixed = config.rollout();
    Ok(match &config.rollout_parameter {
        None => Arc::new(FixedRollout(fixed)),
        Some(name) => Arc::new(SsmRollout::new(Arc::clone(parameters), name, fixed).await?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_leave_time_for_a_response() {
        let ms = Duration::from_millis;
        for (offer_ms, base_ms, max_ms) in
            [(50, 500, 4_500), (400, 500, 4_500), (3_000, 3_000, 3_000)]
        {
            let store = store_timeout(ms(offer_ms));
            assert_eq!((store.base, store.max), (ms(base_ms), ms(max_ms)));
            let longest = store.of(usize::MAX) + ms(offer_ms) + REDRIVE_WITHIN;
            assert!(longest <= PORTS_WITHIN, "{longest:?}");
        }
        assert!(PORTS_WITHIN < ANSWER_WITHIN);
    }
}
