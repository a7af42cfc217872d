//! `tickctl verify` on a data folder that no process has open.

use std::path::Path;
use std::sync::Arc;

use app::ledger::LedgerEntry;
use app::ports::{Clock, LedgerWriter, TickStore as _, TickStream as _};
use archive::Archive;
use domain::Tick;
use serde_json::Value;
use store::{Archiver, EmbeddedConfig, EmbeddedStore, STORE_FOLDER};
use tempfile::TempDir;
use testkit::ticks::{START_MS, in_cohort, ticks};

use crate::process::{Run, tickctl};

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        START_MS
    }
}

/// A folder with ticks, of which some are missing in the stream; they wait in the outbox, if that is `pending`.
#[tokio::main]
async fn make_with(folder: &Path, lost: usize, pending: bool) {
    let config = EmbeddedConfig::new(folder.join(STORE_FOLDER));
    let store = EmbeddedStore::open(&config).unwrap();
    let made = ticks(&["BTC", "ETH"], 500);
    let id = store.put(&in_cohort(&made)).await.unwrap().outbox_id;
    let streamed: Vec<&Tick> = made.iter().skip(lost).collect();
    store.append(&streamed, id).await.unwrap();
    if !pending {
        let settled = LedgerWriter::commit(&store, id, LedgerEntry::default());
        settled.await.unwrap();
    }
    let archive = Arc::new(Archive::open(folder).unwrap());
    let archiver = Archiver::new(store.clone(), archive, Arc::new(Fixed));
    archiver.flush().await.unwrap();
    drop(archiver);
    store.close();
}

fn make(folder: &Path, lost: usize) {
    make_with(folder, lost, false);
}

fn verify(folder: &TempDir, more: &[&str]) -> Run {
    let folder = folder.path().to_str().unwrap();
    let fixed = [
        "verify",
        "--data-dir",
        folder,
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-02",
    ];
    tickctl(&[&fixed[..], more].concat())
}

#[test]
fn a_proof_says_what_it_rests_on() {
    let folder = TempDir::new().unwrap();
    make(folder.path(), 0);
    let run = verify(&folder, &[]);
    assert_eq!(run.code, 0, "{run:?}");
    let expected = "\
proven    1000 ticks of the cohort are in stream and archive as stored
range     received from 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z
stored    1000 ticks, of which 1000 in the cohort
stream    1000 matched
archive   1000 matched
";
    assert_eq!(run.stdout, expected);
    let run = verify(&folder, &["--json"]);
    let proof: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&proof["verdict"], &proof["proof"]["counts"]["matched"]),
        (&"proven".into(), &1_000.into())
    );
}

#[test]
fn what_is_missing_is_shown_and_repaired() {
    let folder = TempDir::new().unwrap();
    make(folder.path(), 3);
    let run = verify(&folder, &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stdout.contains("stream    997 matched, 3 missing"),
        "{run:?}"
    );
    assert!(
        run.stdout
            .contains("token     BTC: stream: 498 matched, 2 missing"),
        "{run:?}"
    );
    assert!(
        run.stdout.contains("example   stream: missing: "),
        "{run:?}"
    );
    assert!(run.stdout.starts_with("differs   6 differences"), "{run:?}");
    let run = verify(&folder, &["--repair"]);
    assert!(
        run.stdout
            .contains("repaired  3 ticks appended to the stream"),
        "{run:?}"
    );
    let run = verify(&folder, &[]);
    assert!(
        run.stdout
            .contains("stream    1000 matched\narchive   997 matched, 3 late"),
        "{run:?}"
    );
}

/// What a killed process left in the outbox will come to the stream once tickstream runs.
#[test]
fn what_waits_in_the_outbox_is_late_and_not_repaired() {
    let folder = TempDir::new().unwrap();
    make_with(folder.path(), 3, true);
    for _ in 0..2 {
        let run = verify(&folder, &["--repair"]);
        assert_eq!(run.code, 3, "{run:?}");
        for expected in [
            "unproven  ticks that are due are still on their way; 997 ticks match",
            "stream    997 matched, 3 late",
            "overdue   3 ticks waiting in the outbox for the stream",
            "repaired  0 ticks appended to the stream, 0 written to the archive",
        ] {
            assert!(run.stdout.contains(expected), "{expected}: {run:?}");
        }
    }
}

/// On AWS, only the time since the receipt says whether a tick may still come by itself.
#[test]
fn a_repair_on_aws_takes_no_tick_that_may_be_on_its_way() {
    let run = tickctl(&[
        "verify",
        "--aws",
        "--archive",
        "s3://prices-archive/price-archive",
        "--repair",
        "--due",
        "419",
    ]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("--due must be at least 420"), "{run:?}");
}

/// Days that do not exist are not looked at one by one.
#[test]
fn a_range_of_two_thousand_years_is_compared() {
    let folder = TempDir::new().unwrap();
    make(folder.path(), 0);
    let at = folder.path().to_str().unwrap();
    let range = ["--from", "0001-01-01", "--to", "2026-01-02"];
    let run = tickctl(&[&["verify", "--data-dir", at][..], &range].concat());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stdout.contains("archive   1000 matched"), "{run:?}");
}

#[test]
fn nothing_to_compare_is_not_fine() {
    let folder = TempDir::new().unwrap();
    make(folder.path(), 0);
    let at = folder.path().to_str().unwrap();
    let run = tickctl(&[
        "verify",
        "--data-dir",
        at,
        "--from",
        "2025-01-01",
        "--to",
        "2025-01-02",
    ]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.stdout.starts_with("unproven  there was no tick"),
        "{run:?}"
    );
    for (arguments, code, expected) in [
        (
            ["--from", "2026-01-01", "--to", "2100-01-01"],
            3,
            "the range ends in the future, ",
        ),
        (
            ["--from", "2100-01-01", "--to", "now"],
            3,
            "--from is in the future, 2100-01-01T00:00:00Z",
        ),
        (["--from", "1s", "--to", "now"], 3, "the range is empty"),
        (
            ["--from", "2026-01-02", "--to", "2026-01-01"],
            2,
            "--from is not before --to",
        ),
        (["--from", "noon", "--to", "now"], 2, "is not a time"),
    ] {
        let run = tickctl(&[&["verify", "--data-dir", at][..], &arguments].concat());
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stderr.contains(expected), "{run:?}");
    }
    // What could not be compared does not look like differences.
    let run = tickctl(&["verify", "--server", "http://127.0.0.1:9"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("could not be completed"), "{run:?}");
    let empty = TempDir::new().unwrap();
    let run = verify(&empty, &[]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("is not a data folder"), "{run:?}");
}
