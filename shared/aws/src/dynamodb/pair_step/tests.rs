//! Transactions of small, large and late steps.

use app::ports::StoredState;
use domain::analytics::{AnalysisConfig, Member, PairState};
use domain::{Tick, Token};
use testkit::ticks::tick;

use super::*;

const RETENTION: Retention = Retention {
    now_ms: 1_767_225_600_000,
    days: 30,
};

fn pair() -> Pair {
    Pair::of(&tick("BTC", 1))
}

fn change(base: u64, last: u64) -> StateChange {
    let state = PairState::new(Token::new("BTC").unwrap(), Token::new("USD").unwrap());
    StateChange {
        pair: pair(),
        base: base.into(),
        stored: StoredState {
            last_sequence: last.into(),
            state,
        },
    }
}

fn second(n: u32) -> Candle {
    Candle::of(&tick("BTC", n), Interval::OneSecond)
}

fn step(commit: AnalysisCommit) -> PairStep {
    by_pair(commit).remove(&pair()).unwrap()
}

fn revision_of(action: &TransactWriteItem) -> Option<String> {
    let item = action.put()?.item();
    item.get(REVISION)?.as_n().ok().cloned()
}

#[test]
fn a_small_step_is_one_transaction_with_the_condition_of_its_base() {
    let commit = AnalysisCommit {
        states: vec![change(7, 9)],
        candles: (0..5).map(second).collect(),
        ..AnalysisCommit::default()
    };
    let (transactions, corrected) = step(commit)
        .transactions("t", &pair(), &[], &RETENTION)
        .unwrap();
    assert_eq!((transactions.len(), corrected.len()), (1, 0));
    let state = transactions[0][0].put().unwrap();
    assert_eq!(state.condition_expression(), Some("#last = :base"));
    let values = state.expression_attribute_values().unwrap();
    assert_eq!(values[":base"], text(SequenceNumber::from(7).padded()));
    assert_eq!(
        state.item()[LAST_SEQUENCE],
        text(SequenceNumber::from(9).padded())
    );
    assert_eq!(transactions[0].len(), 6);
}

#[test]
fn the_first_step_of_a_pair_requires_that_no_state_exists() {
    let commit = AnalysisCommit {
        states: vec![change(0, 9)],
        ..AnalysisCommit::default()
    };
    let (transactions, _) = step(commit)
        .transactions("t", &pair(), &[], &RETENTION)
        .unwrap();
    let state = transactions[0][0].put().unwrap();
    assert_eq!(
        state.condition_expression(),
        Some("attribute_not_exists(#last)")
    );
}

#[test]
fn a_large_step_checks_its_base_in_every_transaction_and_updates_it_in_the_last() {
    let commit = AnalysisCommit {
        states: vec![change(7, 9)],
        candles: (0..300).map(second).collect(),
        corrections: (400..410).map(second).collect(),
        ..AnalysisCommit::default()
    };
    let (transactions, corrected) = step(commit)
        .transactions("t", &pair(), &[], &RETENTION)
        .unwrap();
    assert_eq!(corrected.len(), 10);
    let (last, before) = transactions.split_last().unwrap();
    let puts: usize = before
        .iter()
        .map(|actions| {
            let check = actions[0].condition_check().unwrap();
            assert_eq!(check.condition_expression(), "#last = :base");
            assert!(actions.len() <= ACTIONS_MAX);
            actions.len() - 1
        })
        .sum();
    assert_eq!(last.len(), ACTIONS_MAX);
    assert_eq!(puts + last.len(), 300 + 10 + 1, "nothing is missing");
    let moves = |action: &TransactWriteItem| {
        action
            .put()
            .is_some_and(|put| put.item().contains_key(LAST_SEQUENCE))
    };
    assert_eq!(last.iter().filter(|it| moves(it)).count(), 1);
    assert!(!before.iter().flatten().any(moves));
}

#[test]
fn a_step_of_large_seconds_is_split_by_bytes() {
    let large = |n| Candle {
        members: vec![Member(u64::MAX); 20_000],
        ..second(n)
    };
    let commit = AnalysisCommit {
        states: vec![change(7, 9)],
        candles: (0..40).map(large).collect(),
        ..AnalysisCommit::default()
    };
    let (transactions, _) = step(commit)
        .transactions("t", &pair(), &[], &RETENTION)
        .unwrap();
    let puts = |actions: &[TransactWriteItem]| -> Vec<usize> {
        let puts = actions.iter().filter_map(TransactWriteItem::put);
        puts.map(|put| size_bytes(put.item())).collect()
    };
    let sizes: Vec<Vec<usize>> = transactions.iter().map(|it| puts(it)).collect();
    assert_eq!(sizes.iter().map(Vec::len).sum::<usize>(), 40 + 1);
    let totals: Vec<usize> = sizes.iter().map(|it| it.iter().sum()).collect();
    assert!(totals.iter().all(|total| *total <= BYTES_MAX), "{totals:?}");
}

#[test]
fn a_correction_adds_one_revision_per_step_wherever_its_candle_is() {
    let stored = Candle {
        revision: 4,
        ..second(1)
    };
    let late = |n: u32| {
        Candle::of(
            &Tick {
                tick_id: tick("late", n).tick_id,
                ..tick("BTC", n)
            },
            Interval::OneSecond,
        )
    };
    let commit = AnalysisCommit {
        states: vec![change(7, 9)],
        candles: vec![second(2)],
        corrections: vec![late(1), late(2), late(3)],
        ..AnalysisCommit::default()
    };
    let step = step(commit);
    let read: Vec<i64> = step.to_read().map(|candle| candle.start_ms).collect();
    assert_eq!(read, [second(1).start_ms, second(3).start_ms]);
    let (transactions, corrected) = step
        .transactions("t", &pair(), &[stored], &RETENTION)
        .unwrap();
    let [of_stored, of_step, new] = &corrected[..] else {
        panic!("{corrected:?}")
    };
    assert_eq!((of_stored.revision, of_stored.tick_count), (5, 2));
    assert_eq!((of_step.revision, of_step.tick_count), (1, 2));
    assert_eq!((new.revision, new.tick_count), (0, 1));
    let conditions: Vec<Option<&str>> = transactions[0]
        .iter()
        .take(3)
        .map(|action| action.put().unwrap().condition_expression())
        .collect();
    assert_eq!(
        conditions,
        [
            Some("#revision = :read"),
            None,
            Some("attribute_not_exists(#pk)")
        ]
    );
    let revisions: Vec<_> = transactions[0].iter().filter_map(revision_of).collect();
    assert_eq!(revisions, ["5", "1", "0"]);
}

#[test]
fn too_many_corrections_for_a_transaction_are_refused_with_advice() {
    let commit = AnalysisCommit {
        states: vec![change(7, 9)],
        corrections: (0..100).map(second).collect(),
        ..AnalysisCommit::default()
    };
    let refused = step(commit).transactions("t", &pair(), &[], &RETENTION);
    let message = refused.err().unwrap().to_string();
    assert!(
        message.contains("100 candles of BTC/USD") && message.contains("fold fewer"),
        "{message}"
    );
}

#[test]
fn a_busy_state_is_far_below_the_limit_of_an_item() {
    let mut state = PairState::new(Token::new("BTC").unwrap(), Token::new("USD").unwrap());
    for n in 0..5_000 {
        let _effects = state.apply(&tick("BTC", n), &AnalysisConfig::default());
    }
    let stored = StoredState {
        last_sequence: 5_000.into(),
        state,
    };
    let AttributeValue::B(bytes) = packed(&stored).unwrap() else {
        panic!("bytes")
    };
    assert!(
        bytes.as_ref().len() < 40_000,
        "{} bytes",
        bytes.as_ref().len()
    );
}
