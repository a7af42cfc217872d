//! One batch of the redrive queue.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use app::poison;
use app::ports::{Clock, Quarantine};
use app::redrive::Redrive;
use aws_lambda_events::event::sqs::SqsEvent;
use domain::{Malformed, Tick, TickId};
use runtime::batch::{self, BatchResponse};

/// Where the quarantine says that poison came from.
const PLACE: &str = "redrive";

/// Brings refused ticks back.
pub struct Redriver {
    /// The use case.
    pub redrive: Redrive,
    /// For messages that are no ticks.
    pub quarantine: Arc<dyn Quarantine>,
    /// The time of a message's quarantine.
    pub clock: Arc<dyn Clock>,
}

impl Redriver {
    /// Takes an event; the messages that were not done are named in the answer, and come again.
    ///
    /// # Errors
    /// None: a failure is a part of the answer.
    pub async fn handle(&self, event: SqsEvent) -> Result<BatchResponse, Infallible> {
        let bring_back = async |bodies: &[String]| self.bring_back(bodies).await;
        Ok(batch::sqs(event, bring_back).await)
    }

    async fn bring_back(&self, bodies: &[String]) -> BTreeSet<usize> {
        let (mut ticks, mut poison) = (Vec::new(), Vec::new());
        for (index, body) in bodies.iter().enumerate() {
            match codec::json::from_json(body.as_bytes()) {
                Ok(tick) => ticks.push((index, tick)),
                Err(error) => poison.push(poison::malformed(index, body.as_bytes(), &error)),
            }
        }
        // A queue gives messages in any order; the stream gets a token's ticks in that of time.
        ticks.sort_by_key(|(_, tick)| (tick.timestamp_ms, tick.tick_id));
        let mut failed = self.append(ticks).await;
        failed.append(&mut self.set_aside(poison).await);
        failed
    }

    /// Answers the messages whose ticks are not in the stream.
    async fn append(&self, ticks: Vec<(usize, Tick)>) -> BTreeSet<usize> {
        if ticks.is_empty() {
            return BTreeSet::new();
        }
        let (indices, ticks): (Vec<usize>, Vec<Tick>) = ticks.into_iter().unzip();
        match self.redrive.bring_back(&ticks).await {
            Ok(refused) => {
                if !refused.is_empty() {
                    tracing::warn!(ticks = refused.len(), "the stream refused ticks once more");
                }
                let refused: HashSet<TickId> = refused.iter().map(|tick| tick.tick_id).collect();
                let of_refused = |(index, tick): (usize, &Tick)| {
                    refused.contains(&tick.tick_id).then_some(index)
                };
                let pairs = indices.into_iter().zip(&ticks);
                pairs.filter_map(of_refused).collect()
            }
            Err(error) => {
                tracing::error!(error = %error, cause = %error.source, ticks = ticks.len(), "the stream did not take the ticks");
                indices.into_iter().collect()
            }
        }
    }

    /// Answers the messages that could not be quarantined.
    async fn set_aside(&self, poison: Vec<Malformed>) -> BTreeSet<usize> {
        let indices = poison.iter().map(|entry| entry.index).collect();
        let now_ms = self.clock.now_ms();
        match poison::keep(self.quarantine.as_ref(), PLACE, poison, now_ms).await {
            Ok(()) => BTreeSet::new(),
            Err(error) => {
                tracing::error!(error = %error, cause = %error.source, "poison was not quarantined: its messages come again");
                indices
            }
        }
    }
}
