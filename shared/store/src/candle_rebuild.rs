//! Replaces stored candles by those that the stored ticks give, beside the analysis.
//!
//! A candle that the analysis has open is left alone: it would be stored again as the analysis has it. One that changed
//! since it was compared is left alone, too. If a late tick is merged into a candle at the very moment at which it is
//! replaced, one of the two is lost, so a replacement is followed by another comparison.

use std::collections::BTreeSet;
use std::time::Duration;

use app::candle_rebuild::{CandleChange, CandlePlace, EventTicks, RebuiltCandles, SpanChanges};
use app::ports::{Outbox as _, PortError};
use app::read_back::StoredTick;
use app::utc_days::day_of;
use async_trait::async_trait;
use chrono::NaiveDate;
use domain::analytics::{Candle, Interval};
use domain::{FUTURE_TOLERANCE_MS, MS_PER_DAY, Pair, Token};
use tokio::time::Instant;

use crate::analytics::state_of;
use crate::candles;
use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::event_day::Kind;
use crate::keys::stream_block::shard_of;
use crate::keys::{candle, day, meta};
use crate::shared_state::SharedState;
use crate::ticks::TickRange;
use crate::writer::Commit;

/// The pairs that are read at once.
const PAIRS_PER_READ: usize = 1_000;

/// How often the analysis is asked how far it is.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Why candles cannot be compared now.
#[derive(Debug, thiserror::Error)]
pub enum NotAnalysed {
    /// Ticks are not in the stream yet.
    #[error(
        "stored ticks wait in the outbox for the stream: try again once the stream accepts them"
    )]
    Outbox,
    /// The analysis has not caught up.
    #[error(
        "the analysis is {0} ticks behind: start tickstream if it does not run, or try again later"
    )]
    Behind(u64),
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] PortError),
}

impl EmbeddedStore {
    /// Waits until the analysis has seen everything that is in the stream now. What was received within the last minute
    /// may still be on its way to the stream.
    ///
    /// # Errors
    /// [`NotAnalysed`] if it does not within this time.
    pub async fn analysed_within(&self, within: Duration) -> Result<(), NotAnalysed> {
        if !self.released(None).await?.is_empty() {
            return Err(NotAnalysed::Outbox);
        }
        let deadline = Instant::now() + within;
        let ends = self.end_offsets();
        loop {
            let mut behind = 0;
            for (shard, end) in (0_u8..).zip(ends) {
                let done = self.checkpoint(meta::ANALYTICS, shard);
                let done = done.map_err(|error| error.at("read a checkpoint"))?;
                behind += end.count().saturating_sub(done.count());
            }
            if behind == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(NotAnalysed::Behind(behind));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// The first event time of which all ticks are kept: those of earlier ones may have been received on a day that was
    /// removed.
    #[must_use]
    pub fn complete_from_ms(&self) -> i64 {
        match self.inner.first_day() {
            0 => 0,
            first_day => day::start_ms(first_day).saturating_add(FUTURE_TOLERANCE_MS),
        }
    }
}

fn all(from_ms: i64, to_ms: i64) -> TickRange {
    TickRange {
        from_ms,
        to_ms,
        limit: usize::MAX,
    }
}

#[async_trait]
impl EventTicks for EmbeddedStore {
    async fn tokens(&self, _: i64, _: i64) -> Result<Vec<Token>, PortError> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut after: Option<Pair> = None;
        loop {
            let page = self.pairs_after(after.take(), PAIRS_PER_READ).await;
            let page = page.map_err(|error| error.at("list the tokens"))?;
            let Some(last) = page.last().cloned() else {
                return Ok(tokens);
            };
            for pair in page {
                if tokens.last() != Some(&pair.token) {
                    tokens.push(pair.token);
                }
            }
            after = Some(last);
        }
    }

    async fn days(&self, from_ms: i64, to_ms: i64) -> Result<BTreeSet<NaiveDate>, PortError> {
        let found = self.inner.tick_days.event_days(self.inner.first_day());
        let in_range = found.into_iter().filter(|event_day| {
            let start_ms = day::start_ms(*event_day);
            start_ms < to_ms && from_ms < start_ms.saturating_add(MS_PER_DAY)
        });
        Ok(in_range.map(|it| day_of(day::start_ms(it))).collect())
    }

    async fn of_token(
        &self,
        token: &Token,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<StoredTick>, PortError> {
        let found = self
            .read_range(token.as_str(), None, all(from_ms, to_ms))
            .await;
        let found = found.map_err(|error| error.at("read the ticks of a token"))?;
        let rows = found.unwrap_or_default().into_iter();
        Ok(rows
            .map(|(tick, in_cohort)| StoredTick { tick, in_cohort })
            .collect())
    }
}

#[async_trait]
impl RebuiltCandles for EmbeddedStore {
    fn intervals(&self) -> &[Interval] {
        &Interval::ALL
    }

    fn span_ms(&self) -> i64 {
        Interval::OneHour.duration_ms()
    }

    fn needs_ticks(&self) -> bool {
        false
    }

    async fn stored(
        &self,
        token: &Token,
        _: &BTreeSet<Pair>,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<Candle>, PortError> {
        let mut stored = Vec::new();
        for interval in Interval::ALL {
            let found = self
                .candles(token.as_str(), None, interval, all(from_ms, to_ms))
                .await;
            let found = found.map_err(|error| error.at("read the candles of a token"))?;
            stored.extend(found.unwrap_or_default());
        }
        Ok(stored)
    }

    async fn open(&self, pairs: &BTreeSet<Pair>) -> Result<BTreeSet<CandlePlace>, PortError> {
        let pairs: Vec<Pair> = pairs.iter().cloned().collect();
        let read = self.read(move |inner| {
            let mut open = BTreeSet::new();
            for pair in pairs {
                let candles = open_candles(inner, &pair)?;
                open.extend(
                    candles
                        .iter()
                        .map(|it| (it.pair(), it.interval, it.start_ms)),
                );
            }
            Ok(open)
        });
        read.await
            .map_err(|error: StorageError| error.at("read the open candles"))
    }

    async fn replace(&self, pair: &Pair, span: SpanChanges) -> Result<u64, PortError> {
        let pair = pair.clone();
        let replaced =
            self.commit(move |commit: &mut Commit<'_>| replace(commit, &pair, span.changes));
        replaced.await.map_err(|error| error.at("replace candles"))
    }
}

/// The candles of a pair that the analysis has open.
fn open_candles(inner: &SharedState, pair: &Pair) -> Result<Vec<Candle>, StorageError> {
    let Some(number) = inner.pair_number(pair)? else {
        return Ok(Vec::new());
    };
    let state = match state_of(inner, shard_of(&pair.token), number) {
        // The analysis replaces it with the pair's next tick, after the stored candles.
        Err(StorageError::Corrupt { .. }) => None,
        read => read?,
    };
    let open = state.iter().flat_map(|it| it.state.open_candles());
    Ok(open.cloned().collect())
}

fn replace(
    commit: &mut Commit<'_>,
    pair: &Pair,
    changes: Vec<CandleChange>,
) -> Result<u64, StorageError> {
    let inner = commit.inner;
    let Some(number) = inner.pair_number(pair)? else {
        return Ok(0);
    };
    let open = open_candles(inner, pair)?;
    let is_open = |candle: &Candle| open.iter().any(|it| it.is_part_of(candle));
    let today = inner.today();
    let mut replaced = 0;
    for CandleChange { before, mut after } in changes {
        let place = (number, after.interval, after.start_ms);
        if is_open(&after) || candles::stored(inner, place)? != before {
            continue;
        }
        after.revision = before.map_or(0, |before| before.revision + 1);
        let key = candle::key(today, number, after.interval, after.start_ms);
        commit.add_event_day(Kind::Candles, today, day::of(after.start_ms));
        let value = candle::encode(&after)?;
        commit.insert(&commit.spaces().candles, &key, value);
        replaced += 1;
    }
    Ok(replaced)
}
