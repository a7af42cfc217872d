//! Plays a scenario on a system: what is the same on every side.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use app::ingest::{Ingest, IngestError};
use app::ports::CohortTick;
use domain::Rollout;

use crate::ports::{Life, Queue, RunClock, RunFlag};
use crate::reference::{History, Outcome, check};
use crate::scenario::{START_MS, Scenario, Step, Weather, body};

/// No faults.
pub(crate) const FAIR: Weather = Weather {
    dies_at_call: None,
    after_effect: false,
    lost_answers: 0,
    stream_refuses: false,
    throttled: false,
};

/// What is outside of the system: the clock, the operators, the senders and the subscribers.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) clock: Arc<RunClock>,
    pub(crate) flag: Arc<RunFlag>,
    pub(crate) announced: Arc<Queue>,
}

impl Outside {
    pub(crate) fn new() -> Self {
        let start = Rollout {
            use_kinesis: true,
            percentage: "50".parse().unwrap(),
            key: domain::RolloutKey::Tick,
        };
        Self {
            clock: Arc::new(RunClock(AtomicI64::new(START_MS))),
            flag: Arc::new(RunFlag(Mutex::new(start))),
            announced: Arc::default(),
        }
    }
}

/// A system under test.
pub(crate) trait System {
    /// The write path of a process with this life.
    fn ingest(&self, life: &Arc<Life>) -> Ingest;
    /// The process ends, and another one starts.
    fn restart(&mut self);
    /// The faults that are not those of a process.
    fn weather(&mut self, _weather: Weather) {}
    /// The clock has advanced.
    async fn advanced(&mut self, _ms: i64) {}
    /// The analysis reads up to so many records, and perhaps fails before it commits.
    async fn analyse(&mut self, records_max: usize, fails: bool);
    /// Writes the stream to the archive.
    async fn archive(&mut self);
    /// The store, with the decisions.
    async fn stored(&self) -> Vec<CohortTick>;
    /// Finishes all that is under way, and returns what each path holds.
    async fn finish(&mut self) -> Outcome;
}

/// Plays a scenario to its end and compares the outcome with the reference.
pub(crate) async fn play(system: &mut impl System, outside: &Outside, scenario: &Scenario) {
    // Waits and the order of calls are random: the same for the same scenario.
    fastrand::seed(scenario.seed);
    let mut history = History::default();
    let mut unaccepted: Vec<Vec<u8>> = Vec::new();
    for step in &scenario.steps {
        match step {
            Step::Deliver(indices, weather) => {
                let events: Vec<_> = indices
                    .iter()
                    .map(|at| scenario.events[*at].clone())
                    .collect();
                let body = body(&events);
                let accepted = deliver(system, outside, &mut history, &body, *weather).await;
                if accepted != Some(true) {
                    unaccepted.push(body);
                }
                if accepted.is_none() {
                    system.restart();
                }
            }
            Step::Flag(rollout) => *outside.flag.0.lock().unwrap() = *rollout,
            Step::Crash => system.restart(),
            Step::Advance(ms) => {
                outside.clock.0.fetch_add(*ms, Ordering::Relaxed);
                system.advanced(*ms).await;
            }
            Step::Analyse(records_max, fails) => system.analyse(*records_max, *fails).await,
            Step::Archive => system.archive().await,
        }
        history.observe(&system.stored().await);
    }
    for body in unaccepted {
        let accepted = deliver(system, outside, &mut history, &body, FAIR).await;
        assert_eq!(accepted, Some(true));
    }
    let mut outcome = system.finish().await;
    outcome.stored = system.stored().await;
    outcome.announced = outside.announced.0.lock().unwrap().clone();
    history.observe(&outcome.stored);
    check(&history, &outcome);
}

/// Delivers; returns whether it was accepted, or `None` if the process died.
async fn deliver(
    system: &mut impl System,
    outside: &Outside,
    history: &mut History,
    body: &[u8],
    weather: Weather,
) -> Option<bool> {
    let source = sources::find("ticks").unwrap();
    let flag = *outside.flag.0.lock().unwrap();
    let now_ms = outside.clock.0.load(Ordering::Relaxed);
    for entry in source
        .parse(body, &sources::ParseContext::at(now_ms))
        .unwrap()
    {
        let sources::Entry::Tick(tick) = entry else {
            panic!("{entry:?}")
        };
        history.tries.push((tick, flag));
    }
    system.weather(weather);
    let life = Life::new(weather);
    let ingest = system.ingest(&life);
    tokio::select! {
        answer = ingest.deliver(source, body) => match answer {
            Ok(_) => Some(true),
            Err(IngestError::NotStored(_)) => Some(false),
            Err(error) => panic!("{error}"),
        },
        () = life.died.notified() => None,
    }
}
