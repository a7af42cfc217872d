//! Steps of the rollout against a stream that follows the flag with a delay.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
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

fn port_error() -> PortError {
    PortError {
        operation: "read",
        retryable: true,
        source: "a fault of the test".into(),
    }
}

/// How a port behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Working,
    Broken,
    Silent,
}

impl Health {
    async fn respond(self) -> Result<(), PortError> {
        match self {
            Self::Working => Ok(()),
            Self::Broken => Err(port_error()),
            Self::Silent => std::future::pending().await,
        }
    }
}

/// A clock that follows tokio's, which the tests pause.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_760_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// The flag's record. Processes keep the last value that they understood.
struct Flag {
    changes: Mutex<Vec<FlagChange>>,
    /// What the record holds instead of the last change.
    unreadable: Mutex<Option<String>>,
    reading: Mutex<Health>,
    /// What others write immediately before our next write.
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
        let health = *self.reading.lock().unwrap();
        health.respond().await?;
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

struct FixedAlarms {
    states: AlarmStates,
    /// How often they are read before an alarm that was new is decided.
    decided_after: AtomicU32,
    health: Health,
}

#[async_trait]
impl Alarms for FixedAlarms {
    async fn states(&self) -> Result<AlarmStates, PortError> {
        self.health.respond().await?;
        let mut states = self.states.clone();
        let left = self.decided_after.load(Ordering::Relaxed);
        if left > 0 {
            self.decided_after.store(left - 1, Ordering::Relaxed);
            states.undecided = vec!["ticks-new".to_owned()];
        }
        Ok(states)
    }
}

/// A webhook that ingests a hundred ticks per poll, and follows the flag with a delay of
/// `behind_ms`.
struct Traffic {
    flag: Arc<Flag>,
    clock: Arc<TestClock>,
    behind_ms: i64,
    /// What the webhook was started with.
    key: RolloutKey,
    seen: VecDeque<(i64, FlagValue)>,
    health: Health,
    /// The stream is written faster than it can be read.
    never_caught_up: bool,
    /// The shares that were in force each time the stream was opened.
    opened_at: Vec<Percentage>,
}

#[async_trait]
impl Arrivals for Traffic {
    async fn watch_from(&mut self, from_ms: i64) -> Result<(), PortError> {
        assert!(
            from_ms < self.clock.now_ms(),
            "AWS refuses a time in the future"
        );
        self.opened_at.push(self.flag.share());
        self.health.respond().await
    }

    async fn poll(&mut self) -> Result<Poll, PortError> {
        self.health.respond().await?;
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
        let generated = ticks(&tokens, 2).into_iter().map(|mut tick| {
            tick.ingested_at_ms = now_ms;
            tick
        });
        let admitted = generated.filter(|tick| rollout.admits(tick));
        let arrivals = admitted.map(|tick| Arrival {
            arrived_ms: now_ms,
            tick,
        });
        Ok(Poll {
            arrivals: arrivals.collect(),
            caught_up: !self.never_caught_up,
        })
    }
}

struct Bench {
    flag: Arc<Flag>,
    clock: Arc<TestClock>,
    alarms: FixedAlarms,
    traffic: Traffic,
}

fn bench(behind_ms: i64, on: &[&str]) -> Bench {
    let first = by("a deploy", value("0", None));
    let flag = Arc::new(Flag {
        changes: Mutex::new(vec![first]),
        unreadable: Mutex::default(),
        reading: Mutex::new(Health::Working),
        meanwhile: Mutex::default(),
    });
    let clock = Arc::new(TestClock(Instant::now()));
    Bench {
        alarms: FixedAlarms {
            states: AlarmStates {
                watched: 26,
                on: on.iter().map(|name| (*name).to_owned()).collect(),
                ..AlarmStates::default()
            },
            decided_after: 0.into(),
            health: Health::Working,
        },
        traffic: Traffic {
            flag: flag.clone(),
            clock: clock.clone(),
            behind_ms,
            key: RolloutKey::Tick,
            seen: VecDeque::new(),
            health: Health::Working,
            never_caught_up: false,
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
    /// Starts at a share.
    fn at(self, share: &str, key: Option<RolloutKey>) -> Self {
        let change = by("a test", value(share, key));
        self.flag.changes.lock().unwrap().push(change);
        self
    }

    async fn set(&mut self, stage: &str, forced: bool) -> Result<Changed, RolloutControllerError> {
        let controller = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        let stage = stage.parse().unwrap();
        let arrivals = &mut self.traffic;
        controller.step(stage, forced, signed("up"), arrivals).await
    }

    async fn step(
        &mut self,
        stage: &str,
        forced: bool,
    ) -> Result<StepReport, RolloutControllerError> {
        let changed = self.set(stage, forced).await?;
        let controller = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        controller.watch(&changed, &mut self.traffic, WATCH).await
    }

    async fn lower(&mut self, signature: Signature) -> Changed {
        let controller = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        controller.rollback(signature).await.unwrap()
    }

    async fn watch_drained(
        &mut self,
        changed: &Changed,
    ) -> Result<DrainReport, RolloutControllerError> {
        let controller = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        controller.watch_drained(changed, &mut self.traffic).await
    }

    async fn rollback(&mut self) -> Result<DrainReport, RolloutControllerError> {
        let changed = self.lower(signed("rollback")).await;
        self.watch_drained(&changed).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_up_waits_for_alarms_that_are_new() {
    let mut bench = bench(0, &[]);
    bench.alarms.decided_after = 20.into();
    bench.set("canary", false).await.unwrap();
    assert_eq!(bench.alarms.decided_after.load(Ordering::Relaxed), 0);

    // One that is never decided is no reason to go up.
    bench.alarms.decided_after = u32::MAX.into();
    let refused = bench.set("10", false).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "an alarm is without enough data yet: ticks-new"
    );
    assert_eq!(bench.flag.share(), Percentage::try_from(1.0).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_step_up_on_an_emulator_names_the_alarms_that_nobody_sees() {
    let mut bench = bench(0, &[]);
    bench.alarms.states.unseen = vec!["ticks-lag".to_owned()];
    let changed = bench.set("canary", false).await.unwrap();
    let note = "on an emulator, which evaluates no alarms, these could not be seen: ticks-lag";
    assert_eq!(changed.notes, [note]);
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
async fn the_cohort_follows_the_key_that_the_processes_use() {
    for (in_flag, started_with) in [
        (None, RolloutKey::Tick),
        (None, RolloutKey::Token),
        (Some(RolloutKey::Token), RolloutKey::Tick),
    ] {
        let mut bench = bench(0, &[]).at("10", in_flag);
        bench.traffic.key = started_with;
        let seen = bench.step("50", false).await.unwrap();
        assert!(seen.arrived > 0);
        assert_eq!(seen.outside_cohort, 0, "{in_flag:?} {started_with:?}");
        assert_eq!(bench.flag.last().value.key, in_flag, "a step keeps the key");
        bench.rollback().await.unwrap();
        assert_eq!(
            bench.flag.last().value.key,
            in_flag,
            "and so does a rollback"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ignores_the_flag_is_noticed() {
    let mut bench = bench(0, &[]).at("100", None);
    // From now on the traffic stays at 100 %.
    bench.traffic.behind_ms = 3_600_000;
    bench.traffic.seen.push_back((0, value("100", None)));
    let seen = bench.step("10", false).await.unwrap();
    assert!(seen.outside_cohort > 0, "{seen:?}");
    assert!(matches!(
        bench.rollback().await,
        Err(RolloutControllerError::NotDrained)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_changes_nothing_and_a_forced_one_is_taken() {
    let mut bench = bench(0, &["tickstream-lag"]);
    for stage in ["canary", "10"] {
        assert!(matches!(
            bench.step(stage, false).await,
            Err(RolloutControllerError::Refused(_))
        ));
    }
    assert_eq!(bench.flag.changes.lock().unwrap().len(), 1);
    let changed = bench.set("10", true).await.unwrap();
    assert_eq!(changed.notes, ["forced despite alarms: tickstream-lag"]);
    assert_eq!(bench.flag.share(), "10".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_alarms_only_a_forced_step_goes_up() {
    let mut bench = bench(0, &[]);
    bench.alarms.states.watched = 0;
    let refused = bench.set("canary", false).await.unwrap_err();
    assert!(refused.to_string().contains("no alarms"), "{refused}");
    let changed = bench.set("canary", true).await.unwrap();
    assert_eq!(changed.notes, ["forced although the project has no alarms"]);
}

#[tokio::test(start_paused = true)]
async fn an_unforced_step_up_needs_alarms_and_stream() {
    for (alarms, stream) in [
        (Health::Broken, Health::Working),
        (Health::Working, Health::Broken),
        (Health::Working, Health::Silent),
    ] {
        let mut bench = bench(0, &[]);
        bench.alarms.health = alarms;
        bench.traffic.health = stream;
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
async fn steps_down_and_forced_steps_need_only_the_flag() {
    for health in [Health::Broken, Health::Silent] {
        for (stage, forced) in [("10", false), ("100", true)] {
            let mut bench = bench(0, &[]).at("50", None);
            bench.alarms.health = health;
            bench.traffic.health = health;
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
async fn a_rollback_waits_until_nothing_new_arrives() {
    let mut bench = bench(3_000, &["tickstream-lag"]);
    for stage in ["canary", "10", "50", "100"] {
        bench.step(stage, true).await.unwrap();
    }
    let began = Instant::now();
    let seen = bench.rollback().await.unwrap();
    let last_ms = seen.last_arrival_after_ms.unwrap();
    assert!((2_000..=4_000).contains(&last_ms), "{seen:?}");
    assert!(seen.arrived > 0);
    assert!(
        began.elapsed() >= Duration::from_millis(6_500),
        "every cached flag has expired"
    );
    let opened = bench.traffic.opened_at.last();
    assert_eq!(opened, Some(&Percentage::ZERO), "the flag came first");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_without_traffic_sees_no_arrival() {
    let mut bench = bench(0, &[]);
    let seen = bench.rollback().await.unwrap();
    assert_eq!((seen.arrived, seen.last_arrival_after_ms), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_only_needs_to_write_the_flag() {
    for health in [Health::Broken, Health::Silent] {
        let mut bench = bench(0, &[]).at("100", None);
        *bench.flag.reading.lock().unwrap() = health;
        bench.traffic.health = health;
        bench.alarms.health = health;
        let began = Instant::now();
        let changed = bench.lower(signed("rollback")).await;
        assert!(began.elapsed() <= Duration::from_secs(4));
        assert_eq!(bench.flag.share(), Percentage::ZERO);
        assert_eq!(changed.before, None);
        assert!(changed.notes[0].contains("not known"), "{changed:?}");
        let unseen = bench.watch_drained(&changed).await;
        assert!(
            matches!(unseen, Err(RolloutControllerError::Port(_))),
            "{unseen:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_flag_blocks_steps_but_not_a_rollback() {
    let mut bench = bench(0, &[]).at("100", None);
    *bench.flag.unreadable.lock().unwrap() = Some("`1O`, which is not a rollout".to_owned());
    let refused = bench.set("10", false).await.unwrap_err();
    assert!(refused.to_string().contains("`1O`"), "{refused}");
    let changed = bench.lower(signed("rollback")).await;
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert!(
        changed.notes[0].contains("replaced an invalid value: `1O`"),
        "{changed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rollback_accepts_any_signature() {
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
async fn the_wait_ends_even_if_the_stream_is_never_read_to_its_end() {
    let mut bench = bench(0, &[]).at("100", None);
    bench.traffic.never_caught_up = true;
    let began = Instant::now();
    let behind = bench.rollback().await;
    assert!(
        matches!(behind, Err(RolloutControllerError::Behind)),
        "{behind:?}"
    );
    assert!(began.elapsed() <= Duration::from_secs(61));

    // The same if a poll hangs after the stream was opened.
    let changed = bench.lower(signed("rollback")).await;
    let mut hanging = Hanging;
    let controller = RolloutController {
        flag: bench.flag.as_ref(),
        alarms: &bench.alarms,
        clock: bench.clock.as_ref(),
    };
    let began = Instant::now();
    let behind = controller.watch_drained(&changed, &mut hanging).await;
    assert!(
        matches!(behind, Err(RolloutControllerError::Behind)),
        "{behind:?}"
    );
    assert!(began.elapsed() <= Duration::from_secs(61));
}

/// A stream that opens, and then never responds.
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

    // A higher one is overwritten, and reported.
    let higher = by("day shift", value("100", None));
    bench.flag.meanwhile.lock().unwrap().push_back(higher);
    let changed = bench.set("canary", false).await.unwrap();
    assert_eq!(bench.flag.share(), "1".parse().unwrap());
    assert!(changed.notes[0].contains("100 %"), "{changed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_crosses_a_step_stays_at_zero() {
    let mut bench = bench(0, &[]).at("10", None);
    let step = by("day shift", value("50", None));
    bench.flag.meanwhile.lock().unwrap().push_back(step);
    let changed = bench.lower(signed("rollback")).await;
    assert_eq!(bench.flag.share(), Percentage::ZERO);
    assert!(changed.notes[0].contains("50 %"), "{changed:?}");
}
