//! What holds whatever the settings and the records are.

use integration::event_source::mapping::MappingSettings;
use integration::event_source::shard::Condition;
use proptest::prelude::*;

use crate::play::{Fate, Nature, Play, number};

fn settings() -> impl Strategy<Value = MappingSettings> {
    (
        1..40_usize,
        prop_oneof![Just(0_i64), 1..3_000_i64],
        any::<bool>(),
        0..5_u32,
        prop_oneof![Just(None), (60_000..120_000_i64).prop_map(Some)],
        0..20_000_i64,
    )
        .prop_map(
            |(batch_records_max, window_ms, bisect, retries, age, retry_delay_ms)| {
                MappingSettings {
                    batch_records_max,
                    window_ms,
                    bisect,
                    // For ever would be for ever with poison; that case is in the tables.
                    retries_max: Some(retries),
                    record_age_max_ms: age,
                    partial_failures: true,
                    retry_delay_ms,
                }
            },
        )
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        8 => Just(Nature::Good),
        1 => Just(Nature::Poison),
        1 => (1..4_u32).prop_map(Nature::Flaky),
        1 => (1..9_u32).prop_map(Nature::Named),
    ]
}

/// Records arrive in portions, with work and pauses in between.
fn arrivals() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
    prop::collection::vec((0..30_usize, 0..12_usize, 0..30_000_i64), 1..8)
}

fn played(
    settings: MappingSettings,
    natures: Vec<Nature>,
    arrivals: &[(usize, usize, i64)],
) -> Play {
    let mut play = Play::new(settings, natures);
    for (count, steps, pause_ms) in arrivals {
        play.arrive(*count);
        for _ in 0..*steps {
            if !play.step() {
                break;
            }
        }
        play.now_ms += pause_ms;
    }
    play.play()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_record_is_processed_or_given_up_once_and_in_order(
        settings in settings(),
        natures in prop::collection::vec(nature(), 0..120),
        arrivals in arrivals(),
    ) {
        let count = natures.len();
        let play = played(settings, natures, &arrivals);
        let finished: Vec<usize> = play.fates.iter().map(|(index, _)| *index).collect();
        prop_assert_eq!(finished, (0..count).collect::<Vec<_>>());
        prop_assert!(play.shard.is_idle());
        prop_assert_eq!(play.shard.backlog_records(), 0);
        let end = count.checked_sub(1).map(number);
        prop_assert_eq!(play.shard.checkpoint(), end.as_ref());
    }

    #[test]
    fn batches_are_contiguous_and_never_larger_than_allowed(
        settings in settings(),
        natures in prop::collection::vec(nature(), 0..120),
        arrivals in arrivals(),
    ) {
        let most = settings.batch_records_max;
        let play = played(settings, natures, &arrivals);
        for batch in &play.invocations {
            prop_assert!(!batch.is_empty() && batch.len() <= most);
            prop_assert!(batch.windows(2).all(|pair| pair[1] == pair[0] + 1));
        }
    }

    #[test]
    fn a_record_goes_to_the_function_before_it_is_given_up_for_its_retries(
        settings in settings(),
        natures in prop::collection::vec(nature(), 0..120),
        arrivals in arrivals(),
    ) {
        let play = played(settings, natures, &arrivals);
        for (index, fate) in &play.fates {
            if *fate == Fate::GivenUp(Condition::RetryAttemptsExhausted) {
                prop_assert!(play.invocations.iter().any(|batch| batch.contains(index)));
            }
        }
    }

    #[test]
    fn with_bisect_only_the_poison_is_given_up(
        batch_records_max in 1..200_usize,
        retries in 0..4_u32,
        poison in prop::collection::btree_set(0..150_usize, 0..6),
    ) {
        let natures = (0..150).map(|index| match poison.contains(&index) {
            true => Nature::Poison,
            false => Nature::Good,
        });
        let settings = MappingSettings {
            batch_records_max,
            bisect: true,
            retries_max: Some(retries),
            retry_delay_ms: 0,
            ..MappingSettings::default()
        };
        let play = Play::new(settings, natures.collect()).play();
        let given_up: Vec<usize> = play.given_up.iter().map(|(first, _, _)| *first).collect();
        prop_assert_eq!(given_up, poison.into_iter().collect::<Vec<_>>());
        prop_assert!(play.given_up.iter().all(|(first, last, _)| first == last));
    }

    #[test]
    fn one_poison_record_costs_the_halvings_and_its_tries(
        batch_records in 1..300_usize,
        position in 0..300_usize,
        retries in 0..6_u32,
    ) {
        let position = position % batch_records;
        let natures = (0..batch_records).map(|index| match index == position {
            true => Nature::Poison,
            false => Nature::Good,
        });
        let settings = MappingSettings {
            batch_records_max: batch_records,
            bisect: true,
            retries_max: Some(retries),
            retry_delay_ms: 0,
            ..MappingSettings::default()
        };
        let play = Play::new(settings, natures.collect()).play();
        let halvings = batch_records.next_power_of_two().ilog2() as usize;
        let tries = 1 + retries as usize;
        prop_assert!(play.failed_invocations <= halvings + tries);
        prop_assert_eq!(play.given_up.len(), 1);
    }

    #[test]
    fn a_failure_that_passes_loses_nothing_where_retries_never_end(
        batch_records_max in 1..40_usize,
        bisect in any::<bool>(),
        natures in prop::collection::vec(
            prop_oneof![
                Just(Nature::Good),
                (1..6_u32).prop_map(Nature::Flaky),
                (1..6_u32).prop_map(Nature::Named),
            ],
            0..80,
        ),
    ) {
        let count = natures.len();
        let settings = MappingSettings { batch_records_max, bisect, retries_max: None, ..MappingSettings::default() };
        let play = Play::new(settings, natures).play();
        prop_assert!(play.given_up.is_empty());
        prop_assert_eq!(play.fates.len(), count);
    }
}
