//! Handles one batch of the redrive queue.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use app::poison;
use app::ports::{Clock, Quarantine};
use app::redrive::Redrive;
use aws::emf::{FAILED_ITEMS, InvocationMetrics};
use aws_lambda_events::event::sqs::SqsEvent;
use domain::{Malformed, Tick, TickIdentity};
use runtime::partial_batch::{self, BatchError, BatchResponse, FailedMessages};

/// The origin of poison, as recorded in the quarantine.
const PLACE: &str = "redrive";

/// Handles batches of refused ticks.
pub struct Redriver {
    /// The use case.
    pub redrive: Redrive,
    /// For messages that are not ticks.
    pub quarantine: Arc<dyn Quarantine>,
    /// Gives the time of quarantine.
    pub clock: Arc<dyn Clock>,
    /// Counts the messages that failed in a batch that did not.
    pub metrics: Arc<InvocationMetrics>,
}

/// Ticks that the stream refused again.
#[derive(Debug, thiserror::Error)]
#[error("the stream refused {0} ticks again")]
struct RefusedAgain(usize);

impl Redriver {
    /// Handles an event. The response names the messages that failed.
    ///
    /// # Errors
    /// [`BatchError`] if all messages failed.
    pub async fn handle(&self, event: SqsEvent) -> Result<BatchResponse, BatchError> {
        let append_again = async |bodies: &[String]| self.append_again(bodies).await;
        let answer = partial_batch::sqs(event, append_again).await;
        if let Ok(response) = &answer {
            self.metrics.add(FAILED_ITEMS, response.failed_items);
        }
        self.metrics.flush();
        answer
    }

    async fn append_again(&self, bodies: &[String]) -> Result<(), FailedMessages> {
        let (mut ticks, mut poison) = (Vec::new(), Vec::new());
        for (index, body) in bodies.iter().enumerate() {
            match codec::json::from_json(body.as_bytes()) {
                Ok(tick) => ticks.push((index, tick)),
                Err(error) => poison.push(poison::malformed(index, body.as_bytes(), &error)),
            }
        }
        // A queue delivers in any order; the stream gets the ticks of a token in order.
        ticks.sort_by_key(|(_, tick)| tick.order());
        let appended = self.append(ticks).await;
        let quarantined = self.quarantine_poison(poison).await;
        match (appended, quarantined) {
            (Err(mut of_ticks), Err(of_poison)) => {
                tracing::error!(error = %of_poison.cause, "undecodable messages were not quarantined");
                of_ticks.positions.extend(of_poison.positions);
                Err(of_ticks)
            }
            (appended, quarantined) => appended.and(quarantined),
        }
    }

    /// Fails with the messages whose ticks are not in the stream.
    async fn append(&self, ticks: Vec<(usize, Tick)>) -> Result<(), FailedMessages> {
        if ticks.is_empty() {
            return Ok(());
        }
        let (indices, ticks): (Vec<usize>, Vec<Tick>) = ticks.into_iter().unzip();
        let refused = match self.redrive.append_again(&ticks).await {
            Ok(refused) if refused.is_empty() => return Ok(()),
            Ok(refused) => refused,
            Err(error) => {
                return Err(FailedMessages {
                    positions: indices.into_iter().collect(),
                    cause: error.into(),
                });
            }
        };
        let count = refused.len();
        let refused: HashSet<TickIdentity> = refused.iter().map(|tick| tick.identity()).collect();
        let of_refused =
            |(index, tick): (usize, &Tick)| refused.contains(&tick.identity()).then_some(index);
        Err(FailedMessages {
            positions: indices
                .into_iter()
                .zip(&ticks)
                .filter_map(of_refused)
                .collect(),
            cause: RefusedAgain(count).into(),
        })
    }

    /// Fails with the messages that could not be quarantined.
    async fn quarantine_poison(&self, poison: Vec<Malformed>) -> Result<(), FailedMessages> {
        let positions: BTreeSet<usize> = poison.iter().map(|entry| entry.index).collect();
        let now_ms = self.clock.now_ms();
        let kept = poison::keep(self.quarantine.as_ref(), PLACE, poison, now_ms).await;
        kept.map_err(|error| FailedMessages {
            positions,
            cause: error.into(),
        })
    }
}
