//! Compares the records of each tick.

use std::collections::{BTreeMap, HashMap};

use app::read_back::ReceiptRange;
use domain::Tick;

use super::names::{Names, PairNumbers, SourceNumber, TokenNumber};
use super::places::Place;
use super::proof::{Counts, EXAMPLES_MAX, Example, Finding, OTHER_TOKENS, TOKENS_MAX};
use super::record::{Origin, Record};

const MS_PER_HOUR: i64 = 60 * 60 * 1_000;

/// When a tick must be where it belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// Ticks received at this time or later may be missing in the stream, epoch milliseconds.
    pub(super) stream_ms: i64,
    /// The same for the archive.
    pub(super) archive_ms: i64,
}

/// What could be seen of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// Ticks received before this time may be there without having been seen.
    pub(super) before_ms: i64,
}

impl Sight {
    pub(super) const CLEAR: Self = Self {
        before_ms: i64::MIN,
    };
    pub(super) const NONE: Self = Self {
        before_ms: i64::MAX,
    };

    pub(super) fn without(self, before_ms: Option<i64>) -> Self {
        Self {
            before_ms: self.before_ms.max(before_ms.unwrap_or(i64::MAX)),
        }
    }
}

/// The rules of a comparison.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// What is compared. A record with another time of receipt only counts as a copy of a tick of the range.
    pub(super) range: ReceiptRange,
    pub(super) due: Due,
    /// Whether all is known that is on its way. What is neither there nor on its way is missing then, due or not.
    pub(super) pending_is_known: bool,
    /// Whether ticks that the archive lacks are skipped.
    pub(super) only_archived: bool,
    pub(super) store: Sight,
    pub(super) stream: Sight,
    pub(super) archive: Sight,
}

impl Rules {
    /// Whether the stream must have had a tick. On one machine, the archive has its ticks from the stream.
    fn was_streamed(&self, copies: &[Record]) -> bool {
        let is_archived = |record: &Record| record.origin == Origin::Archive;
        self.pending_is_known && copies.iter().any(is_archived)
    }
}

/// The result of some records.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    by_hour: BTreeMap<i64, Counts>,
    by_source: HashMap<SourceNumber, Counts>,
    /// Of the first [`TOKENS_MAX`] tokens that were seen, and of all others, so that its size has a limit.
    by_token: HashMap<Option<TokenNumber>, Counts>,
    pub(super) examples: Vec<Example>,
    examples_of: HashMap<(Finding, Place), usize>,
    /// Ticks of the cohort that the stream lacks, and has not had.
    pub(super) never_streamed: u64,
    /// Ticks of the cohort that stream and archive lack, where the stream could not be seen: it may have had them.
    pub(super) maybe_streamed: u64,
}

/// What a repair needs of a portion of the records.
#[derive(Debug, Default)]
pub(super) struct Lacking {
    /// Ticks of the cohort that the stream lacks, and has not had: its consumers have counted those that it has had.
    pub(super) in_stream: Vec<Tick>,
    /// Ticks of the cohort that the archive lacks, and will not get from the stream by a repair: it has them, or has removed
    /// what was received then.
    pub(super) in_archive: Vec<Tick>,
}

/// As many ticks are put back at once, so that the archive gets few files, and they take little memory.
const LACKING_MAX: usize = 50_000;

impl Lacking {
    pub(super) fn extend(&mut self, other: Self) {
        self.in_stream.extend(other.in_stream);
        self.in_archive.extend(other.in_archive);
    }

    /// Whether there are enough ticks to put back.
    pub(super) fn is_large(&self) -> bool {
        self.in_stream.len() + self.in_archive.len() >= LACKING_MAX
    }
}

impl Tally {
    /// Adds records, sorted by identity and place. With `lacking`, collects what a repair needs.
    pub(super) fn compare(
        &mut self,
        records: &[Record],
        names: &Names,
        rules: &Rules,
        mut lacking: Option<&mut Lacking>,
    ) {
        for copies in records.chunk_by(|one, other| one.identity == other.identity) {
            self.compare_tick(copies, names, rules, lacking.as_deref_mut());
        }
    }

    fn compare_tick(
        &mut self,
        copies: &[Record],
        names: &Names,
        rules: &Rules,
        lacking: Option<&mut Lacking>,
    ) {
        let is_archived = |record: &Record| record.origin == Origin::Archive;
        if rules.only_archived && !copies.iter().any(is_archived) {
            return;
        }
        let is_stored = |record: &&Record| matches!(record.origin, Origin::Store(_));
        let stored = copies.iter().find(is_stored);
        let is_counted = |record: &&Record| {
            !matches!(record.origin, Origin::Pending(_))
                && rules.range.contains(record.ingested_at_ms)
        };
        let Some(first) = stored.or_else(|| copies.iter().find(is_counted)) else {
            return;
        };
        let mut counts = Counts::default();
        let decision = stored.map(|record| match record.origin {
            Origin::Store(in_cohort) => in_cohort,
            Origin::Stream | Origin::Archive | Origin::Pending(_) => None,
        });
        if let Some(decision) = decision {
            counts.stored = 1;
            counts.cohort = u64::from(decision == Some(true));
            counts.undecided = u64::from(decision.is_none());
        }
        let was_streamed = rules.was_streamed(copies);
        let mut found = [0_u64; 2];
        for (place, found) in Place::ALL.into_iter().zip(&mut found) {
            let origin = match place {
                Place::Stream => Origin::Stream,
                Place::Archive => Origin::Archive,
            };
            let in_place = || copies.iter().filter(|record| record.origin == origin);
            let copies_there = in_place().count() as u64;
            *found = copies_there;
            let of_place = counts.of_mut(place);
            if copies_there > 1 {
                of_place.repeated = copies_there - 1;
                self.example(Finding::Repeated, place, first, None, names);
            }
            match (stored, decision) {
                (Some(stored), Some(Some(true))) => {
                    let other = in_place().find(|record| !stored.is_same(record));
                    if let Some(other) = other {
                        of_place.different = 1;
                        self.example(Finding::Different, place, stored, Some(other), names);
                    } else if copies_there == 1 {
                        of_place.matched = 1;
                    } else if copies_there == 0 {
                        let (sight, due_ms) = match place {
                            Place::Stream => (rules.stream, rules.due.stream_ms),
                            Place::Archive => (rules.archive, rules.due.archive_ms),
                        };
                        // A stream that has removed its beginning had there what it must have had.
                        let was_removed =
                            place == Place::Stream && was_streamed && rules.stream != Sight::CLEAR;
                        if copies.iter().any(|record| is_on_its_way(record, place)) {
                            of_place.late = 1;
                            of_place.overdue = u64::from(stored.ingested_at_ms < due_ms);
                        } else if stored.ingested_at_ms < sight.before_ms || was_removed {
                            of_place.unseen = 1;
                        } else if stored.ingested_at_ms >= due_ms && !rules.pending_is_known {
                            of_place.late = 1;
                        } else {
                            of_place.missing = 1;
                            self.example(Finding::Missing, place, stored, None, names);
                        }
                    }
                }
                (Some(_), Some(Some(false))) if copies_there > 0 => {
                    of_place.extra = 1;
                    self.example(Finding::OutsideCohort, place, first, None, names);
                }
                (None, _) if copies_there > 0 && first.ingested_at_ms >= rules.store.before_ms => {
                    of_place.extra = 1;
                    self.example(Finding::NotStored, place, first, None, names);
                }
                _ => {}
            }
        }
        counts.matched = u64::from(counts.stream.matched == 1 && counts.archive.matched == 1);
        let is_lacking = counts.stream.missing == 1 && !was_streamed;
        self.never_streamed += u64::from(is_lacking);
        self.maybe_streamed += u64::from(counts.stream.unseen == 1 && found[1] == 0);
        let is_removed = counts.stream.unseen == 1 && rules.stream != Sight::NONE;
        if let (Some(lacking), Some(stored)) = (lacking, stored) {
            if is_lacking {
                lacking.in_stream.extend(stored.tick(names));
            } else if counts.archive.missing == 1 && (found[0] > 0 || is_removed) {
                lacking.in_archive.extend(stored.tick(names));
            }
        }
        self.counts.add(&counts);
        let hour_ms = first.ingested_at_ms - first.ingested_at_ms.rem_euclid(MS_PER_HOUR);
        self.by_hour.entry(hour_ms).or_default().add(&counts);
        self.by_source.entry(first.source).or_default().add(&counts);
        let token = first.identity.pair.token;
        let by_name = Some(token).filter(|token| (token.0 as usize) < TOKENS_MAX);
        self.by_token.entry(by_name).or_default().add(&counts);
    }

    fn example(
        &mut self,
        finding: Finding,
        place: Place,
        record: &Record,
        other: Option<&Record>,
        names: &Names,
    ) {
        let count = self.examples_of.entry((finding, place)).or_default();
        if *count >= EXAMPLES_MAX {
            return;
        }
        *count += 1;
        let PairNumbers { token, quote } = record.identity.pair;
        let name = |number| names.token_name(number).map(ToString::to_string);
        let source = names.source_name(record.source);
        self.examples.push(Example {
            finding,
            place,
            tick_id: record.tick_id().to_string(),
            token: name(token).unwrap_or_default(),
            quote: name(quote).unwrap_or_default(),
            source: source.map(ToString::to_string).unwrap_or_default(),
            timestamp_ms: record.identity.timestamp_ms,
            ingested_at_ms: record.ingested_at_ms,
            fields: other.map_or_else(Vec::new, |other| record.differences(other, names)),
        });
    }

    /// Adds the result of other records.
    pub(super) fn merge(&mut self, other: Self) {
        self.counts.add(&other.counts);
        self.never_streamed += other.never_streamed;
        self.maybe_streamed += other.maybe_streamed;
        for (hour, counts) in other.by_hour {
            self.by_hour.entry(hour).or_default().add(&counts);
        }
        for (source, counts) in other.by_source {
            self.by_source.entry(source).or_default().add(&counts);
        }
        for (token, counts) in other.by_token {
            self.by_token.entry(token).or_default().add(&counts);
        }
        for example in other.examples {
            let count = self.examples_of.entry((example.finding, example.place));
            let count = count.or_default();
            if *count < EXAMPLES_MAX {
                *count += 1;
                self.examples.push(example);
            }
        }
    }

    /// The counts by hour, source and token.
    pub(super) fn groups(&self, names: &Names) -> Groups {
        let mut groups = Groups {
            by_hour: self.by_hour.clone(),
            ..Groups::default()
        };
        for (source, counts) in &self.by_source {
            let name = names.source_name(*source).map(ToString::to_string);
            let of_source = groups.by_source.entry(name.unwrap_or_default());
            of_source.or_default().add(counts);
        }
        for (token, counts) in &self.by_token {
            let name = token.and_then(|token| names.token_name(token));
            let name = name.map_or_else(|| OTHER_TOKENS.to_owned(), ToString::to_string);
            groups.by_token.entry(name).or_default().add(counts);
        }
        groups
    }
}

/// Whether a record says that its tick is still to come to a place: one that is on its way to the stream has not been in
/// front of the archive's writer.
fn is_on_its_way(record: &Record, place: Place) -> bool {
    match record.origin {
        Origin::Pending(Place::Stream) => true,
        Origin::Pending(Place::Archive) => place == Place::Archive,
        Origin::Store(_) | Origin::Stream | Origin::Archive => false,
    }
}

/// Counts by hour, source and token.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) by_hour: BTreeMap<i64, Counts>,
    pub(super) by_source: BTreeMap<String, Counts>,
    pub(super) by_token: BTreeMap<String, Counts>,
}
