//! Plays a shard against a scripted function on a clock of its own.

use app::ports::SequenceNumber;
use integration::event_source::mapping::MappingSettings;
use integration::event_source::record::Record;
use integration::event_source::shard::{Batch, Condition, Outcome, Shard, Step};

/// Where the clock begins, epoch ms.
pub(crate) const START_MS: i64 = 1_760_000_000_000;

/// How the function treats a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Good,
    /// The invocation raises an error whenever this record is in it.
    Poison,
    /// The invocation raises an error the first so many times.
    Flaky(u32),
    /// The function names this record as failed, the first so many times.
    Named(u32),
}

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Processed,
    GivenUp(Condition),
}

/// One play.
pub(crate) struct Play {
    pub(crate) shard: Shard,
    pub(crate) now_ms: i64,
    natures: Vec<Nature>,
    /// In the order in which they were finished.
    pub(crate) fates: Vec<(usize, Fate)>,
    /// The records of each invocation, by index.
    pub(crate) invocations: Vec<Vec<usize>>,
    pub(crate) failed_invocations: usize,
    pub(crate) given_up: Vec<(usize, usize, Condition)>,
    offered: usize,
    /// How long an invocation takes.
    pub(crate) invocation_ms: i64,
}

pub(crate) fn number(index: usize) -> SequenceNumber {
    // Around a power of ten, so that the order by text is not the order by value.
    SequenceNumber::from(95 + index as u64)
}

fn index(number: &SequenceNumber) -> usize {
    number.to_string().parse::<usize>().unwrap() - 95
}

fn indexes(batch: &Batch) -> Vec<usize> {
    let numbers = batch.records.iter().map(|record| &record.sequence_number);
    numbers.map(index).collect()
}

impl Play {
    pub(crate) fn new(settings: MappingSettings, natures: Vec<Nature>) -> Self {
        Self {
            shard: Shard::new(settings),
            now_ms: START_MS,
            natures,
            fates: Vec::new(),
            invocations: Vec::new(),
            failed_invocations: 0,
            given_up: Vec::new(),
            offered: 0,
            invocation_ms: 1,
        }
    }

    /// The next so many records arrive now.
    pub(crate) fn arrive(&mut self, count: usize) {
        let until = (self.offered + count).min(self.natures.len());
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

    /// Does one step; answers false where there is nothing to do but read.
    pub(crate) fn step(&mut self) -> bool {
        let step = self.shard.step(self.now_ms);
        assert_eq!(
            step,
            self.shard.step(self.now_ms),
            "asked again, it says the same"
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
                let fates = all
                    .into_iter()
                    .map(|index| (index, Fate::GivenUp(condition)));
                self.fates.extend(fates);
                self.shard.given_up().unwrap();
            }
            Step::Invoke(batch) => {
                let all = indexes(&batch);
                let (outcome, done) = self.invoke(&all);
                self.now_ms += self.invocation_ms;
                self.failed_invocations += usize::from(outcome != Outcome::Done);
                let fates = all.iter().take(done).map(|index| (*index, Fate::Processed));
                self.fates.extend(fates);
                self.invocations.push(all);
                self.shard.answered(&outcome, self.now_ms).unwrap();
            }
        }
        true
    }

    /// Works until there is nothing left to do.
    pub(crate) fn settle(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 1_000_000, "it does not come to an end");
        }
    }

    pub(crate) fn play(mut self) -> Self {
        self.arrive(usize::MAX / 2);
        self.settle();
        self
    }

    /// What the scripted function answers, and how many records at the head are done by it.
    fn invoke(&mut self, all: &[usize]) -> (Outcome, usize) {
        for index in all {
            match &mut self.natures[*index] {
                Nature::Poison => return (Outcome::Failed, 0),
                Nature::Flaky(left) if *left > 0 => {
                    *left -= 1;
                    return (Outcome::Failed, 0);
                }
                Nature::Good | Nature::Flaky(_) | Nature::Named(_) => {}
            }
        }
        for (position, index) in all.iter().enumerate() {
            if let Nature::Named(left) = &mut self.natures[*index]
                && *left > 0
            {
                *left -= 1;
                return (Outcome::DoneBefore(number(*index)), position);
            }
        }
        (Outcome::Done, all.len())
    }
}
