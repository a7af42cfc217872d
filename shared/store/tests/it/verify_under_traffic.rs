//! A repair beside deliveries: what they append meanwhile is not appended a second time.

use std::sync::Arc;

use app::ports::{OutboxId, TickStore as _, TickStream as _};
use app::read_back::{Pages, ReceiptRange, StoredTick, StoredTicks, StreamedTicks, sent_by};
use archive::{ArchiveReader, Folder};
use domain::Tick;
use futures_util::StreamExt as _;
use ops::verify::{Places, Repaired, Verdict, Verify};
use store::EmbeddedStore;
use tempfile::TempDir;
use testkit::ticks::{in_cohort, ticks};
use tokio::sync::watch;

use crate::verify::{DUE_AT_ONCE, NOW_MS, Quiet, comparison, flush, request, settle, verify};
use crate::{open, refs, whole_stream};

/// Stores ticks, as the first half of a delivery does.
async fn put(store: &EmbeddedStore, ticks: &[Tick]) -> Option<OutboxId> {
    let receipt = store.put(&in_cohort(ticks)).await.unwrap();
    receipt.outbox_id
}

/// Appends them and counts them, as the second half does.
async fn append(store: &EmbeddedStore, ticks: &[Tick], outbox_id: Option<OutboxId>) {
    store.append(&refs(ticks), outbox_id).await.unwrap();
    settle(store, outbox_id).await;
}

/// A store in which a delivery is stored just before the store is read, and appended just after the stream was read.
struct Interleaved {
    store: EmbeddedStore,
    delivered: Vec<Tick>,
    /// The outbox entry of the delivery, once it is stored.
    stored: watch::Sender<Option<OutboxId>>,
}

impl StoredTicks for Interleaved {
    fn stored(&self, range: ReceiptRange) -> Pages<'_, StoredTick> {
        let (store, delivered) = (self.store.clone(), self.delivered.clone());
        let stored = self.stored.clone();
        sent_by(|sender| async move {
            stored.send_replace(put(&store, &delivered).await);
            let mut pages = store.stored(range);
            while let Some(page) = pages.next().await {
                sender.send(page).await.unwrap();
            }
            Ok(())
        })
    }
}

impl StreamedTicks for Interleaved {
    fn streamed(&self, range: ReceiptRange) -> Pages<'_, Tick> {
        let (store, delivered) = (self.store.clone(), self.delivered.clone());
        let mut stored = self.stored.subscribe();
        sent_by(|sender| async move {
            let pages: Vec<_> = store.streamed(range).collect().await;
            let outbox_id = *stored.wait_for(Option::is_some).await.unwrap();
            append(&store, &delivered, outbox_id).await;
            for page in pages {
                sender.send(page).await.unwrap();
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_tick_that_is_appended_after_the_stream_was_read_is_not_repaired() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let made = ticks(&["BTC", "ETH", "SOL"], 100);
    let (earlier, delivered) = made.split_at(200);
    let outbox_id = put(&store, earlier).await;
    append(&store, earlier, outbox_id).await;
    flush(&store, &folder).await;
    let interleaved = Interleaved {
        store: store.clone(),
        delivered: delivered.to_vec(),
        stored: watch::Sender::new(None),
    };
    let work = TempDir::new().unwrap();
    let archive = Folder::new(folder.path());
    let archive = ArchiveReader::new(Arc::new(archive), work.path().to_owned());
    let verify_once = Verify {
        places: Places {
            store: &interleaved,
            stream: &interleaved,
            archive: &archive,
            pending: Some(&store),
        },
        repair: &comparison(&store, &folder),
        due_after: DUE_AT_ONCE,
        now_ms: NOW_MS,
        temp_folder: work.path().to_owned(),
        watch: &Quiet,
    };
    let proof = verify_once.run(&request(true)).await.unwrap();
    assert_eq!(proof.repaired, Some(Repaired::default()), "{proof:?}");
    assert_eq!(
        (proof.counts.stream.missing, proof.counts.stream.overdue),
        (0, 100)
    );
    assert_eq!(whole_stream(&store).await.len(), made.len(), "each once");
}

/// Deliveries on one thread and repairs on another, until all deliveries are done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repairs_under_traffic_append_nothing_twice() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let made = ticks(&["BTC", "ETH", "SOL", "JUP"], 3_000);
    let delivering = tokio::spawn({
        let (store, made) = (store.clone(), made.clone());
        async move {
            for delivered in made.chunks(20) {
                let outbox_id = put(&store, delivered).await;
                append(&store, delivered, outbox_id).await;
            }
        }
    });
    while !delivering.is_finished() {
        let proof = verify(&store, &folder, true).await;
        assert_eq!(proof.counts.stream.missing, 0, "{proof:?}");
    }
    delivering.await.unwrap();
    assert_eq!(whole_stream(&store).await.len(), made.len(), "each once");
    flush(&store, &folder).await;
    let proof = verify(&store, &folder, false).await;
    assert_eq!(proof.verdict(), Verdict::Proven, "{proof:?}");
}
