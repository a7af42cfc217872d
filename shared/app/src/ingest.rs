//! A delivery becomes ticks: stored first, then offered to the stream and the broadcast.

use std::sync::Arc;

use domain::{Malformed, Reason, Tick};
use sources::{Entry, Source};

use crate::ledger::LedgerEntry;
use crate::ports::{
    Clock, InStream, LedgerWriter, Outbox, PendingBatch, PendingId, PortError, PutOutcome,
    Quarantine, Quarantined, RolloutFlag, TickQueue, TickStore, TickStream,
};

/// Longest source name kept in the quarantine, in bytes.
const SOURCE_BYTES_MAX: usize = 64;

/// The write path: everything a delivery needs.
#[derive(Clone)]
pub struct Ingest {
    /// The truth.
    pub store: Arc<dyn TickStore>,
    /// The stream, for the cohort.
    pub stream: Arc<dyn TickStream>,
    /// Every stored tick, for those who watch live.
    pub broadcast: Arc<dyn TickQueue>,
    /// What the stream refused.
    pub redrive: Arc<dyn TickQueue>,
    /// What could not become a tick.
    pub quarantine: Arc<dyn Quarantine>,
    /// The books.
    pub ledger: Arc<dyn LedgerWriter>,
    /// Which share goes to the stream.
    pub flag: Arc<dyn RolloutFlag>,
    /// Our clock.
    pub clock: Arc<dyn Clock>,
}

/// What became of a delivery, for its sender.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delivered {
    /// The counts.
    pub counts: LedgerEntry,
    /// The entries that were refused, with the rule each breaks.
    pub malformed: Vec<Malformed>,
    /// Stored ticks of the cohort that neither the stream nor the redrive queue took; they are
    /// offered again by [`Ingest::work_off`].
    pub pending: u64,
}

/// Why a delivery was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The delivery as a whole cannot be read; it is in the quarantine.
    #[error("{}", .0.message)]
    Unreadable(Malformed),
    /// Not all of it was stored or kept: the sender should deliver again, which is safe.
    #[error("the delivery could not be stored")]
    NotStored(#[source] PortError),
}

/// The store's note of a delivery under way. However the delivery ends, a note that it did not
/// settle is left to [`Ingest::work_off`].
struct Note<'a> {
    ledger: &'a dyn LedgerWriter,
    unsettled: Option<PendingId>,
}

impl Drop for Note<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.unsettled {
            self.ledger.leave(pending);
        }
    }
}

impl Ingest {
    /// Takes a delivery of a source.
    ///
    /// The caller must see this through once begun: run it as a task of its own, so that a
    /// sender who hangs up does not leave stored ticks unoffered.
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

    /// Keeps a delivery to a source that does not exist.
    ///
    /// # Errors
    /// Always: [`IngestError::Unreadable`], or [`IngestError::NotStored`] where it could not be
    /// kept.
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
        match self.ledger.settle(None, counts).await {
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

    /// Stores ticks, offers them beside keeping the malformed entries, and settles the books. A
    /// quarantine that is away holds up no good tick; the sender delivers again then, so that the
    /// malformed entries are not lost, and the good ones are stored once.
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
        let keeps_notes = receipt
            .as_ref()
            .is_some_and(|receipt| receipt.pending.is_some());
        let mut note = Note {
            ledger: self.ledger.as_ref(),
            unsettled: receipt.as_ref().and_then(|receipt| receipt.pending),
        };
        let restamped = receipt
            .as_ref()
            .map_or(&[][..], |receipt| &receipt.restamped);
        for (index, at_ms) in restamped {
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
        // What the store refused comes again with the sender's retry, and is counted then.
        delivered.counts.received -= refused;
        let (pending, kept) = tokio::join!(
            self.offer(&stored, &mut delivered.counts),
            self.quarantine(source, &delivered.malformed, now_ms)
        );
        delivered.pending = pending;
        if kept.is_err() {
            // They come again with the sender's retry, too.
            let rejected = std::mem::take(&mut delivered.counts.rejected_by_reason);
            delivered.counts.received -= rejected.values().sum::<u64>();
        }
        // Where the store keeps a note, the counts wait with it for `work_off`; where it keeps none,
        // they are told now, what is pending with them.
        if delivered.pending == 0 || note.unsettled.is_none() {
            let counts = delivered.counts.clone();
            match self.ledger.settle(note.unsettled, counts).await {
                Ok(()) => note.unsettled = None,
                Err(error) => {
                    // The ticks are stored; the note stays, and is worked off later.
                    tracing::error!(error = %error, cause = ?error.source, "the books could not be settled");
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
        if delivered.pending > 0 && !keeps_notes {
            // Nobody would offer them again but the sender, for whom this is safe: same ids.
            let lost = delivered.pending;
            return Err(IngestError::NotStored(PortError {
                operation: "offer ticks",
                retryable: true,
                source: format!("neither the stream nor the redrive queue took {lost} ticks")
                    .into(),
            }));
        }
        Ok(())
    }

    /// Offers stored ticks to the stream (the cohort's) and the broadcast (all), at once.
    /// Answers how many of the cohort nobody took.
    async fn offer(&self, stored: &[&Tick], counts: &mut LedgerEntry) -> u64 {
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
        let ((), unstreamed) = tokio::join!(self.announce(stored), self.append(&cohort));
        let (redriven, pending) = unstreamed;
        counts.redriven = redriven;
        counts.streamed = counts.in_cohort - redriven - pending;
        pending
    }

    /// Appends the cohort; what the stream refuses goes to the redrive queue. Answers how many
    /// went there, and how many nobody took.
    async fn append(&self, cohort: &[&Tick]) -> (u64, u64) {
        if cohort.is_empty() {
            return (0, 0);
        }
        let refused: Vec<&Tick> = match self.stream.append(cohort).await {
            Ok(refused) => refused
                .iter()
                .filter_map(|r| cohort.get(r.index).copied())
                .collect(),
            Err(error) => {
                tracing::error!(error = %error, cause = ?error.source, ticks = cohort.len(), "the stream did not take the ticks");
                cohort.to_vec()
            }
        };
        if refused.is_empty() {
            return (0, 0);
        }
        match self.redrive.send(&refused).await {
            Ok(left) => ((refused.len() - left.len()) as u64, left.len() as u64),
            Err(error) => {
                tracing::error!(error = %error, cause = ?error.source, ticks = refused.len(), "the redrive queue did not take the ticks");
                (0, refused.len() as u64)
            }
        }
    }

    /// Queues ticks for broadcast. Who watches live wants the latest value, and the next tick
    /// brings it: a failure is logged and not retried.
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

    /// Offers what a crash, or a stream and a redrive queue that were both away, left between
    /// store and stream. Answers how many ticks were offered.
    ///
    /// # Errors
    /// [`PortError`] where the notes cannot be read or settled; what was offered stays offered.
    pub async fn work_off(&self, outbox: &dyn Outbox) -> Result<u64, PortError> {
        let (mut offered, mut after) = (0, None);
        loop {
            let batches = outbox.pending(after).await?;
            let Some(last) = batches.last() else {
                return Ok(offered);
            };
            after = Some(last.id);
            for batch in &batches {
                offered += self.offer_again(batch).await?;
            }
        }
    }

    /// Offers what the stream has not of one note, and settles the note unless nobody took it.
    async fn offer_again(&self, batch: &PendingBatch) -> Result<u64, PortError> {
        let of = |wanted| {
            let ticks = batch.ticks.iter().filter(move |(_, seen)| *seen == wanted);
            ticks.map(|(tick, _)| tick)
        };
        let rows = batch.ticks.len() as u64;
        let streamed = of(InStream::Yes).count() as u64;
        let missing: Vec<&Tick> = of(InStream::No).collect();
        let mut counts = LedgerEntry {
            received: rows,
            stored: rows,
            ..LedgerEntry::default()
        };
        if self.offer(&missing, &mut counts).await > 0 {
            return Ok(0);
        }
        counts.in_cohort += streamed;
        counts.streamed += streamed;
        self.ledger.settle(Some(batch.id), counts).await?;
        Ok(rows)
    }
}
