//! A project in memory: a flag, alarms, and a webhook whose ticks arrive in a stream.

use std::collections::{BTreeMap, VecDeque};
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
use ops::stage_proof::{Prover, StageProof};
use ops::verify::{Counts, PlaceCounts, Proof, Scope};
use testkit::ticks::ticks;
use tokio::time::Instant;

pub(crate) fn port_error() -> PortError {
    PortError {
        operation: "read",
        retryable: true,
        source: "a fault of the test".into(),
    }
}

/// How a port behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
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
pub(crate) struct TestClock(Instant);

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        1_760_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// The flag's record. Processes keep the last value that they understood.
pub(crate) struct Flag {
    pub(crate) changes: Mutex<Vec<FlagChange>>,
    /// What the record holds instead of the last change.
    pub(crate) unreadable: Mutex<Option<String>>,
    pub(crate) reading: Mutex<Health>,
    /// What others write immediately before our next write.
    pub(crate) meanwhile: Mutex<VecDeque<FlagChange>>,
}

pub(crate) fn value(percentage: &str, key: Option<RolloutKey>) -> FlagValue {
    FlagValue {
        use_kinesis: true,
        percentage: percentage.parse().unwrap(),
        key,
    }
}

pub(crate) fn by(who: &str, value: FlagValue) -> FlagChange {
    FlagChange {
        at_ms: 1,
        who: who.to_owned(),
        why: "a test".to_owned(),
        value,
    }
}

impl Flag {
    pub(crate) fn last(&self) -> FlagChange {
        self.changes.lock().unwrap().last().unwrap().clone()
    }

    pub(crate) fn share(&self) -> Percentage {
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

pub(crate) struct FixedAlarms {
    pub(crate) states: AlarmStates,
    /// How often they are read before an alarm that was new is decided.
    pub(crate) decided_after: AtomicU32,
    /// From which read on an alarm is on; 0 for never.
    pub(crate) rises_at_read: AtomicU32,
    pub(crate) health: Health,
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
        match self.rises_at_read.load(Ordering::Relaxed) {
            0 => {}
            1 => states.on = vec!["ticks-lag".to_owned()],
            left => self.rises_at_read.store(left - 1, Ordering::Relaxed),
        }
        Ok(states)
    }
}

/// A webhook that ingests a hundred ticks per poll, and follows the flag with a delay of
/// `behind_ms`.
pub(crate) struct Traffic {
    pub(crate) flag: Arc<Flag>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) behind_ms: i64,
    /// What the webhook was started with.
    pub(crate) key: RolloutKey,
    pub(crate) seen: VecDeque<(i64, FlagValue)>,
    pub(crate) health: Health,
    /// The stream is written faster than it can be read.
    pub(crate) never_caught_up: bool,
    /// The shares that were in force each time the stream was opened.
    pub(crate) opened_at: Vec<Percentage>,
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

pub(crate) struct Bench {
    pub(crate) flag: Arc<Flag>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) alarms: FixedAlarms,
    pub(crate) traffic: Traffic,
    pub(crate) prover: FakeProver,
    pub(crate) traffic_ms: i64,
}

pub(crate) fn bench(behind_ms: i64, on: &[&str]) -> Bench {
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
            rises_at_read: 0.into(),
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
        prover: FakeProver(Ok(proof(7))),
        // Not too young, whenever the stage began.
        traffic_ms: i64::MIN / 2,
    }
}

/// What a comparison finds.
pub(crate) struct FakeProver(pub(crate) Result<Proof, String>);

#[async_trait]
impl Prover for FakeProver {
    async fn prove(&self, _: i64) -> Result<Proof, String> {
        self.0.clone()
    }
}

/// A proof of so many ticks.
pub(crate) fn proof(matched: u64) -> Proof {
    let of_place = PlaceCounts {
        matched,
        ..PlaceCounts::default()
    };
    Proof {
        scope: Scope {
            from_ms: 0,
            to_ms: 1,
            one_in: 1,
        },
        made_at_ms: 2,
        repeats_max: 0,
        due_after: None,
        counts: Counts {
            stored: matched,
            cohort: matched,
            matched,
            undecided: 0,
            stream: of_place,
            archive: of_place,
        },
        by_hour: BTreeMap::new(),
        by_source: BTreeMap::new(),
        by_token: BTreeMap::new(),
        examples: Vec::new(),
        unseen: Vec::new(),
        repaired: None,
    }
}

pub(crate) fn signed(why: &str) -> Signature {
    Signature {
        who: "night shift".to_owned(),
        why: why.to_owned(),
    }
}

pub(crate) const WATCH: Duration = Duration::from_secs(10);

impl Bench {
    /// Starts at a share.
    pub(crate) fn at(self, share: &str, key: Option<RolloutKey>) -> Self {
        let change = by("a test", value(share, key));
        self.flag.changes.lock().unwrap().push(change);
        self
    }

    pub(crate) async fn set(
        &mut self,
        stage: &str,
        forced: bool,
    ) -> Result<Changed, RolloutControllerError> {
        let controller = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        let stage = stage.parse().unwrap();
        let proof = StageProof {
            prover: &self.prover,
            traffic_ms: self.traffic_ms,
            due_ms: 0,
        };
        let arrivals = &mut self.traffic;
        controller
            .step(stage, forced, signed("up"), &proof, arrivals)
            .await
    }

    pub(crate) async fn step(
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

    pub(crate) async fn lower(&mut self, signature: Signature) -> Changed {
        let controller = RolloutController {
            flag: self.flag.as_ref(),
            alarms: &self.alarms,
            clock: self.clock.as_ref(),
        };
        controller.rollback(signature).await.unwrap()
    }

    pub(crate) async fn watch_drained(
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

    pub(crate) async fn rollback(&mut self) -> Result<DrainReport, RolloutControllerError> {
        let changed = self.lower(signed("rollback")).await;
        self.watch_drained(&changed).await
    }
}
