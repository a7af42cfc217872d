//! The comparison of store, stream and archive on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use app::ledger::LedgerEntry;
use app::ports::{
    Clock, LedgerWriter, Outbox as _, OutboxId, PortError, PutOutcome, Refused, TickStore,
    TickStream,
};
use archive::Archive;
use async_trait::async_trait;
use domain::{Price, Tick};
use ops::stage_proof::{Prover, StageProof};
use ops::verify::{
    DueAfter, Progress, Proof, Repair, Repaired, Verdict, VerifyError, VerifyRequest, Watch,
};
use rust_decimal::Decimal;
use store::{Archiver, EmbeddedConfig, EmbeddedStore, LocalVerify, StreamRetention};
use tempfile::TempDir;
use testkit::stream_fault::StreamFault;
use testkit::ticks::{START_MS, in_cohort, tick, ticks};

use crate::{open, refs, whole_stream};

const HOUR_MS: i64 = 60 * 60 * 1_000;

/// Long after all ticks.
pub(crate) const NOW_MS: i64 = START_MS + 24 * HOUR_MS;

struct Now;

impl Clock for Now {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }
}

pub(crate) struct Quiet;

impl Watch for Quiet {
    fn progress(&self, _: Progress) {}
    fn stopped(&self) -> bool {
        false
    }
}

/// Every tick is due where it belongs.
pub(crate) const DUE_AT_ONCE: DueAfter = DueAfter {
    stored_ms: 0,
    streamed_ms: 0,
    archived_ms: 0,
};

pub(crate) fn comparison(store: &EmbeddedStore, folder: &TempDir) -> LocalVerify {
    LocalVerify::new(store.clone(), folder.path(), DUE_AT_ONCE)
}

/// Of the stream, nothing is kept that its consumers have read.
const KEEP_NONE: StreamRetention = StreamRetention {
    from_ms: NOW_MS,
    bytes_max: u64::MAX,
};

/// Completes a delivery, so that nothing waits in the outbox.
pub(crate) async fn settle(store: &EmbeddedStore, outbox_id: Option<OutboxId>) {
    let settled = LedgerWriter::commit(store, outbox_id, LedgerEntry::default());
    settled.await.unwrap();
}

/// All ticks, each of them.
pub(crate) const fn request(repair: bool) -> VerifyRequest {
    VerifyRequest {
        from_ms: START_MS,
        to_ms: NOW_MS,
        one_in: 1,
        repeats_max: 0,
        due_after: None,
        repair,
    }
}

pub(crate) async fn verify(store: &EmbeddedStore, folder: &TempDir, repair: bool) -> Proof {
    let verify = comparison(store, folder);
    let proof = verify.run(&request(repair), NOW_MS, &Quiet).await;
    proof.unwrap()
}

pub(crate) async fn flush(store: &EmbeddedStore, folder: &TempDir) {
    let archive = Arc::new(Archive::open(folder.path()).unwrap());
    let archiver = Archiver::new(store.clone(), archive, Arc::new(Now));
    archiver.flush().await.unwrap();
}

/// Ticks of which the last tenth is outside the cohort, stored, streamed except for `lost`, and archived.
async fn market(store: &EmbeddedStore, folder: &TempDir, lost: &[usize]) -> Vec<Tick> {
    let made = ticks(&["BTC", "ETH", "SOL"], 1_000);
    let mut decided = in_cohort(&made);
    decided
        .iter_mut()
        .skip(2_700)
        .for_each(|it| it.in_cohort = false);
    let receipt = store.put(&decided).await.unwrap();
    let streamed = made.iter().take(2_700).enumerate();
    let streamed: Vec<&Tick> = streamed
        .filter(|(n, _)| !lost.contains(n))
        .map(|(_, it)| it)
        .collect();
    store.append(&streamed, receipt.outbox_id).await.unwrap();
    settle(store, receipt.outbox_id).await;
    flush(store, folder).await;
    made
}

/// A process that is killed leaves ticks in the outbox: they will come to the stream, and a repair would double them.
#[tokio::test]
async fn a_repair_leaves_what_waits_in_the_outbox() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let made = ticks(&["BTC", "ETH"], 500);
    let mut decided = in_cohort(&made);
    decided[900..]
        .iter_mut()
        .for_each(|it| it.in_cohort = false);
    store.put(&decided).await.unwrap();
    store.close();
    let store = open(&folder);
    let proof = verify(&store, &folder, true).await;
    assert_eq!(proof.repaired, Some(Repaired::default()));
    assert_eq!(proof.verdict(), Verdict::Incomplete, "{proof:?}");
    let [stream, archive] = [proof.counts.stream, proof.counts.archive];
    assert_eq!((stream.overdue, stream.missing), (900, 0));
    assert_eq!((archive.overdue, archive.missing), (900, 0));
    // Nor are they appended if they came to be on their way after they had been found missing.
    let appended = Repair::append(&comparison(&store, &folder), &made).await;
    assert_eq!(appended.unwrap(), 0);

    // As the process does that is started next.
    for entry in store.released(None).await.unwrap() {
        let belongs = |(_, in_cohort): &&(Tick, Option<bool>)| *in_cohort == Some(true);
        let ticks: Vec<&Tick> = entry.ticks.iter().filter(belongs).map(|it| &it.0).collect();
        store.append(&ticks, Some(entry.id)).await.unwrap();
        settle(&store, Some(entry.id)).await;
    }
    assert_eq!(whole_stream(&store).await.len(), 900, "each once");
    flush(&store, &folder).await;
    let proof = verify(&store, &folder, true).await;
    assert_eq!(
        (proof.verdict(), proof.counts.matched),
        (Verdict::Proven, 900)
    );
}

/// What the archiver has not read yet, it will write: a repair would write it a second time.
#[tokio::test]
async fn a_repair_leaves_what_the_archiver_will_write() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    market(&store, &folder, &[]).await;
    let more = ticks(&["SOL", "JUP"], 1_100);
    let receipt = store.put(&in_cohort(&more)).await.unwrap();
    let new: Vec<&Tick> = (more.iter().zip(&receipt.outcomes))
        .filter(|(_, outcome)| **outcome == PutOutcome::Stored)
        .map(|(tick, _)| tick)
        .collect();
    store.append(&new, receipt.outbox_id).await.unwrap();
    settle(&store, receipt.outbox_id).await;
    let proof = verify(&store, &folder, true).await;
    assert_eq!(proof.repaired, Some(Repaired::default()));
    let archive = proof.counts.archive;
    assert_eq!((archive.overdue, archive.missing), (new.len() as u64, 0));
    let overdue = proof.overdue().unwrap();
    assert!(
        overdue.contains("not yet written to the archive"),
        "{overdue}"
    );
    flush(&store, &folder).await;
    let proof = verify(&store, &folder, true).await;
    assert_eq!(proof.verdict(), Verdict::Proven, "{proof:?}");
    assert_eq!(proof.counts.archive.repeated, 0);
}

#[tokio::test]
async fn what_was_stored_is_in_stream_and_archive() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    market(&store, &folder, &[]).await;
    let proof = verify(&store, &folder, false).await;
    assert_eq!(proof.verdict(), Verdict::Proven, "{proof:?}");
    assert_eq!((proof.counts.stored, proof.counts.matched), (3_000, 2_700));
    assert!(
        !folder.path().join("verify").exists(),
        "temporary files are left"
    );
}

#[tokio::test]
async fn a_repair_brings_back_what_is_missing_and_a_second_run_finds_nothing() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    market(&store, &folder, &[7, 1_500]).await;
    // Of one day's files, one is lost.
    let day = folder
        .path()
        .join("price-archive/year=2026/month=01/day=01");
    let mut files: Vec<_> = day
        .read_dir()
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    std::fs::remove_file(files.last().unwrap()).unwrap();
    let proof = verify(&store, &folder, true).await;
    assert_eq!(proof.verdict(), Verdict::Differences);
    assert_eq!(proof.counts.stream.missing, 2);
    let gone = proof.counts.archive.missing;
    assert!(gone > 2, "{gone}");
    let repaired = Repaired {
        appended: 2,
        archived: gone - 2,
        ..Repaired::default()
    };
    assert_eq!(proof.repaired, Some(repaired));
    let names = day.read_dir().unwrap().map(|it| it.unwrap().file_name());
    let of_repair = names.filter(|name| name.to_string_lossy().starts_with("repaired-"));
    assert_eq!(of_repair.count(), 1, "one for {} ticks", gone - 2);
    flush(&store, &folder).await;
    let proof = verify(&store, &folder, true).await;
    assert_eq!(proof.verdict(), Verdict::Proven, "{proof:?}");
    assert_eq!(proof.repaired, Some(Repaired::default()));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    market(&store, &folder, &[]).await;
    let day = folder
        .path()
        .join("price-archive/year=2026/month=01/day=01");
    std::fs::write(day.join("foreign.parquet"), b"PAR1 not a file").unwrap();
    let proof = verify(&store, &folder, false).await;
    assert_eq!(proof.verdict(), Verdict::Incomplete);
    assert!(
        proof.unseen[0].contains("foreign.parquet"),
        "{:?}",
        proof.unseen
    );
}

/// The rest of the disk is for what was accepted.
#[tokio::test]
async fn nothing_is_appended_to_the_stream_on_a_full_disk() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    market(&store, &folder, &[7]).await;
    store.close();
    let full = EmbeddedConfig {
        min_free_bytes: u64::MAX,
        ..EmbeddedConfig::new(folder.path().join("store"))
    };
    let store = EmbeddedStore::open(&full).unwrap();
    let verify = comparison(&store, &folder);
    let refused = verify
        .run(&request(true), NOW_MS, &Quiet)
        .await
        .unwrap_err();
    let VerifyError::Repair { done: 0, source } = refused else {
        panic!("{refused:?}")
    };
    let cause = source.source.to_string();
    assert!(cause.contains("--min-free-disk-mb"), "{cause}");
    let proof = self::verify(&store, &folder, false).await;
    assert_eq!(proof.counts.stream.missing, 1);
}

/// The stream is kept by time and by size, and a comparison says what it has lost.
#[tokio::test]
async fn what_the_stream_no_longer_has_is_not_missing() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    for hour in 0..20 {
        let made: Vec<Tick> = (0..2_000)
            .map(|n| {
                let mut made = tick(&format!("T{}", n % 4), hour * 10_000 + n);
                made.ingested_at_ms = START_MS + i64::from(hour) * HOUR_MS + i64::from(n);
                made.timestamp_ms = made.ingested_at_ms - 5;
                made
            })
            .collect();
        let receipt = store.put(&in_cohort(&made)).await.unwrap();
        store.append(&refs(&made), receipt.outbox_id).await.unwrap();
        settle(&store, receipt.outbox_id).await;
        // What is removed is whole files, and closing writes one.
        store.close();
        store = open(&folder);
    }
    flush(&store, &folder).await;
    let keep_all = StreamRetention {
        from_ms: START_MS,
        bytes_max: u64::MAX,
    };
    store.sweep(START_MS, keep_all, &["archive"]).await.unwrap();
    let proof = verify(&store, &folder, false).await;
    assert_eq!(proof.verdict(), Verdict::Proven);

    store
        .sweep(START_MS, KEEP_NONE, &["analytics"])
        .await
        .unwrap();
    let proof = verify(&store, &folder, false).await;
    assert_eq!(
        proof.verdict(),
        Verdict::Proven,
        "analytics has read nothing yet"
    );

    store
        .sweep(START_MS, KEEP_NONE, &["archive"])
        .await
        .unwrap();
    let proof = verify(&store, &folder, false).await;
    assert_eq!(proof.verdict(), Verdict::Incomplete);
    assert_eq!(proof.counts.stream.missing, 0);
    assert!(proof.counts.stream.unseen > 0);
    assert!(
        proof.unseen.iter().any(|it| it.contains("removed")),
        "{:?}",
        proof.unseen
    );
}

/// A replay puts old ticks behind newer ones: where these were removed, the first that is left does not show it.
#[tokio::test]
async fn what_was_removed_before_an_older_tick_is_not_appended_again() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let old = tick("BTC", 1);
    let newer: Vec<Tick> = (2..50)
        .map(|n| {
            let mut made = tick("BTC", n);
            made.ingested_at_ms = START_MS + HOUR_MS + i64::from(n);
            made
        })
        .collect();
    for ticks in [newer, vec![old]] {
        let receipt = store.put(&in_cohort(&ticks)).await.unwrap();
        store
            .append(&refs(&ticks), receipt.outbox_id)
            .await
            .unwrap();
        settle(&store, receipt.outbox_id).await;
        // What is removed is whole files, and closing writes one.
        store.close();
        store = open(&folder);
    }
    flush(&store, &folder).await;
    store
        .sweep(START_MS, KEEP_NONE, &["archive"])
        .await
        .unwrap();
    std::fs::remove_dir_all(folder.path().join("price-archive")).unwrap();
    let proof = verify(&store, &folder, true).await;
    assert_eq!(
        (proof.counts.stream.matched, proof.counts.stream.unseen),
        (1, 48)
    );
    assert_eq!(proof.counts.stream.missing, 0, "{proof:?}");
}

/// The stream of a store behind a fault.
struct Faulty {
    stream: EmbeddedStore,
    fault: StreamFault,
    seen: AtomicU64,
}

#[async_trait]
impl TickStream for Faulty {
    async fn append(
        &self,
        ticks: &[&Tick],
        outbox_id: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        let mut appended: Vec<Tick> = Vec::with_capacity(ticks.len());
        for tick in ticks {
            let number = self.seen.fetch_add(1, Ordering::Relaxed);
            appended.extend(self.fault.appended(number, tick));
        }
        let appended: Vec<&Tick> = appended.iter().collect();
        self.stream.append(&appended, outbox_id).await
    }
}

struct LocalProver<'a>(&'a EmbeddedStore, &'a TempDir);

#[async_trait]
impl Prover for LocalProver<'_> {
    async fn prove(&self, from_ms: i64) -> Result<Proof, String> {
        assert!(from_ms < START_MS);
        Ok(verify(self.0, self.1, false).await)
    }
}

/// 33,000 ticks of the cohort through a stream with each fault: the gate lets only the sound one go up.
#[tokio::test(flavor = "multi_thread")]
async fn no_stage_goes_up_over_a_fault_of_one_in_ten_thousand() {
    for (fault, archives, expected) in [
        (StreamFault::None, true, Ok(33_000)),
        (StreamFault::Drops, true, Err("3 missing in the stream")),
        (
            StreamFault::Doubles,
            true,
            Err("3 more than once in the stream"),
        ),
        (StreamFault::Changes, true, Err("3 different in the stream")),
        (
            StreamFault::None,
            false,
            Err("33000 ticks of the stream not yet written to the archive"),
        ),
    ] {
        let folder = TempDir::new().unwrap();
        let store = open(&folder);
        let faulty = Faulty {
            stream: store.clone(),
            fault,
            seen: AtomicU64::new(0),
        };
        // Five digits before the point and two after it: the next one that a double holds is far beyond the ninth.
        let mut made = ticks(&["BTC", "ETH", "SOL"], 12_000);
        made.iter_mut().for_each(|it| {
            it.price = Price::new(it.price.decimal() + Decimal::from(40_000)).unwrap()
        });
        let mut decided = in_cohort(&made);
        decided[33_000..]
            .iter_mut()
            .for_each(|it| it.in_cohort = false);
        for part in decided.chunks(1_000) {
            let receipt = store.put(part).await.unwrap();
            let cohort: Vec<&Tick> = part
                .iter()
                .filter(|it| it.in_cohort)
                .map(|it| &it.tick)
                .collect();
            faulty.append(&cohort, receipt.outbox_id).await.unwrap();
            settle(&store, receipt.outbox_id).await;
        }
        if archives {
            flush(&store, &folder).await;
        }
        let prover = LocalProver(&store, &folder);
        let gate = StageProof {
            prover: &prover,
            traffic_ms: HOUR_MS,
            due_ms: HOUR_MS,
        };
        // Within the 23 hours that a gate compares.
        let found = gate.of(START_MS - HOUR_MS, START_MS + 12 * HOUR_MS).await;
        match (found, expected) {
            (Ok(proof), Ok(matched)) => assert_eq!(proof.counts.matched, matched),
            (Err(refused), Err(expected)) => {
                let refused = refused.to_string();
                assert!(refused.contains(expected), "{fault:?}: {refused}");
            }
            (found, _) => panic!("{fault:?}: {found:?}"),
        }
    }
}
