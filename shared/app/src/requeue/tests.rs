use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Tick;
use serde_json::json;
use testkit::ticks::ticks;

use super::*;
use crate::ports::{OutboxId, Refused, SequenceNumber, TickStream};
use crate::requeue_batches::{ShardRange, StreamAgain};

/// A queue as SQS is one: what was received is hidden, and one receive may find nothing.
#[derive(Default)]
struct Queue {
    visible: Mutex<VecDeque<DeadLetter>>,
    hidden: Mutex<Vec<DeadLetter>>,
    receives: Mutex<u32>,
    deletes_fail: bool,
}

impl Queue {
    fn with(bodies: impl IntoIterator<Item = String>) -> Self {
        let letters = (1..).zip(bodies).map(|(n, body)| DeadLetter {
            id: format!("m{n}"),
            receipt: String::new(),
            body,
            sent_at_ms: n * 1_000,
        });
        Self {
            visible: Mutex::new(letters.collect()),
            ..Self::default()
        }
    }

    fn left(&self) -> Vec<String> {
        assert!(
            self.hidden.lock().unwrap().is_empty(),
            "letters stay hidden"
        );
        let mut ids: Vec<_> = self
            .visible
            .lock()
            .unwrap()
            .iter()
            .map(|it| it.id.clone())
            .collect();
        ids.sort();
        ids
    }
}

fn fault() -> PortError {
    PortError {
        operation: "try",
        retryable: true,
        source: "a fault of the test".into(),
    }
}

#[async_trait]
impl DeadLetters for Queue {
    async fn count(&self) -> Result<u64, PortError> {
        Ok(self.visible.lock().unwrap().len() as u64)
    }

    async fn receive(&self) -> Result<Vec<DeadLetter>, PortError> {
        let mut receives = self.receives.lock().unwrap();
        *receives += 1;
        if receives.is_multiple_of(2) {
            return Ok(Vec::new());
        }
        let mut visible = self.visible.lock().unwrap();
        let most = visible.len().min(3);
        let taken: Vec<_> = visible.drain(..most).collect();
        self.hidden.lock().unwrap().extend(taken.clone());
        Ok(taken)
    }

    async fn release(&self, letters: &[DeadLetter]) -> Result<(), PortError> {
        let mut hidden = self.hidden.lock().unwrap();
        hidden.retain(|held| letters.iter().all(|it| it.id != held.id));
        self.visible.lock().unwrap().extend(letters.iter().cloned());
        Ok(())
    }

    async fn delete(&self, letters: &[DeadLetter]) -> Result<(), PortError> {
        if self.deletes_fail {
            return Err(fault());
        }
        let mut hidden = self.hidden.lock().unwrap();
        hidden.retain(|held| letters.iter().all(|it| it.id != held.id));
        Ok(())
    }
}

/// Accepts every letter except the one in `refuses`.
#[derive(Default)]
struct Destination {
    accepted: Mutex<Vec<String>>,
    most_at_once: Mutex<usize>,
    refuses: Option<&'static str>,
}

#[async_trait]
impl LetterDestination for Destination {
    async fn accept(&self, letters: &[DeadLetter]) -> Result<Vec<Result<(), String>>, PortError> {
        let mut most = self.most_at_once.lock().unwrap();
        *most = letters.len().max(*most);
        let accept = |letter: &DeadLetter| {
            if self.refuses == Some(letter.id.as_str()) {
                return Err("full".to_owned());
            }
            self.accepted.lock().unwrap().push(letter.id.clone());
            Ok(())
        };
        Ok(letters.iter().map(accept).collect())
    }
}

const ALL: LetterFilter = LetterFilter {
    from_ms: 0,
    to_ms: i64::MAX,
    kind: None,
    reason: None,
};

fn go_on() -> bool {
    false
}

fn tick_bodies(count: u32) -> Vec<String> {
    let body = |tick: &Tick| {
        let mut body = Vec::new();
        codec::json::write_json(tick, &mut body);
        String::from_utf8(body).unwrap()
    };
    ticks(&["BTC"], count).iter().map(body).collect()
}

fn failed_batch(first: u64, last: u64) -> String {
    json!({
        "requestContext": {"requestId": "r", "functionArn": "f", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-01-02T00:00:00.000Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000001", "startSequenceNumber": first.to_string(),
            "endSequenceNumber": last.to_string(), "batchSize": last - first + 1,
            "approximateArrivalOfFirstRecord": "2026-01-02T00:00:00Z",
            "approximateArrivalOfLastRecord": "2026-01-02T00:00:01Z", "streamArn": "s",
        },
    })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_is_sent_then_deleted_and_the_rest_stays_visible() {
    let bodies = tick_bodies(5)
        .into_iter()
        .chain(["{}".to_owned(), r#"{"type":"candles"}"#.to_owned()]);
    let queue = Queue::with(bodies);
    let filter = LetterFilter {
        from_ms: 2_000,
        kind: Some(LetterKind::Tick),
        ..ALL
    };
    // First the dry run.
    let (shown, done) = requeue(&queue, &filter, 100, LetterAction::Show, &go_on).await;
    done.unwrap();
    assert_eq!((shown.seen, shown.matching, shown.requeued), (7, 4, 0));
    assert_eq!(shown.sent_at_ms, Some((2_000, 5_000)));
    assert_eq!(
        shown.by_kind,
        BTreeMap::from([((LetterKind::Tick, None), 4)])
    );
    assert_eq!(queue.left().len(), 7);

    let to = Destination {
        refuses: Some("m3"),
        ..Destination::default()
    };
    let send = LetterAction::Send {
        to: &to,
        per_second_max: 10,
    };
    let (report, done) = requeue(&queue, &filter, 100, send, &go_on).await;
    done.unwrap();
    assert_eq!((report.matching, report.requeued), (4, 3));
    assert_eq!(report.refused, BTreeMap::from([("full".to_owned(), 1)]));
    assert_eq!(queue.left(), ["m1", "m3", "m6", "m7"]);
    let (again, _) = requeue(&queue, &filter, 100, send, &go_on).await;
    assert_eq!(again.requeued, 0);
    assert_eq!(to.accepted.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_rate_and_the_number_are_limited() {
    let queue = Queue::with(tick_bodies(9));
    let to = Destination::default();
    let send = LetterAction::Send {
        to: &to,
        per_second_max: 2,
    };
    let before = Instant::now();
    let (report, done) = requeue(&queue, &ALL, 4, send, &go_on).await;
    done.unwrap();
    assert_eq!((report.matching, report.requeued), (4, 4));
    // Of three that are received, two at once, and each other in its turn; there is nothing to wait for after the last one.
    assert_eq!(before.elapsed(), Duration::from_millis(1_500));
    assert_eq!(*to.most_at_once.lock().unwrap(), 2);
    assert_eq!(queue.left().len(), 5);
    let (stopped, _) = requeue(&queue, &ALL, 4, send, &|| true).await;
    assert!(stopped.stopped);
    assert_eq!(stopped.requeued, 0);
    let (queue, to) = (Queue::with(tick_bodies(9)), Destination::default());
    let send = LetterAction::Send {
        to: &to,
        per_second_max: 1,
    };
    let before = Instant::now();
    let stop = move || before.elapsed() >= Duration::from_secs(1);
    let (stopped, done) = requeue(&queue, &ALL, 9, send, &stop).await;
    done.unwrap();
    assert!(stopped.stopped);
    assert_eq!(stopped.requeued, 1);
    assert!(
        before.elapsed() < Duration::from_secs(2),
        "it waited for its turn"
    );
    assert_eq!(queue.left().len(), 8, "the others are visible again");
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_never_deleted_before_it_was_accepted() {
    let queue = Queue {
        deletes_fail: true,
        ..Queue::with(tick_bodies(2))
    };
    let to = Destination::default();
    let send = LetterAction::Send {
        to: &to,
        per_second_max: 10,
    };
    let (report, done) = requeue(&queue, &ALL, 4, send, &go_on).await;
    assert!(done.is_err());
    assert_eq!(report.requeued, 0);
    let (to_ids, held) = (
        to.accepted.lock().unwrap().len(),
        queue.hidden.lock().unwrap().len(),
    );
    assert_eq!((to_ids, held), (2, 2), "they were sent, and come again");
}

/// A stream in memory whose oldest records are gone.
#[derive(Default)]
struct Stream {
    records: Vec<(u64, Vec<u8>)>,
    appended: Mutex<Vec<Tick>>,
}

#[async_trait]
impl ShardRange for Stream {
    async fn records(
        &self,
        shard: &str,
        first: &str,
        last: &str,
    ) -> Result<Vec<Vec<u8>>, PortError> {
        let number = |text: &str| text.parse::<SequenceNumber>().unwrap();
        let (first, last) = (number(first), number(last));
        assert_eq!(shard, "shardId-000000000001");
        let in_range = |n: u64| (first..=last).contains(&SequenceNumber::from(n));
        let found = self.records.iter().filter(|(n, _)| in_range(*n));
        Ok(found.map(|(_, data)| data.clone()).collect())
    }
}

#[async_trait]
impl TickStream for Stream {
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        self.appended
            .lock()
            .unwrap()
            .extend(ticks.iter().map(|it| (*it).clone()));
        Ok(Vec::new())
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_lambda_gave_up_is_read_and_appended_again() {
    let bodies = tick_bodies(6).into_iter().map(String::into_bytes);
    let mut records: Vec<_> = (10..).zip(bodies).collect();
    // Poison is in the quarantine, and counts as a record of its batch.
    records[4].1 = b"poison".to_vec();
    let stream = Arc::new(Stream {
        records,
        ..Stream::default()
    });
    let again = StreamAgain {
        range: Arc::clone(&stream) as _,
        stream: Arc::clone(&stream) as _,
    };
    let bodies = [
        failed_batch(12, 14),
        failed_batch(8, 10),
        tick_bodies(1).remove(0),
    ];
    let queue = Queue::with(bodies);
    let filter = LetterFilter {
        reason: Some("RetryAttemptsExhausted".to_owned()),
        ..ALL
    };
    let send = LetterAction::Send {
        to: &again,
        per_second_max: 10,
    };
    let (report, done) = requeue(&queue, &filter, 100, send, &go_on).await;
    done.unwrap();
    assert_eq!((report.matching, report.requeued), (2, 1));
    let why: Vec<_> = report.refused.keys().collect();
    assert!(
        why[0].contains("does not have all of its records any more"),
        "{why:?}"
    );
    assert!(why[0].contains("2026-01-02T00:00:01Z"), "{why:?}");
    assert_eq!(queue.left(), ["m2", "m3"]);
    let expected = ticks(&["BTC"], 6);
    assert_eq!(*stream.appended.lock().unwrap(), expected[2..4]);
}

#[test]
fn letters_are_recognized() {
    let kind = |body: &str| {
        let letter = DeadLetter {
            id: String::new(),
            receipt: String::new(),
            body: body.to_owned(),
            sent_at_ms: 0,
        };
        (letter.kind(), letter.reason())
    };
    let condition = Some("RetryAttemptsExhausted".to_owned());
    assert_eq!(
        kind(&failed_batch(1, 2)),
        (LetterKind::FailedBatch, condition)
    );
    assert_eq!(kind(&tick_bodies(1)[0]), (LetterKind::Tick, None));
    assert_eq!(
        kind(r#"{"type":"averages","averages":[]}"#),
        (LetterKind::Results, None)
    );
    for other in ["", "{}", r#"{"type":"odd"}"#, "[]"] {
        assert_eq!(kind(other), (LetterKind::Unreadable, None), "{other}");
    }
}
