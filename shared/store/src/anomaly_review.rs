//! What people say about anomalies: which were false alarms, and which pairs are muted. It is kept when the anomalies
//! themselves have expired.

use std::collections::{BTreeMap, BTreeSet};

use domain::analytics::Anomaly;
use domain::detection::AnomalyKind;
use domain::{Pair, TickId};
use serde::{Deserialize, Serialize};

use crate::embedded::EmbeddedStore;
use crate::error::StorageError;
use crate::keys::{anomaly, anomaly_mark, decode, encode};
use crate::shared_state::SharedState;
use crate::writer::Commit;

/// Which anomaly is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnomalyPlace {
    /// Its pair.
    pub pair: Pair,
    /// The event time of its tick, epoch milliseconds.
    pub timestamp_ms: i64,
    /// Its tick.
    pub tick_id: TickId,
}

/// Who said something about an anomaly, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidBy {
    /// A name.
    pub who: String,
    /// Epoch milliseconds.
    pub at_ms: i64,
}

/// A pair whose anomalies nobody wants to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Until when, epoch milliseconds; `None` if somebody has to end it.
    pub until_ms: Option<i64>,
    /// Who muted it.
    pub by: SaidBy,
}

/// How many anomalies of a kind there were, and how many of them people marked as false alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindReview {
    /// The kind.
    pub kind: AnomalyKind,
    /// The anomalies that are kept, and those that have expired and were marked.
    pub found: u64,
    /// Of these, the false alarms.
    pub false_alarms: u64,
}

/// What is stored of a false alarm.
#[derive(Serialize, Deserialize)]
struct FalseAlarm {
    kind: AnomalyKind,
    by: SaidBy,
}

impl EmbeddedStore {
    /// Marks an anomaly as a false alarm, or removes the mark (`None`). Returns whether there is such an anomaly.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn mark_anomaly(
        &self,
        place: AnomalyPlace,
        by: Option<SaidBy>,
    ) -> Result<bool, StorageError> {
        self.commit(move |commit: &mut Commit<'_>| {
            let Some(found) = kept(commit.inner, &place)? else {
                return Ok(false);
            };
            let key = anomaly_mark::false_alarm(place.timestamp_ms, place.tick_id, &place.pair);
            let marks = &commit.spaces().anomaly_marks;
            match by {
                Some(by) => {
                    let kind = found.detection.kind;
                    let mark = encode("mark of an anomaly", &FalseAlarm { kind, by })?;
                    commit.insert(marks, &key, mark);
                }
                None => commit.remove(marks, &key),
            }
            Ok(true)
        })
        .await
    }

    /// Mutes a pair, or ends that (`None`).
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn mute_pair(&self, pair: Pair, mute: Option<Mute>) -> Result<(), StorageError> {
        self.commit(move |commit: &mut Commit<'_>| {
            let key = anomaly_mark::muted_pair(&pair);
            let marks = &commit.spaces().anomaly_marks;
            match mute {
                Some(mute) => commit.insert(marks, &key, encode("muted pair", &(pair, mute))?),
                None => commit.remove(marks, &key),
            }
            Ok(())
        })
        .await
    }

    /// The pairs that are muted at a time, with who muted them.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn muted_pairs(&self, now_ms: i64) -> Result<Vec<(Pair, Mute)>, StorageError> {
        self.read(move |inner| {
            let mut muted = Vec::new();
            for guard in inner.spaces.anomaly_marks.prefix(anomaly_mark::MUTED_PAIRS) {
                let (pair, mute): (Pair, Mute) = decode("muted pair", &guard.value()?)?;
                if mute.until_ms.is_none_or(|until_ms| now_ms < until_ms) {
                    muted.push((pair, mute));
                }
            }
            Ok(muted)
        })
        .await
    }

    /// Who marked each of these anomalies as a false alarm.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn false_alarms(
        &self,
        anomalies: &[Anomaly],
    ) -> Result<Vec<Option<SaidBy>>, StorageError> {
        let keys: Vec<Vec<u8>> = anomalies.iter().map(mark_key).collect();
        self.read(move |inner| {
            let mark = |key: &Vec<u8>| {
                let found = inner.spaces.anomaly_marks.get(key)?;
                let decoded = found.map(|bytes| decode::<FalseAlarm>("mark of an anomaly", &bytes));
                Ok(decoded.transpose()?.map(|it| it.by))
            };
            keys.iter().map(mark).collect()
        })
        .await
    }

    /// How many anomalies of each kind there were, and how many were false alarms; by kind.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn anomaly_review(&self) -> Result<Vec<KindReview>, StorageError> {
        self.read(|inner| {
            let mut kinds: BTreeMap<AnomalyKind, [u64; 2]> = BTreeMap::new();
            let mut marked = BTreeSet::new();
            for guard in inner
                .spaces
                .anomaly_marks
                .prefix(anomaly_mark::FALSE_ALARMS)
            {
                let (key, value) = guard.into_inner()?;
                let mark: FalseAlarm = decode("mark of an anomaly", &value)?;
                let [found, false_alarms] = kinds.entry(mark.kind).or_default();
                *found += 1;
                *false_alarms += 1;
                marked.insert(key.to_vec());
            }
            for day in inner.first_day()..=inner.today() {
                for guard in inner.spaces.anomalies.prefix(day.to_be_bytes()) {
                    let anomaly = anomaly::decode(&guard.value()?)?;
                    if !marked.contains(&mark_key(&anomaly)) {
                        kinds.entry(anomaly.detection.kind).or_default()[0] += 1;
                    }
                }
            }
            let reviews = kinds
                .into_iter()
                .map(|(kind, [found, false_alarms])| KindReview {
                    kind,
                    found,
                    false_alarms,
                });
            Ok(reviews.collect())
        })
        .await
    }
}

fn mark_key(anomaly: &Anomaly) -> Vec<u8> {
    anomaly_mark::false_alarm(anomaly.timestamp_ms, anomaly.tick_id, &anomaly.pair())
}

/// The anomaly, if it is kept. It was stored on the day of its receipt or a later one.
fn kept(inner: &SharedState, place: &AnomalyPlace) -> Result<Option<Anomaly>, StorageError> {
    for day in inner.first_day()..=inner.today() {
        let key = anomaly::key_of(day, place.timestamp_ms, place.tick_id, &place.pair);
        if let Some(bytes) = inner.spaces.anomalies.get(key)? {
            return anomaly::decode(&bytes).map(Some);
        }
    }
    Ok(None)
}
