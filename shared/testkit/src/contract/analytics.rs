//! The contract of the analytics store.

use app::ports::{AnalysisCommit, AnalyticsStore, SequenceNumber, StateChange, StoredState};
use domain::Pair;
use domain::analytics::{AnalysisConfig, Candle, Interval, PairState};
use domain::{Tick, TickId};

use crate::ticks::tick;

/// The tokens of the pairs (against USD) that [`analytics_store`] uses. A store that must have seen
/// a pair before it can keep its analysis needs a tick of each first.
pub const ANALYTICS_TOKENS: [&str; 4] = ["analysed-a", "analysed-b", "analysed-c", "analysed-d"];

/// The shard that the suite writes to.
const SHARD: u8 = 0;

/// States and candles are kept, corrections are merged with one revision per step, and a step is
/// stored atomically per pair. With `guards_base`, a step from an outdated state is refused.
///
/// # Panics
/// If the adapter breaks the contract.
pub async fn analytics_store(store: &dyn AnalyticsStore, guards_base: bool) {
    states_are_kept(store).await;
    corrections_are_merged(store).await;
    a_large_step_is_kept_whole(store).await;
    if guards_base {
        a_step_from_an_old_state_is_refused(store).await;
    }
}

#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
async fn states_are_kept(store: &dyn AnalyticsStore) {
    let [a, b, ..] = ANALYTICS_TOKENS;
    let unknown = Pair::of(&tick("analysed-never", 0));
    let pairs = [pair(b), unknown.clone(), pair(a)];
    let found = store.load(SHARD, &pairs).await.unwrap();
    assert!(
        found.len() == 3 && found.iter().all(Option::is_none),
        "nothing there yet"
    );

    let nothing = AnalysisCommit::default();
    let corrected = store.commit(SHARD, 1.into(), nothing).await.unwrap();
    assert_eq!(corrected, [], "a step without changes is not an error");

    let [of_a, of_b] = [folded(a, 0..5, 20), folded(b, 0..3, 21)];
    let commit = step(&[
        (SequenceNumber::START, &of_a),
        (SequenceNumber::START, &of_b),
    ]);
    store.commit(SHARD, 21.into(), commit).await.unwrap();
    let found = store.load(SHARD, &pairs).await.unwrap();
    let [found_b, None, found_a] = &found[..] else {
        panic!("a result for each, in the order requested: {found:?}")
    };
    same(found_a.as_ref(), &of_a);
    same(found_b.as_ref(), &of_b);

    // Continues from the stored states, with more pairs than one call may read.
    let next = folded(a, 0..9, 57);
    let commit = step(&[(20.into(), &next)]);
    store.commit(SHARD, 57.into(), commit).await.unwrap();
    let mut many = vec![unknown; 1];
    many.extend((0..230).map(|n| pair(&format!("analysed-never-{n}"))));
    many.push(pair(a));
    let found = store.load(SHARD, &many).await.unwrap();
    assert_eq!(found.iter().flatten().count(), 1);
    same(found.last().and_then(Option::as_ref), &next);
}

#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
async fn corrections_are_merged(store: &dyn AnalyticsStore) {
    let [_, _, c, _] = ANALYTICS_TOKENS;
    let state = folded(c, 0..1, 1);
    let mut commit = step(&[(SequenceNumber::START, &state)]);
    commit.candles = vec![second(c, 10), second(c, 11)];
    store.commit(SHARD, 1.into(), commit).await.unwrap();

    // Late ticks: two for a stored candle, one for a candle of this step, one for none.
    let state = folded(c, 0..1, 2);
    let mut commit = step(&[(1.into(), &state)]);
    commit.candles = vec![second(c, 12)];
    commit.corrections = vec![
        late(c, 10, 1),
        late(c, 10, 2),
        late(c, 12, 3),
        late(c, 13, 4),
    ];
    let corrected = store.commit(SHARD, 2.into(), commit).await.unwrap();
    assert_eq!(
        revisions(&corrected),
        [(10, 3, 1), (12, 2, 1), (13, 1, 0)],
        "(second, tick count, revision): one revision per step"
    );

    let state = folded(c, 0..1, 3);
    let mut commit = step(&[(2.into(), &state)]);
    commit.corrections = vec![late(c, 10, 5), late(c, 11, 6), late(c, 13, 7)];
    let corrected = store.commit(SHARD, 3.into(), commit).await.unwrap();
    assert_eq!(revisions(&corrected), [(10, 4, 2), (11, 2, 1), (13, 2, 1)]);
}

#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
async fn a_large_step_is_kept_whole(store: &dyn AnalyticsStore) {
    let [_, _, _, d] = ANALYTICS_TOKENS;
    let state = folded(d, 0..300, 300);
    let mut commit = step(&[(SequenceNumber::START, &state)]);
    commit.candles = (0..250).map(|n| second(d, n)).collect();
    commit.corrections = (240..270).map(|n| late(d, n, n)).collect();
    let corrected = store.commit(SHARD, 300.into(), commit).await.unwrap();
    assert_eq!(corrected.len(), 30);

    let state = folded(d, 0..300, 301);
    let mut commit = step(&[(300.into(), &state)]);
    commit.corrections = [0, 100, 249, 269].map(|n| late(d, n, 1_000 + n)).to_vec();
    let corrected = store.commit(SHARD, 301.into(), commit).await.unwrap();
    assert_eq!(
        revisions(&corrected),
        [(0, 2, 1), (100, 2, 1), (249, 3, 2), (269, 2, 1)],
        "candles of every part of the large step are stored"
    );
}

#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
async fn a_step_from_an_old_state_is_refused(store: &dyn AnalyticsStore) {
    let [_, b, c, _] = ANALYTICS_TOKENS;
    let stale = folded(c, 0..2, 90);
    for base in [SequenceNumber::START, 2.into(), 91.into()] {
        let mut commit = step(&[(base, &stale)]);
        commit.candles = (400..600).map(|n| second(c, n)).collect();
        commit.corrections = vec![late(c, 10, 9)];
        let refused = store.commit(SHARD, 90.into(), commit).await.unwrap_err();
        assert!(
            refused.retryable,
            "it succeeds after folding again: {refused:?}"
        );
    }
    let found = store.load(SHARD, &[pair(c)]).await.unwrap();
    same(found.first().and_then(Option::as_ref), &folded(c, 0..1, 3));

    // Nothing of the refused steps is stored; a step from the stored state is accepted.
    let next = folded(c, 0..2, 91);
    let mut commit = step(&[(3.into(), &next)]);
    commit.corrections = vec![late(c, 10, 9), late(c, 450, 10)];
    let corrected = store.commit(SHARD, 91.into(), commit).await.unwrap();
    assert_eq!(revisions(&corrected), [(10, 5, 3), (450, 1, 0)]);

    // A refused pair does not prevent others from being stored.
    let of_b = folded(b, 0..4, 92);
    let commit = step(&[(SequenceNumber::START, &stale), (21.into(), &of_b)]);
    assert!(store.commit(SHARD, 92.into(), commit).await.is_err());
    let found = store.load(SHARD, &[pair(b)]).await.unwrap();
    let held = found.first().and_then(Option::as_ref);
    let held = held.map(|held| held.last_sequence);
    assert!(
        held == Some(21.into()) || held == Some(92.into()),
        "a pair is stored completely or not at all: {held:?}"
    );
}

fn pair(token: &str) -> Pair {
    Pair::of(&tick(token, 0))
}

/// The state of a pair after some of its ticks.
fn folded(token: &str, ticks: std::ops::Range<u32>, last: u64) -> StoredState {
    let Pair { token: base, quote } = pair(token);
    let mut state = PairState::new(base, quote);
    for n in ticks {
        let _effects = state.apply(&tick(token, n), &AnalysisConfig::default());
    }
    StoredState {
        last_sequence: last.into(),
        state,
    }
}

/// A step that continues from the current states.
fn step(states: &[(SequenceNumber, &StoredState)]) -> AnalysisCommit {
    let change = |(base, stored): &(SequenceNumber, &StoredState)| StateChange {
        pair: Pair {
            token: stored.state.token().clone(),
            quote: stored.state.quote().clone(),
        },
        base: *base,
        stored: (*stored).clone(),
    };
    AnalysisCommit {
        states: states.iter().map(change).collect(),
        ..AnalysisCommit::default()
    }
}

/// The one-second candle of tick number `n`.
fn second(token: &str, n: u32) -> Candle {
    Candle::of(&tick(token, n), Interval::OneSecond)
}

/// A late tick for the same second.
fn late(token: &str, n: u32, id: u32) -> Candle {
    let tick = Tick {
        tick_id: TickId::derive("testkit-late", &[token, &id.to_string()]),
        ..tick(token, n)
    };
    Candle::of(&tick, Interval::OneSecond)
}

/// Second, tick count and revision of candles.
fn revisions(candles: &[Candle]) -> Vec<(i64, u64, u32)> {
    let second = |candle: &Candle| (candle.start_ms - crate::ticks::START_MS) / 1_000;
    let mut seen: Vec<_> = candles
        .iter()
        .map(|candle| (second(candle), candle.tick_count(), candle.revision))
        .collect();
    seen.sort_unstable();
    seen
}

/// States cannot be compared directly, so their results are.
#[expect(clippy::unwrap_used, reason = "a contract suite fails by panicking")]
fn same(found: Option<&StoredState>, expected: &StoredState) {
    let found = found.unwrap();
    assert_eq!(found.last_sequence, expected.last_sequence);
    assert_eq!(found.state.latest(), expected.state.latest());
    let averages = |stored: &StoredState| stored.state.averages().collect::<Vec<_>>();
    assert_eq!(averages(found), averages(expected));
    let candles = |stored: &StoredState| stored.state.open_candles().cloned().collect::<Vec<_>>();
    assert_eq!(candles(found), candles(expected));
}
