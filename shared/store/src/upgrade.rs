//! Upgrades folders of earlier builds when the store is opened, layout by layout; each step is a single
//! commit, so a crash leaves one layout or the other.
//!
//! Layout 3 had ids of version 1.0: the upgrade to layout 4 records from which event time on ticks get
//! the ids of version 1.1, after the last stored tick. So an event that is delivered again gets the id
//! with which it is stored. Its values (ticks, candles, states) stay as they are; each says which layout
//! it has.
//!
//! Layout 2 had durable queues for redrive and broadcast, and its outbox entries (in the keyspace
//! `pending`) did not say which of their ticks are in the stream. The upgrade appends the redrive queue to
//! the stream, compares each outbox entry with the stream, and drops the broadcast queue.

use std::collections::{HashMap, HashSet};

use app::ledger::LedgerEntry;
use domain::RolloutChange;
use domain::{Pair, Tick};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::keys::outbox_entry::Entry;
use crate::keys::stream_block::{self, Block, EncodedTicks, SHARDS, shard_of};
use crate::keys::tick::TickKey;
use crate::keys::{self, meta, number_of, pair, tick};
use crate::keyspaces::Keyspaces;
use crate::state::State;

/// The layout of keys and values.
pub(crate) const LAYOUT: u32 = 4;

/// The layouts that are upgraded.
const LAYOUT_2: u32 = 2;
const LAYOUT_3: u32 = 3;

const PENDING: &str = "pending";
const BROADCAST: &str = "broadcast";
const REDRIVE: &str = "redrive";

/// The redrive queue's index in `StateBefore::taken`.
const REDRIVE_INDEX: usize = 1;

#[derive(Serialize, Deserialize)]
struct StateBefore {
    heads: [u64; SHARDS as usize],
    queued: [u64; 2],
    taken: [u64; 2],
    notes: u64,
    pairs: u32,
    stored_rows: u64,
    pending_rows: u64,
    quarantined: u64,
    rollouts: u64,
    rollout: Option<RolloutChange>,
    settled: LedgerEntry,
    analysed_late: u64,
    analysed_too_late: u64,
    analysed_duplicates: u64,
    expired_rows: u64,
}

/// An outbox entry of layout 2.
#[derive(Serialize, Deserialize)]
struct EntryBefore {
    created_ms: i64,
    /// The last sequence numbers before its ticks could have been appended.
    heads: [u64; SHARDS as usize],
    /// The keys of its ticks; a key ends with the tick's id.
    keys: Vec<Vec<u8>>,
}

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
                LAYOUT_3 => from_layout_3(db, spaces)?,
                LAYOUT_2 => {
                    from_layout_2(db, spaces)?;
                    from_layout_3(db, spaces)?;
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
    for name in [PENDING, BROADCAST, REDRIVE] {
        if db.keyspace_exists(name) {
            db.delete_keyspace(db.keyspace(name, KeyspaceCreateOptions::default)?)?;
        }
    }
    Ok(())
}

/// Records from which event time on ticks get the ids of version 1.1.
fn from_layout_3(db: &Database, spaces: &Keyspaces) -> Result<(), StorageError> {
    let mut newest_ms = None;
    for guard in spaces.pairs.iter() {
        let number = guard.key()?;
        if let Some(guard) = spaces.ticks.prefix(&number).next_back() {
            let tick = tick::decode(&guard.value()?)?;
            newest_ms = newest_ms.max(Some(tick.timestamp_ms));
        }
    }
    let from_ms = newest_ms.map_or(0, |newest_ms| newest_ms.saturating_add(1));
    let mut batch = db.batch().durability(Some(PersistMode::SyncData));
    batch.insert(&spaces.meta, meta::NEW_IDS_FROM, from_ms.to_be_bytes());
    batch.insert(&spaces.meta, meta::LAYOUT, LAYOUT.to_be_bytes());
    batch.commit()?;
    tracing::info!(
        new_ids_from_ms = from_ms,
        "the data folder was upgraded from layout {LAYOUT_3} to {LAYOUT}"
    );
    Ok(())
}

/// From which event time on ticks get the ids of version 1.1, in epoch milliseconds.
pub(crate) fn new_ids_from_ms(spaces: &Keyspaces) -> Result<i64, StorageError> {
    let found = spaces.meta.get(meta::NEW_IDS_FROM)?;
    let bytes = found.as_deref().and_then(<[u8]>::first_chunk::<8>);
    Ok(bytes.map_or(0, |bytes| i64::from_be_bytes(*bytes)))
}

fn from_layout_2(db: &Database, spaces: &Keyspaces) -> Result<(), StorageError> {
    let before: StateBefore = match spaces.meta.get(meta::STATE)? {
        Some(bytes) => keys::decode("state", &bytes)?,
        // It was opened but never written to.
        None => return Ok(spaces.meta.insert(meta::LAYOUT, LAYOUT_3.to_be_bytes())?),
    };
    let mut batch = db.batch().durability(Some(PersistMode::SyncData));
    let mut waiting = waiting(&db.keyspace(REDRIVE, Default::default)?, &before)?;
    let entries = outbox_entries(
        spaces,
        &db.keyspace(PENDING, Default::default)?,
        &mut waiting,
    )?;
    let outbox_entries = entries.len();
    for (number, entry) in entries {
        batch.insert(&spaces.outbox, number.to_be_bytes(), entry.encode());
    }
    let redriven = waiting.len();
    let mut end_offsets = before.heads;
    for ((shard, end), space) in (0_u8..).zip(&mut end_offsets).zip(&spaces.stream) {
        let ticks: Vec<&Tick> = waiting
            .iter()
            .filter(|tick| shard_of(&tick.token) == shard)
            .collect();
        let mut block = Block::default();
        block.push(&EncodedTicks::of(&ticks));
        if block.ticks() > 0 {
            let first = *end + 1;
            *end += block.ticks();
            batch.insert(space, first.to_be_bytes(), block.take());
        }
    }
    let state = State {
        end_offsets,
        outbox_entries: before.notes,
        pairs: before.pairs,
        stored_rows: before.stored_rows,
        pending_rows: before.pending_rows,
        quarantined: before.quarantined,
        rollouts: before.rollouts,
        rollout: before.rollout,
        committed: before.settled,
        analysed_late: before.analysed_late,
        analysed_too_late: before.analysed_too_late,
        analysed_duplicates: before.analysed_duplicates,
        expired_rows: before.expired_rows,
    };
    batch.insert(&spaces.meta, meta::STATE, keys::encode("state", &state)?);
    batch.insert(&spaces.meta, meta::LAYOUT, LAYOUT_3.to_be_bytes());
    batch.commit()?;
    tracing::info!(
        outbox_entries,
        redriven,
        "the data folder was upgraded from layout {LAYOUT_2} to {LAYOUT_3}"
    );
    Ok(())
}

/// The outbox entries with the ticks that are missing in the stream, after the `waiting` ticks of the
/// redrive queue are appended to it. Waiting ticks that the stream has already are removed. All are read
/// at once, since a killed process only leaves those of its last deliveries.
fn outbox_entries(
    spaces: &Keyspaces,
    pending: &Keyspace,
    waiting: &mut Vec<Tick>,
) -> Result<Vec<(u64, Entry)>, StorageError> {
    let mut entries = Vec::new();
    let mut from = [u64::MAX; SHARDS as usize];
    for guard in pending.iter() {
        let (key, value) = guard.into_inner()?;
        let before: EntryBefore = keys::decode("outbox entry", &value)?;
        for (lowest, end) in from.iter_mut().zip(before.heads) {
            *lowest = end.min(*lowest);
        }
        let tick_key = |key: &Vec<u8>| {
            let key = key.as_slice().try_into();
            key.map_err(|_| StorageError::corrupt("outbox entry", "a key has another length"))
        };
        let keys = before.keys.iter().map(tick_key);
        let entry = Entry {
            streamed: 0,
            keys: keys.collect::<Result<_, _>>()?,
        };
        entries.push((number_of(&key)?, entry));
    }
    if !waiting.is_empty() {
        // How long they have waited is not known.
        from = [0; SHARDS as usize];
    }
    let mut numbers = HashMap::new();
    for (number, guard) in (0_u32..).zip(spaces.pairs.iter()) {
        numbers.insert(pair::decode(&guard.value()?)?, number);
    }
    // A tick of a pair that is not known is not stored, so no entry has it.
    let key = |tick: &Tick| {
        let number = numbers.get(&Pair::of(tick)).copied().unwrap_or(u32::MAX);
        tick::key(number, tick.timestamp_ms, tick.tick_id.as_bytes())
    };
    let wanted: HashSet<TickKey> = entries
        .iter()
        .flat_map(|(_, entry)| entry.keys.iter().copied())
        .chain(waiting.iter().map(key))
        .collect();
    if wanted.is_empty() {
        return Ok(entries);
    }
    let mut streamed = HashSet::new();
    for (space, after) in spaces.stream.iter().zip(from) {
        // The block with the next record begins at or before it.
        let next = after.saturating_add(1).to_be_bytes();
        let first = match space.range(..=next).next_back() {
            Some(guard) => guard.key()?.to_vec(),
            None => next.to_vec(),
        };
        for guard in space.range(first..) {
            let ticks = stream_block::read(&guard.value()?)?;
            streamed.extend(ticks.iter().map(key).filter(|key| wanted.contains(key)));
        }
    }
    // Each waiting tick once, and only if the stream lacks it.
    waiting.retain(|tick| streamed.insert(key(tick)));
    for (_, entry) in &mut entries {
        entry.mark_streamed(&streamed);
    }
    Ok(entries)
}

/// The ticks in the redrive queue.
fn waiting(redrive: &Keyspace, before: &StateBefore) -> Result<Vec<Tick>, StorageError> {
    let taken = before.taken.get(REDRIVE_INDEX).copied().unwrap_or_default();
    let mut waiting = Vec::new();
    for guard in redrive.range((taken + 1).to_be_bytes()..) {
        waiting.extend(stream_block::read(&guard.value()?)?);
    }
    Ok(waiting)
}

#[cfg(test)]
mod tests {
    use app::ports::{Outbox as _, OutboxId, TickStore as _, TickStream as _};
    use tempfile::TempDir;
    use testkit::ticks::{in_cohort, tick, ticks};

    use super::*;
    use crate::embedded::{EmbeddedConfig, EmbeddedStore};

    fn open(folder: &TempDir) -> EmbeddedStore {
        EmbeddedStore::open(&EmbeddedConfig::new(folder.path().to_owned())).unwrap()
    }

    /// Rewrites a folder to layout 2, with `redriven` in the redrive queue.
    fn to_layout_before(folder: &TempDir, redriven: &[Tick]) {
        let db = Database::builder(folder.path()).open().unwrap();
        let spaces = Keyspaces::open(&db, crate::keyspaces::Memtables::default()).unwrap();
        let pending = db.keyspace(PENDING, Default::default).unwrap();
        for guard in spaces.outbox.iter() {
            let (number, value) = guard.into_inner().unwrap();
            let keys = Entry::decode(&value).unwrap().keys;
            let before = EntryBefore {
                created_ms: 7,
                heads: [0; SHARDS as usize],
                keys: keys.iter().map(|key| key.to_vec()).collect(),
            };
            let value = keys::encode("outbox entry", &before).unwrap();
            pending.insert(number, value).unwrap();
        }
        db.delete_keyspace(spaces.outbox.clone()).unwrap();
        // The first five ticks of each queue were already consumed.
        for (name, ticks) in [(BROADCAST, redriven), (REDRIVE, redriven)] {
            let mut block = Block::default();
            block.push(&EncodedTicks::of(ticks));
            let queue = db.keyspace(name, Default::default).unwrap();
            queue.insert(6_u64.to_be_bytes(), block.take()).unwrap();
        }
        let waiting = 5 + redriven.len() as u64;
        let state = spaces.meta.get(meta::STATE).unwrap().unwrap();
        let state: State = keys::decode("state", &state).unwrap();
        let before = StateBefore {
            heads: state.end_offsets,
            queued: [waiting; 2],
            taken: [5; 2],
            notes: state.outbox_entries,
            pairs: state.pairs,
            stored_rows: state.stored_rows,
            pending_rows: state.pending_rows,
            quarantined: state.quarantined,
            rollouts: state.rollouts,
            rollout: state.rollout,
            settled: state.committed,
            analysed_late: 1,
            analysed_too_late: 2,
            analysed_duplicates: 3,
            expired_rows: 4,
        };
        let before = keys::encode("state", &before).unwrap();
        spaces.meta.insert(meta::STATE, before).unwrap();
        let layout = LAYOUT_2.to_be_bytes();
        spaces.meta.insert(meta::LAYOUT, layout).unwrap();
        db.persist(PersistMode::SyncAll).unwrap();
    }

    async fn streamed(store: &EmbeddedStore) -> Vec<Tick> {
        let mut all = Vec::new();
        for shard in 0..SHARDS {
            let records = store.read_stream(shard, Default::default(), usize::MAX);
            all.extend(records.await.unwrap().into_iter().map(|record| record.tick));
        }
        all
    }

    #[tokio::test]
    async fn upgrading_a_folder_neither_loses_nor_duplicates_ticks() {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        let (half, whole, redriven) = (
            ticks(&["BTC", "ETH"], 10),
            ticks(&["SOL"], 5),
            ticks(&["JUP", "WIF"], 3),
        );
        for made in [&half, &whole] {
            store.put(&in_cohort(made)).await.unwrap();
        }
        // Without its id, like the previous build, so the entry does not say that they were appended.
        let appended: Vec<&Tick> = half.iter().take(7).chain(&whole).collect();
        store.append(&appended, None).await.unwrap();
        store.close();
        // A crash left two more in the queue: one that the stream has, and one that an entry names, too.
        let queued: Vec<Tick> = redriven
            .iter()
            .chain([&half[0], &half[7]])
            .cloned()
            .collect();
        to_layout_before(&folder, &queued);

        let store = open(&folder);
        let entries = store.released(None).await.unwrap();
        let seen: Vec<_> = entries
            .iter()
            .map(|entry| (entry.id, entry.streamed, entry.ticks.len()))
            .collect();
        let missing = half.len() - 8;
        assert_eq!(seen, [(OutboxId(1), 8, missing), (OutboxId(2), 5, 0)]);
        let counters = store.analysis_counters();
        assert_eq!((counters.late, counters.too_late), (1, 2));
        let mut expected: Vec<_> = half.iter().take(8).chain(&whole).chain(&redriven).collect();
        let found = streamed(&store).await;
        let mut found: Vec<_> = found.iter().collect();
        for ticks in [&mut expected, &mut found] {
            ticks.sort_by_key(|tick| tick.tick_id);
        }
        assert_eq!(
            found, expected,
            "the redrive queue was appended to the stream"
        );
        // It continues from there.
        let more = tick("BTC", 500);
        let id = store.put(&in_cohort([&more])).await.unwrap().outbox_id;
        assert_eq!(id, Some(OutboxId(3)));
        store.append(&[&more], id).await.unwrap();
        let ledger = store.committed_ledger().await.unwrap();
        assert_eq!(ledger.stored_rows, half.len() as u64 + 5 + 1);
        store.close();

        let db = Database::builder(folder.path()).open().unwrap();
        for name in [PENDING, BROADCAST, REDRIVE] {
            assert!(!db.keyspace_exists(name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_folder_with_an_unknown_layout_is_not_opened() {
        let folder = TempDir::new().unwrap();
        open(&folder).close();
        let db = Database::builder(folder.path()).open().unwrap();
        let spaces = Keyspaces::open(&db, crate::keyspaces::Memtables::default()).unwrap();
        let later = (LAYOUT + 1).to_be_bytes();
        spaces.meta.insert(meta::LAYOUT, later).unwrap();
        drop((spaces, db));
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let error = EmbeddedStore::open(&config).err().unwrap();
        assert!(error.to_string().contains("layout 4"), "{error}");
    }
}
