//! Replays into a stream whose consumers count each record.

use std::sync::atomic::Ordering;

use app::tick_replay::{Sent, TickReplayReport};
use domain::{Tick, Token};

use super::*;

fn request() -> StreamReplayRequest {
    StreamReplayRequest {
        from_ms: START_MS,
        to_ms: NOW_MS,
        tokens: [].into(),
        only_archived: false,
        per_second_max: 1_000_000,
        dry_run: false,
    }
}

async fn replayed(
    memory: &Memory,
    change: impl FnOnce(&mut StreamReplayRequest),
) -> TickReplayReport {
    let mut request = request();
    change(&mut request);
    let options = Options::default();
    let replayed = compared(memory, &options, async |verify| {
        verify.replay_into_stream(&request).await
    });
    replayed.await.unwrap()
}

fn streamed(memory: &Memory) -> usize {
    memory.streamed.lock().unwrap().len()
}

fn sent(new: u64, duplicate: u64) -> Sent {
    Sent {
        new,
        duplicate,
        rejected: 0,
    }
}

#[tokio::test]
async fn only_what_the_stream_lacks_is_appended() {
    let memory = healthy(COUNT);
    let lost: Vec<Tick> = memory.streamed.lock().unwrap().drain(300..303).collect();
    memory.archived.lock().unwrap().drain(300..310);
    let expected = |sent| TickReplayReport {
        selected: COHORT,
        sent,
        outside_cohort: u64::from(COUNT) - COHORT,
        ..TickReplayReport::default()
    };
    let dry = replayed(&memory, |it| it.dry_run = true).await;
    assert_eq!(dry, expected(sent(3, COHORT - 3)));
    assert_eq!(streamed(&memory), 897);
    let first = replayed(&memory, |_| {}).await;
    assert_eq!(first, expected(sent(3, COHORT - 3)));
    let mut appended = memory.streamed.lock().unwrap().split_off(897);
    appended.sort_by_key(|tick| tick.timestamp_ms);
    assert_eq!(appended, lost);
    memory.streamed.lock().unwrap().extend(appended);
    let second = replayed(&memory, |_| {}).await;
    assert_eq!(second, expected(sent(0, COHORT)));
    assert_eq!(streamed(&memory), 900);
    assert_eq!(
        memory.archived.lock().unwrap().len(),
        890,
        "it was left alone"
    );
}

#[tokio::test]
async fn only_the_tokens_that_are_meant_are_appended() {
    let memory = healthy(COUNT);
    memory.streamed.lock().unwrap().clear();
    memory.archived.lock().unwrap().clear();
    let tokens = ["T3", "NOPE"].map(|name| Token::new(name).unwrap());
    let report = replayed(&memory, |it| it.tokens = tokens.into()).await;
    let appended = memory.streamed.lock().unwrap().clone();
    assert!(appended.len() > 100);
    assert!(appended.iter().all(|tick| tick.token.as_str() == "T3"));
    assert_eq!(report.sent, sent(appended.len() as u64, 0));
    let without: Vec<&str> = report
        .tokens_without_ticks
        .iter()
        .map(Token::as_str)
        .collect();
    assert_eq!(without, ["NOPE"]);
}

#[tokio::test]
async fn what_is_on_its_way_is_not_appended() {
    let mut memory = healthy(COUNT);
    let lost: Vec<Tick> = memory.streamed.get_mut().unwrap().drain(5..7).collect();
    memory.archived.get_mut().unwrap().drain(5..7);
    memory.pending[0] = lost;
    let report = replayed(&memory, |_| {}).await;
    assert_eq!(report.sent, sent(0, COHORT));
    assert_eq!(streamed(&memory), 898);
}

/// What the archive has was in the stream, and is counted.
#[tokio::test]
async fn what_the_archive_has_is_not_appended() {
    let memory = healthy(COUNT);
    memory.streamed.lock().unwrap().drain(300..303);
    for request in [
        |it: &mut StreamReplayRequest| it.dry_run = true,
        |_: &mut StreamReplayRequest| {},
        |it: &mut StreamReplayRequest| it.only_archived = true,
    ] {
        assert_eq!(replayed(&memory, request).await.sent, sent(0, COHORT));
    }
    assert_eq!(streamed(&memory), 897);
}

/// What the stream has removed is known to have been there if the archive has it.
#[tokio::test]
async fn what_was_removed_is_not_appended_again() {
    let mut memory = healthy(COUNT);
    memory.streamed.get_mut().unwrap().drain(..100);
    memory.stream_unseen = Some(UnseenPart {
        before_ms: Some(START_MS + 200_000),
        what: "the oldest records were removed".to_owned(),
    });
    let report = replayed(&memory, |_| {}).await;
    assert_eq!(report.sent, sent(0, COHORT));
    assert_eq!(report.unseen, Vec::<String>::new());
    memory.archived.get_mut().unwrap().drain(10..14);
    let report = replayed(&memory, |_| {}).await;
    assert_eq!(report.sent, sent(0, COHORT - 4));
    let unseen = &report.unseen;
    assert!(unseen[0].contains("were removed"), "{unseen:?}");
    assert!(
        unseen[1].contains("4 ticks that the stream may"),
        "{unseen:?}"
    );
    assert_eq!(streamed(&memory), 800);
    // One of these is known to be in the outbox.
    memory.pending[0] = vec![memory.stored[11].tick.clone()];
    let report = replayed(&memory, |_| {}).await;
    assert_eq!(report.sent, sent(0, COHORT - 3));
}

#[tokio::test]
async fn ticks_of_the_archive_are_those_that_it_has() {
    let mut memory = healthy(COUNT);
    // Stream and archive lack one.
    memory.streamed.get_mut().unwrap().remove(20);
    memory.archived.get_mut().unwrap().remove(20);
    let expected = TickReplayReport {
        selected: COHORT - 1,
        sent: sent(0, COHORT - 1),
        ..TickReplayReport::default()
    };
    let report = replayed(&memory, |it| it.only_archived = true).await;
    assert_eq!(report, expected);
    let removed = memory.stored.remove(0);
    let report = replayed(&memory, |it| it.only_archived = true).await;
    let expected = TickReplayReport {
        selected: COHORT - 2,
        sent: sent(0, COHORT - 2),
        unseen: vec![
            "not appended: 1 tick of the archive that the store does not have; --into URL stores them"
                .to_owned(),
        ],
        ..TickReplayReport::default()
    };
    assert_eq!(report, expected);
    memory.stored.insert(0, removed);
    assert_eq!(streamed(&memory), 899);
    memory.archive_error = true;
    let report = replayed(&memory, |it| it.only_archived = true).await;
    assert!(report.unseen[0].contains("access denied"), "{report:?}");
    // Of the store's ticks, none depends on it.
    let report = replayed(&memory, |_| {}).await;
    assert_eq!(report.sent, sent(1, COHORT - 1));
    assert_eq!(report.unseen, Vec::<String>::new());
}

#[tokio::test]
async fn appends_are_paced_and_can_be_stopped() {
    let memory = healthy(COUNT);
    memory.streamed.lock().unwrap().clear();
    memory.archived.lock().unwrap().clear();
    let options = Options::default();
    let (stopped, memory_ref) = (Arc::clone(&options.stopped), &memory);
    let mut request = request();
    request.per_second_max = 3;
    let replay = compared(&memory, &options, async |verify| {
        let stop_after_the_first = async {
            while streamed(memory_ref) == 0 {
                tokio::task::yield_now().await;
            }
            stopped.store(true, Ordering::Relaxed);
        };
        tokio::join!(verify.replay_into_stream(&request), stop_after_the_first).0
    });
    assert!(matches!(replay.await, Err(VerifyError::Stopped)));
    assert_eq!(streamed(&memory), 3, "those of a second");
}
