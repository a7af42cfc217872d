//! Ticks by pair and time.

use std::sync::Arc;

use app::ports::{CohortTick, OutboxId, PortError, PutOutcome, PutReceipt, TickStore};
use async_trait::async_trait;
use domain::analytics::Latest;
use domain::{Pair, Tick, TickId};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::arrival_stamped;
use crate::keys::day;
use crate::keys::outbox_entry::Entry;
use crate::keys::pair;
use crate::keys::tick::{self, Identity};
use crate::shared_state::SharedState;
use crate::writer::Commit;

/// The most pairs of a token that are read if no quote is given: the first ones by name.
const QUOTES_MAX: usize = 1_000;

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
        self.check_disk().map_err(|error| error.at("store ticks"))?;
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

/// Where a row goes.
struct RowPlace {
    /// The pair's index in the commit.
    pair: usize,
    identity: Identity,
}

/// Whether a row is neither stored nor in the commit; if so, it is recorded as in the commit.
fn is_new(commit: &mut Commit<'_>, place: &RowPlace, row: &Row) -> Result<bool, StorageError> {
    // An arrival-stamped tick has another time when it is delivered again; its id identifies it.
    if row.arrival_stamped && commit.has_arrival(&row.id)? {
        return Ok(false);
    }
    let is_new = commit.is_new(place.pair, &row.tick, &place.identity)?;
    if is_new && row.arrival_stamped {
        commit.add_arrival(row.id);
    }
    Ok(is_new)
}

/// Finds the place of each row, and whether it is new. All reads are done here, so if one fails, the commit
/// has no rows of this call.
fn places(
    commit: &mut Commit<'_>,
    rows: &[Row],
) -> Result<(Vec<RowPlace>, Vec<PutOutcome>), StorageError> {
    let mut places: Vec<RowPlace> = Vec::with_capacity(rows.len());
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let placed = commit.pair(&row.pair).and_then(|(pair, number)| {
            let identity = tick::identity(number, row.timestamp_ms, &row.id);
            let place = RowPlace { pair, identity };
            let is_new = is_new(commit, &place, row)?;
            Ok((place, is_new))
        });
        match placed {
            Ok((place, is_new)) => {
                places.push(place);
                outcomes.push(if is_new {
                    PutOutcome::Stored
                } else {
                    PutOutcome::Duplicate
                });
            }
            Err(error) => {
                for ((row, place), outcome) in rows.iter().zip(&places).zip(&outcomes) {
                    if *outcome == PutOutcome::Stored {
                        commit.forget(&place.identity, row.arrival_stamped.then_some(&row.id));
                    }
                }
                return Err(error);
            }
        }
    }
    Ok((places, outcomes))
}

fn put(commit: &mut Commit<'_>, rows: Vec<Row>) -> Result<PutReceipt, StorageError> {
    let (places, outcomes) = places(commit, &rows)?;
    let mut entry = Entry {
        streamed: 0,
        keys: Vec::new(),
    };
    let first_day = commit.inner.first_day();
    for ((row, place), outcome) in rows.into_iter().zip(places).zip(&outcomes) {
        if *outcome != PutOutcome::Stored {
            continue;
        }
        // With a clock that went back, the day may be one that was dropped.
        let day = day::of(row.tick.ingested_at_ms).max(first_day);
        let key = tick::key(day, &place.identity);
        commit.insert(&commit.spaces().ticks, &key, row.value);
        if row.arrival_stamped {
            let key = arrival_stamped::key(day, &row.id);
            commit.insert(&commit.spaces().arrival_stamped, &key, Vec::new());
        }
        entry.keys.push(key);
        commit.add_tick(place.pair, day, &row.tick);
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

/// The pairs of a token, in one quote or in all its quotes, with their numbers.
pub(crate) fn pairs_of(
    inner: &SharedState,
    token: &str,
    quote: Option<&str>,
) -> Result<Vec<(Pair, u32)>, StorageError> {
    let first_day = inner.first_day();
    let mut found = Vec::new();
    if let Some(quote) = quote {
        let key = pair::prefix(token, Some(quote));
        if let Some(bytes) = inner.spaces.pairs.get(&key)? {
            let row = pair::decode(&bytes)?;
            if row.last_day >= first_day {
                found.push((pair::pair_of(&key)?, row.number));
            }
        }
        return Ok(found);
    }
    for guard in inner.spaces.pairs.prefix(pair::prefix(token, None)) {
        let (key, value) = guard.into_inner()?;
        let row = pair::decode(&value)?;
        if row.last_day >= first_day {
            found.push((pair::pair_of(&key)?, row.number));
        }
        if found.len() >= QUOTES_MAX {
            break;
        }
    }
    Ok(found)
}

impl EmbeddedStore {
    /// The latest tick of a token, in one quote or in all its quotes.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn latest_tick(
        &self,
        token: &str,
        quote: Option<&str>,
    ) -> Result<Option<Arc<Tick>>, StorageError> {
        let latest = self.latest_of(token, quote).await?;
        Ok(latest.into_iter().max_by_key(|tick| Latest::of(tick)))
    }

    /// The latest tick of each pair of a token, in one quote or in all its quotes.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn latest_of(
        &self,
        token: &str,
        quote: Option<&str>,
    ) -> Result<Vec<Arc<Tick>>, StorageError> {
        let (token, quote) = (token.to_owned(), quote.map(str::to_owned));
        self.read(move |inner| {
            let mut latest = Vec::new();
            for (pair, _) in pairs_of(inner, &token, quote.as_deref())? {
                latest.extend(inner.pair(&pair)?.and_then(|pair| pair.latest));
            }
            Ok(latest)
        })
        .await
    }

    /// The latest ticks of the pairs that got ticks most recently.
    #[must_use]
    pub fn recent_ticks(&self, limit: usize) -> Vec<Arc<Tick>> {
        self.inner.pairs.recent(limit)
    }

    /// The latest tick of each pair after one, in the order of token and quote (as bytes), and the last pair
    /// of the page if there are more.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn latest_page(
        &self,
        after: Option<&Pair>,
        limit: usize,
    ) -> Result<(Vec<Arc<Tick>>, Option<Pair>), StorageError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, |after| Excluded(pair::key(after)));
        self.read(move |inner| {
            let first_day = inner.first_day();
            let (mut latest, mut last) = (Vec::new(), None);
            let rows = inner.spaces.pairs.range::<Vec<u8>, _>((start, Unbounded));
            for guard in rows {
                let (key, value) = guard.into_inner()?;
                if pair::decode(&value)?.last_day < first_day {
                    continue;
                }
                if latest.len() >= limit {
                    return Ok((latest, last));
                }
                let of_key = pair::pair_of(&key)?;
                latest.extend(inner.pair(&of_key)?.and_then(|pair| pair.latest));
                last = Some(of_key);
            }
            Ok((latest, None))
        })
        .await
    }

    /// The pairs with ticks after one, in the order of token and quote (as bytes).
    ///
    /// # Errors
    /// [`StorageError`].
    pub(crate) async fn pairs_after(
        &self,
        after: Option<Pair>,
        limit: usize,
    ) -> Result<Vec<Pair>, StorageError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, |after| Excluded(pair::key(&after)));
        self.read(move |inner| {
            let first_day = inner.first_day();
            let mut pairs = Vec::new();
            for guard in inner.spaces.pairs.range::<Vec<u8>, _>((start, Unbounded)) {
                let (key, value) = guard.into_inner()?;
                if pairs.len() >= limit {
                    break;
                }
                if pair::decode(&value)?.last_day >= first_day {
                    pairs.push(pair::pair_of(&key)?);
                }
            }
            Ok(pairs)
        })
        .await
    }

    /// Whether there are ticks of a token, in one quote or in any.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn has_pair(&self, token: &str, quote: Option<&str>) -> Result<bool, StorageError> {
        let (token, quote) = (token.to_owned(), quote.map(str::to_owned));
        self.read(move |inner| Ok(!pairs_of(inner, &token, quote.as_deref())?.is_empty()))
            .await
    }

    /// The number of pairs with ticks.
    #[must_use]
    pub fn pairs_live(&self) -> u64 {
        self.inner.pairs.live()
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

    /// The ticks of a range with their decisions, also those that have none.
    pub(crate) async fn read_range(
        &self,
        token: &str,
        quote: Option<&str>,
        range: TickRange,
    ) -> Result<Option<Vec<(Tick, Option<bool>)>>, StorageError> {
        let (token, quote) = (token.to_owned(), quote.map(str::to_owned));
        self.read(move |inner| {
            let pairs = pairs_of(inner, &token, quote.as_deref())?;
            if pairs.is_empty() {
                return Ok(None);
            }
            let (first_event, last_event) = (day::of(range.from_ms), day::of(range.to_ms));
            let days = inner
                .tick_days
                .days_with(inner.first_day(), first_event, last_event);
            let mut found = Vec::new();
            for (_, number) in &pairs {
                for day in &days {
                    read_day(inner, *day, *number, range, &mut found)?;
                    if found.len() > range.limit.saturating_mul(2) {
                        keep_latest(&mut found, range.limit);
                    }
                }
            }
            keep_latest(&mut found, range.limit);
            Ok(Some(found))
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
        let pair = pair.clone();
        self.read(move |inner| {
            let Some(number) = inner.pair_number(&pair)? else {
                return Ok(false);
            };
            let identity = tick::identity(number, timestamp_ms, id.as_bytes());
            let event_day = day::of(timestamp_ms);
            let days = inner
                .tick_days
                .days_with(inner.first_day(), event_day, event_day);
            for day in days {
                if inner.spaces.ticks.contains_key(tick::key(day, &identity))? {
                    return Ok(true);
                }
            }
            Ok(false)
        })
        .await
    }
}

/// Sorts ticks and keeps the latest.
fn keep_latest(found: &mut Vec<(Tick, Option<bool>)>, limit: usize) {
    found.sort_unstable_by_key(|(tick, _)| tick.order());
    found.drain(..found.len().saturating_sub(limit));
}

/// Reads a pair's last ticks of a range that were received on a day, not in order.
fn read_day(
    inner: &SharedState,
    day: day::Day,
    number: u32,
    range: TickRange,
    found: &mut Vec<(Tick, Option<bool>)>,
) -> Result<(), StorageError> {
    let low = tick::from(day, number, range.from_ms);
    let high = tick::from(day, number, range.to_ms);
    if low >= high {
        return Ok(());
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
    Ok(())
}
