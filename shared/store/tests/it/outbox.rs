//! Notes of what is stored and not yet offered.

use app::ledger::LedgerEntry;
use app::ports::{InStream, LedgerWriter, Outbox, TickStore, TickStream};
use domain::Tick;
use tempfile::TempDir;
use testkit::ticks::ticks;

use crate::{open, refs};

#[tokio::test]
async fn what_a_crash_left_is_found_with_what_the_stream_has() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let (settled, half) = (ticks(&["BTC"], 4), ticks(&["ETH"], 4));
    let receipt = store.put(&refs(&settled)).await.unwrap();
    store.append(&refs(&settled)).await.unwrap();
    let entry = LedgerEntry {
        received: 4,
        stored: 4,
        in_cohort: 4,
        streamed: 4,
        ..LedgerEntry::default()
    };
    store.settle(receipt.pending, entry.clone()).await.unwrap();
    store.put(&refs(&half)).await.unwrap();
    store.append(&refs(&half[..2])).await.unwrap();
    assert_eq!(store.settled_ledger().await.unwrap().pending_rows, 4);
    assert_eq!(
        store.settled_ledger().await.unwrap().difference(),
        0,
        "pending is accounted for"
    );
    drop(store);

    let store = open(&folder);
    let pending = store.pending(None).await.unwrap();
    let [batch] = pending.as_slice() else {
        panic!("{pending:?}")
    };
    let expected: Vec<_> = half
        .iter()
        .cloned()
        .zip([InStream::Yes, InStream::Yes, InStream::No, InStream::No])
        .collect();
    assert_eq!(batch.ticks, expected);
    assert_eq!(store.pending(Some(batch.id)).await.unwrap(), []);
    store.settle(Some(batch.id), entry.clone()).await.unwrap();
    store.settle(Some(batch.id), entry).await.unwrap();
    assert_eq!(
        store.settled_ledger().await.unwrap().settled.received,
        8,
        "a note is settled once"
    );
    assert_eq!(store.settled_ledger().await.unwrap().pending_rows, 0);
    assert_eq!(store.settled_ledger().await.unwrap().difference(), 0);
}

#[tokio::test]
async fn a_delivery_under_way_keeps_its_note_until_it_ends() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let (first, second) = (ticks(&["BTC"], 3), ticks(&["ETH"], 3));
    let first = store.put(&refs(&first)).await.unwrap().pending.unwrap();
    let second = store.put(&refs(&second)).await.unwrap().pending.unwrap();
    assert_eq!(store.pending(None).await.unwrap(), [], "both are under way");
    store.leave(second);
    let ids = async || -> Vec<_> {
        let batches = store.pending(None).await.unwrap();
        batches.iter().map(|batch| batch.id).collect()
    };
    assert_eq!(ids().await, [second]);
    store.leave(first);
    assert_eq!(ids().await, [first, second], "oldest first");
    store
        .settle(Some(second), LedgerEntry::default())
        .await
        .unwrap();
    assert_eq!(ids().await, [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_walked_in_parts_and_every_tick_is_told_from_the_stream() {
    // More ticks than one answer holds; every second note is in the stream, in another order.
    const NOTES: u32 = 80;
    const TICKS: u32 = 100;
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let made: Vec<Vec<Tick>> = (0..NOTES)
        .map(|note| ticks(&[&format!("TOKEN{note}")], TICKS))
        .collect();
    for note in &made {
        store.put(&refs(note)).await.unwrap();
    }
    for note in made.iter().rev().step_by(2) {
        store.append(&refs(note)).await.unwrap();
    }
    drop(store);

    let store = open(&folder);
    let (mut after, mut parts, mut seen) = (None, 0, Vec::new());
    loop {
        let part = store.pending(after).await.unwrap();
        let Some(last) = part.last() else { break };
        (after, parts) = (Some(last.id), parts + 1);
        seen.extend(part);
    }
    assert!(parts > 1, "one answer held all {} notes", seen.len());
    assert_eq!(seen.len(), made.len());
    for (n, (batch, note)) in seen.iter().zip(&made).enumerate() {
        let expected = if n % 2 == 1 {
            InStream::Yes
        } else {
            InStream::No
        };
        let expected: Vec<_> = note.iter().map(|tick| (tick.clone(), expected)).collect();
        assert_eq!(batch.ticks, expected, "note {n}");
    }
}
