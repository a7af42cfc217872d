//! Ticks by pair and time.

use std::sync::Arc;

use app::ports::{CohortTick, OutboxId, PortError, PutOutcome, PutReceipt, TickStore};
use async_trait::async_trait;
use domain::Pair;
use domain::analytics::Latest;
use domain::{Tick, TickId};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::outbox_entry::Entry;
use crate::keys::sortable;
use crate::keys::tick::{self, KEY_BYTES};
use crate::pairs::is_of;
use crate::writer::Commit;

/// The range of a token's ticks to read: `from_ms <= timestamp < to_ms`.
#[derive(Debug, Clone, Copy)]
pub struct TickRange {
    /// The start, inclusive, epoch milliseconds.
    pub from_ms: i64,
    /// The end, exclusive, epoch milliseconds.
    pub to_ms: i64,
    /// The most ticks; if there are more, the latest are read.
    pub limit: usize,
}

/// A tick for the writer, encoded on the caller's thread.
struct Row {
    pair: Pair,
    timestamp_ms: i64,
    id: [u8; 16],
    /// Whether its source gave no time.
    arrival_stamped: bool,
    value: Vec<u8>,
    tick: Arc<Tick>,
}

#[async_trait]
impl TickStore for EmbeddedStore {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        let rows: Vec<Row> = ticks
            .iter()
            .map(|decided| Row {
                pair: Pair::of(&decided.tick),
                timestamp_ms: decided.tick.timestamp_ms,
                id: *decided.tick.tick_id.as_bytes(),
                arrival_stamped: decided.arrival_stamped,
                value: tick::encode(&decided.tick, decided.in_cohort),
                tick: Arc::new(decided.tick.clone()),
            })
            .collect();
        self.commit(move |commit| put(commit, rows))
            .await
            .map_err(|error| error.at("store ticks"))
    }
}

/// Whether a row is neither stored nor in the commit; if so, it is recorded as in the commit.
fn is_new(commit: &mut Commit<'_>, number: u32, row: &Row) -> Result<bool, StorageError> {
    // An arrival-stamped tick has another time when it is delivered again; its id identifies it.
    if row.arrival_stamped && commit.has_arrival(&row.id)? {
        return Ok(false);
    }
    let is_new = commit.is_new(number, &row.tick)?;
    if is_new && row.arrival_stamped {
        commit.add_arrival(row.id);
    }
    Ok(is_new)
}

fn put(commit: &mut Commit<'_>, rows: Vec<Row>) -> Result<PutReceipt, StorageError> {
    // All reads are done first, so if one fails, the commit has no rows of this call.
    let mut keys = Vec::with_capacity(rows.len());
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(number) = commit.pair(&row.pair)? else {
            tracing::error!(pair = %row.pair, "a tick was refused: the store has reached its limit of pairs");
            outcomes.push(PutOutcome::Refused);
            keys.push((u32::MAX, [0; KEY_BYTES]));
            continue;
        };
        let key = tick::key(number, row.timestamp_ms, &row.id);
        match is_new(commit, number, row) {
            Ok(true) => outcomes.push(PutOutcome::Stored),
            Ok(false) => outcomes.push(PutOutcome::Duplicate),
            Err(error) => {
                for ((row, (_, key)), outcome) in rows.iter().zip(&keys).zip(&outcomes) {
                    if *outcome == PutOutcome::Stored {
                        commit.forget(key, row.arrival_stamped.then_some(&row.id));
                    }
                }
                return Err(error);
            }
        }
        keys.push((number, key));
    }
    let mut entry = Entry {
        streamed: 0,
        keys: Vec::new(),
    };
    for ((row, (number, key)), outcome) in rows.into_iter().zip(keys).zip(&outcomes) {
        if *outcome != PutOutcome::Stored {
            continue;
        }
        commit.insert(&commit.spaces().ticks, &key, row.value);
        if row.arrival_stamped {
            let at = sortable(row.timestamp_ms).to_vec();
            commit.insert(&commit.spaces().arrival_stamped, &row.id, at);
        }
        entry.keys.push(key);
        commit.renew_latest(number, row.tick);
    }
    let stored = entry.keys.len() as u64;
    let outbox_id = (stored > 0).then(|| OutboxId(commit.state.outbox_entries + 1));
    if let Some(OutboxId(number)) = outbox_id {
        commit.insert(
            &commit.spaces().outbox,
            &number.to_be_bytes(),
            entry.encode(),
        );
        commit.state.outbox_entries = number;
        commit.state.stored_rows += stored;
        commit.state.pending_rows += stored;
    }
    // A tick that was already stored under another time is a duplicate, and is not forwarded.
    let retimed = Vec::new();
    Ok(PutReceipt {
        outcomes,
        outbox_id,
        retimed,
        // The outbox keeps what the stream lacks.
        offer_again: Vec::new(),
    })
}

impl EmbeddedStore {
    /// The latest tick of every pair.
    #[must_use]
    pub fn latest_ticks(&self) -> Vec<Arc<Tick>> {
        self.inner.pairs.latest()
    }

    /// The latest tick of a token, in one quote or in all its quotes.
    #[must_use]
    pub fn latest_tick(&self, token: &str, quote: Option<&str>) -> Option<Arc<Tick>> {
        let ticks = self.inner.pairs.latest().into_iter();
        ticks
            .filter(|tick| is_of(&tick.token, &tick.quote, token, quote))
            .max_by_key(|tick| Latest::of(tick))
    }

    /// The number of known pairs.
    #[must_use]
    pub fn pairs_known(&self) -> usize {
        self.inner.pairs.len()
    }

    /// A token's ticks in a range, in one quote or in all its quotes, in order; `None` if there is no such
    /// pair.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn ticks(
        &self,
        token: &str,
        quote: Option<&str>,
        range: TickRange,
    ) -> Result<Option<Vec<Tick>>, StorageError> {
        let found = self.read_range(token, quote, range).await?;
        Ok(found.map(|ticks| ticks.into_iter().map(|(tick, _)| tick).collect()))
    }

    /// As [`EmbeddedStore::ticks`], with the decision whether each belongs to the stream. Ticks that a
    /// release before 1.1 stored have none, and are left out.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn decided_ticks(
        &self,
        token: &str,
        quote: Option<&str>,
        range: TickRange,
    ) -> Result<Option<Vec<CohortTick>>, StorageError> {
        let found = self.read_range(token, quote, range).await?;
        let decided = |(tick, in_cohort): (Tick, Option<bool>)| {
            in_cohort.map(|in_cohort| CohortTick {
                tick,
                in_cohort,
                arrival_stamped: false,
            })
        };
        Ok(found.map(|ticks| ticks.into_iter().filter_map(decided).collect()))
    }

    async fn read_range(
        &self,
        token: &str,
        quote: Option<&str>,
        range: TickRange,
    ) -> Result<Option<Vec<(Tick, Option<bool>)>>, StorageError> {
        let numbers = self.inner.pairs.of_token(token, quote);
        if numbers.is_empty() {
            return Ok(None);
        }
        self.read(move |inner| {
            let mut found = Vec::new();
            for number in numbers {
                let low = tick::from(number, range.from_ms);
                let high = tick::from(number, range.to_ms);
                if low >= high {
                    continue;
                }
                let (mut count, mut last_ms) = (0, None);
                for guard in inner.spaces.ticks.range(low..high).rev() {
                    let (tick, in_cohort) = tick::decode_decided(&guard.value()?)?;
                    // All ticks of a millisecond, since keys do not have their order.
                    if count >= range.limit && last_ms != Some(tick.timestamp_ms) {
                        break;
                    }
                    (count, last_ms) = (count + 1, Some(tick.timestamp_ms));
                    found.push((tick, in_cohort));
                }
            }
            found.sort_unstable_by_key(|(tick, _)| tick.order());
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
        let key = tick::key(number, timestamp_ms, id.as_bytes());
        self.read(move |inner| Ok(inner.spaces.ticks.contains_key(key)?))
            .await
    }
}
