//! Ticks that are not due, are on their way, or could not be seen.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

#[tokio::test]
async fn a_tick_that_is_not_due_is_late_if_it_is_not_known_what_is_on_its_way() {
    let memory = healthy(COUNT);
    memory.archived.lock().unwrap().truncate(850);
    // The last 50 ticks of the cohort were received in the last minute.
    let soon = START_MS + 1_000_000 + 10_000;
    let proof = verified(&memory, |it| {
        it.until(soon);
        it.pending_is_known = false;
    });
    let proof = proof.await.unwrap();
    assert_eq!(proof.verdict(), Verdict::Proven);
    assert_eq!(
        (proof.counts.archive.late, proof.counts.archive.missing),
        (50, 0)
    );
    let proof = verified(&memory, |it| it.until(soon)).await.unwrap();
    assert_eq!(
        (proof.counts.archive.late, proof.counts.archive.missing),
        (0, 50)
    );
    let proof = proof_of(&memory).await;
    assert_eq!(proof.verdict(), Verdict::Differences);
    assert_eq!(
        (proof.counts.archive.late, proof.counts.archive.missing),
        (0, 50)
    );
    assert_eq!(proof.examples.len(), EXAMPLES_MAX);
}

/// What is on its way is neither missing nor repaired; if it is due, nothing is proven.
#[tokio::test]
async fn a_tick_that_is_on_its_way_is_late_and_not_repaired() {
    let mut memory = healthy(COUNT);
    // Ten ticks have not come to the stream, and twenty more not to the archive.
    let of_stream = memory.streamed.get_mut().unwrap().split_off(890);
    let of_archive = memory.streamed.get_mut().unwrap()[870..].to_vec();
    memory.archived.get_mut().unwrap().truncate(870);
    memory.pending = [of_stream, of_archive];
    for repair in [true, false] {
        let proof = verified(&memory, |it| it.request.repair = repair)
            .await
            .unwrap();
        let [stream, archive] = [proof.counts.stream, proof.counts.archive];
        assert_eq!((stream.missing, stream.late, stream.overdue), (0, 10, 10));
        assert_eq!(
            (archive.missing, archive.late, archive.overdue),
            (0, 30, 30)
        );
        assert_eq!(proof.verdict(), Verdict::Incomplete);
        assert_eq!(proof.repaired, repair.then(Repaired::default));
        let overdue = proof.overdue().unwrap();
        assert!(
            overdue
                .starts_with("10 ticks waiting in the outbox for the stream, and 20 ticks of the"),
            "{overdue}"
        );
    }
    memory.pending[0].clear();
    let proof = proof_of(&memory).await;
    assert_eq!(
        (proof.verdict(), proof.counts.stream.missing),
        (Verdict::Differences, 10)
    );
    // What is not due is just late.
    let soon = START_MS + 1_000_000 + 10_000;
    memory.streamed = healthy(COUNT).streamed;
    let of_archive = memory.streamed.get_mut().unwrap()[870..].to_vec();
    memory.pending = [Vec::new(), of_archive];
    let proof = verified(&memory, |it| it.until(soon)).await.unwrap();
    assert_eq!(
        (proof.verdict(), proof.counts.archive.late),
        (Verdict::Proven, 30)
    );
    assert_eq!(proof.overdue(), None);
}

#[tokio::test]
async fn deliveries_under_way_are_left_out() {
    let memory = healthy(100);
    memory.streamed.lock().unwrap().clear();
    memory.archived.lock().unwrap().clear();
    // The last 50 may still be on their way to the store.
    let soon = START_MS + 50_000 + 10_000;
    let proof = verified(&memory, |it| it.until(soon)).await.unwrap();
    assert_eq!(proof.counts.stored, 50);
    assert_eq!(proof.scope.to_ms, START_MS + 50_000);
}

#[tokio::test]
async fn what_could_not_be_seen_is_neither_missing_nor_proven() {
    let mut memory = healthy(COUNT);
    memory.streamed.lock().unwrap().drain(..450);
    let trimmed = "the stream has no ticks received before 00:08:20";
    memory.stream_unseen = Some(UnseenPart {
        before_ms: Some(START_MS + 500_000),
        what: trimmed.to_owned(),
    });
    let proof = proof_of(&memory).await;
    assert_eq!(proof.verdict(), Verdict::Incomplete);
    assert_eq!(proof.unseen, [trimmed]);
    assert_eq!(
        (proof.counts.stream.unseen, proof.counts.stream.missing),
        (450, 0)
    );
    // The archive cannot get from the stream what it has removed.
    memory.archived.lock().unwrap().drain(..10);
    let proof = verified(&memory, |it| it.request.repair = true).await;
    let repaired = proof.unwrap().repaired.unwrap();
    assert_eq!((repaired.appended, repaired.archived), (0, 10));
    assert_eq!(proof_of(&memory).await.counts.archive.missing, 0);

    let mut memory = healthy(COUNT);
    memory.archived.lock().unwrap().truncate(10);
    memory.archive_error = true;
    let proof = proof_of(&memory).await;
    assert_eq!(proof.verdict(), Verdict::Incomplete);
    assert!(
        proof.unseen[0].contains("access denied"),
        "{:?}",
        proof.unseen
    );
    assert_eq!(proof.counts.archive.missing, 0);
    // A difference that was seen counts all the same.
    memory.streamed.lock().unwrap().remove(3);
    assert_eq!(proof_of(&memory).await.verdict(), Verdict::Differences);
}

/// The oldest record left may have come late from the outbox, so records removed before it may have been received later.
#[tokio::test]
async fn what_the_archive_has_from_a_stream_that_removed_its_beginning_is_not_appended_again() {
    let mut memory = healthy(COUNT);
    memory.streamed.get_mut().unwrap().remove(300);
    memory.stream_unseen = Some(UnseenPart {
        before_ms: Some(START_MS - 1),
        what: "shard 0 of the stream has records from 77 on".to_owned(),
    });
    let proof = verified(&memory, |it| it.request.repair = true);
    let proof = proof.await.unwrap();
    assert_eq!(proof.repaired, Some(Repaired::default()));
    let of_stream = proof.counts.stream;
    assert_eq!((of_stream.missing, of_stream.unseen), (0, 1));
    assert_eq!(proof.verdict(), Verdict::Incomplete);
    assert!(
        proof.unseen[0].starts_with("the stream no longer has 1 tick that the archive has"),
        "{:?}",
        proof.unseen
    );
    // One that the archive lacks, too, was lost before it came to the stream.
    memory.archived.get_mut().unwrap().remove(300);
    let proof = proof_of(&memory).await;
    assert_eq!(proof.counts.stream.missing, 1);
    assert_eq!(proof.unseen, [""; 0], "it ended before the range");
}

#[tokio::test]
async fn it_stops_while_a_place_sends_nothing() {
    let mut memory = healthy(0);
    let stop = Arc::new(AtomicBool::new(false));
    memory.archive_hangs = Some(Arc::clone(&stop));
    let stopped = verified(&memory, |it| it.stopped = stop).await;
    assert!(matches!(stopped, Err(VerifyError::Stopped)), "{stopped:?}");
}

#[tokio::test]
async fn a_range_without_ticks_proves_nothing() {
    let mut none = healthy(0);
    assert_eq!(proof_of(&none).await.verdict(), Verdict::NoTicks);
    none.stored = healthy(10).stored;
    none.stored
        .iter_mut()
        .for_each(|it| it.in_cohort = Some(false));
    assert_eq!(proof_of(&none).await.verdict(), Verdict::NoTicks);
    let refused = verified(&none, |it| it.request.to_ms = START_MS).await;
    assert!(
        matches!(refused, Err(VerifyError::Empty { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn ticks_of_release_1_0_are_counted_and_not_judged() {
    let mut memory = healthy(COUNT);
    memory
        .stored
        .iter_mut()
        .take(100)
        .for_each(|it| it.in_cohort = None);
    let proof = proof_of(&memory).await;
    assert_eq!(proof.verdict(), Verdict::Proven);
    assert_eq!((proof.counts.undecided, proof.counts.matched), (100, 810));
}
