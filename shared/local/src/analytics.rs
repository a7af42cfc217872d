//! States, candles and anomalies of the analysis.

use std::collections::BTreeMap;

use app::ports::{AnalysisCommit, AnalyticsStore, Pair, PortError, SequenceNumber, StoredState};
use async_trait::async_trait;
use domain::analytics::{Anomaly, Averages, Candle, Interval};

use crate::embedded::{Embedded, Inner};
use crate::error::StorageError;
use crate::spaces::sortable;
use crate::stream::{SHARDS, checkpoint_key};
use crate::writer::Commit;

/// The analysis' name as a consumer of the stream.
pub(crate) const CONSUMER: &str = "analytics";

/// pair, interval, start.
const CANDLE_KEY_BYTES: usize = 4 + 1 + 8;
type CandleKey = [u8; CANDLE_KEY_BYTES];

#[async_trait]
impl AnalyticsStore for Embedded {
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError> {
        let numbers: Vec<_> = pairs
            .iter()
            .map(|pair| self.inner.pairs.find(pair))
            .collect();
        self.read(move |inner| {
            let load = |number: Option<u32>| match number {
                Some(number) => state_of(inner, shard, number),
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
        let prepared = self.prepare(shard, &step);
        let stored = async {
            let (states, candles) = prepared?;
            Embedded::commit(self, move |commit| {
                let corrected = merge_candles(commit, candles, &step.corrections)?;
                for (key, value) in states {
                    commit.insert(&commit.spaces().states, &key, value);
                }
                for anomaly in &step.anomalies {
                    let value = encode("anomaly", anomaly)?;
                    commit.insert(&commit.spaces().anomalies, &anomaly_key(anomaly), value);
                }
                let key = checkpoint_key(CONSUMER, shard);
                commit.insert(
                    &commit.spaces().meta,
                    key.as_bytes(),
                    last.0.to_be_bytes().to_vec(),
                );
                commit.state.analysed_late += step.late;
                commit.state.analysed_too_late += step.too_late;
                commit.state.analysed_duplicates += step.duplicates;
                Ok(corrected)
            })
            .await
        };
        stored.await.map_err(|error| error.at("store the analysis"))
    }
}

type Rows<K> = Vec<(K, Vec<u8>)>;

impl Embedded {
    /// Encodes states and finds candles' keys where the caller runs, not on the writer's thread.
    #[expect(
        clippy::type_complexity,
        reason = "rows and keyed candles, taken apart at once"
    )]
    fn prepare(
        &self,
        shard: u8,
        step: &AnalysisCommit,
    ) -> Result<(Rows<[u8; 5]>, BTreeMap<CandleKey, Candle>), StorageError> {
        let number_of = |pair: &Pair| {
            self.inner
                .pairs
                .find(pair)
                .ok_or_else(|| StorageError::corrupt("pair", pair))
        };
        let mut states = Vec::with_capacity(step.states.len());
        for (pair, state) in &step.states {
            states.push((state_key(shard, number_of(pair)?), encode("state", state)?));
        }
        let mut candles = BTreeMap::new();
        for candle in &step.candles {
            let pair = Pair {
                token: candle.token.clone(),
                quote: candle.quote.clone(),
            };
            candles.insert(
                candle_key(number_of(&pair)?, candle.interval, candle.start_ms),
                candle.clone(),
            );
        }
        Ok((states, candles))
    }

    /// Candles of a token from a start time on, before another, in the order of time; the latest
    /// where there are more than `limit`. `None` where the token is not known.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn candles(
        &self,
        token: &str,
        interval: Interval,
        range: crate::TickRange,
    ) -> Result<Option<Vec<Candle>>, StorageError> {
        let numbers = self.inner.pairs.of_token(token);
        if numbers.is_empty() {
            return Ok(None);
        }
        self.read(move |inner| {
            let mut found: Vec<Candle> = Vec::new();
            for number in numbers {
                let low = candle_key(number, interval, range.from_ms);
                let high = candle_key(number, interval, range.to_ms);
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
                    found.push(decode("candle", &guard.value()?)?);
                }
            }
            found.sort_by(|a, b| (a.start_ms, &a.quote).cmp(&(b.start_ms, &b.quote)));
            Ok(Some(
                found.split_off(found.len().saturating_sub(range.limit)),
            ))
        })
        .await
    }

    /// The averages of a token's pairs as of the analysis' last commit; `None` where the token
    /// is not known.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn averages(&self, token: &str) -> Result<Option<Vec<Averages>>, StorageError> {
        let numbers = self.inner.pairs.of_token(token);
        if numbers.is_empty() {
            return Ok(None);
        }
        self.read(move |inner| {
            let mut found = Vec::new();
            for number in numbers {
                for shard in 0..SHARDS {
                    if let Some(stored) = state_of(inner, shard, number)? {
                        found.push(stored.state.averages());
                    }
                }
            }
            Ok(Some(found))
        })
        .await
    }

    /// The newest anomalies, newest first; of one token where one is given.
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
                let anomaly: Anomaly = decode("anomaly", &guard.value()?)?;
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

    /// Late ticks, those beyond the allowed lateness, and duplicates that the analysis counted.
    #[must_use]
    pub fn analysed_oddly(&self) -> [u64; 3] {
        self.inner.look(|state| {
            [
                state.analysed_late,
                state.analysed_too_late,
                state.analysed_duplicates,
            ]
        })
    }
}

/// Merges corrections into the candles of this step or the stored ones, and writes all.
/// Answers the corrected candles.
fn merge_candles(
    commit: &mut Commit<'_>,
    mut candles: BTreeMap<CandleKey, Candle>,
    corrections: &[Candle],
) -> Result<Vec<Candle>, StorageError> {
    let mut corrected = BTreeMap::new();
    for correction in corrections {
        let pair = Pair {
            token: correction.token.clone(),
            quote: correction.quote.clone(),
        };
        let number = commit.pair(&pair)?;
        let key = candle_key(number, correction.interval, correction.start_ms);
        let held = match candles.remove(&key) {
            Some(held) => Some(held),
            None => match commit.spaces().candles.get(key)? {
                Some(bytes) => Some(decode::<Candle>("candle", &bytes)?),
                None => None,
            },
        };
        let merged = match held {
            Some(mut held) => {
                held.merge(correction);
                held.revision += 1;
                held
            }
            None => correction.clone(),
        };
        corrected.insert(key, merged.clone());
        candles.insert(key, merged);
    }
    for (key, candle) in &candles {
        let value = encode("candle", candle)?;
        commit.insert(&commit.spaces().candles, key, value);
    }
    Ok(corrected.into_values().collect())
}

fn state_of(inner: &Inner, shard: u8, number: u32) -> Result<Option<StoredState>, StorageError> {
    let found = inner.spaces.states.get(state_key(shard, number))?;
    found.map(|bytes| decode("state", &bytes)).transpose()
}

fn state_key(shard: u8, number: u32) -> [u8; 5] {
    let [a, b, c, d] = number.to_be_bytes();
    [shard, a, b, c, d]
}

fn candle_key(number: u32, interval: Interval, start_ms: i64) -> CandleKey {
    let mut key = [0; CANDLE_KEY_BYTES];
    let place = Interval::ALL.iter().position(|known| *known == interval);
    let place = place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX);
    let parts = number
        .to_be_bytes()
        .into_iter()
        .chain([place])
        .chain(sortable(start_ms));
    for (slot, byte) in key.iter_mut().zip(parts) {
        *slot = byte;
    }
    key
}

fn anomaly_key(anomaly: &Anomaly) -> Vec<u8> {
    [
        &sortable(anomaly.timestamp_ms)[..],
        &anomaly.tick_id.as_bytes()[..],
    ]
    .concat()
}

fn encode<T: serde::Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, StorageError> {
    postcard::to_stdvec(value).map_err(|error| StorageError::corrupt(what, error))
}

fn decode<T: serde::de::DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, StorageError> {
    postcard::from_bytes(bytes).map_err(|error| StorageError::corrupt(what, error))
}
