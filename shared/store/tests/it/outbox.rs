//! Outbox entries, from the commit that stores their ticks to the one that counts them.

use app::ledger::LedgerEntry;
use app::ports::{LedgerWriter, Outbox, OutboxEntry, OutboxId, TickStore, TickStream};
use domain::Tick;
use store::EmbeddedStore;
use tempfile::TempDir;
use testkit::ticks::{in_cohort, ticks};

use crate::{open, refs};

async fn put(store: &EmbeddedStore, ticks: &[Tick]) -> Option<OutboxId> {
    store.put(&in_cohort(ticks)).await.unwrap().outbox_id
}

#[tokio::test]
async fn after_a_crash_an_entry_says_which_of_its_ticks_are_in_the_stream() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let (committed, half) = (ticks(&["BTC"], 4), ticks(&["ETH"], 4));
    let id = put(&store, &committed).await;
    store.append(&refs(&committed), id).await.unwrap();
    let entry = LedgerEntry {
        received: 4,
        stored: 4,
        in_cohort: 4,
        streamed: 4,
        ..LedgerEntry::default()
    };
    store.commit(id, entry.clone()).await.unwrap();
    let id = put(&store, &half).await;
    store.append(&refs(&half[1..3]), id).await.unwrap();
    let ledger = store.committed_ledger().await.unwrap();
    assert_eq!(ledger.pending_rows, 4);
    assert_eq!(ledger.difference(), 0, "pending rows are accounted for");
    drop(store);

    let store = open(&folder);
    let released = store.released(None).await.unwrap();
    let [left] = released.as_slice() else {
        panic!("{released:?}")
    };
    assert_eq!((Some(left.id), left.streamed), (id, 2));
    let decided = [0, 3].map(|at| (half[at].clone(), Some(true)));
    assert_eq!(left.ticks, decided, "the decision is kept with each tick");
    assert_eq!(store.released(id).await.unwrap(), []);
    store.append(&[&half[0], &half[3]], id).await.unwrap();
    let [ref left] = store.released(None).await.unwrap()[..] else {
        panic!("it is not committed yet")
    };
    assert_eq!((left.streamed, left.ticks.len()), (4, 0));
    store.commit(id, entry.clone()).await.unwrap();
    store.commit(id, entry).await.unwrap();
    let ledger = store.committed_ledger().await.unwrap();
    assert_eq!(ledger.committed.received, 8, "an entry is counted once");
    assert_eq!((ledger.pending_rows, ledger.difference()), (0, 0));
    assert_eq!(store.released(None).await.unwrap(), []);
}

#[tokio::test]
async fn an_entry_is_not_drained_until_its_delivery_releases_it() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let first = put(&store, &ticks(&["BTC"], 3)).await.unwrap();
    let second = put(&store, &ticks(&["ETH"], 3)).await.unwrap();
    assert_eq!(
        store.released(None).await.unwrap(),
        [],
        "both deliveries are in progress"
    );
    store.release(second);
    let ids = async || -> Vec<_> {
        let entries = store.released(None).await.unwrap();
        entries.iter().map(|entry| entry.id).collect()
    };
    assert_eq!(ids().await, [second]);
    store.release(first);
    assert_eq!(ids().await, [first, second], "oldest first");
    store
        .commit(Some(second), LedgerEntry::default())
        .await
        .unwrap();
    assert_eq!(ids().await, [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_read_in_parts_each_once() {
    // More ticks than fit into one read; some of an earlier process, some of this one.
    const ENTRIES: u32 = 160;
    let folder = TempDir::new().unwrap();
    let made: Vec<Vec<Tick>> = (0..ENTRIES)
        .map(|entry| ticks(&[&format!("TOKEN{entry}")], 100))
        .collect();
    let (earlier, own) = made.split_at(100);
    let store = open(&folder);
    for ticks in earlier {
        put(&store, ticks).await;
    }
    drop(store);

    let store = open(&folder);
    for ticks in own {
        store.release(put(&store, ticks).await.unwrap());
    }
    let (mut after, mut parts, mut seen) = (None, 0, Vec::new());
    loop {
        let part = store.released(after).await.unwrap();
        let Some(last) = part.last() else { break };
        (after, parts) = (Some(last.id), parts + 1);
        let ticks = |entry: OutboxEntry| entry.ticks.into_iter().map(|(tick, _)| tick).collect();
        seen.extend(part.into_iter().map(ticks).collect::<Vec<Vec<_>>>());
    }
    assert!(parts > 1, "one read returned all {} entries", seen.len());
    assert_eq!(seen, made);
}
