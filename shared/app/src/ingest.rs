//! A delivery becomes ticks: stored first, then offered to the stream and the broadcast.

use std::sync::Arc;

use domain::{Malformed, Reason, Tick};
use sources::{Entry, Source};

use crate::ledger::LedgerEntry;
use crate::ports::{
    Clock, LedgerWriter, OutboxId, PortError, PutOutcome, Quarantine, Quarantined, RolloutFlag,
    TickQueue, TickStore, TickStream,
};

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
}

/// The outcome of a delivery, for its sender.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivered {
    /// The counts.
    pub counts: LedgerEntry,
    /// The entries that were refused, with the rule each breaks.
    pub malformed: Vec<Malformed>,
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
        let entries = match source.parse(body, now_ms) {
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
                Entry::Tick(tick) => ticks.push(tick),
                Entry::Ignored(_) => delivered.counts.ignored += 1,
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

    /// Stores ticks, offers them while the malformed entries are kept, and commits the ledger
    /// counters. If the quarantine is unavailable, valid ticks are still stored, and the sender is asked to
    /// deliver again: the malformed entries are not lost, and the valid ones are stored once.
    async fn take(
        &self,
        source: &str,
        mut ticks: Vec<Tick>,
        delivered: &mut Delivered,
        now_ms: i64,
    ) -> Result<(), IngestError> {
        let receipt = if ticks.is_empty() {
            None
        } else {
            let all: Vec<&Tick> = ticks.iter().collect();
            Some(self.store.put(&all).await.map_err(IngestError::NotStored)?)
        };
        let outbox_id = receipt.as_ref().and_then(|receipt| receipt.outbox_id);
        let mut uncommitted = UncommittedEntry {
            ledger: self.ledger.as_ref(),
            id: outbox_id,
        };
        let retimed = receipt.as_ref().map_or(&[][..], |receipt| &receipt.retimed);
        for (index, at_ms) in retimed {
            if let Some(tick) = ticks.get_mut(*index) {
                (tick.timestamp_ms, tick.ingested_at_ms) = (*at_ms, *at_ms);
            }
        }
        let mut stored = Vec::with_capacity(ticks.len());
        let mut refused = 0_u64;
        let outcomes = receipt
            .as_ref()
            .map_or(&[][..], |receipt| &receipt.outcomes);
        for (tick, outcome) in ticks.iter().zip(outcomes) {
            match outcome {
                PutOutcome::Stored => stored.push(tick),
                PutOutcome::Duplicate => delivered.counts.duplicate += 1,
                PutOutcome::Refused => refused += 1,
            }
        }
        delivered.counts.stored = stored.len() as u64;
        // The sender delivers again what the store refused, and it is counted then.
        delivered.counts.received -= refused;
        let (pending, kept) = tokio::join!(
            self.offer(&stored, outbox_id, &mut delivered.counts),
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
    pub(crate) async fn offer(
        &self,
        stored: &[&Tick],
        outbox_id: Option<OutboxId>,
        counts: &mut LedgerEntry,
    ) -> u64 {
        if stored.is_empty() {
            return 0;
        }
        let rollout = self.flag.current().await;
        let cohort: Vec<&Tick> = stored
            .iter()
            .copied()
            .filter(|tick| rollout.admits(tick))
            .collect();
        counts.in_cohort = cohort.len() as u64;
        let ((), unstreamed) = tokio::join!(self.announce(stored), self.append(&cohort, outbox_id));
        let (redriven, pending) = unstreamed;
        counts.redriven = redriven;
        counts.streamed = counts.in_cohort - redriven - pending;
        pending
    }

    /// Appends the cohort; ticks that the stream refuses go to the redrive queue, if there is one.
    /// Returns how many went there, and how many neither accepted.
    async fn append(&self, cohort: &[&Tick], outbox_id: Option<OutboxId>) -> (u64, u64) {
        if cohort.is_empty() {
            return (0, 0);
        }
        let refused: Vec<&Tick> = match self.stream.append(cohort, outbox_id).await {
            Ok(refused) => refused
                .iter()
                .filter_map(|r| cohort.get(r.index).copied())
                .collect(),
            Err(error) => {
                tracing::error!(error = %error, cause = ?error.source, ticks = cohort.len(), "the stream did not accept the ticks");
                cohort.to_vec()
            }
        };
        let Some(redrive) = self.redrive.as_ref().filter(|_| !refused.is_empty()) else {
            return (0, refused.len() as u64);
        };
        match redrive.send(&refused).await {
            Ok(left) => ((refused.len() - left.len()) as u64, left.len() as u64),
            Err(error) => {
                tracing::error!(error = %error, cause = ?error.source, ticks = refused.len(), "the redrive queue did not accept the ticks");
                (0, refused.len() as u64)
            }
        }
    }

    /// Queues ticks for broadcast. A failure is logged and not retried, since the next tick has a newer
    /// value anyway.
    async fn announce(&self, stored: &[&Tick]) {
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
