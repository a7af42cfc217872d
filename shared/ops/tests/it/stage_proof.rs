//! A step up needs a proof of the stage before.

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use ops::flag_record::FLAG_CACHED_MS;
use ops::rollout_controller::RolloutControllerError;
use ops::stage_proof::{COMPARED_MS_MAX, Prover, StageProof, TRAFFIC_MS, why_not_of_stage};
use ops::verify::{DueAfter, Example, Finding, Place, PlaceCounts, Proof};

use crate::rollout_controller::bench::{FakeProver, bench, proof};

fn with_stream(change: impl FnOnce(&mut PlaceCounts)) -> Proof {
    let mut proof = proof(9_999);
    change(&mut proof.counts.stream);
    proof
}

/// Why a step from 1 to 10 % is refused.
async fn refusal(found: Result<Proof, String>) -> String {
    let mut bench = bench(0, &[]).at("1", None);
    bench.prover = FakeProver(found);
    let refused = bench.set("10", false).await;
    let error = match refused {
        Err(error @ RolloutControllerError::Refused(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bench.flag.share().to_string(), "1", "the flag is unchanged");
    let forced = bench.set("10", true).await.unwrap();
    assert_eq!(forced.proof, None);
    error
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_is_proven_is_followed_by_the_next_and_the_proof_is_reported() {
    let mut bench = bench(0, &[]).at("1", None);
    let changed = bench.set("10", false).await.unwrap();
    assert_eq!(changed.proof, Some(proof(7)));
    // Down, and up from 0, need none.
    bench.prover = FakeProver(Err("nobody asks".to_owned()));
    assert_eq!(bench.set("canary", false).await.unwrap().proof, None);
    let mut off = crate::rollout_controller::bench::bench(0, &[]);
    off.prover = FakeProver(Err("nobody asks".to_owned()));
    assert_eq!(off.set("canary", false).await.unwrap().proof, None);
}

#[tokio::test(start_paused = true)]
async fn each_difference_refuses_a_step_up_unless_it_is_forced() {
    for (found, expected) in [
        (with_stream(|it| it.missing = 3), "3 missing in the stream"),
        (
            with_stream(|it| it.different = 1),
            "1 different in the stream",
        ),
        (
            with_stream(|it| it.repeated = 1),
            "1 more than once in the stream",
        ),
        (
            with_stream(|it| it.extra = 2),
            "2 that do not belong there in the stream",
        ),
    ] {
        let refused = refusal(Ok(found)).await;
        assert!(refused.contains("the stage is not proven"), "{refused}");
        assert!(refused.contains(expected), "{refused}");
    }
    let mut named = with_stream(|it| it.missing = 1);
    named.examples.push(Example {
        finding: Finding::Missing,
        place: Place::Stream,
        tick_id: "00ff".to_owned(),
        token: "BTC".to_owned(),
        quote: "USD".to_owned(),
        source: "binance:spot".to_owned(),
        timestamp_ms: 5,
        ingested_at_ms: 6,
        fields: Vec::new(),
    });
    let refused = refusal(Ok(named)).await;
    assert!(refused.contains("tick 00ff of BTC/USD"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_rises_during_the_comparison_refuses_a_step_up() {
    let mut bench = bench(0, &[]).at("1", None);
    bench.alarms.rises_at_read = 2.into();
    let refused = bench.set("10", false).await.unwrap_err().to_string();
    assert!(refused.contains("an alarm is on: ticks-lag"), "{refused}");
    assert_eq!(bench.flag.share().to_string(), "1", "the flag is unchanged");
}

#[tokio::test(start_paused = true)]
async fn copies_alone_are_refused_with_what_to_do_about_them() {
    let advice = "--repeats-max 2";
    let mut repeated = with_stream(|it| it.repeated = 2);
    repeated.counts.archive.repeated = 1;
    let refused = refusal(Ok(repeated.clone())).await;
    assert!(
        refused.contains("2 more than once in the stream"),
        "{refused}"
    );
    assert!(refused.contains(advice), "{refused}");
    repeated.counts.archive.missing = 1;
    let refused = refusal(Ok(repeated)).await;
    assert!(!refused.contains("--repeats-max"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_seen_and_no_traffic_are_not_a_proof() {
    let mut unseen = proof(5);
    unseen
        .unseen
        .push("the archive could not be read: access denied".to_owned());
    let refused = refusal(Ok(unseen)).await;
    assert!(refused.contains("access denied"), "{refused}");
    let refused = refusal(Ok(proof(0))).await;
    assert!(refused.contains("no traffic"), "{refused}");
    let refused = refusal(Err("the store could not be read: throttled".to_owned())).await;
    assert_eq!(
        refused,
        "the stage is not proven: the store could not be read: throttled"
    );
}

/// Remembers since when it was asked to compare.
struct Since(AtomicI64);

#[async_trait]
impl Prover for Since {
    async fn prove(&self, from_ms: i64) -> Result<Proof, String> {
        self.0.store(from_ms, Ordering::Relaxed);
        Ok(proof(7))
    }
}

/// The stream keeps a day: of a stage that ran for longer, the beginning can never be seen.
#[tokio::test(start_paused = true)]
async fn a_stage_is_proven_since_it_began_or_as_far_back_as_the_stream_goes() {
    let since = Since(AtomicI64::new(0));
    let gate = StageProof {
        prover: &since,
        traffic_ms: 600_000,
        due_ms: 420_000,
    };
    let began_ms = 1_000;
    for (ran_ms, expected) in [
        (3_600_000, began_ms + FLAG_CACHED_MS),
        (COMPARED_MS_MAX, began_ms + FLAG_CACHED_MS),
        (COMPARED_MS_MAX * 9, began_ms + COMPARED_MS_MAX * 8),
    ] {
        gate.of(began_ms, began_ms + ran_ms).await.unwrap();
        assert_eq!(since.0.load(Ordering::Relaxed), expected, "{ran_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_must_run_long_enough() {
    let mut bench = bench(0, &[]).at("1", None);
    // It began at 1 ms after the epoch.
    bench.traffic_ms = i64::MAX / 2;
    let refused = bench.set("10", false).await.unwrap_err().to_string();
    assert!(
        refused.contains("the stage has been running for"),
        "{refused}"
    );
}

/// What the dashboard offers a step up on.
#[test]
fn a_kept_proof_is_of_the_stage_or_it_says_why_not() {
    const BEGAN_MS: i64 = 1_000_000_000_000;
    const FROM_MS: i64 = BEGAN_MS + FLAG_CACHED_MS;
    const NOW_MS: i64 = FROM_MS + TRAFFIC_MS + 60_000;
    let why_not = |change: fn(&mut Proof)| {
        let mut proof = proof(9_999);
        (proof.scope.from_ms, proof.scope.to_ms) = (BEGAN_MS, FROM_MS + TRAFFIC_MS);
        proof.made_at_ms = NOW_MS - 50_000;
        change(&mut proof);
        why_not_of_stage(&proof, BEGAN_MS, NOW_MS, DueAfter::HERE)
    };
    assert_eq!(why_not(|_| {}), None);
    assert_eq!(why_not(|it| it.due_after = Some(DueAfter::HERE)), None);
    type Change = fn(&mut Proof);
    let refused: [(&str, Change); 8] = [
        ("of a sample", |it| it.scope.one_in = 2),
        ("lacks the beginning", |it| it.scope.from_ms = FROM_MS + 1),
        ("it has 90 s of the stage, and 10 min are", |it| {
            it.scope.to_ms = FROM_MS + 90_000;
        }),
        ("60 min old", |it| it.made_at_ms = NOW_MS - 3_600_000),
        ("not proven", |it| it.counts.archive.missing = 1),
        ("not proven", |it| it.unseen.push("a file".to_owned())),
        ("more than once", |it| {
            it.counts.stream.repeated = 1;
            it.repeats_max = 1;
        }),
        ("had longer to come", |it| {
            it.due_after = Some(DueAfter::HERE.with_archived_ms(3_600_000));
        }),
    ];
    for (expected, change) in refused {
        let why = why_not(change).unwrap();
        assert!(why.contains(expected), "{why}");
    }
    // Of a stage that is older, the last 23 hours are compared.
    let mut proof = proof(9_999);
    proof.made_at_ms = NOW_MS;
    (proof.scope.from_ms, proof.scope.to_ms) = (NOW_MS - COMPARED_MS_MAX, NOW_MS - 6_000);
    let why_not = |proof: &Proof| why_not_of_stage(proof, 0, NOW_MS, DueAfter::HERE);
    assert_eq!(why_not(&proof), None);
    proof.scope.from_ms += 1;
    assert!(why_not(&proof).is_some());
}
