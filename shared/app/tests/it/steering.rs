//! Steps of the rollout against a stream that follows the flag with a delay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use app::ports::{Alarms, Arrival, Arrivals, Clock, PortError, RolloutFlag, RolloutStore};
use app::rollout::{RolloutChange, RolloutControl};
use app::steering::{Signature, Steering, SteeringError};
use async_trait::async_trait;
use domain::{Percentage, Rollout, RolloutKey};
use testkit::ticks::ticks;
use tokio::time::Instant;

/// A clock that goes with tokio's, which the tests pause.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_760_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

struct Flag(Mutex<Vec<RolloutChange>>);

#[async_trait]
impl RolloutFlag for Flag {
    async fn current(&self) -> Rollout {
        let changes = self.0.lock().unwrap();
        changes.last().map_or(
            Rollout {
                use_kinesis: true,
                percentage: Percentage::ZERO,
                key: RolloutKey::Tick,
            },
            |change| change.rollout,
        )
    }
}

#[async_trait]
impl RolloutStore for Flag {
    async fn change(&self, change: RolloutChange) -> Result<(), PortError> {
        self.0.lock().unwrap().push(change);
        Ok(())
    }
    async fn history(&self, _: usize) -> Result<Vec<RolloutChange>, PortError> {
        Ok(self.0.lock().unwrap().iter().rev().cloned().collect())
    }
}

struct Ringing(Vec<String>);

#[async_trait]
impl Alarms for Ringing {
    async fn active(&self) -> Result<Vec<String>, PortError> {
        Ok(self.0.clone())
    }
}

/// A webhook that takes in ten ticks a look, and reads the flag `behind` late.
struct Traffic {
    flag: Arc<Flag>,
    clock: Arc<TestClock>,
    behind_ms: i64,
    seen: VecDeque<(i64, Rollout)>,
    broken: bool,
}

#[async_trait]
impl Arrivals for Traffic {
    async fn poll(&mut self) -> Result<Vec<Arrival>, PortError> {
        if self.broken {
            return Err(PortError {
                operation: "read the stream",
                retryable: true,
                source: "a fault of the test".into(),
            });
        }
        let now_ms = self.clock.now_ms();
        let current = self.flag.current().await;
        self.seen.push_back((now_ms, current));
        let old = self.seen.iter().rev();
        let mut old = old.filter(|(at_ms, _)| *at_ms <= now_ms - self.behind_ms);
        let rollout = old.next().map_or(Rollout::OFF, |(_, rollout)| *rollout);
        let made = ticks(&["a", "b"], 50).into_iter().map(|mut tick| {
            tick.ingested_at_ms = now_ms;
            tick
        });
        let admitted = made.filter(|tick| rollout.admits(tick));
        Ok(admitted
            .map(|tick| Arrival {
                arrived_ms: now_ms,
                tick,
            })
            .collect())
    }
}

struct Bench {
    flag: Arc<Flag>,
    control: RolloutControl,
    alarms: Ringing,
    traffic: Traffic,
}

fn bench(behind_ms: i64, alarms: &[&str]) -> Bench {
    let flag = Arc::new(Flag(Mutex::default()));
    let clock = Arc::new(TestClock(Instant::now()));
    Bench {
        control: RolloutControl {
            flag: flag.clone(),
            store: flag.clone(),
            clock: clock.clone(),
        },
        alarms: Ringing(alarms.iter().map(|name| (*name).to_owned()).collect()),
        traffic: Traffic {
            flag: flag.clone(),
            clock,
            behind_ms,
            seen: VecDeque::new(),
            broken: false,
        },
        flag,
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
    async fn step(
        &mut self,
        asked: &str,
        forced: bool,
    ) -> Result<app::steering::StepSeen, SteeringError> {
        let steering = Steering {
            control: &self.control,
            alarms: &self.alarms,
        };
        let stage = asked.parse().unwrap();
        steering
            .step(stage, forced, signed("up"), &mut self.traffic, WATCH)
            .await
    }

    async fn back(&mut self) -> Result<app::steering::BackSeen, SteeringError> {
        let steering = Steering {
            control: &self.control,
            alarms: &self.alarms,
        };
        steering.back(signed("back"), &mut self.traffic).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_up_is_recorded_and_only_the_cohort_arrives() {
    let mut bench = bench(4_000, &[]);
    for (stage, percent) in [("canary", 1.0), ("10", 10.0), ("50", 50.0), ("100", 100.0)] {
        let seen = bench.step(stage, false).await.unwrap();
        assert_eq!(
            seen.rollout.percentage,
            Percentage::try_from(percent).unwrap()
        );
        assert_eq!(seen.outside_cohort, 0, "{stage}");
        assert!(seen.watched_ms >= 10_000);
    }
    let all = bench.flag.history(10).await.unwrap();
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|change| change.who == "night shift"));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_does_not_follow_is_seen() {
    let mut bench = bench(0, &[]);
    for stage in ["canary", "10", "50", "100"] {
        bench.step(stage, false).await.unwrap();
    }
    // From now on the traffic stays at 100 %.
    bench.traffic.behind_ms = 3_600_000;
    bench.traffic.seen.clear();
    let full = bench.flag.current().await;
    bench.traffic.seen.push_back((0, full));
    let seen = bench.step("10", false).await.unwrap();
    assert!(seen.outside_cohort > 0, "{seen:?}");
    assert!(matches!(bench.back().await, Err(SteeringError::NoRest)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_changes_nothing_and_a_forced_one_goes() {
    let mut bench = bench(0, &["tickstream-lag"]);
    for stage in ["canary", "10"] {
        assert!(matches!(
            bench.step(stage, false).await,
            Err(SteeringError::Refused(_))
        ));
    }
    assert!(bench.flag.0.lock().unwrap().is_empty());
    bench.step("10", true).await.unwrap();
    assert_eq!(bench.flag.0.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_way_back_waits_until_nothing_new_arrives() {
    let mut bench = bench(3_000, &["tickstream-lag"]);
    for stage in ["canary", "10", "50", "100"] {
        bench.step(stage, true).await.unwrap();
    }
    let began = Instant::now();
    let seen = bench.back().await.unwrap();
    assert_eq!(seen.before, Percentage::FULL);
    let last_ms = seen.last_arrival_after_ms.unwrap();
    assert!((2_000..=4_000).contains(&last_ms), "{seen:?}");
    assert!(seen.arrived > 0);
    assert!(
        began.elapsed() >= Duration::from_millis(6_500),
        "every cache has run out"
    );
}

#[tokio::test(start_paused = true)]
async fn without_traffic_the_way_back_is_quiet() {
    let mut bench = bench(0, &[]);
    let seen = bench.back().await.unwrap();
    assert_eq!((seen.arrived, seen.last_arrival_after_ms), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_read_does_not_keep_the_flag_up() {
    let mut bench = bench(0, &[]);
    bench.step("canary", false).await.unwrap();
    bench.traffic.broken = true;
    assert!(matches!(bench.back().await, Err(SteeringError::Port(_))));
    assert_eq!(bench.flag.current().await.percentage, Percentage::ZERO);
}
