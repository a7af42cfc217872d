//! Faults at many places of a series, each from the state that a detector had there.

use std::error::Error;

use domain::detection::AnomalyKind;

use crate::detector::{Detector, Method, Reading};
use crate::fault::{Fault, Injected};
use crate::random::Random;
use crate::series::{Series, Tick};

/// After an alarm, others do not count for this long: our detector has the same cooldown.
const COOLDOWN_MS: i64 = 60_000;

/// There are no faults in the first third of a series, nor in its first ticks and its first hour.
const FIRST_TICKS_MIN: usize = 300;
const FIRST_MS_MIN: i64 = 3_600_000;

/// How many ticks the longest fault needs.
const ROOM_TICKS: usize = 300;

/// A method and the threshold of its scores.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    pub method: Method,
    pub threshold: f64,
}

/// The readings of a series without faults.
pub struct Untouched {
    methods: Vec<Method>,
    readings: Vec<Vec<Reading>>,
}

impl Untouched {
    /// The readings of each method.
    ///
    /// # Errors
    /// Those of the detectors.
    pub fn read(series: &Series, methods: &[Method]) -> Result<Self, Box<dyn Error>> {
        let readings = methods.iter().map(|method| {
            let mut detector = method.detector(series)?;
            let ticks = series.ticks.iter();
            ticks.map(|tick| detector.observe(*tick)).collect()
        });
        Ok(Self {
            methods: methods.to_vec(),
            readings: readings.collect::<Result<_, Box<dyn Error>>>()?,
        })
    }

    fn of(&self, method: Method) -> &[Reading] {
        let at = self.methods.iter().position(|it| *it == method);
        at.map_or(&[], |at| &self.readings[at])
    }

    /// How often a contender reports the series, and what.
    pub fn alarms(&self, series: &Series, contender: Contender) -> Vec<Option<AnomalyKind>> {
        let mut quiet_until_ms = i64::MIN;
        let mut found = Vec::new();
        for (tick, reading) in series.ticks.iter().zip(self.of(contender.method)) {
            let is_free = contender.method == Method::Ours || tick.ms >= quiet_until_ms;
            if reading.score >= contender.threshold && is_free {
                quiet_until_ms = tick.ms + COOLDOWN_MS;
                found.push(reading.kind);
            }
        }
        found
    }

    /// All scores of a method.
    pub fn scores(&self, method: Method) -> impl Iterator<Item = f64> {
        self.of(method).iter().map(|it| it.score)
    }
}

/// One fault, and whether it was found.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub contender: usize,
    pub fault: Fault,
    pub size: f64,
    pub found: Option<Found>,
}

/// When a fault was found.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The number of ticks with the fault (of its venue) up to the one that was reported: 1 is the first.
    pub ticks: usize,
    pub seconds: f64,
    pub kind: Option<AnomalyKind>,
}

/// Injects every fault, in every size, at this many places of the series.
///
/// # Errors
/// Those of the detectors.
pub fn run(
    series: &Series,
    untouched: &Untouched,
    contenders: &[Contender],
    places: usize,
    seed: u64,
) -> Result<Vec<Outcome>, Box<dyn Error>> {
    let count = series.ticks.len();
    let start_ms = series.ticks.first().map_or(0, |it| it.ms);
    let learned = |it: &Tick| it.ms < start_ms + FIRST_MS_MIN;
    let first = series.ticks.partition_point(learned);
    let range = first.max(count / 3).max(FIRST_TICKS_MIN)..count.saturating_sub(ROOM_TICKS);
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let mut random = Random::seeded(seed, &series.name);
    let mut at: Vec<usize> = (0..places)
        .map(|_| random.position(range.clone()))
        .collect();
    at.sort_unstable();
    let mut outcomes = Vec::new();
    for method in untouched.methods.iter().copied() {
        let mut detector = method.detector(series)?;
        let mut done = 0;
        for (place, at) in at.iter().copied().enumerate() {
            for tick in series.ticks.iter().take(at).skip(done) {
                detector.observe(*tick)?;
            }
            done = at;
            for fault in Fault::ALL {
                for size in fault.sizes() {
                    // The same for each method.
                    let name = format!("{} {fault:?} {size} {place}", series.name);
                    let mut random = Random::seeded(seed, &name);
                    let Some(ticks) = fault.inject(series, at, *size, &mut random) else {
                        continue;
                    };
                    let mut readings = Vec::new();
                    let mut detector: Detector = detector.clone();
                    for injected in &ticks {
                        readings.push(detector.observe(injected.tick)?);
                    }
                    for (number, contender) in contenders.iter().enumerate() {
                        if contender.method != method {
                            continue;
                        }
                        let before = untouched.of(method);
                        let is_found = |at: &usize| {
                            let as_ever = before[ticks[*at].number].score >= contender.threshold;
                            readings[*at].score >= contender.threshold && !as_ever
                        };
                        let found = (0..ticks.len()).find(is_found);
                        let is_there = |it: &&Injected| it.tick.venue == ticks[0].tick.venue;
                        outcomes.push(Outcome {
                            contender: number,
                            fault,
                            size: *size,
                            found: found.map(|it| Found {
                                ticks: ticks[..=it].iter().filter(is_there).count(),
                                seconds: (ticks[it].tick.ms - ticks[0].tick.ms) as f64 / 1_000.0,
                                kind: readings[it].kind,
                            }),
                        });
                    }
                }
            }
        }
    }
    Ok(outcomes)
}
