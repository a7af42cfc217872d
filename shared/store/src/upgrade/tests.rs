use app::ports::{Outbox as _, OutboxId, PutOutcome, TickStore as _};
use domain::MS_PER_DAY;
use tempfile::TempDir;
use testkit::ticks::{START_MS, in_cohort, tick, ticks};

use super::*;
use crate::TickRange;
use crate::embedded::{EmbeddedConfig, EmbeddedStore};
use crate::keyspaces::Memtables;

const EVERYTHING: TickRange = TickRange {
    from_ms: 0,
    to_ms: i64::MAX,
    limit: 10_000,
};

fn open(folder: &TempDir) -> EmbeddedStore {
    EmbeddedStore::open(&EmbeddedConfig::new(folder.path().to_owned())).unwrap()
}

/// Moves the rows of a keyspace, whose keys begin with a day, to one of layout 4.
fn without_days(db: &Database, space: &Keyspace, name: &str) {
    let before = before(db, name).unwrap();
    for guard in space.iter() {
        let (key, value) = guard.into_inner().unwrap();
        before.insert(&key[2..], value).unwrap();
    }
    db.delete_keyspace(space.clone()).unwrap();
}

/// Rewrites a folder to layout 4.
fn to_layout_4(folder: &TempDir) {
    let db = Database::builder(folder.path()).open().unwrap();
    let spaces = Keyspaces::open(&db, Memtables::default()).unwrap();
    let pairs = before(&db, PAIRS).unwrap();
    for guard in spaces.pairs.iter() {
        let (key, value) = guard.into_inner().unwrap();
        let number = pair::decode(&value).unwrap().number.to_be_bytes();
        let of_key = pair::pair_of(&key).unwrap();
        let value = keys::encode("pair", &of_key).unwrap();
        pairs.insert(number, value).unwrap();
    }
    // One whose ticks have expired.
    let expired = keys::encode("pair", &Pair::of(&tick("OLD", 1))).unwrap();
    pairs.insert(77_u32.to_be_bytes(), expired).unwrap();
    let state = analysis_state::key(0, 77);
    spaces.states.insert(state, b"a state").unwrap();
    let arrivals = before(&db, ARRIVALS).unwrap();
    for guard in spaces.arrival_stamped.iter() {
        let key = guard.key().unwrap();
        let at = START_MS.to_be_bytes();
        arrivals.insert(&key[2..], at).unwrap();
    }
    for guard in spaces.outbox.iter() {
        let (number, value) = guard.into_inner().unwrap();
        let entry = Entry::decode(&value).unwrap();
        let mut value = entry.streamed.to_be_bytes().to_vec();
        value.extend(entry.keys.iter().flat_map(tick::identity_of));
        spaces.outbox.insert(number, value).unwrap();
    }
    without_days(&db, &spaces.ticks, TICKS);
    without_days(&db, &spaces.candles, CANDLES);
    without_days(&db, &spaces.anomalies, ANOMALIES);
    for space in [&spaces.pairs, &spaces.days, &spaces.arrival_stamped] {
        db.delete_keyspace(space.clone()).unwrap();
    }
    spaces.meta.remove(meta::PAIRS_LIVE).unwrap();
    let layout = LAYOUT_4.to_be_bytes();
    spaces.meta.insert(meta::LAYOUT, layout).unwrap();
    db.persist(PersistMode::SyncAll).unwrap();
}

#[tokio::test]
async fn upgrading_a_folder_neither_loses_nor_duplicates_ticks() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let mut made = ticks(&["BTC", "ETH"], 10);
    for (tick, day) in made.iter_mut().zip((0..5).cycle()) {
        tick.ingested_at_ms += day * MS_PER_DAY;
    }
    store.put(&in_cohort(&made)).await.unwrap();
    let mut arrival = in_cohort([&tick("MINT", 3)]);
    arrival[0].arrival_stamped = true;
    store.put(&arrival).await.unwrap();
    let before_upgrade = store.ticks("BTC", None, EVERYTHING).await.unwrap();
    store.close();
    to_layout_4(&folder);

    let store = open(&folder);
    assert_eq!(store.pairs_live(), 3);
    assert_eq!(
        store.ticks("BTC", None, EVERYTHING).await.unwrap(),
        before_upgrade
    );
    let entries = store.released(None).await.unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.id, entry.ticks.len()))
        .collect();
    assert_eq!(seen, [(OutboxId(1), 20), (OutboxId(2), 1)]);
    let again = store.put(&in_cohort(&made)).await.unwrap();
    assert_eq!(again.outcomes, [PutOutcome::Duplicate; 20]);
    arrival[0].tick.timestamp_ms += 5;
    let again = store.put(&arrival).await.unwrap();
    assert_eq!(again.outcomes, [PutOutcome::Duplicate]);
    let new = tick("SOL", 500);
    let id = store.put(&in_cohort([&new])).await.unwrap().outbox_id;
    assert_eq!(id, Some(OutboxId(3)));
    // Retention goes by the days of receipt.
    let before_ms = START_MS + 3 * MS_PER_DAY;
    let swept = store
        .sweep(before_ms, crate::retention::StreamRetention::ALL, &[])
        .await
        .unwrap();
    assert_eq!((swept.ticks, swept.pairs), (14, 2));
    store.close();

    let db = Database::builder(folder.path()).open().unwrap();
    for name in [TICKS, PAIRS, CANDLES, ANOMALIES, ARRIVALS] {
        assert!(!db.keyspace_exists(name), "{name}");
    }
    let spaces = Keyspaces::open(&db, Memtables::default()).unwrap();
    let state = analysis_state::key(0, 77);
    assert!(!spaces.states.contains_key(state).unwrap());
}

#[tokio::test]
async fn a_folder_with_an_unknown_layout_is_not_opened() {
    for layout in [2, LAYOUT + 1] {
        let folder = TempDir::new().unwrap();
        open(&folder).close();
        let db = Database::builder(folder.path()).open().unwrap();
        let spaces = Keyspaces::open(&db, Memtables::default()).unwrap();
        let value = layout.to_be_bytes();
        spaces.meta.insert(meta::LAYOUT, value).unwrap();
        drop((spaces, db));
        let config = EmbeddedConfig::new(folder.path().to_owned());
        let error = EmbeddedStore::open(&config).err().unwrap();
        assert!(error.to_string().contains("layout 6"), "{error}");
    }
}

#[tokio::test]
async fn a_tool_neither_upgrades_a_folder_nor_opens_one_of_a_later_version() {
    let folder = TempDir::new().unwrap();
    open(&folder).close();
    let set_layout = |layout: u32| {
        let db = Database::builder(folder.path()).open().unwrap();
        let spaces = Keyspaces::open(&db, Memtables::default()).unwrap();
        spaces
            .meta
            .insert(meta::LAYOUT, layout.to_be_bytes())
            .unwrap();
    };
    let config = EmbeddedConfig::new(folder.path().to_owned());
    let refused = || EmbeddedStore::open_existing(&config).err().unwrap();
    set_layout(LAYOUT_4);
    for _ in 0..2 {
        let error = refused().to_string();
        assert!(error.contains("start tickstream with it once"), "{error}");
    }
    // One of layout 5 is read as it is, by tickstream.
    set_layout(LAYOUT_5);
    assert!(
        refused()
            .to_string()
            .contains("start tickstream with it once")
    );
    open(&folder).close();
    EmbeddedStore::open_existing(&config).unwrap().close();
    set_layout(LAYOUT + 1);
    let error = refused().to_string();
    assert!(error.contains("use the version that wrote it"), "{error}");
    set_layout(LAYOUT);
    EmbeddedStore::open_existing(&config).unwrap().close();
}
