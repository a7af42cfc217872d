//! Drains the outbox: stored ticks whose delivery ended before the stream had them.

use crate::ingest::{Ingest, Offer};
use crate::ledger::LedgerEntry;
use crate::ports::{Outbox, OutboxEntry, PortError};

impl Ingest {
    /// Drains the outbox: offers the stored ticks that a crash, or an unavailable stream, kept from
    /// the stream, and commits their counts. Returns how many ticks were counted.
    ///
    /// # Errors
    /// [`PortError`] if the outbox cannot be read, or the counts cannot be committed; ticks that were
    /// offered stay offered.
    pub async fn drain(&self, outbox: &dyn Outbox) -> Result<u64, PortError> {
        let (mut drained, mut after) = (0, None);
        loop {
            let entries = outbox.released(after).await?;
            let Some(last) = entries.last() else {
                return Ok(drained);
            };
            after = Some(last.id);
            for entry in &entries {
                drained += self.drain_entry(entry).await?;
            }
        }
    }

    /// Offers what the stream lacks of an entry, and commits the entry unless nobody accepted it.
    async fn drain_entry(&self, entry: &OutboxEntry) -> Result<u64, PortError> {
        let rows = entry.ticks.len() as u64 + entry.streamed;
        let mut offer = Offer {
            outbox_id: Some(entry.id),
            ..Offer::default()
        };
        for (tick, decided) in &entry.ticks {
            let in_cohort = match decided {
                Some(in_cohort) => *in_cohort,
                None => self.flag.current().await.admits(tick),
            };
            // The delivery has announced them, or ended together with its subscribers.
            if in_cohort {
                offer.cohort.push(tick);
            }
        }
        let mut counts = LedgerEntry {
            received: rows,
            stored: rows,
            ..LedgerEntry::default()
        };
        if self.offer(&offer, &mut counts).await > 0 {
            return Ok(0);
        }
        counts.in_cohort += entry.streamed;
        counts.streamed += entry.streamed;
        self.ledger.commit(Some(entry.id), counts).await?;
        Ok(rows)
    }
}
