//! Another tickstream as the destination of a range of ticks.

use std::time::Duration;

use app::ports::PortError;
use app::tick_replay::{ReplayDestination, Sent};
use async_trait::async_trait;
use bytes::Bytes;
use domain::Tick;
use hyper::StatusCode;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;

use crate::client::{PostError, Webhook};
use crate::delivery::{Undelivered, deliver};
use crate::target::Target;

/// The source of tickstream's own JSON, which keeps a tick's id, source and method.
const SOURCE: &str = "ticks";

/// A webhook that gets ticks with the ids that they have.
pub(super) struct Inbox {
    webhook: Webhook,
    about_secret: &'static str,
    attempts_max: u32,
    stop: CancellationToken,
}

impl Inbox {
    pub(super) fn new(
        target: &Target,
        attempts_max: u32,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            webhook: Webhook::new(target, SOURCE, 1)?,
            about_secret: target.about_secret(),
            attempts_max,
            stop,
        })
    }
}

/// A delivery of ticks: an array of their JSON.
pub(super) fn body(ticks: &[Tick]) -> Vec<u8> {
    let mut body = vec![b'['];
    for (at, tick) in ticks.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        codec::json::write_json(tick, &mut body);
    }
    body.push(b']');
    body
}

#[async_trait]
impl ReplayDestination for Inbox {
    fn only_cohort(&self) -> bool {
        false
    }

    async fn send(&self, ticks: Vec<Tick>) -> Result<Sent, PortError> {
        let rng = StdRng::seed_from_u64(uuid::Uuid::now_v7().as_u64_pair().1);
        let notice = |error: &PostError, delay: Duration| {
            eprintln!("tickctl: {error}; retrying in {:.1} s", delay.as_secs_f64());
        };
        let body = Bytes::from(body(&ticks));
        let delivered = deliver(
            &self.webhook,
            body,
            self.attempts_max,
            rng,
            &self.stop,
            notice,
        );
        let answer = delivered.await.map_err(|error| {
            let advice = match &error {
                Undelivered::Refused(PostError::Status { status, .. })
                    if *status == StatusCode::UNAUTHORIZED =>
                {
                    format!("; {}", self.about_secret)
                }
                Undelivered::Refused(_) | Undelivered::GaveUp { .. } | Undelivered::Stopped => {
                    String::new()
                }
            };
            PortError {
                operation: "deliver ticks again",
                retryable: true,
                source: format!("{error}{advice}").into(),
            }
        })?;
        for error in answer.errors.iter().take(3) {
            let id = ticks.get(error.index).map(|tick| tick.tick_id.to_string());
            let id = id.unwrap_or_default();
            eprintln!(
                "tickctl: tick {id} was rejected: {}: {}",
                error.reason, error.message
            );
        }
        Ok(Sent {
            new: answer.stored,
            duplicate: answer.duplicate,
            rejected: answer.rejected + answer.ignored,
        })
    }
}
