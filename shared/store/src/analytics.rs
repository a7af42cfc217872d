//! States, candles and anomalies of the analysis.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use app::ports::{AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StoredState};
use async_trait::async_trait;
use domain::Pair;
use domain::analytics::{Anomaly, Averages, Candle, Interval, PairState};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::candle::CandleKey;
use crate::keys::stream_block::SHARDS;
use crate::keys::{analysis_state, anomaly, candle, meta};
use crate::shared_state::SharedState;

#[async_trait]
impl AnalyticsStore for EmbeddedStore {
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError> {
        let numbers: Vec<_> = pairs
            .iter()
            .map(|pair| self.inner.pairs.find(pair))
            .collect();
        self.read(move |inner| {
            let load = |number: Option<u32>| match number {
                Some(number) => match state_of(inner, shard, number) {
                    Err(StorageError::Corrupt { what, cause }) => {
                        resumed(inner, number, what, &cause).map(Some)
                    }
                    read => read,
                },
                None => Ok(None),
            };
            numbers.into_iter().map(load).collect()
        })
        .await
        .map_err(|error: StorageError| error.at("load analysis states"))
    }

    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        step: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        let stored = async {
            let prepared = self.read(move |inner| prepare(inner, shard, step)).await?;
            let Prepared {
                states,
                candles,
                anomalies,
                corrected,
                late,
                too_late,
            } = prepared;
            EmbeddedStore::commit(self, move |commit| {
                let spaces = commit.spaces();
                for (key, value) in states {
                    commit.insert(&spaces.states, &key, value);
                }
                for (key, value) in candles {
                    commit.insert(&spaces.candles, &key, value);
                }
                for (key, value) in anomalies {
                    commit.insert(&spaces.anomalies, &key, value);
                }
                let key = meta::checkpoint(meta::ANALYTICS, shard);
                commit.insert(
                    &spaces.meta,
                    key.as_bytes(),
                    last.count().to_be_bytes().to_vec(),
                );
                commit.state.analysed_late += late;
                commit.state.analysed_too_late += too_late;
                Ok(corrected)
            })
            .await
        };
        stored.await.map_err(|error| error.at("store the analysis"))
    }
}

type Rows<K> = Vec<(K, Vec<u8>)>;

/// A step in its stored form.
struct Prepared {
    states: Rows<[u8; 5]>,
    candles: Rows<CandleKey>,
    anomalies: Rows<Vec<u8>>,
    corrected: Vec<Candle>,
    /// Counts of late ticks, within the allowed lateness and beyond it.
    late: u64,
    too_late: u64,
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
    /// A token's candles whose start is in a range, in ascending order; only the latest if there are
    /// more than `limit`. `None` if the token is not known.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn candles(
        &self,
        token: &str,
        quote: Option<&str>,
        interval: Interval,
        range: crate::TickRange,
    ) -> Result<Option<Vec<Candle>>, StorageError> {
        let numbers = self.inner.pairs.of_token(token, quote);
        if numbers.is_empty() {
            return Ok(None);
        }
        self.read(move |inner| {
            let mut found: Vec<Candle> = Vec::new();
            for number in numbers {
                let low = candle::key(number, interval, range.from_ms);
                let high = candle::key(number, interval, range.to_ms);
                if low >= high {
                    continue;
                }
                for guard in inner
                    .spaces
                    .candles
                    .range(low..high)
                    .rev()
                    .take(range.limit)
                {
                    found.push(candle::decode(&guard.value()?)?);
                }
            }
            found.sort_by(|a, b| (a.start_ms, &a.quote).cmp(&(b.start_ms, &b.quote)));
            Ok(Some(
                found.split_off(found.len().saturating_sub(range.limit)),
            ))
        })
        .await
    }

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
        let numbers = self.inner.pairs.of_token(token, quote);
        if numbers.is_empty() {
            return Ok(None);
        }
        self.read(move |inner| {
            let mut found = Vec::new();
            for number in numbers {
                for shard in 0..SHARDS {
                    match state_of(inner, shard, number) {
                        Ok(Some(stored)) => found.push(stored.state.averages()),
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

    /// The newest anomalies, newest first; only of one token if one is given.
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
            let mut found = Vec::new();
            for guard in inner.spaces.anomalies.iter().rev() {
                let anomaly = anomaly::decode(&guard.value()?)?;
                if token
                    .as_deref()
                    .is_none_or(|token| anomaly.token.as_str() == token)
                {
                    found.push(anomaly);
                }
                if found.len() >= limit {
                    break;
                }
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
fn prepare(inner: &SharedState, shard: u8, step: AnalysisCommit) -> Result<Prepared, StorageError> {
    let number_of = |pair: &Pair| {
        inner
            .pairs
            .find(pair)
            .ok_or_else(|| StorageError::corrupt("pair", pair))
    };
    let mut states = Vec::with_capacity(step.states.len());
    for change in &step.states {
        let key = analysis_state::key(shard, number_of(&change.pair)?);
        states.push((key, analysis_state::encode(&change.stored)?));
    }
    let keyed = |candle: &Candle| {
        Ok::<_, StorageError>(candle::key(
            number_of(&candle.pair())?,
            candle.interval,
            candle.start_ms,
        ))
    };
    let mut candles = BTreeMap::new();
    for candle in step.candles {
        candles.insert(keyed(&candle)?, candle);
    }
    let mut corrections: BTreeMap<CandleKey, Candle> = BTreeMap::new();
    for correction in step.corrections {
        match corrections.entry(keyed(&correction)?) {
            Entry::Vacant(vacant) => {
                vacant.insert(correction);
            }
            Entry::Occupied(mut held) => held.get_mut().merge(&correction),
        }
    }
    let mut corrected = Vec::with_capacity(corrections.len());
    for (key, correction) in corrections {
        let held = match candles.remove(&key) {
            Some(held) => Some(held),
            None => match inner.spaces.candles.get(key)? {
                Some(bytes) => Some(candle::decode(&bytes)?),
                None => None,
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
        candles.insert(key, merged);
    }
    let candles = candles
        .iter()
        .map(|(key, candle)| Ok((*key, candle::encode(candle)?)));
    let anomalies = step.anomalies.iter();
    let anomalies = anomalies.map(|found| Ok((anomaly::key(found), anomaly::encode(found)?)));
    Ok(Prepared {
        states,
        candles: candles.collect::<Result<_, StorageError>>()?,
        anomalies: anomalies.collect::<Result<_, StorageError>>()?,
        corrected,
        late: step.late,
        too_late: step.too_late,
    })
}

/// A replacement for a state that cannot be read, so that the other pairs of its shard continue. It starts
/// after the shard's checkpoint and the pair's stored candles; averages and the detector start from nothing.
fn resumed(
    inner: &SharedState,
    number: u32,
    what: &'static str,
    cause: &str,
) -> Result<StoredState, StorageError> {
    let pair = inner.pairs.pair(number);
    let pair = pair.ok_or_else(|| StorageError::corrupt("pair", number))?;
    let mut candles = Vec::new();
    for interval in Interval::ALL {
        let rows = candle::key(number, interval, 0)..=candle::key(number, interval, i64::MAX);
        let Some(guard) = inner.spaces.candles.range(rows).next_back() else {
            continue;
        };
        match candle::decode(&guard.value()?) {
            Ok(candle) => candles.push(candle),
            Err(error) => {
                tracing::error!(pair = %pair, error = %error, "a candle cannot be read");
            }
        }
    }
    inner.count_resumed();
    tracing::error!(pair = %pair, what, cause, "the analysis of a pair continues after its stored candles, since its state cannot be read");
    Ok(StoredState {
        last_sequence: SequenceNumber::START,
        state: PairState::resumed(&pair, candles),
    })
}

fn state_of(
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
