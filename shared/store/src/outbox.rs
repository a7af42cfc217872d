//! Outbox entries: stored ticks whose delivery is not in the ledger counters yet.
//!
//! An entry is written in the commit that stores its ticks. The commit that appends them to the stream
//! marks them in the entry, and the commit that counts the delivery removes the entry. So a remaining
//! entry says exactly which of its ticks are missing in the stream.

use app::ports::{Outbox, OutboxEntry, OutboxId, PortError};
use async_trait::async_trait;

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::outbox_entry::Entry;
use crate::keys::{number_of, tick};
use crate::shared_state::SharedState;

/// The most ticks per read, unless a single entry has more (a delivery's 10,000).
const ANSWER_TICKS_MAX: usize = 5_000;

/// The most entries per read.
const ANSWER_ENTRIES_MAX: usize = 5_000;

#[async_trait]
impl Outbox for EmbeddedStore {
    async fn released(&self, after: Option<OutboxId>) -> Result<Vec<OutboxEntry>, PortError> {
        let after = after.map_or(0, |OutboxId(number)| number);
        let read = async {
            // Jobs run in order: after this one, an append of a cancelled delivery that was still queued
            // is marked in its entry.
            self.commit(|_| Ok(())).await?;
            self.read(move |inner| released_after(inner, after)).await
        };
        read.await.map_err(|error| error.at("read the outbox"))
    }
}

fn released_after(inner: &SharedState, after: u64) -> Result<Vec<OutboxEntry>, StorageError> {
    let mut numbers = Vec::new();
    let earlier = after.saturating_add(1).to_be_bytes()..=inner.released.earlier().to_be_bytes();
    if after < inner.released.earlier() {
        for guard in inner.spaces.outbox.range(earlier).take(ANSWER_ENTRIES_MAX) {
            numbers.push(number_of(&guard.key()?)?);
        }
    }
    numbers.extend(inner.released.after(after, ANSWER_ENTRIES_MAX));
    // Entries of earlier processes come first.
    numbers.truncate(ANSWER_ENTRIES_MAX);
    let (mut entries, mut ticks) = (Vec::new(), 0);
    for number in numbers {
        let Some(entry) = inner.spaces.outbox_entry(number)? else {
            inner.released.remove(OutboxId(number));
            continue;
        };
        ticks += entry.keys.len();
        if ticks > ANSWER_TICKS_MAX && !entries.is_empty() {
            break;
        }
        entries.push(with_ticks(inner, OutboxId(number), &entry)?);
    }
    Ok(entries)
}

fn with_ticks(
    inner: &SharedState,
    id: OutboxId,
    entry: &Entry,
) -> Result<OutboxEntry, StorageError> {
    let mut ticks = Vec::with_capacity(entry.keys.len());
    for key in &entry.keys {
        // Retention may have removed it.
        if let Some(bytes) = inner.spaces.ticks.get(key)? {
            ticks.push(tick::decode_decided(&bytes)?);
        }
    }
    Ok(OutboxEntry {
        id,
        ticks,
        streamed: entry.streamed,
    })
}
