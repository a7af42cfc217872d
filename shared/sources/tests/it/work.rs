//! No body takes work that grows faster than its size: work is counted, not timed, over every source.
//!
//! Two things are counted: the units of `parse_counted`, and all bytes that are allocated, which nothing can
//! forget to count. The bodies are the fixtures of each source, in which lists, members, texts and numbers
//! are grown, so a new source is covered by its fixtures; and the shapes that once took seconds.

mod grown;
mod made_up;

use domain::Reason;
use proptest::prelude::*;
use proptest::sample::Index;
use sources::{Entry, ParseContext, WORK_MAX};

use crate::work::grown::Grow;
use crate::{NOW_MS, fixtures};

/// The size of the smaller of two bodies that are compared.
const BODY_BYTES: usize = 16 * 1_024;

const PAIRS_STEP: usize = 101;

/// The most that the work for each byte may grow if a body has twice the size. For a square, it would double.
const GROWTH_MAX: f64 = 1.3;

/// The most bytes that are allocated for a byte of a body, and for an entry, of which there are at most 10,000.
const ALLOCATED_MAX: u64 = 64;
const ALLOCATED_ENTRY_MAX: u64 = 4 * 1_024;

/// What does not depend on the body's size.
const ALLOCATED_BASE: u64 = 64 * 1_024;
const UNITS_BASE: f64 = 100_000.0;

/// The work of a body.
#[derive(Debug, Clone, Copy)]
struct Work {
    bytes: u64,
    entries: u64,
    units: u64,
    allocated: u64,
}

fn work(source: &str, body: &str) -> Work {
    let source = sources::find(source).unwrap();
    let context = ParseContext::at(NOW_MS);
    let (mut entries, mut units) = (0, 0);
    let allocated = allocation_counter::measure(|| {
        let (read, spent) = source.parse_counted(body.as_bytes(), &context);
        entries = read.map_or(1, |entries| entries.len() as u64);
        units = spent;
    });
    Work {
        bytes: body.len() as u64,
        entries,
        units,
        allocated: allocated.bytes_total,
    }
}

/// Checks a body, and the same body at about twice the size.
#[track_caller]
fn check(source: &str, small: &str, large: &str, what: &dyn std::fmt::Debug) {
    let (less, more) = (work(source, small), work(source, large));
    let expected = less.units as f64 / less.bytes as f64 * more.bytes as f64;
    assert!(
        more.units as f64 <= expected * GROWTH_MAX + UNITS_BASE,
        "{source}: the work grows faster than the body: {less:?} {more:?} {what:?}"
    );
    for work in [less, more] {
        let most = ALLOCATED_BASE + ALLOCATED_MAX * work.bytes + ALLOCATED_ENTRY_MAX * work.entries;
        assert!(
            work.allocated <= most,
            "{source}: much memory for the body: {work:?} {what:?}"
        );
        assert!(work.units <= WORK_MAX, "{source}: {work:?} {what:?}");
    }
}

fn check_grown(source: &str, fixture: &str, grows: &[Grow]) {
    let small = grown::body(fixture, grows, BODY_BYTES);
    let large = grown::body(fixture, grows, 2 * BODY_BYTES);
    if let (Some(small), Some(large)) = (small, large) {
        check(source, &small, &large, &grows);
    }
}

/// Every `PAIRS_STEP`th pair of places in the first entry of each fixture, one of which is a list: all pairs take
/// minutes. The step has no divisor in common with the ways to grow a place, so that all of them occur.
#[test]
fn work_grows_with_the_body_in_pairs_of_places() {
    let mut pairs = 0;
    for (source, fixture) in fixtures::all() {
        let places = grown::places(&fixture);
        let lists: Vec<_> = places.iter().filter(|place| place.is_list()).collect();
        for list in lists {
            for other in &places {
                pairs += 1;
                if pairs % PAIRS_STEP == 0 {
                    check_grown(source, &fixture, &[list.clone(), other.clone()]);
                }
            }
        }
    }
    assert!(pairs > 100 * PAIRS_STEP, "{pairs}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any three places of any fixture.
    #[test]
    fn work_grows_with_the_body_in_any_three_places(
        (source, fixture) in prop::sample::select(fixtures::all()),
        picked in prop::collection::vec(any::<Index>(), 1..4),
    ) {
        let places = grown::places(&fixture);
        let grows: Vec<_> = picked.iter().map(|at| at.get(&places).clone()).collect();
        check_grown(source, &fixture, &grows);
    }
}

/// The bodies that once took seconds, at a fifth of the largest size.
#[test]
fn what_was_made_up_to_take_long_is_refused_or_quick() {
    for shape in made_up::shapes() {
        let body = (shape.body)(600_000);
        let large = (shape.body)(1_200_000);
        check(shape.source, &body, &large, &shape.name);
        let context = ParseContext::at(NOW_MS);
        let entries = sources::find(shape.source)
            .unwrap()
            .parse(body.as_bytes(), &context)
            .unwrap();
        let is_refused = |entry: &Entry| matches!(entry, Entry::Malformed(malformed) if malformed.reason == Reason::TooManyParts);
        assert_eq!(
            entries.iter().any(is_refused),
            shape.is_refused,
            "{}: {:?}",
            shape.name,
            entries.first()
        );
    }
}

/// A delivery of nothing but valid entries is never refused for its work, however large it is.
#[test]
fn the_largest_valid_delivery_is_read_completely() {
    for (source, body) in made_up::largest_valid() {
        let (entries, units) = sources::find(source)
            .unwrap()
            .parse_counted(body.as_bytes(), &ParseContext::at(NOW_MS));
        let entries = entries.unwrap();
        assert!(
            entries.iter().all(|entry| matches!(entry, Entry::Tick(_))),
            "{source}: {:?}",
            entries.last()
        );
        assert!(units <= WORK_MAX / 2, "{source}: {units}");
    }
}

/// Once the work is used up, nothing more is read, and no entry is half read.
#[test]
fn entries_after_the_limit_are_refused() {
    let body = made_up::beyond_the_limit();
    let (entries, units) = sources::find("helius")
        .unwrap()
        .parse_counted(body.as_bytes(), &ParseContext::at(NOW_MS));
    let entries = entries.unwrap();
    let reason = |entry: &Entry| match entry {
        Entry::Malformed(malformed) => Some(malformed.reason),
        Entry::Tick(_) | Entry::ArrivalStamped(_) | Entry::Ignored(_) => None,
    };
    assert_eq!(entries.last().and_then(reason), Some(Reason::TooManyParts));
    assert_ne!(entries.first().and_then(reason), Some(Reason::TooManyParts));
    assert!(units < WORK_MAX + WORK_MAX / 5, "{units}");
}
