use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::stream_history::StreamHistory;

const MINUTE_MS: i64 = 60_000;
const NOW_MS: i64 = 29_000_000 * MINUTE_MS + 5_000;

/// A stream with a constant traffic, in shards that it fills, and metrics that show it.
struct Stream {
    used: f64,
    open: u32,
    resizes: i64,
    answers: Mutex<Vec<Result<Resize, PortError>>>,
    requested: Mutex<Vec<u32>>,
    metrics_fail: bool,
}

#[async_trait]
impl Shards for Stream {
    async fn describe(&self) -> Result<StreamState, PortError> {
        unreachable!("the state is an argument")
    }
    async fn set(&self, count: u32) -> Result<Resize, PortError> {
        self.requested.lock().unwrap().push(count);
        let mut answers = self.answers.lock().unwrap();
        answers.pop().unwrap_or(Ok(Resize::Accepted))
    }
}

#[async_trait]
impl StreamMetrics for Stream {
    async fn read(&self, now_ms: i64) -> Result<StreamHistory, PortError> {
        if self.metrics_fail {
            return Err(failure("read the stream's metrics"));
        }
        let mut history = StreamHistory::default();
        for minute in 0..=30 {
            let minute = history.minute_mut(now_ms - minute * MINUTE_MS);
            minute.records = Some(self.used * 60_000.0);
            minute.open = Some(f64::from(self.open));
        }
        for resize in 0..self.resizes {
            let at_ms = now_ms - (60 + 10 * resize) * MINUTE_MS;
            history.minute_mut(at_ms).open = Some(3.0 + (resize % 2) as f64);
        }
        Ok(history)
    }
}

fn failure(operation: &'static str) -> PortError {
    PortError {
        operation,
        retryable: true,
        source: "a timeout".into(),
    }
}

impl Stream {
    fn new(used: f64, open: u32) -> Self {
        Self {
            used,
            open,
            resizes: 0,
            answers: Mutex::default(),
            requested: Mutex::default(),
            metrics_fail: false,
        }
    }

    /// The outcomes of as many minutes as states, and what was requested in them.
    async fn minutes(
        self,
        mode: Mode,
        active: &[bool],
    ) -> (Vec<Result<Scaled, PortError>>, Vec<u32>) {
        let open = self.open;
        let stream = Arc::new(self);
        let scaling = Scaling {
            shards: Arc::clone(&stream) as _,
            metrics: Arc::clone(&stream) as _,
            limits: ShardLimits::new(2, 10).unwrap(),
            mode,
        };
        let (mut outcomes, mut now_ms) = (Vec::new(), NOW_MS);
        for is_active in active {
            let state = StreamState {
                open,
                is_active: *is_active,
            };
            outcomes.push(scaling.adjust(state, now_ms).await);
            now_ms += MINUTE_MS;
        }
        let requested = stream.requested.lock().unwrap().clone();
        (outcomes, requested)
    }
}

fn oks(outcomes: Vec<Result<Scaled, PortError>>) -> Vec<Scaled> {
    outcomes.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_high_load_adds_shards_and_a_low_one_removes_them_within_the_limits() {
    for (used, open, to) in [
        (3.4, 4, Some(6)),
        (4.0, 4, Some(7)),
        (2.0, 4, None),
        (1.0, 4, Some(3)),
        (0.0, 2, None),
        (10.0, 10, None),
        (30.0, 3, Some(6)),
    ] {
        let (outcomes, requested) = Stream::new(used, open).minutes(Mode::Apply, &[true]).await;
        let expected = match to {
            Some(to) => Scaled::Requested { from: open, to },
            None => Scaled::Unchanged { open },
        };
        assert_eq!(oks(outcomes), [expected], "{used} of {open}");
        assert_eq!(requested, Vec::from_iter(to), "{used} of {open}");
    }
}

#[tokio::test]
async fn a_dry_run_requests_nothing() {
    let (outcomes, requested) = Stream::new(3.4, 4).minutes(Mode::DryRun, &[true]).await;
    assert_eq!(oks(outcomes), [Scaled::WouldRequest { from: 4, to: 6 }]);
    assert!(requested.is_empty(), "{requested:?}");
}

#[tokio::test]
async fn nothing_is_decided_while_the_stream_is_being_changed() {
    let states = [false, false, true];
    let (outcomes, requested) = Stream::new(3.4, 4).minutes(Mode::Apply, &states).await;
    let updating = Scaled::Updating { open: 4 };
    let requested_then = Scaled::Requested { from: 4, to: 6 };
    assert_eq!(oks(outcomes), [updating.clone(), updating, requested_then]);
    assert_eq!(requested, [6]);
}

/// It was answered as done before: the alarm was on already, and did not invoke the function again.
#[tokio::test]
async fn a_refused_step_is_requested_again_in_the_next_minute() {
    let mut stream = Stream::new(3.4, 4);
    let codes = ["LimitExceededException", "ResourceInUseException"];
    let refusals = codes.map(|code| Ok(Resize::Refused(code.to_owned())));
    stream.answers = Mutex::new(refusals.into());
    let (outcomes, requested) = stream.minutes(Mode::Apply, &[true; 3]).await;
    let refused = |reason: &str| Scaled::Refused {
        from: 4,
        to: 6,
        reason: reason.to_owned(),
    };
    let expected = [
        refused("ResourceInUseException"),
        refused("LimitExceededException"),
        Scaled::Requested { from: 4, to: 6 },
    ];
    assert_eq!(oks(outcomes), expected);
    assert_eq!(requested, [6, 6, 6]);
}

#[tokio::test]
async fn the_last_resizes_of_a_day_are_left_for_more_shards() {
    for (used, open, resizes, expected) in [
        (0.1, 4, 3, Scaled::Requested { from: 4, to: 3 }),
        (0.1, 4, 8, Scaled::Reserved { open: 4 }),
        (3.9, 4, 8, Scaled::Requested { from: 4, to: 7 }),
    ] {
        let mut stream = Stream::new(used, open);
        stream.resizes = resizes;
        let (outcomes, _) = stream.minutes(Mode::Apply, &[true]).await;
        assert_eq!(oks(outcomes), [expected], "{used} after {resizes}");
    }
}

#[tokio::test]
async fn a_failure_is_an_error_of_the_invocation() {
    let mut stream = Stream::new(3.4, 4);
    stream.metrics_fail = true;
    let (outcomes, requested) = stream.minutes(Mode::Apply, &[true]).await;
    assert!(outcomes[0].is_err() && requested.is_empty());
    let mut stream = Stream::new(3.4, 4);
    stream.answers = Mutex::new(vec![Err(failure("change the stream's shards"))]);
    let (outcomes, requested) = stream.minutes(Mode::Apply, &[true, true]).await;
    assert!(outcomes[0].is_err());
    // The next minute is another attempt.
    assert!(outcomes[1].is_ok());
    assert_eq!(requested, [6, 6]);
}
