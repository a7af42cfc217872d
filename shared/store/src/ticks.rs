//! Ticks by pair and time.

use std::sync::Arc;

use app::ports::{PendingId, PortError, PutOutcome, PutReceipt, TickStore};
use async_trait::async_trait;
use codec::binary;
use domain::Pair;
use domain::{Tick, TickId};

use crate::embedded::Embedded;
use crate::error::StorageError;
use crate::outbox::Note;
use crate::pairs::is_of;
use crate::spaces::{MOMENT_BYTES, TICK_KEY_BYTES, TickKey, sortable, tick_key};
use crate::writer::Commit;

/// Which ticks of a token to read: those with `from_ms <= timestamp < to_ms`.
#[derive(Debug, Clone, Copy)]
pub struct TickRange {
    /// The first moment, epoch milliseconds.
    pub from_ms: i64,
    /// The first moment that is no longer in.
    pub to_ms: i64,
    /// Most ticks; where there are more, the latest are read.
    pub limit: usize,
}

/// A tick on its way to the writer, encoded where the caller runs.
struct Row {
    pair: Pair,
    timestamp_ms: i64,
    id: [u8; 16],
    /// Whether the event time is our own clock's.
    clocked: bool,
    value: Vec<u8>,
    tick: Arc<Tick>,
}

#[async_trait]
impl TickStore for Embedded {
    async fn put(&self, ticks: &[&Tick]) -> Result<PutReceipt, PortError> {
        let rows: Vec<Row> = ticks
            .iter()
            .map(|tick| {
                let mut value = Vec::with_capacity(binary_bytes_expected(tick));
                binary::encode(tick, &mut value);
                Row {
                    pair: Pair::of(tick),
                    timestamp_ms: tick.timestamp_ms,
                    id: *tick.tick_id.as_bytes(),
                    clocked: tick.timestamp_ms == tick.ingested_at_ms,
                    value,
                    tick: Arc::new((*tick).clone()),
                }
            })
            .collect();
        self.commit(move |commit| put(commit, rows))
            .await
            .map_err(|error| error.at("store ticks"))
    }
}

/// Room for an encoded tick: its names and about 60 bytes.
fn binary_bytes_expected(tick: &Tick) -> usize {
    tick.token.as_str().len() + tick.quote.as_str().len() + tick.source.as_str().len() + 64
}

fn put(commit: &mut Commit<'_>, rows: Vec<Row>) -> Result<PutReceipt, StorageError> {
    // All reads come first: a failing one must leave no row of this call in the commit.
    let mut keys = Vec::with_capacity(rows.len());
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(number) = commit.pair(&row.pair)? else {
            tracing::error!(pair = %row.pair, "the store holds as many pairs as it may");
            outcomes.push(PutOutcome::Refused);
            keys.push((u32::MAX, [0; TICK_KEY_BYTES]));
            continue;
        };
        let key = tick_key(number, row.timestamp_ms, &row.id);
        // A source without event times stamps a tick with our clock: the id alone tells.
        let replayed = row.clocked && commit.came_before(&row.id)?;
        match commit.is_new(number, &row.tick).map(|new| new && !replayed) {
            Ok(true) => outcomes.push(PutOutcome::Stored),
            Ok(false) => outcomes.push(PutOutcome::Duplicate),
            Err(error) => {
                let marked = keys.iter().zip(&outcomes);
                let marked: Vec<TickKey> = marked
                    .filter(|(_, outcome)| **outcome == PutOutcome::Stored)
                    .map(|((_, key), _): (&(u32, TickKey), _)| *key)
                    .collect();
                commit.forget(&marked);
                return Err(error);
            }
        }
        keys.push((number, key));
    }
    let mut note = Note {
        created_ms: 0,
        heads: commit.state.heads,
        keys: Vec::new(),
    };
    for ((row, (number, key)), outcome) in rows.into_iter().zip(keys).zip(&outcomes) {
        if *outcome != PutOutcome::Stored {
            continue;
        }
        commit.insert(&commit.spaces().ticks, &key, row.value);
        if row.clocked {
            let at = sortable(row.timestamp_ms).to_vec();
            commit.insert(&commit.spaces().clocked, &row.id, at);
        }
        note.created_ms = note.created_ms.max(row.tick.ingested_at_ms);
        note.keys.push(key.to_vec());
        commit.renew_latest(number, row.tick);
    }
    let stored = note.keys.len() as u64;
    let pending = (stored > 0).then(|| PendingId(commit.state.notes + 1));
    if let Some(PendingId(number)) = pending {
        let value = postcard::to_stdvec(&note).map_err(|e| StorageError::corrupt("note", e))?;
        commit.insert(&commit.spaces().pending, &number.to_be_bytes(), value);
        commit.state.notes = number;
        commit.state.stored_rows += stored;
        commit.state.pending_rows += stored;
    }
    // A tick that came before under another time is a duplicate here, and goes nowhere.
    let restamped = Vec::new();
    Ok(PutReceipt {
        outcomes,
        pending,
        restamped,
    })
}

impl Embedded {
    /// The latest tick of every pair.
    #[must_use]
    pub fn latest_ticks(&self) -> Vec<Arc<Tick>> {
        self.inner.pairs.latest()
    }

    /// The latest tick of a token, in one quote or over all its quotes.
    #[must_use]
    pub fn latest_tick(&self, token: &str, quote: Option<&str>) -> Option<Arc<Tick>> {
        let ticks = self.inner.pairs.latest().into_iter();
        ticks
            .filter(|tick| is_of(&tick.token, &tick.quote, token, quote))
            .max_by_key(|tick| (tick.timestamp_ms, tick.tick_id))
    }

    /// How many pairs are known.
    #[must_use]
    pub fn pairs_known(&self) -> usize {
        self.inner.pairs.len()
    }

    /// A token's ticks in a range, in one quote or over all its quotes, in the order of time;
    /// `None` where there is no such pair.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn ticks(
        &self,
        token: &str,
        quote: Option<&str>,
        range: TickRange,
    ) -> Result<Option<Vec<Tick>>, StorageError> {
        let numbers = self.inner.pairs.of_token(token, quote);
        if numbers.is_empty() {
            return Ok(None);
        }
        self.read(move |inner| {
            let mut found = Vec::new();
            for number in numbers {
                let low = moment_key(number, range.from_ms);
                let high = moment_key(number, range.to_ms);
                if low >= high {
                    continue;
                }
                for guard in inner.spaces.ticks.range(low..high).rev().take(range.limit) {
                    found.push(decode(&guard.value()?)?);
                }
            }
            found.sort_unstable_by_key(|tick| (tick.timestamp_ms, tick.tick_id));
            Ok(Some(
                found.split_off(found.len().saturating_sub(range.limit)),
            ))
        })
        .await
    }

    /// Whether a tick is stored.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn has_tick(
        &self,
        pair: &Pair,
        timestamp_ms: i64,
        id: TickId,
    ) -> Result<bool, StorageError> {
        let Some(number) = self.inner.pairs.find(pair) else {
            return Ok(false);
        };
        let key = tick_key(number, timestamp_ms, id.as_bytes());
        self.read(move |inner| Ok(inner.spaces.ticks.contains_key(key)?))
            .await
    }
}

fn moment_key(number: u32, timestamp_ms: i64) -> [u8; TICK_KEY_BYTES - MOMENT_BYTES + 8] {
    let mut key = [0; 12];
    let parts = number
        .to_be_bytes()
        .into_iter()
        .chain(sortable(timestamp_ms));
    for (slot, byte) in key.iter_mut().zip(parts) {
        *slot = byte;
    }
    key
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Tick, StorageError> {
    binary::decode(bytes).map_err(|error| StorageError::corrupt("tick", error))
}
