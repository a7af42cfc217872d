//! Steps of the rollout against a stream that follows the flag with a delay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::{Clock, PortError};
use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey};
use ops::flag_record::{FlagChange, FlagContent, FlagRead, FlagRecord, FlagValue, FlagVersion};
use ops::ports::{AlarmStates, Alarms, Arrival, Arrivals, Poll};
use ops::rollout_controller::{
    Changed, DrainReport, RolloutController, RolloutControllerError, Signature, StepReport,
};
use testkit::ticks::ticks;
use tokio::time::Instant;

fn away() -> PortError {
    PortError {
        operation: "look",
        retryable: true,
        source: "a fault of the test".into(),
    }
}

/// How a port answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Broken,
    Silent,
}

impl Mood {
    async fn answer(self) -> Result<(), PortError> {
        match self {
            Self::Well => Ok(()),
            Self::Broken => Err(away()),
            Self::Silent => std::future::pending().await,
        }
    }
}

/// A clock that goes with tokio's, which the tests pause.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_760_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// The flag's record. Processes hold the last value that they understood.
struct Flag {
    changes: Mutex<Vec<FlagChange>>,
    /// What stands there instead of the last change.
    unreadable: Mutex<Option<String>>,
    reading: Mutex<Mood>,
    /// What others write just before our next write.
    meanwhile: Mutex<VecDeque<FlagChange>>,
}

fn value(percentage: &str, key: Option<RolloutKey>) -> FlagValue {
    FlagValue {
        use_kinesis: true,
        percentage: percentage.parse().unwrap(),
        key,
    }
}

fn by(who: &str, value: FlagValue) -> FlagChange {
    FlagChange {
        at_ms: 1,
        who: who.to_owned(),
        why: "a test".to_owned(),
        value,
    }
}

impl Flag {
    fn last(&self) -> FlagChange {
        self.changes.lock().unwrap().last().unwrap().clone()
    }

    fn share(&self) -> Percentage {
        self.last().value.share()
    }
}

#[async_trait]
impl FlagRecord for Flag {
    async fn read(&self) -> Result<FlagRead, PortError> {
        let mood = *self.reading.lock().unwrap();
        mood.answer().await?;
        let unreadable = self.unreadable.lock().unwrap().clone();
        let versions = self.changes.lock().unwrap().len();
        Ok(FlagRead {
            version: i64::try_from(versions).unwrap(),
            content: unreadable.map_or_else(
                || FlagContent::Value(self.last().value),
                FlagContent::Unreadable,
            ),
        })
    }

    async fn write(&self, change: &FlagChange) -> Result<i64, PortError> {
        let mut changes = self.changes.lock().unwrap();
        changes.extend(self.meanwhile.lock().unwrap().pop_front());
        changes.push(change.clone());
        *self.unreadable.lock().unwrap() = None;
        Ok(i64::try_from(changes.len()).unwrap())
    }

    async fn history(&self, limit: usize) -> Result<Vec<FlagVersion>, PortError> {
        let changes = self.changes.lock().unwrap();
        let versions = (1..).zip(changes.iter().cloned());
        let mut versions: Vec<_> = versions
            .map(|(version, change)| FlagVersion { version, change })
            .collect();
        versions.reverse();
        versions.truncate(limit);
        Ok(versions)
    }
}

struct Ringing {
    states: AlarmStates,
    mood: Mood,
}

#[async_trait]
impl Alarms for Ringing {
    async fn states(&self) -> Result<AlarmStates, PortError> {
        self.mood.answer().await?;
        Ok(self.states.clone())
    }
}

/// A webhook that takes in a hundred ticks a look, and reads the flag `behind` late.
struct Traffic {
    flag: Arc<Flag>,
    clock: Arc<TestClock>,
    behind_ms: i64,
    /// What the webhook was started with.
    key: RolloutKey,
    seen: VecDeque<(i64, FlagValue)>,
    mood: Mood,
    /// The stream is written faster than it can be read.
    never_at_the_tip: bool,
    /// The shares that stood when the stream was opened.
    opened_at: Vec<Percentage>,
}

#[async_trait]
impl Arrivals for Traffic {
    async fn watch_from(&mut self, from_ms: i64) -> Result<(), PortError> {
        assert!(from_ms < self.clock.now_ms(), "AWS refuses a time to come");
        self.opened_at.push(self.flag.share());
        self.mood.answer().await
    }

    async fn poll(&mut self) -> Result<Poll, PortError> {
        self.mood.answer().await?;
        let now_ms = self.clock.now_ms();
        self.seen.push_back((now_ms, self.flag.last().value));
        let old = self.seen.iter().rev();
        let mut old = old.filter(|(at_ms, _)| *at_ms <= now_ms - self.behind_ms);
        let started_with = Rollout {
            use_kinesis: true,
            percentage: Percentage::ZERO,
            key: self.key,
        };
        let rollout = old
            .next()
            .map_or(Rollout::OFF, |(_, value)| value.rollout(started_with));
        let tokens: Vec<String> = (0..50).map(|n| format!("token-{n}")).collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let made = ticks(&tokens, 2).into_iter().map(|mut tick| {
            tick.ingested_at_ms = now_ms;
            tick
        });
        let admitted = made.filter(|tick| rollout.admits(tick));
        let arrivals = admitted.map(|tick| Arrival {
            arrived_ms: now_ms,
            tick,
        });
        Ok(Poll {
            arrivals: arrivals.collect(),
            caught_up: !self.never_at_the_tip,
        })
    }
}

struct Bench {
    flag: Arc<Flag>,
    clock: Arc<TestClock>,
    alarms: Ringing,
    traffic: Traffic,
}

fn bench(behind_ms: i64, on: &[&str]) -> Bench {
    let first = by("a deploy", value("0", None));
    let flag = Arc::new(Flag {
        changes: Mutex::new(vec![first]),
        unreadable: Mutex::default(),
        reading: Mutex::new(Mood::Well),
        meanwhile: Mutex::default(),
    });
    let clock = Arc::new(TestClock(Instant::now()));
    Bench {
        alarms: Ringing {
            states: AlarmStates {
                watched: 26,
                on: on.iter().map(|name| (*name).to_owned()).collect(),
            },
            mood: Mood::Well,
        },
        traffic: Traffic {
            flag: flag.clone(),
            clock: clock.clone(),
            behind_ms,
            key: RolloutKey::Tick,
            seen: VecDeque::new(),
            mood: Mood::Well,
            never_at_the_tip: false,
            opened_at: Vec::new(),
        },
        flag,
        clock,
    }
}

fn signed(why: &str) -> Signature {
    Signature {
        who: "night shift".to_owned(),
        why: why.to_owned(),
    }
}

const WATCH: Duration = Duration::from_secs(10);

impl Bench {
    /// Begins at a share, whatever was before.
    fn at(self, share: &str, key: Option<RolloutKey>) -> Self {
        let change = by("a test", value(share, key));
        self.flag.changes.lock().unwrap().push(change);
        self
    }

    async fn set(&mut self, asked: &str, forced: bool) -> Result<Changed, RolloutControllerError> {
        let steering = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        let stage = asked.parse().unwrap();
        let arrivals = &mut self.traffic;
        steering.step(stage, forced, signed("up"), arrivals).await
    }

    async fn step(
        &mut self,
        asked: &str,
        forced: bool,
    ) -> Result<StepReport, RolloutControllerError> {
        let changed = self.set(asked, forced).await?;
        let steering = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        steering.watch(&changed, &mut self.traffic, WATCH).await
    }

    async fn lower(&mut self, signature: Signature) -> Changed {
        let steering = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        steering.back(signature).await.unwrap()
    }

    async fn rest(&mut self, changed: &Changed) -> Result<DrainReport, RolloutControllerError> {
        let steering = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        steering.rest(changed, &mut self.traffic).await
    }

    async fn back(&mut self) -> Result<DrainReport, RolloutControllerError> {
        let changed = self.lower(signed("back")).await;
        self.rest(&changed).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_up_is_recorded_and_only_the_cohort_arrives() {
    let mut bench = bench(4_000, &[]);
    for (stage, percent) in [("canary", 1.0), ("10", 10.0), ("50", 50.0), ("100", 100.0)] {
        let seen = bench.step(stage, false).await.unwrap();
        assert_eq!(bench.flag.share(), Percentage::try_from(percent).unwrap());
        assert_eq!(seen.outside_cohort, 0, "{stage}");
        assert!(seen.watched_ms >= 10_000 && seen.caught_up);
    }
    let changes = bench.flag.changes.lock().unwrap();
    assert_eq!(changes.len(), 5);
    assert!(
        changes[1..]
            .iter()
            .all(|change| change.who == "night shift")
    );
    assert!(
        changes.iter().all(|change| change.value.key.is_none()),
        "nobody chose a key"
    );
}

#[tokio::test(start_paused = true)]
async fn the_cohort_is_that_of_the_key_the_processes_have() {
    for (said, started_with) in [
        (None, RolloutKey::Tick),
        (None, RolloutKey::Token),
        (Some(RolloutKey::Token), RolloutKey::Tick),
    ] {
        let mut bench = bench(0, &[]).at("10", said);
        bench.traffic.key = started_with;
        let seen = bench.step("50", false).await.unwrap();
        assert!(seen.arrived > 0);
        assert_eq!(seen.outside_cohort, 0, "{said:?} {started_with:?}");
        assert_eq!(bench.flag.last().value.key, said, "a step leaves the key");
        bench.back().await.unwrap();
        assert_eq!(
            bench.flag.last().value.key,
            said,
            "and so does the way back"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_follow_is_seen() {
    let mut bench = bench(0, &[]).at("100", None);
    // From now on the traffic stays at 100 %.
    bench.traffic.behind_ms = 3_600_000;
    bench.traffic.seen.push_back((0, value("100", None)));
    let seen = bench.step("10", false).await.unwrap();
    assert!(seen.outside_cohort > 0, "{seen:?}");
    assert!(matches!(
        bench.back().await,
        Err(RolloutControllerError::NoRest)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_changes_nothing_and_a_forced_one_goes() {
    let mut bench = bench(0, &["tickstream-lag"]);
    for stage in ["canary", "10"] {
        assert!(matches!(
            bench.step(stage, false).await,
            Err(RolloutControllerError::Refused(_))
        ));
    }
    assert_eq!(bench.flag.changes.lock().unwrap().len(), 1);
    let changed = bench.set("10", true).await.unwrap();
    assert_eq!(changed.notes, ["forced while on: tickstream-lag"]);
    assert_eq!(bench.flag.share(), "10".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_any_alarm_only_force_goes_up() {
    let mut bench = bench(0, &[]);
    bench.alarms.states.watched = 0;
    let refused = bench.set("canary", false).await.unwrap_err();
    assert!(refused.to_string().contains("no alarm"), "{refused}");
    let changed = bench.set("canary", true).await.unwrap();
    assert_eq!(changed.notes, ["forced without any alarm"]);
}

#[tokio::test(start_paused = true)]
async fn an_unforced_step_up_needs_alarms_and_stream() {
    for (alarms, stream) in [
        (Mood::Broken, Mood::Well),
        (Mood::Well, Mood::Broken),
        (Mood::Well, Mood::Silent),
    ] {
        let mut bench = bench(0, &[]);
        bench.alarms.mood = alarms;
        bench.traffic.mood = stream;
        let refused = bench.set("canary", false).await;
        assert!(
            matches!(refused, Err(RolloutControllerError::Port(_))),
            "{refused:?}"
        );
        assert_eq!(
            bench.flag.share(),
            Percentage::ZERO,
            "{alarms:?} {stream:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn steps_down_and_forced_ones_need_nothing_but_the_flag() {
    for mood in [Mood::Broken, Mood::Silent] {
        for (stage, forced) in [("10", false), ("100", true)] {
            let mut bench = bench(0, &[]).at("50", None);
            bench.alarms.mood = mood;
            bench.traffic.mood = mood;
            let began = Instant::now();
            let changed = bench.set(stage, forced).await.unwrap();
            assert!(began.elapsed() <= Duration::from_secs(4));
            assert_eq!(bench.flag.share(), stage.parse().unwrap());
            assert_eq!(changed.notes.len(), usize::from(forced), "{changed:?}");
            let unseen = bench.step(stage, forced).await;
            assert!(
                matches!(unseen, Err(RolloutControllerError::Port(_))),
                "{unseen:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_back_waits_until_nothing_new_arrives() {
    let mut bench = bench(3_000, &["tickstream-lag"]);
    for stage in ["canary", "10", "50", "100"] {
        bench.step(stage, true).await.unwrap();
    }
    let began = Instant::now();
    let seen = bench.back().await.unwrap();
    let last_ms = seen.last_arrival_after_ms.unwrap();
    assert!((2_000..=4_000).contains(&last_ms), "{seen:?}");
    assert!(seen.arrived > 0);
    assert!(
        began.elapsed() >= Duration::from_millis(6_500),
        "every cache has run out"
    );
    let opened = bench.traffic.opened_at.last();
    assert_eq!(opened, Some(&Percentage::ZERO), "the flag came first");
}

#[tokio::test(start_paused = true)]
async fn without_traffic_the_way_back_is_quiet() {
    let mut bench = bench(0, &[]);
    let seen = bench.back().await.unwrap();
    assert_eq!((seen.arrived, seen.last_arrival_after_ms), (0, None));
}

#[tokio::test(start_paused = true)]
async fn the_way_back_needs_nothing_but_to_write() {
    for mood in [Mood::Broken, Mood::Silent] {
        let mut bench = bench(0, &[]).at("100", None);
        *bench.flag.reading.lock().unwrap() = mood;
        bench.traffic.mood = mood;
        bench.alarms.mood = mood;
        let began = Instant::now();
        let changed = bench.lower(signed("back")).await;
        assert!(began.elapsed() <= Duration::from_secs(4));
        assert_eq!(bench.flag.share(), Percentage::ZERO);
        assert_eq!(changed.before, None);
        assert!(changed.notes[0].contains("not known"), "{changed:?}");
        let unseen = bench.rest(&changed).await;
        assert!(
            matches!(unseen, Err(RolloutControllerError::Port(_))),
            "{unseen:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_flag_that_is_not_understood_stops_steps_but_not_the_way_back() {
    let mut bench = bench(0, &[]).at("100", None);
    *bench.flag.unreadable.lock().unwrap() = Some("`1O`, which is no rollout".to_owned());
    let refused = bench.set("10", false).await.unwrap_err();
    assert!(refused.to_string().contains("`1O`"), "{refused}");
    let changed = bench.lower(signed("back")).await;
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert!(
        changed.notes[0].contains("written over `1O`"),
        "{changed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_signature_is_too_bad_for_the_way_back() {
    let mut bench = bench(0, &[]).at("100", None);
    let changed = Signature {
        who: " ".to_owned(),
        why: "x".repeat(600),
    };
    bench.lower(changed).await;
    let last = bench.flag.last();
    assert_eq!((last.who.as_str(), last.why.len()), ("unknown", 500));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_never_read_to_its_end_ends_the_wait_all_the_same() {
    let mut bench = bench(0, &[]).at("100", None);
    bench.traffic.never_at_the_tip = true;
    let began = Instant::now();
    let behind = bench.back().await;
    assert!(
        matches!(behind, Err(RolloutControllerError::Behind)),
        "{behind:?}"
    );
    assert!(began.elapsed() <= Duration::from_secs(61));

    // Nor does a look that hangs once the stream is open.
    let changed = bench.lower(signed("back")).await;
    let mut hanging = Hanging;
    let steering = RolloutController {
        flag: bench.flag.as_ref(),
        alarms: &bench.alarms,
        clock: bench.clock.as_ref(),
    };
    let began = Instant::now();
    let behind = steering.rest(&changed, &mut hanging).await;
    assert!(
        matches!(behind, Err(RolloutControllerError::Behind)),
        "{behind:?}"
    );
    assert!(began.elapsed() <= Duration::from_secs(61));
}

/// A stream that opens, and then says nothing.
struct Hanging;

#[async_trait]
impl Arrivals for Hanging {
    async fn watch_from(&mut self, _: i64) -> Result<(), PortError> {
        Ok(())
    }

    async fn poll(&mut self) -> Result<Poll, PortError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_crosses_a_rollback_leaves_the_lower_share() {
    let mut bench = bench(0, &[]).at("10", None);
    let rollback = by("day shift", value("0", None));
    bench.flag.meanwhile.lock().unwrap().push_back(rollback);
    let changed = bench.set("50", false).await.unwrap();
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert_eq!(changed.value.share(), Percentage::ZERO);
    assert!(
        changed.notes[0].contains("day shift had set 0 %"),
        "{changed:?}"
    );

    // A higher one is written over, and told.
    let higher = by("day shift", value("100", None));
    bench.flag.meanwhile.lock().unwrap().push_back(higher);
    let changed = bench.set("canary", false).await.unwrap();
    assert_eq!(bench.flag.share(), "1".parse().unwrap());
    assert!(changed.notes[0].contains("100 %"), "{changed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_crosses_a_step_stays_at_zero() {
    let mut bench = bench(0, &[]).at("10", None);
    let step = by("day shift", value("50", None));
    bench.flag.meanwhile.lock().unwrap().push_back(step);
    let changed = bench.lower(signed("back")).await;
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert!(changed.notes[0].contains("50 %"), "{changed:?}");
}
