//! States, candles and anomalies of the analysis.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use app::isolate::SettingAside;
use app::ports::{
    AnalysisCommit, AnalyticsStore, PortError, Quarantined, SequenceNumber, StoredState,
};
use async_trait::async_trait;
use domain::Pair;
use domain::analytics::{Anomaly, Averages, Candle, Interval, PairState};

use crate::candles;
use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::candle::CandleKey;
use crate::keys::day::{self, Day};
use crate::keys::event_day::Kind;
use crate::keys::stream_block::SHARDS;
use crate::keys::{analysis_state, anomaly, candle, meta};
use crate::quarantine;
use crate::shared_state::SharedState;
use crate::ticks::pairs_of;
use crate::writer::Commit;

/// The most anomalies of a day that are looked at for the newest ones of a token.
const ANOMALIES_READ_MAX: usize = 20_000;

#[async_trait]
impl AnalyticsStore for EmbeddedStore {
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError> {
        let pairs = pairs.to_vec();
        let read = self.read_or_panic(move |inner| {
            let load = |pair: &Pair| match inner.pair_number(pair)? {
                Some(number) => match state_of(inner, shard, number) {
                    Err(StorageError::Corrupt { what, cause }) => {
                        resumed(inner, pair, number, what, &cause).map(Some)
                    }
                    read => read,
                },
                None => Ok(None),
            };
            pairs.iter().map(load).collect()
        });
        read.await
            .map_err(|error: StorageError| error.at("load analysis states"))
    }

    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        step: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        let stored = self.store_step(shard, last, step, &[]).await;
        stored.map_err(|error| error.at("store the analysis"))
    }
}

#[async_trait]
impl SettingAside for EmbeddedStore {
    async fn commit_setting_aside(
        &self,
        shard: u8,
        last: SequenceNumber,
        step: AnalysisCommit,
        set_aside: Vec<Quarantined>,
    ) -> Result<Vec<Candle>, PortError> {
        let stored = self.store_step(shard, last, step, &set_aside).await;
        let corrected = stored.map_err(|error| error.at("store the analysis"))?;
        self.report_set_aside(meta::ANALYTICS, &set_aside);
        Ok(corrected)
    }
}

impl EmbeddedStore {
    async fn store_step(
        &self,
        shard: u8,
        last: SequenceNumber,
        step: AnalysisCommit,
        set_aside: &[Quarantined],
    ) -> Result<Vec<Candle>, StorageError> {
        let set_aside = quarantine::Rows::of(set_aside)?;
        let prepared = self
            .read_or_panic(move |inner| prepare(inner, shard, step))
            .await?;
        let Prepared {
            states,
            candles,
            anomalies,
            corrected,
            late,
            too_late,
            today,
        } = prepared;
        let write = move |commit: &mut Commit<'_>| {
            let spaces = commit.spaces();
            for (key, value) in states {
                commit.insert(&spaces.states, &key, value);
            }
            for (key, start_ms, value) in candles {
                commit.add_event_day(Kind::Candles, today, day::of(start_ms));
                commit.insert(&spaces.candles, &key, value);
            }
            for (key, value) in anomalies {
                commit.insert(&spaces.anomalies, &key, value);
            }
            set_aside.insert(commit);
            let key = meta::checkpoint(meta::ANALYTICS, shard);
            commit.insert(
                &spaces.meta,
                key.as_bytes(),
                last.count().to_be_bytes().to_vec(),
            );
            commit.state.analysed_late += late;
            commit.state.analysed_too_late += too_late;
            Ok(corrected)
        };
        EmbeddedStore::commit(self, write).await
    }

    /// Like [`EmbeddedStore::read`], but a panic continues in the caller: it may be due to a record, while
    /// [`StorageError::Stopped`] is not.
    async fn read_or_panic<R: Send + 'static>(
        &self,
        look: impl FnOnce(&SharedState) -> Result<R, StorageError> + Send + 'static,
    ) -> Result<R, StorageError> {
        let looked = self.read(move |inner| Ok(catch_unwind(AssertUnwindSafe(|| look(inner)))));
        match looked.await? {
            Ok(result) => result,
            Err(payload) => resume_unwind(payload),
        }
    }
}

type Rows<K> = Vec<(K, Vec<u8>)>;

/// A step in its stored form.
struct Prepared {
    states: Rows<[u8; 5]>,
    /// With the start of each candle.
    candles: Vec<(CandleKey, i64, Vec<u8>)>,
    anomalies: Rows<Vec<u8>>,
    corrected: Vec<Candle>,
    /// Counts of late ticks, within the allowed lateness and beyond it.
    late: u64,
    too_late: u64,
    /// The day of the rows.
    today: Day,
}

/// Counts of the analysis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnalysisCounters {
    /// Late ticks within the allowed lateness.
    pub late: u64,
    /// Ticks beyond the allowed lateness.
    pub too_late: u64,
    /// Pairs whose state could not be read, since the start of the process.
    pub states_resumed: u64,
}

impl EmbeddedStore {
    /// The averages of a token's pairs as of the analysis' last commit; `None` if the token
    /// is not known.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn averages(
        &self,
        token: &str,
        quote: Option<&str>,
    ) -> Result<Option<Vec<Averages>>, StorageError> {
        let (token, quote) = (token.to_owned(), quote.map(str::to_owned));
        self.read(move |inner| {
            let pairs = pairs_of(inner, &token, quote.as_deref())?;
            if pairs.is_empty() {
                return Ok(None);
            }
            let mut found = Vec::new();
            for (_, number) in pairs {
                for shard in 0..SHARDS {
                    match state_of(inner, shard, number) {
                        Ok(Some(stored)) => found.extend(stored.state.averages()),
                        // The analysis replaces a state that cannot be read with the pair's next tick.
                        Ok(None) | Err(StorageError::Corrupt { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(Some(found))
        })
        .await
    }

    /// The newest anomalies by event time, newest first; only of one token if one is given. Of each kept day
    /// at most [`ANOMALIES_READ_MAX`] are looked at.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn anomalies(
        &self,
        token: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Anomaly>, StorageError> {
        let token = token.map(str::to_owned);
        self.read(move |inner| {
            let mut found: Vec<Anomaly> = Vec::new();
            for day in inner.first_day()..=inner.today() {
                let rows = inner.spaces.anomalies.prefix(day.to_be_bytes());
                let mut of_day = 0;
                for guard in rows.rev().take(ANOMALIES_READ_MAX) {
                    let anomaly = anomaly::decode(&guard.value()?)?;
                    let is_wanted = |token: &str| anomaly.token.as_str() == token;
                    if token.as_deref().is_none_or(is_wanted) {
                        found.push(anomaly);
                        of_day += 1;
                    }
                    if of_day >= limit {
                        break;
                    }
                }
                found.sort_by_key(|it| std::cmp::Reverse((it.timestamp_ms, it.tick_id)));
                found.truncate(limit);
            }
            Ok(found)
        })
        .await
    }

    /// What the analysis counted.
    #[must_use]
    pub fn analysis_counters(&self) -> AnalysisCounters {
        self.inner.with_state(|state| AnalysisCounters {
            late: state.analysed_late,
            too_late: state.analysed_too_late,
            states_resumed: self.inner.resumed(),
        })
    }
}

/// Merges and encodes a step outside of the writing thread. It may read stored candles here, since only
/// the analysis of the pair's shard writes them, one step after the other.
///
/// What belongs to a pair that has no ticks any more is dropped: if the analysis is behind by more than the
/// retention, its results have expired.
fn prepare(inner: &SharedState, shard: u8, step: AnalysisCommit) -> Result<Prepared, StorageError> {
    let today = inner.today();
    let mut numbers: HashMap<Pair, Option<u32>> = HashMap::new();
    let mut number_of = |pair: &Pair| match numbers.get(pair) {
        Some(number) => Ok(*number),
        None => {
            let number = inner.pair_number(pair)?;
            numbers.insert(pair.clone(), number);
            Ok::<_, StorageError>(number)
        }
    };
    let mut states = Vec::with_capacity(step.states.len());
    for change in &step.states {
        if let Some(number) = number_of(&change.pair)? {
            let key = analysis_state::key(shard, number);
            states.push((key, analysis_state::encode(&change.stored)?));
        }
    }
    let mut candles = BTreeMap::new();
    for candle in step.candles {
        if let Some(number) = number_of(&candle.pair())? {
            candles.insert((number, candle.interval, candle.start_ms), candle);
        }
    }
    let mut corrections: BTreeMap<(u32, Interval, i64), Candle> = BTreeMap::new();
    for correction in step.corrections {
        let Some(number) = number_of(&correction.pair())? else {
            continue;
        };
        match corrections.entry((number, correction.interval, correction.start_ms)) {
            Entry::Vacant(vacant) => {
                vacant.insert(correction);
            }
            Entry::Occupied(mut held) => held.get_mut().merge(&correction),
        }
    }
    let mut corrected = Vec::with_capacity(corrections.len());
    for (place, correction) in corrections {
        let held = match candles.remove(&place) {
            Some(held) => Some(held),
            None => match candles::stored(inner, place) {
                // The correction is all that is left of it.
                Err(error @ StorageError::Corrupt { .. }) => {
                    tracing::error!(error = %error, pair = %correction.pair(), "a candle cannot be read");
                    None
                }
                read => read?,
            },
        };
        let merged = match held {
            Some(mut held) => {
                held.merge(&correction);
                held.revision += 1;
                held
            }
            None => correction,
        };
        corrected.push(merged.clone());
        candles.insert(place, merged);
    }
    let candles = candles.iter().map(|((number, interval, start_ms), it)| {
        let key = candle::key(today, *number, *interval, *start_ms);
        Ok((key, *start_ms, candle::encode(it)?))
    });
    let anomalies = step.anomalies.iter();
    let anomalies =
        anomalies.map(|found| Ok((anomaly::key(today, found), anomaly::encode(found)?)));
    Ok(Prepared {
        states,
        candles: candles.collect::<Result<_, StorageError>>()?,
        anomalies: anomalies.collect::<Result<_, StorageError>>()?,
        corrected,
        late: step.late,
        too_late: step.too_late,
        today,
    })
}

/// A replacement for a state that cannot be read, so that the other pairs of its shard continue. It starts
/// after the shard's checkpoint and the pair's stored candles; averages and the detector start from nothing.
fn resumed(
    inner: &SharedState,
    pair: &Pair,
    number: u32,
    what: &'static str,
    cause: &str,
) -> Result<StoredState, StorageError> {
    let mut candles = Vec::new();
    for interval in Interval::ALL {
        match candles::last(inner, number, interval) {
            Ok(candle) => candles.extend(candle),
            Err(error @ StorageError::Corrupt { .. }) => {
                tracing::error!(pair = %pair, error = %error, "a candle cannot be read");
            }
            Err(error) => return Err(error),
        }
    }
    inner.count_resumed();
    tracing::error!(pair = %pair, what, cause, "the analysis of a pair continues after its stored candles, since its state cannot be read");
    Ok(StoredState {
        last_sequence: SequenceNumber::START,
        state: PairState::resumed(pair, candles),
    })
}

/// The state of a pair in a shard.
pub(crate) fn state_of(
    inner: &SharedState,
    shard: u8,
    number: u32,
) -> Result<Option<StoredState>, StorageError> {
    let found = inner
        .spaces
        .states
        .get(analysis_state::key(shard, number))?;
    found
        .map(|bytes| analysis_state::decode(&bytes))
        .transpose()
}
