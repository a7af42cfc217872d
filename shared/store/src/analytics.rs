//! States, candles and anomalies of the analysis.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use app::ports::{AnalysisCommit, AnalyticsStore, PortError, SequenceNumber, StoredState};
use async_trait::async_trait;
use domain::Pair;
use domain::analytics::{Anomaly, Averages, Candle, Interval};

use crate::embedded::{Embedded, Inner};
use crate::error::StorageError;
use crate::spaces::sortable;
use crate::stream::{SHARDS, checkpoint_key};

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
        let stored = async {
            let prepared = self.read(move |inner| prepare(inner, shard, step)).await?;
            let Prepared {
                states,
                candles,
                anomalies,
                corrected,
                oddly: [late, too_late, duplicates],
            } = prepared;
            Embedded::commit(self, move |commit| {
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
                let key = checkpoint_key(CONSUMER, shard);
                commit.insert(
                    &spaces.meta,
                    key.as_bytes(),
                    last.count().to_be_bytes().to_vec(),
                );
                commit.state.analysed_late += late;
                commit.state.analysed_too_late += too_late;
                commit.state.analysed_duplicates += duplicates;
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
    /// Late, too late, duplicates.
    oddly: [u64; 3],
}

impl Embedded {
    /// Candles of a token from a start time on, before another, in the order of time; the latest
    /// where there are more than `limit`. `None` where the token is not known.
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

/// Merges and encodes a step away from the writing thread. Stored candles may be read here: a
/// pair's candles are written by the analysis of its shard only, one step after the other.
fn prepare(inner: &Inner, shard: u8, step: AnalysisCommit) -> Result<Prepared, StorageError> {
    let number_of = |pair: &Pair| {
        inner
            .pairs
            .find(pair)
            .ok_or_else(|| StorageError::corrupt("pair", pair))
    };
    let mut states = Vec::with_capacity(step.states.len());
    for change in &step.states {
        let key = state_key(shard, number_of(&change.pair)?);
        states.push((key, encode("state", &change.stored)?));
    }
    let keyed = |candle: &Candle| {
        Ok::<_, StorageError>(candle_key(
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
                Some(bytes) => Some(decode::<Candle>("candle", &bytes)?),
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
        .map(|(key, candle)| Ok((*key, encode("candle", candle)?)));
    let anomalies = step.anomalies.iter();
    let anomalies = anomalies.map(|found| Ok((anomaly_key(found), encode("anomaly", found)?)));
    Ok(Prepared {
        states,
        candles: candles.collect::<Result<_, StorageError>>()?,
        anomalies: anomalies.collect::<Result<_, StorageError>>()?,
        corrected,
        oddly: [step.late, step.too_late, step.duplicates],
    })
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
