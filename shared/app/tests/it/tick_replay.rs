//! A range of the store or of the archive is sent again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::{OutboxId, PortError, Refused, TickStream};
use app::read_back::{
    ArchivedTick, ArchivedTicks, Page, Pages, ReceiptRange, StoredTick, StoredTicks, UnseenPart,
};
use app::tick_replay::{
    IntoStream, ReplayAction, ReplayDestination, ReplayOrigin, Sent, TickReplayReport,
    TickSelection, event_days, replay_ticks,
};
use async_trait::async_trait;
use chrono::NaiveDate;
use domain::{Tick, Token};
use futures_util::StreamExt as _;
use futures_util::stream;
use testkit::ticks::{START_MS, archived, tick, ticks};
use tokio::time::Instant;

/// A store and an archive with the same ticks, of which every third is not in the cohort, and the first is undecided.
struct Kept(Vec<Tick>);

fn unseen<T>() -> Page<T> {
    Page::Unseen(UnseenPart {
        before_ms: None,
        what: "a damaged part".to_owned(),
    })
}

impl StoredTicks for Kept {
    fn stored(&self, range: ReceiptRange) -> Pages<'_, StoredTick> {
        let in_cohort = |at: usize| (at > 0).then_some(!at.is_multiple_of(3));
        let rows = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, tick)| range.contains(tick.ingested_at_ms));
        let rows = rows.map(|(at, tick)| StoredTick {
            tick: tick.clone(),
            in_cohort: in_cohort(at),
        });
        let rows: Vec<_> = rows.collect();
        let mut pages: Vec<_> = rows
            .chunks(700)
            .map(|it| Ok(Page::Ticks(it.to_vec())))
            .collect();
        pages.insert(1, Ok(unseen()));
        stream::iter(pages).boxed()
    }
}

impl ArchivedTicks for Kept {
    fn archived(
        &self,
        range: Option<ReceiptRange>,
        days: BTreeSet<NaiveDate>,
    ) -> Pages<'_, ArchivedTick> {
        let range = range.unwrap();
        assert_eq!(days, event_days(range, Some(1)));
        let mut rows: Vec<_> = self.0.iter().map(archived).collect();
        rows.retain(|row| row.ingested_at_ms.is_some_and(|at| range.contains(at)));
        if let Some(first) = rows.first_mut() {
            first.price = f64::NAN;
        }
        stream::iter([Ok(Page::Ticks(rows))]).boxed()
    }
}

#[derive(Default)]
struct Stream {
    appended: Mutex<Vec<Tick>>,
    refuses: bool,
}

#[async_trait]
impl TickStream for Stream {
    async fn append(
        &self,
        ticks: &[&Tick],
        _: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        if self.refuses {
            let reason = "slow down".to_owned();
            return Ok(vec![Refused { index: 0, reason }]);
        }
        self.appended
            .lock()
            .unwrap()
            .extend(ticks.iter().map(|it| (*it).clone()));
        Ok(Vec::new())
    }
}

/// A webhook that has every second tick.
struct Inbox;

#[async_trait]
impl ReplayDestination for Inbox {
    fn only_cohort(&self) -> bool {
        false
    }

    async fn send(&self, ticks: Vec<Tick>) -> Result<Sent, PortError> {
        let count = ticks.len() as u64;
        Ok(Sent {
            new: count / 2,
            duplicate: count - count / 2,
            rejected: 0,
        })
    }
}

fn selection(tokens: &[&str]) -> TickSelection {
    TickSelection {
        range: ReceiptRange {
            from_ms: START_MS,
            to_ms: START_MS + 3_600_000,
        },
        tokens: tokens
            .iter()
            .map(|token| Token::new(token).unwrap())
            .collect(),
    }
}

async fn run(
    origin: ReplayOrigin<'_>,
    selection: &TickSelection,
    action: ReplayAction<'_>,
) -> (TickReplayReport, Result<(), PortError>) {
    let days = event_days(selection.range, Some(1));
    replay_ticks(origin, selection, days, action, &|| false, &|_| {}).await
}

#[tokio::test(start_paused = true)]
async fn the_stream_gets_the_cohort_of_the_selected_tokens_at_a_limited_rate() {
    let kept = Kept(ticks(&["A", "B"], 1_000));
    let stream = Arc::new(Stream::default());
    let to = IntoStream(Arc::clone(&stream) as _);
    let send = ReplayAction::Send {
        to: &to,
        per_second_max: 100,
    };
    let only_a = selection(&["A"]);
    let before = Instant::now();
    let (report, done) = run(ReplayOrigin::Store(&kept), &only_a, send).await;
    done.unwrap();
    // Of A are the even positions; of these, each third is not in the cohort, and position 0 is undecided.
    let expected: Vec<Tick> = kept
        .0
        .iter()
        .enumerate()
        .filter(|(at, _)| at % 2 == 0 && at % 3 != 0)
        .map(|(_, it)| it.clone())
        .collect();
    assert_eq!(*stream.appended.lock().unwrap(), expected);
    assert_eq!(report.selected, expected.len() as u64);
    assert_eq!(report.sent.new, report.selected);
    assert_eq!((report.undecided, report.outside_cohort), (1, 333));
    assert_eq!(report.unseen, ["a damaged part"]);
    // The last batch, of 100, waits for those before it; there is nothing to wait for after it.
    let due = Duration::from_secs_f64((expected.len() - 100) as f64 / 100.0);
    assert_eq!(before.elapsed().as_millis(), due.as_millis());
    let count = ReplayAction::Count { only_cohort: true };
    let (counted, _) = run(ReplayOrigin::Store(&kept), &only_a, count).await;
    assert_eq!(
        (counted.selected, counted.sent),
        (report.selected, Sent::default())
    );
}

#[tokio::test(start_paused = true)]
async fn a_webhook_gets_all_and_repeats_are_counted() {
    let kept = Kept(ticks(&["A"], 1_000));
    let send = ReplayAction::Send {
        to: &Inbox,
        per_second_max: 1_000_000,
    };
    let (report, done) = run(ReplayOrigin::Store(&kept), &selection(&[]), send).await;
    done.unwrap();
    assert_eq!((report.sent.new, report.sent.duplicate), (500, 500));
    assert_eq!((report.undecided, report.outside_cohort), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_archive_gives_the_same_ticks_except_those_that_it_cannot() {
    let mut made = ticks(&["A"], 10);
    made[3].sequence = Some(7);
    let kept = Kept(made.clone());
    let stream = Arc::new(Stream::default());
    let to = IntoStream(Arc::clone(&stream) as _);
    let send = ReplayAction::Send {
        to: &to,
        per_second_max: 1_000_000,
    };
    let (report, done) = run(ReplayOrigin::Archive(&kept), &selection(&[]), send).await;
    done.unwrap();
    assert_eq!((report.selected, report.unreadable), (9, 1));
    assert_eq!(*stream.appended.lock().unwrap(), made[1..]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_a_refusal_and_when_it_is_stopped() {
    let kept = Kept(vec![tick("A", 1), tick("A", 2), tick("A", 4)]);
    let to = IntoStream(Arc::new(Stream {
        refuses: true,
        ..Stream::default()
    }));
    let send = ReplayAction::Send {
        to: &to,
        per_second_max: 10,
    };
    let (report, done) = run(ReplayOrigin::Store(&kept), &selection(&[]), send).await;
    let cause = done.unwrap_err().source.to_string();
    assert!(cause.contains("1 of 2 were refused: slow down"), "{cause}");
    assert_eq!(report.sent, Sent::default());
    // Also if nothing is to be sent.
    for tokens in [&[][..], &["NONE"]] {
        let stopped = selection(tokens);
        let stopped = replay_ticks(
            ReplayOrigin::Store(&kept),
            &stopped,
            BTreeSet::new(),
            send,
            &|| true,
            &|_| {},
        );
        let (report, done) = stopped.await;
        done.unwrap();
        assert!(report.stopped, "{tokens:?}");
    }
}

/// How many ticks came, and when.
#[derive(Default)]
struct Arrivals(Mutex<Vec<(Instant, usize)>>);

#[async_trait]
impl ReplayDestination for Arrivals {
    fn only_cohort(&self) -> bool {
        false
    }

    async fn send(&self, ticks: Vec<Tick>) -> Result<Sent, PortError> {
        let arrival = (Instant::now(), ticks.len());
        self.0.lock().unwrap().push(arrival);
        Ok(Sent {
            new: ticks.len() as u64,
            ..Sent::default()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_low_rate_does_not_burst_and_a_stop_interrupts_the_wait() {
    let kept = Kept(ticks(&["A"], 200));
    let to = Arrivals::default();
    let send = ReplayAction::Send {
        to: &to,
        per_second_max: 50,
    };
    let before = Instant::now();
    let (report, done) = run(ReplayOrigin::Store(&kept), &selection(&[]), send).await;
    done.unwrap();
    assert_eq!(report.sent.new, 200);
    let mut sent = 0.0;
    for (at, count) in to.0.lock().unwrap().iter() {
        sent += *count as f64;
        let allowed = 50.0 * (at.duration_since(before).as_secs_f64() + 1.0);
        assert!(sent <= allowed, "{sent} of {allowed}");
    }
    let to = Arrivals::default();
    let send = ReplayAction::Send {
        to: &to,
        per_second_max: 1,
    };
    let before = Instant::now();
    let stop = move || before.elapsed() >= Duration::from_millis(2_500);
    let all = selection(&[]);
    let days = event_days(all.range, Some(1));
    let stopped = replay_ticks(ReplayOrigin::Store(&kept), &all, days, send, &stop, &|_| {});
    let (report, done) = stopped.await;
    done.unwrap();
    assert!(report.stopped);
    assert_eq!(report.sent.new, 3);
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "it waited for its turn"
    );
}

#[test]
fn the_folders_of_a_range_include_the_day_before_and_after() {
    let days = event_days(selection(&[]).range, Some(1));
    let days: Vec<_> = days.iter().map(ToString::to_string).collect();
    assert_eq!(days, ["2025-12-31", "2026-01-01", "2026-01-02"]);
}

/// A store that works for minutes without a page.
struct Silent;

impl StoredTicks for Silent {
    fn stored(&self, _: ReceiptRange) -> Pages<'_, StoredTick> {
        stream::pending().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_it_before_a_page_arrives() {
    let before = Instant::now();
    let stop = move || before.elapsed() >= Duration::from_secs(2);
    let origin = ReplayOrigin::Store(&Silent);
    let count = ReplayAction::Count { only_cohort: true };
    let (all, days) = (selection(&[]), BTreeSet::new());
    let replay = replay_ticks(origin, &all, days, count, &stop, &|_| {});
    let (report, done) = tokio::time::timeout(Duration::from_secs(60), replay)
        .await
        .expect("it stops");
    done.unwrap();
    assert!(report.stopped);
}
