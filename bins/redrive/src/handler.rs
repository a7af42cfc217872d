//! Handles one batch of the redrive queue.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use app::poison;
use app::ports::{Clock, Quarantine};
use app::redrive::Redrive;
use aws_lambda_events::event::sqs::SqsEvent;
use domain::{Malformed, Tick, TickIdentity};
use runtime::partial_batch::{self, BatchResponse};

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
}

impl Redriver {
    /// Handles an event. Failed messages are named in the response and are delivered again.
    ///
    /// # Errors
    /// None: failures are part of the response.
    pub async fn handle(&self, event: SqsEvent) -> Result<BatchResponse, Infallible> {
        let append_again = async |bodies: &[String]| self.append_again(bodies).await;
        Ok(partial_batch::sqs(event, append_again).await)
    }

    async fn append_again(&self, bodies: &[String]) -> BTreeSet<usize> {
        let (mut ticks, mut poison) = (Vec::new(), Vec::new());
        for (index, body) in bodies.iter().enumerate() {
            match codec::json::from_json(body.as_bytes()) {
                Ok(tick) => ticks.push((index, tick)),
                Err(error) => poison.push(poison::malformed(index, body.as_bytes(), &error)),
            }
        }
        // A queue delivers in any order; the stream gets the ticks of a token in order.
        ticks.sort_by_key(|(_, tick)| tick.order());
        let mut failed = self.append(ticks).await;
        failed.append(&mut self.quarantine_poison(poison).await);
        failed
    }

    /// Returns the messages whose ticks are not in the stream.
    async fn append(&self, ticks: Vec<(usize, Tick)>) -> BTreeSet<usize> {
        if ticks.is_empty() {
            return BTreeSet::new();
        }
        let (indices, ticks): (Vec<usize>, Vec<Tick>) = ticks.into_iter().unzip();
        match self.redrive.append_again(&ticks).await {
            Ok(refused) => {
                if !refused.is_empty() {
                    tracing::warn!(ticks = refused.len(), "the stream refused ticks again");
                }
                let refused: HashSet<TickIdentity> =
                    refused.iter().map(|tick| tick.identity()).collect();
                let of_refused = |(index, tick): (usize, &Tick)| {
                    refused.contains(&tick.identity()).then_some(index)
                };
                let pairs = indices.into_iter().zip(&ticks);
                pairs.filter_map(of_refused).collect()
            }
            Err(error) => {
                tracing::error!(error = %error, cause = %error.source, ticks = ticks.len(), "the \
                    ticks could not be appended to the stream");
                indices.into_iter().collect()
            }
        }
    }

    /// Returns the messages that could not be quarantined.
    async fn quarantine_poison(&self, poison: Vec<Malformed>) -> BTreeSet<usize> {
        let indices = poison.iter().map(|entry| entry.index).collect();
        let now_ms = self.clock.now_ms();
        match poison::keep(self.quarantine.as_ref(), PLACE, poison, now_ms).await {
            Ok(()) => BTreeSet::new(),
            Err(error) => {
                tracing::error!(error = %error, cause = %error.source, "undecodable messages were \
                    not quarantined and will be delivered again");
                indices
            }
        }
    }
}
