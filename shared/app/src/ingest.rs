//! A delivery becomes ticks: stored first, then offered to the stream and the broadcast.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use domain::{Malformed, Reason, Tick};
use sources::{Entry, ParseContext, Source, SourceSettings};

use crate::ledger::LedgerEntry;
use crate::ports::{
    Clock, CohortTick, LedgerWriter, OutboxId, PortError, PutOutcome, Quarantine, Quarantined,
    RolloutFlag, TickQueue, TickStore, TickStream,
};
use crate::recent_offers::RecentOffers;

/// Longest source name kept in the quarantine, in bytes.
const SOURCE_BYTES_MAX: usize = 64;

/// The write path: everything a delivery needs.
#[derive(Clone)]
pub struct Ingest {
    /// The source of truth.
    pub store: Arc<dyn TickStore>,
    /// The stream, for the cohort.
    pub stream: Arc<dyn TickStream>,
    /// Every stored tick, for the subscribers of the live feed.
    pub broadcast: Arc<dyn TickQueue>,
    /// Ticks that the stream refused, if there is a queue for them. Without one, they stay in the
    /// outbox.
    pub redrive: Option<Arc<dyn TickQueue>>,
    /// Keeps malformed entries.
    pub quarantine: Arc<dyn Quarantine>,
    /// The ledger.
    pub ledger: Arc<dyn LedgerWriter>,
    /// Which share goes to the stream.
    pub flag: Arc<dyn RolloutFlag>,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
    /// From which event time on ticks get ids of version 1.1, in epoch milliseconds; see
    /// [`ParseContext::new_ids_from_ms`].
    pub new_ids_from_ms: i64,
    /// What the operator set about the sources.
    pub settings: Arc<SourceSettings>,
    /// What this process knows to be in the stream or the redrive queue.
    pub recent_offers: Arc<RecentOffers>,
}

/// Stored ticks to offer.
#[derive(Default)]
pub(crate) struct Offer<'a> {
    /// Ticks that are new in the store, for the broadcast.
    pub(crate) stored: Vec<&'a Tick>,
    /// Of these, the ticks of the cohort, for the stream.
    pub(crate) cohort: Vec<&'a Tick>,
    /// Ticks of the cohort that were stored before, and may be missing in the stream.
    pub(crate) again: &'a [Tick],
    /// The outbox entry of the new ticks.
    pub(crate) outbox_id: Option<OutboxId>,
}

impl<'a> Offer<'a> {
    pub(crate) fn push(&mut self, tick: &'a Tick, in_cohort: bool) {
        self.stored.push(tick);
        if in_cohort {
            self.cohort.push(tick);
        }
    }
}

/// The positions of offered ticks that the stream did not accept.
#[derive(Default)]
struct Unstreamed {
    /// In the redrive queue.
    redriven: Vec<usize>,
    /// Nowhere but in the store.
    pending: Vec<usize>,
}

/// The outcome of a delivery, for its sender.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivered {
    /// The counts.
    pub counts: LedgerEntry,
    /// The entries that were refused, with the rule each breaks.
    pub malformed: Vec<Malformed>,
    /// Why entries were ignored, and how many for each reason.
    pub ignored_by_reason: BTreeMap<&'static str, u64>,
    /// Stored ticks of the cohort that neither the stream nor the redrive queue accepted;
    /// [`Ingest::drain`] offers them again.
    pub pending: u64,
}

/// Why a delivery was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The delivery as a whole cannot be read; it is in the quarantine.
    #[error("{}", .0.message)]
    Unreadable(Malformed),
    /// Not all of it was stored or kept: the sender should deliver again, which is safe.
    #[error("the delivery could not be stored")]
    NotStored(#[source] PortError),
}

/// The outbox entry of a delivery under way. However the delivery ends, an entry that it did not
/// commit is released to [`Ingest::drain`].
struct UncommittedEntry<'a> {
    ledger: &'a dyn LedgerWriter,
    id: Option<OutboxId>,
}

impl Drop for UncommittedEntry<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.ledger.release(id);
        }
    }
}

impl Ingest {
    /// Accepts a delivery of a source.
    ///
    /// Once started, this must run to its end: run it in its own task, so stored ticks are offered even if
    /// the sender hangs up.
    ///
    /// # Errors
    /// [`IngestError`]: unreadable, or not stored.
    pub async fn deliver(
        &self,
        source: &dyn Source,
        body: &[u8],
    ) -> Result<Delivered, IngestError> {
        let now_ms = self.clock.now_ms();
        let context = ParseContext {
            now_ms,
            new_ids_from_ms: self.new_ids_from_ms,
            settings: &self.settings,
        };
        let entries = match source.parse(body, &context) {
            Ok(entries) => entries,
            Err(unreadable) => {
                let entry = Malformed::new(0, unreadable.reason, unreadable.message, body);
                return Err(self.refuse(source.name(), entry, now_ms).await);
            }
        };
        let mut delivered = Delivered::default();
        let mut ticks = Vec::with_capacity(entries.len());
        delivered.counts.received = entries.len() as u64;
        for entry in entries {
            match entry {
                Entry::Tick(tick) => ticks.push((tick, false)),
                Entry::ArrivalStamped(tick) => ticks.push((tick, true)),
                Entry::Ignored(why) => {
                    delivered.counts.ignored += 1;
                    *delivered.ignored_by_reason.entry(why).or_default() += 1;
                }
                Entry::Malformed(malformed) => {
                    *delivered
                        .counts
                        .rejected_by_reason
                        .entry(malformed.reason)
                        .or_default() += 1;
                    delivered.malformed.push(malformed);
                }
            }
        }
        self.take(source.name(), ticks, &mut delivered, now_ms)
            .await?;
        Ok(delivered)
    }

    /// Quarantines a delivery to an unknown source.
    ///
    /// # Errors
    /// Always: [`IngestError::Unreadable`], or [`IngestError::NotStored`] if it could not be kept.
    pub async fn refuse_unknown(&self, name: &str, message: &str, body: &[u8]) -> IngestError {
        let entry = Malformed::new(0, Reason::UnknownSource, message, body);
        self.refuse(name, entry, self.clock.now_ms()).await
    }

    async fn refuse(&self, source: &str, entry: Malformed, now_ms: i64) -> IngestError {
        if let Err(error) = self
            .quarantine(source, std::slice::from_ref(&entry), now_ms)
            .await
        {
            return IngestError::NotStored(error);
        }
        let mut counts = LedgerEntry {
            received: 1,
            ..LedgerEntry::default()
        };
        counts.rejected_by_reason.insert(entry.reason, 1);
        match self.ledger.commit(None, counts).await {
            Ok(()) => IngestError::Unreadable(entry),
            Err(error) => IngestError::NotStored(error),
        }
    }

    async fn quarantine(
        &self,
        source: &str,
        malformed: &[Malformed],
        now_ms: i64,
    ) -> Result<(), PortError> {
        if malformed.is_empty() {
            return Ok(());
        }
        let name = source
            .get(..source.floor_char_boundary(SOURCE_BYTES_MAX))
            .unwrap_or(source);
        let kept: Vec<_> = malformed
            .iter()
            .map(|entry| Quarantined {
                received_at_ms: now_ms,
                source: name.to_owned(),
                entry: entry.clone(),
            })
            .collect();
        self.quarantine.keep(&kept).await
    }

    /// Stores ticks (with whether they are arrival-stamped), offers them while the malformed entries are kept, and commits the ledger
    /// counters. If the quarantine is unavailable, valid ticks are still stored, and the sender is asked to
    /// deliver again: the malformed entries are not lost, and the valid ones are stored once.
    async fn take(
        &self,
        source: &str,
        ticks: Vec<(Tick, bool)>,
        delivered: &mut Delivered,
        now_ms: i64,
    ) -> Result<(), IngestError> {
        let rollout = self.flag.current().await;
        let decide = |(tick, arrival_stamped)| CohortTick {
            in_cohort: rollout.admits(&tick),
            tick,
            arrival_stamped,
        };
        let mut ticks: Vec<CohortTick> = ticks.into_iter().map(decide).collect();
        let receipt = if ticks.is_empty() {
            None
        } else {
            Some(
                self.store
                    .put(&ticks)
                    .await
                    .map_err(IngestError::NotStored)?,
            )
        };
        let outbox_id = receipt.as_ref().and_then(|receipt| receipt.outbox_id);
        let mut uncommitted = UncommittedEntry {
            ledger: self.ledger.as_ref(),
            id: outbox_id,
        };
        let retimed = receipt.as_ref().map_or(&[][..], |receipt| &receipt.retimed);
        for (index, at_ms) in retimed {
            if let Some(CohortTick { tick, .. }) = ticks.get_mut(*index) {
                (tick.timestamp_ms, tick.ingested_at_ms) = (*at_ms, *at_ms);
            }
        }
        let mut offer = Offer {
            again: receipt
                .as_ref()
                .map_or(&[][..], |receipt| &receipt.offer_again),
            outbox_id,
            ..Offer::default()
        };
        let mut refused = 0_u64;
        let outcomes = receipt
            .as_ref()
            .map_or(&[][..], |receipt| &receipt.outcomes);
        for (decided, outcome) in ticks.iter().zip(outcomes) {
            match outcome {
                PutOutcome::Stored => offer.push(&decided.tick, decided.in_cohort),
                PutOutcome::Duplicate => delivered.counts.duplicate += 1,
                PutOutcome::Refused => refused += 1,
            }
        }
        delivered.counts.stored = offer.stored.len() as u64;
        // The sender delivers again what the store refused, and it is counted then.
        delivered.counts.received -= refused;
        let (pending, kept) = tokio::join!(
            self.offer(&offer, &mut delivered.counts),
            self.quarantine(source, &delivered.malformed, now_ms)
        );
        delivered.pending = pending;
        if kept.is_err() {
            // The sender delivers them again, too.
            let rejected = std::mem::take(&mut delivered.counts.rejected_by_reason);
            delivered.counts.received -= rejected.values().sum::<u64>();
        }
        // With an outbox, pending ticks are counted once they are drained; without one, now.
        if delivered.pending == 0 || outbox_id.is_none() {
            let counts = delivered.counts.clone();
            match self.ledger.commit(outbox_id, counts).await {
                Ok(()) => uncommitted.id = None,
                Err(error) => {
                    // The ticks are stored; the outbox entry stays, and is drained later.
                    tracing::error!(error = %error, cause = ?error.source, "the ledger counters could not be committed");
                }
            }
        }
        kept.map_err(IngestError::NotStored)?;
        if refused > 0 {
            return Err(IngestError::NotStored(PortError {
                operation: "store ticks",
                retryable: true,
                source: format!("{refused} of {} ticks were refused", ticks.len()).into(),
            }));
        }
        if delivered.pending > 0 && outbox_id.is_none() {
            // Only the sender can offer them again, which is safe: same ids.
            let lost = delivered.pending;
            return Err(IngestError::NotStored(PortError {
                operation: "offer ticks",
                retryable: true,
                source: format!("neither the stream nor the redrive queue accepted {lost} ticks")
                    .into(),
            }));
        }
        Ok(())
    }

    /// Offers stored ticks to the stream (those of the cohort) and the broadcast (all), at once.
    /// Returns how many of the cohort neither the stream nor the redrive queue accepted.
    pub(crate) async fn offer(&self, offer: &Offer<'_>, counts: &mut LedgerEntry) -> u64 {
        let again = self.recent_offers.unknown(offer.again);
        if offer.stored.is_empty() && offer.cohort.is_empty() && again.is_empty() {
            return 0;
        }
        let appended: Vec<&Tick> = offer.cohort.iter().copied().chain(again).collect();
        let ((), left) = tokio::join!(
            self.announce(&offer.stored),
            self.append(&appended, offer.outbox_id)
        );
        let is_new = |index: &usize| *index < offer.cohort.len();
        let of_cohort = |left: &[usize]| left.iter().copied().filter(is_new).count() as u64;
        counts.in_cohort = offer.cohort.len() as u64;
        counts.redriven = of_cohort(&left.redriven);
        counts.streamed = counts.in_cohort - counts.redriven - of_cohort(&left.pending);
        left.pending.len() as u64
    }

    /// Appends ticks; those that the stream refuses go to the redrive queue, if there is one.
    async fn append(&self, ticks: &[&Tick], outbox_id: Option<OutboxId>) -> Unstreamed {
        let mut unstreamed = Unstreamed::default();
        if ticks.is_empty() {
            return unstreamed;
        }
        let refused: Vec<usize> = match self.stream.append(ticks, outbox_id).await {
            Ok(refused) => refused.iter().map(|refused| refused.index).collect(),
            Err(error) => {
                tracing::error!(error = %error, cause = ?error.source, ticks = ticks.len(), "the stream did not accept the ticks");
                (0..ticks.len()).collect()
            }
        };
        match &self.redrive {
            Some(redrive) if !refused.is_empty() => {
                let of_refused = |index: &usize| ticks.get(*index).copied();
                let sent: Vec<&Tick> = refused.iter().filter_map(of_refused).collect();
                match redrive.send(&sent).await {
                    Ok(left) => {
                        let left: HashSet<usize> = left.iter().map(|left| left.index).collect();
                        for (at, index) in refused.into_iter().enumerate() {
                            if left.contains(&at) {
                                unstreamed.pending.push(index);
                            } else {
                                unstreamed.redriven.push(index);
                            }
                        }
                    }
                    Err(error) => {
                        tracing::error!(error = %error, cause = ?error.source, ticks = sent.len(), "the redrive queue did not accept the ticks");
                        unstreamed.pending = refused;
                    }
                }
            }
            Some(_) | None => unstreamed.pending = refused,
        }
        let pending: HashSet<usize> = unstreamed.pending.iter().copied().collect();
        let accepted = ticks.iter().enumerate();
        let accepted = accepted.filter(|(index, _)| !pending.contains(index));
        self.recent_offers.add(accepted.map(|(_, tick)| *tick));
        unstreamed
    }

    /// Queues ticks for broadcast. A failure is logged and not retried, since the next tick has a newer
    /// value anyway.
    async fn announce(&self, stored: &[&Tick]) {
        if stored.is_empty() {
            return;
        }
        match self.broadcast.send(stored).await {
            Ok(refused) if refused.is_empty() => {}
            Ok(refused) => {
                tracing::warn!(ticks = refused.len(), "ticks were not queued for broadcast")
            }
            Err(error) => {
                tracing::warn!(error = %error, cause = ?error.source, ticks = stored.len(), "ticks were not queued for broadcast");
            }
        }
    }
}
