//! What a comparison found.

use std::collections::BTreeMap;

use domain::count_of;
use serde::{Deserialize, Serialize};

use super::places::Place;
use super::record::FieldDifference;
use super::request::DueAfter;

/// The most examples of each kind that a proof has.
pub const EXAMPLES_MAX: usize = 10;

/// The most tokens that a proof counts by name. The ticks of others are under [`OTHER_TOKENS`].
pub const TOKENS_MAX: usize = 10_000;

/// The name under which the ticks of further tokens are counted; no token has it.
pub const OTHER_TOKENS: &str = "(others)";

/// How one place compares with the store, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceCounts {
    /// Ticks of the cohort that it has exactly once, with the same content.
    pub matched: u64,
    /// Ticks of the cohort that it lacks.
    pub missing: u64,
    /// Ticks of the cohort that it lacks, but that are not due yet, or are known to be on their way to it.
    pub late: u64,
    /// Of the late ones, those that are due.
    #[serde(default)]
    pub overdue: u64,
    /// Ticks that it has with other content.
    pub different: u64,
    /// Copies beyond the first. On AWS, analytics counts a tick once, however often it arrives.
    pub repeated: u64,
    /// Ticks that do not belong there: outside the cohort, or not in the store.
    pub extra: u64,
    /// Ticks of the cohort that it lacks, where it could not be seen.
    pub unseen: u64,
}

impl PlaceCounts {
    /// Whether there is anything that should not be.
    #[must_use]
    pub fn has_differences(&self, repeats_max: u64) -> bool {
        self.missing > 0 || self.different > 0 || self.extra > 0 || self.repeated > repeats_max
    }

    fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.missing += other.missing;
        self.late += other.late;
        self.overdue += other.overdue;
        self.different += other.different;
        self.repeated += other.repeated;
        self.extra += other.extra;
        self.unseen += other.unseen;
    }
}

/// The counts of a group of ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Ticks in the store.
    pub stored: u64,
    /// Of these, the ticks whose first decision was to go to the stream.
    pub cohort: u64,
    /// Of these, the ticks that stream and archive both have exactly once, with the same content.
    pub matched: u64,
    /// Ticks without a decision, which a release before 1.1 stored. They are not compared.
    pub undecided: u64,
    /// The stream.
    pub stream: PlaceCounts,
    /// The archive.
    pub archive: PlaceCounts,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.cohort += other.cohort;
        self.matched += other.matched;
        self.undecided += other.undecided;
        self.stream.add(&other.stream);
        self.archive.add(&other.archive);
    }

    /// Whether there is any tick of the cohort that was compared. One that a place has more than once is not `matched`.
    fn has_matches(&self) -> bool {
        let is_there = |it: &PlaceCounts| it.matched + it.repeated > 0;
        is_there(&self.stream) && is_there(&self.archive)
    }

    /// How many differences there are, in both places.
    #[must_use]
    pub fn differences(&self) -> u64 {
        let of = |place| {
            let PlaceCounts {
                missing,
                different,
                repeated,
                extra,
                ..
            } = self.of(place);
            missing + different + repeated + extra
        };
        Place::ALL.into_iter().map(of).sum()
    }

    /// The counts of a place.
    #[must_use]
    pub fn of(&self, place: Place) -> &PlaceCounts {
        match place {
            Place::Stream => &self.stream,
            Place::Archive => &self.archive,
        }
    }

    pub(super) fn of_mut(&mut self, place: Place) -> &mut PlaceCounts {
        match place {
            Place::Stream => &mut self.stream,
            Place::Archive => &mut self.archive,
        }
    }
}

/// What is wrong with a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// A tick of the cohort is not there.
    Missing,
    /// It is there with other content.
    Different,
    /// It is there more than once.
    Repeated,
    /// It is there, although it does not belong to the cohort.
    OutsideCohort,
    /// It is there, but not in the store.
    NotStored,
}

impl Finding {
    /// In the words of a report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Repeated => "more than once",
            Self::OutsideCohort => "outside the cohort",
            Self::NotStored => "not in the store",
        }
    }
}

/// A tick with a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// What is wrong.
    pub finding: Finding,
    /// Where.
    pub place: Place,
    /// The tick's id.
    pub tick_id: String,
    /// The token.
    pub token: String,
    /// The quote.
    pub quote: String,
    /// The source.
    pub source: String,
    /// Event time, epoch milliseconds.
    pub timestamp_ms: i64,
    /// The time of receipt, epoch milliseconds.
    pub ingested_at_ms: i64,
    /// The fields that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldDifference>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Ticks received from this time on, epoch milliseconds.
    pub from_ms: i64,
    /// And before this time.
    pub to_ms: i64,
    /// One in how many minutes of each token, by event time, was compared: 1 for all.
    pub one_in: u32,
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// What was compared.
    pub scope: Scope,
    /// When it began, epoch milliseconds.
    pub made_at_ms: i64,
    /// How many copies beyond the first are allowed in each place.
    pub repeats_max: u64,
    /// When ticks were due, if not as the places' writers are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_after: Option<DueAfter>,
    /// All ticks.
    pub counts: Counts,
    /// By the UTC hour of receipt (its start in epoch milliseconds).
    pub by_hour: BTreeMap<i64, Counts>,
    /// By source.
    pub by_source: BTreeMap<String, Counts>,
    /// By token.
    pub by_token: BTreeMap<String, Counts>,
    /// Some ticks with differences, at most [`EXAMPLES_MAX`] of each kind and place.
    pub examples: Vec<Example>,
    /// What could not be seen.
    pub unseen: Vec<String>,
    /// How many ticks were offered or written again, if a repair was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Repaired>,
}

/// What a repair did, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// Appended to the stream. Its consumers, and so the archive, follow.
    pub appended: u64,
    /// Of the ticks that the stream of one machine lacks, those that it must have had, since the archive has them. They have
    /// been counted, so they are not appended again.
    #[serde(default)]
    pub left_out: u64,
    /// Written to the archive, since the stream has them, or has removed what was received then.
    pub archived: u64,
}

/// The outcome of a comparison in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All ticks of the cohort that are due are in stream and archive exactly once with the same content, and no others.
    Proven,
    /// There are differences.
    Differences,
    /// Nothing differs, but not everything could be seen, or ticks that are due are still on their way.
    Incomplete,
    /// There was no tick of the cohort that is due, so nothing is proven.
    NoTicks,
}

impl Proof {
    /// The same with the counts of at most so many tokens by name: those with the most differences first.
    #[must_use]
    pub fn with_tokens_max(mut self, tokens_max: usize) -> Self {
        if self.by_token.len() <= tokens_max {
            return self;
        }
        let mut tokens: Vec<(String, Counts)> =
            std::mem::take(&mut self.by_token).into_iter().collect();
        tokens.sort_by_key(|(name, counts)| {
            (
                name == OTHER_TOKENS,
                std::cmp::Reverse((counts.differences(), counts.cohort)),
            )
        });
        let others = tokens.split_off(tokens_max);
        self.by_token = tokens.into_iter().collect();
        let of_others = self.by_token.entry(OTHER_TOKENS.to_owned()).or_default();
        others.iter().for_each(|(_, counts)| of_others.add(counts));
        self
    }

    /// What is on its way although it is due, and what to do. Only on one machine is it known what is on its way.
    #[must_use]
    pub fn overdue(&self) -> Option<String> {
        let of = |place| self.counts.of(place).overdue;
        let stream = of(Place::Stream);
        // What waits for the stream waits for the archive, too.
        let archive = of(Place::Archive).saturating_sub(stream);
        let waiting = [
            (stream, "waiting in the outbox for the stream"),
            (archive, "of the stream not yet written to the archive"),
        ];
        let waiting = waiting.into_iter().filter(|(count, _)| *count > 0);
        let texts: Vec<String> = waiting
            .map(|(count, what)| format!("{} {what}", count_of(count, "tick")))
            .collect();
        (!texts.is_empty()).then(|| {
            format!(
                "{}. A running tickstream delivers them by itself; if it is running, its log says what blocks them. --repair \
                 skips them, so that they are not duplicated",
                texts.join(", and ")
            )
        })
    }

    /// What to do if the only differences are copies beyond the first.
    #[must_use]
    pub fn advice_on_repeats(&self) -> Option<String> {
        let of_places = Place::ALL.map(|place| self.counts.of(place));
        let differs = |it: &&PlaceCounts| it.has_differences(u64::MAX);
        if self.verdict() != Verdict::Differences || of_places.iter().any(differs) {
            return None;
        }
        let most = of_places.iter().map(|it| it.repeated).max()?;
        Some(format!(
            "nothing is lost or changed. On AWS, Kinesis and Firehose deliver at least once, so some copies are normal, and \
             analytics counts a tick once: `--repeats-max {most}` allows these. On one machine there are none in normal \
             operation: its analysis has counted each copy in the stream, so compute the candles of that time again \
             (`tickctl rebuild --apply`), and look for a writer that appends twice"
        ))
    }

    /// The outcome.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let differs = |place| self.counts.of(place).has_differences(self.repeats_max);
        if Place::ALL.into_iter().any(differs) {
            Verdict::Differences
        } else if !self.unseen.is_empty() || self.overdue().is_some() {
            Verdict::Incomplete
        } else if !self.counts.has_matches() {
            Verdict::NoTicks
        } else {
            Verdict::Proven
        }
    }
}
