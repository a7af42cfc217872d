//! Pairs by number: a tick's key holds four bytes instead of two names.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use domain::Pair;
use domain::analytics::Latest;
use domain::{Tick, TickId, Token};

use crate::error::StorageError;
use crate::keys::stream_block::{self, Block, EncodedTicks};
use crate::keys::{meta, pair, tick};
use crate::keyspaces::Keyspaces;

#[derive(Default)]
struct Known {
    by_pair: HashMap<Pair, u32>,
    by_number: Vec<KnownPair>,
}

struct KnownPair {
    pair: Pair,
    /// The latest tick by effective time, for readers.
    latest: Option<Arc<Tick>>,
    /// The tick with the last key: no later one is stored.
    last_key: Option<Arc<Tick>>,
}

fn key_order(tick: &Tick) -> (i64, TickId) {
    (tick.timestamp_ms, tick.tick_id)
}

/// The most rows that are read to find a pair's latest tick, if ticks ahead of our clock come after it.
const LATEST_ROWS_MAX: usize = 1_000;

/// Whether a pair has a token, and a quote if one is given.
pub(crate) fn is_of(of: &Token, of_quote: &Token, token: &str, quote: Option<&str>) -> bool {
    of.as_str() == token && quote.is_none_or(|quote| of_quote.as_str() == quote)
}

/// All pairs, with the latest tick of each.
#[derive(Default)]
pub(crate) struct Pairs {
    known: RwLock<Known>,
}

impl Pairs {
    /// Reads the pairs, and the latest tick and the last key of each: those saved when the store was
    /// closed, or else from the last rows of each pair.
    pub(crate) fn open(spaces: &Keyspaces) -> Result<Self, StorageError> {
        let pairs = Self::default();
        let saved = match spaces.meta.get(meta::LATEST)? {
            Some(bytes) => Some(stream_block::read(&bytes)?),
            None => None,
        };
        // It becomes outdated with the next write.
        spaces.meta.remove(meta::LATEST)?;
        for guard in spaces.pairs.iter() {
            let number = pairs.add(pair::decode(&guard.value()?)?);
            if saved.is_some() {
                continue;
            }
            let rows = spaces.ticks.prefix(number.to_be_bytes()).rev();
            // The latest row that is not ahead of our clock, with all rows of its millisecond, since keys do
            // not have the order of ticks.
            let mut latest_ms = None;
            for guard in rows.take(LATEST_ROWS_MAX) {
                let tick = tick::decode(&guard.value()?)?;
                if latest_ms.is_some_and(|latest_ms| tick.timestamp_ms < latest_ms) {
                    break;
                }
                if tick.timestamp_ms <= tick.ingested_at_ms {
                    latest_ms = Some(tick.timestamp_ms);
                }
                pairs.renew(number, &Arc::new(tick));
            }
        }
        for tick in saved.into_iter().flatten() {
            if let Some(number) = pairs.find(&Pair::of(&tick)) {
                pairs.renew(number, &Arc::new(tick));
            }
        }
        Ok(pairs)
    }

    /// Saves the latest ticks and those with the last keys for the next start. This must be the last
    /// write.
    pub(crate) fn save_latest(&self, spaces: &Keyspaces) -> Result<(), StorageError> {
        let mut latest = self.latest();
        latest.extend(self.read(|known| {
            let others = known.by_number.iter().filter_map(|it| {
                let last = it.last_key.as_ref()?;
                let is_saved = |latest: &Arc<Tick>| Arc::ptr_eq(latest, last);
                (!it.latest.as_ref().is_some_and(is_saved)).then(|| Arc::clone(last))
            });
            others.collect::<Vec<_>>()
        }));
        let mut block = Block::default();
        block.push(&EncodedTicks::of(&latest));
        Ok(spaces.meta.insert(meta::LATEST, block.take())?)
    }

    /// The pair of a number.
    pub(crate) fn pair(&self, number: u32) -> Option<Pair> {
        self.read(|known| Some(known.by_number.get(number as usize)?.pair.clone()))
    }

    /// The number of a pair.
    pub(crate) fn find(&self, pair: &Pair) -> Option<u32> {
        self.read(|known| known.by_pair.get(pair).copied())
    }

    /// The numbers of a token's pairs; with a quote, of the one pair.
    pub(crate) fn of_token(&self, token: &str, quote: Option<&str>) -> Vec<u32> {
        self.read(|known| {
            (0..)
                .zip(&known.by_number)
                .filter(|(_, it)| is_of(&it.pair.token, &it.pair.quote, token, quote))
                .map(|(number, _)| number)
                .collect()
        })
    }

    /// Adds a pair that was just written with the next number.
    pub(crate) fn add(&self, pair: Pair) -> u32 {
        self.write(|known| {
            let number = u32::try_from(known.by_number.len()).unwrap_or(u32::MAX);
            known.by_pair.insert(pair.clone(), number);
            known.by_number.push(KnownPair {
                pair,
                latest: None,
                last_key: None,
            });
            number
        })
    }

    /// Makes a tick its pair's latest, unless a later one is known.
    pub(crate) fn renew(&self, number: u32, tick: &Arc<Tick>) {
        self.write(|known| {
            let Some(pair) = known.by_number.get_mut(number as usize) else {
                return;
            };
            let is_later = |held: &Arc<Tick>| Latest::of(held) <= Latest::of(tick);
            if pair.latest.as_ref().is_none_or(is_later) {
                pair.latest = Some(Arc::clone(tick));
            }
            let has_later_key = |held: &Arc<Tick>| key_order(held) <= key_order(tick);
            if pair.last_key.as_ref().is_none_or(has_later_key) {
                pair.last_key = Some(Arc::clone(tick));
            }
        });
    }

    /// Whether a tick is newer than all stored ticks of its pair. It is then not stored yet, which saves
    /// a lookup for most ticks.
    pub(crate) fn all_before(&self, number: u32, timestamp_ms: i64, id: TickId) -> bool {
        self.read(|known| {
            let last = known.by_number.get(number as usize);
            let last = last.and_then(|pair| pair.last_key.as_ref());
            last.is_none_or(|tick| key_order(tick) < (timestamp_ms, id))
        })
    }

    /// The latest tick of every pair that has one.
    pub(crate) fn latest(&self) -> Vec<Arc<Tick>> {
        self.read(|known| {
            known
                .by_number
                .iter()
                .filter_map(|pair| pair.latest.clone())
                .collect()
        })
    }

    /// How many pairs there are.
    pub(crate) fn len(&self) -> usize {
        self.read(|known| known.by_number.len())
    }

    fn read<R>(&self, look: impl FnOnce(&Known) -> R) -> R {
        look(
            &self
                .known
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    fn write<R>(&self, change: impl FnOnce(&mut Known) -> R) -> R {
        change(
            &mut self
                .known
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }
}
