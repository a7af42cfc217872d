//! Runs a shard with a scripted function and a simulated clock.

use app::ports::SequenceNumber;
use integration::event_source::mapping::MappingSettings;
use integration::event_source::record::Record;
use integration::event_source::shard::{Batch, Condition, Outcome, Shard, Step};

/// The start of the clock, epoch ms.
pub(crate) const START_MS: i64 = 1_760_000_000_000;

/// How the function treats a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Good,
    /// Every invocation with this record fails.
    Poison,
    /// The first invocations with this record fail, this many times.
    Flaky(u32),
    /// The function reports this record as failed, this many times, even as the first one.
    ReportedFailed(u32),
    /// This record fails, this many times. The function reports it, or raises an error if nothing before it
    /// is done, as ours do.
    Failing(u32),
}

/// The outcome of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordOutcome {
    Processed,
    GivenUp(Condition),
}

/// One simulated run.
pub(crate) struct Simulation {
    pub(crate) shard: Shard,
    pub(crate) now_ms: i64,
    behaviours: Vec<Behaviour>,
    /// In the order of completion.
    pub(crate) outcomes: Vec<(usize, RecordOutcome)>,
    /// The indexes of the records of each invocation.
    pub(crate) invocations: Vec<Vec<usize>>,
    pub(crate) failed_invocations: usize,
    pub(crate) given_up: Vec<(usize, usize, Condition)>,
    offered: usize,
    /// How long an invocation takes.
    pub(crate) invocation_ms: i64,
}

pub(crate) fn number(index: usize) -> SequenceNumber {
    // Around a power of ten, so the order by text differs from the order by value.
    SequenceNumber::from(95 + index as u64)
}

fn index(number: &SequenceNumber) -> usize {
    number.to_string().parse::<usize>().unwrap() - 95
}

fn indexes(batch: &Batch) -> Vec<usize> {
    let numbers = batch.records.iter().map(|record| &record.sequence_number);
    numbers.map(index).collect()
}

impl Simulation {
    pub(crate) fn new(settings: MappingSettings, behaviours: Vec<Behaviour>) -> Self {
        Self {
            shard: Shard::new(settings),
            now_ms: START_MS,
            behaviours,
            outcomes: Vec::new(),
            invocations: Vec::new(),
            failed_invocations: 0,
            given_up: Vec::new(),
            offered: 0,
            invocation_ms: 1,
        }
    }

    /// The next `count` records arrive now.
    pub(crate) fn arrive(&mut self, count: usize) {
        let until = (self.offered + count).min(self.behaviours.len());
        let records = (self.offered..until)
            .map(|index| Record {
                sequence_number: number(index),
                arrival_ms: self.now_ms,
                partition_key: "SOL".to_owned(),
                data: vec![0; 8],
            })
            .collect();
        self.offered = until;
        self.shard.offer(records, self.now_ms).unwrap();
    }

    /// Does one step; returns false if there is nothing to do except reading.
    pub(crate) fn step(&mut self) -> bool {
        let step = self.shard.step(self.now_ms);
        assert_eq!(
            step,
            self.shard.step(self.now_ms),
            "a repeated call returns the same step"
        );
        match step {
            Step::Read => return false,
            Step::WaitUntil(until_ms) => {
                assert!(until_ms > self.now_ms, "waiting takes time");
                self.now_ms = until_ms;
            }
            Step::GiveUp(batch, condition) => {
                let all = indexes(&batch);
                self.given_up
                    .push((all[0], *all.last().unwrap(), condition));
                let outcomes = all
                    .into_iter()
                    .map(|index| (index, RecordOutcome::GivenUp(condition)));
                self.outcomes.extend(outcomes);
                self.shard.given_up().unwrap();
            }
            Step::Invoke(batch) => {
                let all = indexes(&batch);
                let (outcome, done) = self.invoke(&all);
                self.now_ms += self.invocation_ms;
                self.failed_invocations += usize::from(outcome != Outcome::Done);
                let outcomes = all
                    .iter()
                    .take(done)
                    .map(|index| (*index, RecordOutcome::Processed));
                self.outcomes.extend(outcomes);
                self.invocations.push(all);
                self.shard.answered(&outcome, self.now_ms).unwrap();
            }
        }
        true
    }

    /// Runs until there is nothing left to do.
    pub(crate) fn run_to_end(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 1_000_000, "it does not end");
        }
    }

    pub(crate) fn run(mut self) -> Self {
        self.arrive(usize::MAX / 2);
        self.run_to_end();
        self
    }

    /// The scripted function's response, and how many records at the start it processed.
    fn invoke(&mut self, all: &[usize]) -> (Outcome, usize) {
        for index in all {
            match &mut self.behaviours[*index] {
                Behaviour::Poison => return (Outcome::Failed, 0),
                Behaviour::Flaky(left) if *left > 0 => {
                    *left -= 1;
                    return (Outcome::Failed, 0);
                }
                Behaviour::Good
                | Behaviour::Flaky(_)
                | Behaviour::ReportedFailed(_)
                | Behaviour::Failing(_) => {}
            }
        }
        for (position, index) in all.iter().enumerate() {
            match &mut self.behaviours[*index] {
                Behaviour::Failing(left) if *left > 0 && position == 0 => {
                    *left -= 1;
                    return (Outcome::Failed, 0);
                }
                Behaviour::ReportedFailed(left) | Behaviour::Failing(left) if *left > 0 => {
                    *left -= 1;
                    return (Outcome::DoneBefore(number(*index)), position);
                }
                Behaviour::Good
                | Behaviour::Poison
                | Behaviour::Flaky(_)
                | Behaviour::ReportedFailed(_)
                | Behaviour::Failing(_) => {}
            }
        }
        (Outcome::Done, all.len())
    }
}
