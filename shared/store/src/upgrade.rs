//! Upgrades folders of earlier builds when the store is opened, layout by layout. Each step ends with a commit
//! that records its layout, so a step that was interrupted is repeated.
//!
//! Layout 3 had ids of version 1.0: the upgrade to layout 4 records from which event time on ticks get
//! the ids of version 1.1, after the last stored tick. So an event that is delivered again gets the id
//! with which it is stored. Its values (ticks, candles, states) stay as they are; each says which layout
//! it has.
//!
//! Layout 4 had keys without days, and pairs by number. The upgrade to layout 5 writes all rows again, sorted
//! by day; it needs room for them.
//!
//! Layout 5 had candles without venues, and anomalies of version 1. Layout 6 reads them as they are; its number is only for
//! earlier builds, which cannot read what it writes.

use std::collections::{BTreeSet, HashMap};

use domain::Pair;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use crate::error::StorageError;
use crate::keys::day::{self, Day};
use crate::keys::event_day::{Kind, event_key, rows_key};
use crate::keys::outbox_entry::Entry;
use crate::keys::pair::PairRow;
use crate::keys::stream_block::SHARDS;
use crate::keys::{self, analysis_state, arrival_stamped, candle, meta, pair, tick};
use crate::keyspaces::Keyspaces;

/// The layout of keys and values.
pub(crate) const LAYOUT: u32 = 6;

/// The layouts that are upgraded.
const LAYOUT_3: u32 = 3;
const LAYOUT_4: u32 = 4;
const LAYOUT_5: u32 = 5;

/// Keyspaces of layout 4.
const TICKS: &str = "ticks";
const PAIRS: &str = "pairs";
const CANDLES: &str = "candles";
const ANOMALIES: &str = "anomalies";
const ARRIVALS: &str = "clocked";

/// In layout 4, the latest ticks between closing the store and the next start.
const LATEST: &str = "latest";

/// Rows written per batch.
const ROWS_PER_BATCH: usize = 5_000;

/// Upgrades the folder to [`LAYOUT`], or initializes a new folder with it.
pub(crate) fn upgrade(db: &Database, spaces: &Keyspaces) -> Result<(), StorageError> {
    match spaces.meta.get(meta::LAYOUT)? {
        None => spaces.meta.insert(meta::LAYOUT, LAYOUT.to_be_bytes())?,
        Some(bytes) => {
            let found = bytes
                .first_chunk::<4>()
                .map_or(0, |bytes| u32::from_be_bytes(*bytes));
            match found {
                LAYOUT => {}
                LAYOUT_5 => spaces.meta.insert(meta::LAYOUT, LAYOUT.to_be_bytes())?,
                LAYOUT_4 => from_layout_4(db, spaces)?,
                LAYOUT_3 => {
                    from_layout_3(db, spaces)?;
                    from_layout_4(db, spaces)?;
                }
                _ => {
                    return Err(StorageError::Layout {
                        found,
                        expected: LAYOUT,
                    });
                }
            }
        }
    }
    for name in [TICKS, PAIRS, CANDLES, ANOMALIES, ARRIVALS] {
        if db.keyspace_exists(name) {
            db.delete_keyspace(before(db, name)?)?;
        }
    }
    Ok(())
}

/// Refuses a folder with another layout than [`LAYOUT`], and writes nothing.
pub(crate) fn check_layout(db: &Database) -> Result<(), StorageError> {
    let found = if db.keyspace_exists(meta::KEYSPACE) {
        let meta = before(db, meta::KEYSPACE)?;
        meta.get(meta::LAYOUT)?
    } else {
        None
    };
    let found = found.as_deref().and_then(<[u8]>::first_chunk::<4>);
    let found = found.map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let expected = LAYOUT;
    match found {
        LAYOUT => Ok(()),
        0..LAYOUT => Err(StorageError::NotUpgraded { found, expected }),
        _ => Err(StorageError::Layout { found, expected }),
    }
}

/// From which event time on ticks get the ids of version 1.1, in epoch milliseconds.
pub(crate) fn new_ids_from_ms(spaces: &Keyspaces) -> Result<i64, StorageError> {
    let found = spaces.meta.get(meta::NEW_IDS_FROM)?;
    let bytes = found.as_deref().and_then(<[u8]>::first_chunk::<8>);
    Ok(bytes.map_or(0, |bytes| i64::from_be_bytes(*bytes)))
}

/// A keyspace of an earlier layout.
fn before(db: &Database, name: &str) -> Result<Keyspace, StorageError> {
    Ok(db.keyspace(name, KeyspaceCreateOptions::default)?)
}

/// Records from which event time on ticks get the ids of version 1.1.
fn from_layout_3(db: &Database, spaces: &Keyspaces) -> Result<(), StorageError> {
    let (ticks, pairs) = (before(db, TICKS)?, before(db, PAIRS)?);
    let mut newest_ms = None;
    for guard in pairs.iter() {
        let number = guard.key()?;
        if let Some(guard) = ticks.prefix(&number).next_back() {
            let tick = tick::decode(&guard.value()?)?;
            newest_ms = newest_ms.max(Some(tick.timestamp_ms));
        }
    }
    let from_ms = newest_ms.map_or(0, |newest_ms| newest_ms.saturating_add(1));
    let mut batch = db.batch().durability(Some(PersistMode::SyncData));
    batch.insert(&spaces.meta, meta::NEW_IDS_FROM, from_ms.to_be_bytes());
    batch.insert(&spaces.meta, meta::LAYOUT, LAYOUT_4.to_be_bytes());
    batch.commit()?;
    tracing::info!(
        new_ids_from_ms = from_ms,
        "the data folder was upgraded from layout {LAYOUT_3} to {LAYOUT_4}"
    );
    Ok(())
}

/// Writes rows in batches.
struct Rows<'a> {
    db: &'a Database,
    spaces: &'a Keyspaces,
    batch: OwnedWriteBatch,
    count: usize,
}

impl<'a> Rows<'a> {
    fn new(db: &'a Database, spaces: &'a Keyspaces) -> Self {
        let batch = db.batch();
        Self {
            db,
            spaces,
            batch,
            count: 0,
        }
    }

    fn insert(&mut self, space: &Keyspace, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.batch.insert(space, key, value);
        self.count += 1;
        if self.count >= ROWS_PER_BATCH {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StorageError> {
        let batch = std::mem::replace(&mut self.batch, self.db.batch());
        self.count = 0;
        batch.commit()?;
        self.spaces.rotate_full()
    }
}

/// What the ticks of layout 4 say about days.
#[derive(Default)]
struct Seen {
    /// The first and last day of each pair.
    pairs: HashMap<u32, (Day, Day)>,
    events: BTreeSet<(Day, Day)>,
    rows: HashMap<Day, u64>,
}

fn from_layout_4(db: &Database, spaces: &Keyspaces) -> Result<(), StorageError> {
    tracing::info!(
        "upgrading the data folder from layout {LAYOUT_4} to {LAYOUT}: all rows are written again"
    );
    let mut rows = Rows::new(db, spaces);
    let seen = copy_ticks(&before(db, TICKS)?, &mut rows)?;
    let last_day = seen.rows.keys().max().copied().unwrap_or_default();
    copy_dated(db, &mut rows, last_day)?;
    let live = copy_pairs(&before(db, PAIRS)?, &seen, &mut rows)?;
    for (day, event_day) in &seen.events {
        rows.insert(&spaces.days, &event_key(Kind::Ticks, *day, *event_day), &[])?;
    }
    for (day, count) in &seen.rows {
        let key = rows_key(Kind::Ticks, *day);
        rows.insert(&spaces.days, &key, &count.to_be_bytes())?;
    }
    rows.write()?;

    let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
    for (number, entry) in outbox_entries(&spaces.outbox, &before(db, TICKS)?)? {
        batch.insert(&spaces.outbox, number, entry.encode());
    }
    batch.insert(&spaces.meta, meta::PAIRS_LIVE, live.to_be_bytes());
    batch.remove(&spaces.meta, LATEST);
    batch.insert(&spaces.meta, meta::LAYOUT, LAYOUT.to_be_bytes());
    batch.commit()?;
    tracing::info!("the data folder was upgraded from layout {LAYOUT_4} to {LAYOUT}");
    Ok(())
}

fn copy_ticks(ticks: &Keyspace, rows: &mut Rows<'_>) -> Result<Seen, StorageError> {
    let spaces = rows.spaces;
    let mut seen = Seen::default();
    for guard in ticks.iter() {
        let (key, value) = guard.into_inner()?;
        let identity = identity_of(&key)?;
        let tick = tick::decode(&value)?;
        let day = day::of(tick.ingested_at_ms);
        let [a, b, c, d, ..] = identity;
        let days = seen.pairs.entry(u32::from_be_bytes([a, b, c, d]));
        let (first, last) = days.or_insert((day, day));
        (*first, *last) = ((*first).min(day), (*last).max(day));
        seen.events.insert((day, day::of(tick.timestamp_ms)));
        *seen.rows.entry(day).or_default() += 1;
        rows.insert(&spaces.ticks, &tick::key(day, &identity), &value)?;
    }
    Ok(seen)
}

/// Copies candles and anomalies, as if they were written on the last day, and ids of arrival-stamped ticks.
fn copy_dated(db: &Database, rows: &mut Rows<'_>, last_day: Day) -> Result<(), StorageError> {
    let spaces = rows.spaces;
    let mut events = BTreeSet::new();
    for guard in before(db, CANDLES)?.iter() {
        let (key, value) = guard.into_inner()?;
        events.insert(day::of(candle::decode(&value)?.start_ms));
        let key = [last_day.to_be_bytes().as_slice(), &key].concat();
        rows.insert(&spaces.candles, &key, &value)?;
    }
    for event_day in events {
        let key = event_key(Kind::Candles, last_day, event_day);
        rows.insert(&spaces.days, &key, &[])?;
    }
    for guard in before(db, ANOMALIES)?.iter() {
        let (key, value) = guard.into_inner()?;
        let key = [last_day.to_be_bytes().as_slice(), &key].concat();
        rows.insert(&spaces.anomalies, &key, &value)?;
    }
    for guard in before(db, ARRIVALS)?.iter() {
        let (id, at) = guard.into_inner()?;
        let corrupt = || StorageError::corrupt("arrival", "its key or value has another length");
        let id = id.first_chunk().ok_or_else(corrupt)?;
        let at_ms = i64::from_be_bytes(*at.first_chunk().ok_or_else(corrupt)?);
        rows.insert(
            &spaces.arrival_stamped,
            &arrival_stamped::key(day::of(at_ms), id),
            &[],
        )?;
    }
    Ok(())
}

/// Copies the pairs that have ticks, and removes the states of the others; returns how many have.
fn copy_pairs(pairs: &Keyspace, seen: &Seen, rows: &mut Rows<'_>) -> Result<u64, StorageError> {
    let spaces = rows.spaces;
    let mut live = 0;
    for guard in pairs.iter() {
        let (key, value) = guard.into_inner()?;
        let corrupt = || StorageError::corrupt("pair", "its key has another length");
        let number = u32::from_be_bytes(*key.first_chunk().ok_or_else(corrupt)?);
        let pair: Pair = keys::decode("pair", &value)?;
        let Some((first_day, last_day)) = seen.pairs.get(&number).copied() else {
            for shard in 0..SHARDS {
                spaces.states.remove(analysis_state::key(shard, number))?;
            }
            continue;
        };
        let row = PairRow {
            number,
            first_day,
            last_day,
        };
        rows.insert(&spaces.pairs, &pair::key(&pair), &pair::encode(&row)?)?;
        live += 1;
    }
    Ok(live)
}

/// An outbox entry's number, as in its key, and the entry.
type NumberedEntry = (Vec<u8>, Entry);

/// The outbox entries, without ticks that expired. There are few: those of the last deliveries before a crash.
fn outbox_entries(outbox: &Keyspace, ticks: &Keyspace) -> Result<Vec<NumberedEntry>, StorageError> {
    let corrupt = || StorageError::corrupt("outbox entry", "it ends inside a key");
    let mut entries = Vec::new();
    for guard in outbox.iter() {
        let (number, value) = guard.into_inner()?;
        let (streamed, identities) = value.split_first_chunk::<8>().ok_or_else(corrupt)?;
        let (identities, []) = identities.as_chunks() else {
            return Err(corrupt());
        };
        let mut entry = Entry {
            streamed: u64::from_be_bytes(*streamed),
            keys: Vec::with_capacity(identities.len()),
        };
        for identity in identities {
            if let Some(value) = ticks.get(identity)? {
                let day = day::of(tick::decode(&value)?.ingested_at_ms);
                entry.keys.push(tick::key(day, identity));
            }
        }
        entries.push((number.to_vec(), entry));
    }
    Ok(entries)
}

fn identity_of(key: &[u8]) -> Result<tick::Identity, StorageError> {
    let corrupt = |_| StorageError::corrupt("tick", "its key has another length");
    key.try_into().map_err(corrupt)
}

#[cfg(test)]
mod tests;
