//! The write path under seeded faults: every stored tick reaches the stream, and the ledger
//! reconciles in the end.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use app::ingest::{Ingest, IngestError};
use app::live::Conflator;
use app::ports::{Clock, SequenceNumber};
use domain::Rollout;
use proptest::prelude::*;
use store::{EmbeddedConfig, EmbeddedStore, SHARDS};
use tempfile::TempDir;
use testkit::faulty::{Faults, Faulty};
use testkit::ticks::START_MS;

use crate::process::ticks_body;

struct Stopped;

impl Clock for Stopped {
    fn now_ms(&self) -> i64 {
        START_MS + 1_000_000
    }
}

const ALL: Rollout = Rollout {
    use_kinesis: true,
    percentage: domain::Percentage::FULL,
    key: domain::RolloutKey::Tick,
};

pub(crate) fn open_at(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&EmbeddedConfig::new(folder.to_owned())).unwrap()
}

pub(crate) fn ingest(store: &EmbeddedStore, faults: Faults, seed: u64) -> Ingest {
    let lost_answers = Faults {
        after: faults.after,
        ..Faults::default()
    };
    let lost_commits = Faults {
        before: faults.before,
        ..Faults::default()
    };
    Ingest {
        store: Arc::new(Faulty::new(Arc::new(store.clone()), lost_answers, seed)),
        stream: Arc::new(Faulty::new(Arc::new(store.clone()), faults, seed + 1)),
        broadcast: Arc::new(Faulty::new(
            Arc::new(Conflator::default()),
            faults,
            seed + 2,
        )),
        redrive: None,
        quarantine: Arc::new(store.clone()),
        ledger: Arc::new(Faulty::new(Arc::new(store.clone()), lost_commits, seed + 4)),
        flag: Arc::new(store.flag(ALL)),
        clock: Arc::new(Stopped),
        new_ids_from_ms: 0,
        settings: Arc::default(),
        recent_offers: Arc::default(),
    }
}

/// Delivers with faults and restarts, like a sender that retries until it gets a 200.
async fn run(faults: Faults, seed: u64) {
    let folder = TempDir::new().unwrap();
    let source = sources::find("ticks").unwrap();
    let deliveries: Vec<_> = (0..12)
        .map(|n| ticks_body(&format!("TOKEN{n}"), 40))
        .collect();
    for (n, body) in (0..).zip(&deliveries) {
        // The store is reopened for each delivery, as after a crash.
        let store = open_at(folder.path());
        let faulty = ingest(&store, faults, seed * 100 + n);
        for _ in 0..50 {
            match faulty.deliver(source, body.as_bytes()).await {
                Ok(_) => break,
                Err(IngestError::NotStored(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let store = open_at(folder.path());
    let sound = ingest(&store, Faults::default(), seed);
    sound.drain(&store).await.unwrap();
    let (mut streamed, mut records_read) = (HashSet::new(), 0);
    for shard in 0..SHARDS {
        let records = store
            .read_stream(shard, SequenceNumber::START, usize::MAX)
            .await
            .unwrap();
        records_read += records.len();
        streamed.extend(records.into_iter().map(|record| record.tick.tick_id));
    }
    assert_eq!(records_read, streamed.len(), "no tick is streamed twice");
    let ledger = store.committed_ledger().await.unwrap();
    assert_eq!(
        streamed.len() as u64,
        ledger.stored_rows,
        "every stored tick is in the stream"
    );
    assert_eq!(
        ledger.stored_rows, 480,
        "every delivery was stored in the end"
    );
    assert_eq!(
        (ledger.difference(), ledger.pending_rows),
        (0, 0),
        "{ledger:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn no_stored_tick_is_lost_whatever_fails(
        before in 0.0..0.6, after in 0.0..0.6, refused in 0.0..0.6, seed in 0_u64..1_000,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(run(Faults { before, after, refused }, seed));
    }
}
