//! Properties that hold for all settings and records.

use integration::event_source::mapping::MappingSettings;
use integration::event_source::shard::Condition;
use proptest::prelude::*;

use crate::simulation::{Behaviour, RecordOutcome, Simulation, number};

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
                    // Not forever, which would not end with poison; `rules.rs` has that case.
                    retries_max: Some(retries),
                    record_age_max_ms: age,
                    partial_failures: true,
                    retry_delay_ms,
                }
            },
        )
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        8 => Just(Behaviour::Good),
        1 => Just(Behaviour::Poison),
        1 => (1..4_u32).prop_map(Behaviour::Flaky),
        1 => (1..9_u32).prop_map(Behaviour::ReportedFailed),
        1 => (1..9_u32).prop_map(Behaviour::Failing),
    ]
}

/// Records arrive in groups, with steps and pauses in between.
fn arrivals() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
    prop::collection::vec((0..30_usize, 0..12_usize, 0..30_000_i64), 1..8)
}

fn simulate(
    settings: MappingSettings,
    behaviours: Vec<Behaviour>,
    arrivals: &[(usize, usize, i64)],
) -> Simulation {
    let mut simulation = Simulation::new(settings, behaviours);
    for (count, steps, pause_ms) in arrivals {
        simulation.arrive(*count);
        for _ in 0..*steps {
            if !simulation.step() {
                break;
            }
        }
        simulation.now_ms += pause_ms;
    }
    simulation.run()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_record_is_processed_or_given_up_once_and_in_order(
        settings in settings(),
        behaviours in prop::collection::vec(behaviour(), 0..120),
        arrivals in arrivals(),
    ) {
        let count = behaviours.len();
        let simulation = simulate(settings, behaviours, &arrivals);
        let finished: Vec<usize> = simulation.outcomes.iter().map(|(index, _)| *index).collect();
        prop_assert_eq!(finished, (0..count).collect::<Vec<_>>());
        prop_assert!(simulation.shard.is_idle());
        prop_assert_eq!(simulation.shard.backlog_records(), 0);
        let end = count.checked_sub(1).map(number);
        prop_assert_eq!(simulation.shard.checkpoint(), end.as_ref());
    }

    #[test]
    fn batches_are_contiguous_and_never_larger_than_allowed(
        settings in settings(),
        behaviours in prop::collection::vec(behaviour(), 0..120),
        arrivals in arrivals(),
    ) {
        let most = settings.batch_records_max;
        let simulation = simulate(settings, behaviours, &arrivals);
        for batch in &simulation.invocations {
            prop_assert!(!batch.is_empty() && batch.len() <= most);
            prop_assert!(batch.windows(2).all(|pair| pair[1] == pair[0] + 1));
        }
    }

    #[test]
    fn a_record_given_up_after_its_retries_was_passed_to_the_function(
        settings in settings(),
        behaviours in prop::collection::vec(behaviour(), 0..120),
        arrivals in arrivals(),
    ) {
        let simulation = simulate(settings, behaviours, &arrivals);
        for (index, outcome) in &simulation.outcomes {
            if *outcome == RecordOutcome::GivenUp(Condition::RetryAttemptsExhausted) {
                prop_assert!(simulation.invocations.iter().any(|batch| batch.contains(index)));
            }
        }
    }

    #[test]
    fn with_bisect_only_the_poison_is_given_up(
        batch_records_max in 1..200_usize,
        retries in 0..4_u32,
        poison in prop::collection::btree_set(0..150_usize, 0..6),
        is_named in any::<bool>(),
    ) {
        let behaviours = (0..150).map(|index| match poison.contains(&index) {
            true if is_named => Behaviour::Failing(u32::MAX),
            true => Behaviour::Poison,
            false => Behaviour::Good,
        });
        let settings = MappingSettings {
            batch_records_max,
            bisect: true,
            retries_max: Some(retries),
            retry_delay_ms: 0,
            ..MappingSettings::default()
        };
        let simulation = Simulation::new(settings, behaviours.collect()).run();
        let given_up: Vec<usize> = simulation.given_up.iter().map(|(first, _, _)| *first).collect();
        prop_assert_eq!(given_up, poison.into_iter().collect::<Vec<_>>());
        prop_assert!(simulation.given_up.iter().all(|(first, last, _)| first == last));
    }

    #[test]
    fn one_poison_record_costs_its_bisects_and_its_retries(
        batch_records in 1..300_usize,
        position in 0..300_usize,
        retries in 0..6_u32,
    ) {
        let position = position % batch_records;
        let behaviours = (0..batch_records).map(|index| match index == position {
            true => Behaviour::Poison,
            false => Behaviour::Good,
        });
        let settings = MappingSettings {
            batch_records_max: batch_records,
            bisect: true,
            retries_max: Some(retries),
            retry_delay_ms: 0,
            ..MappingSettings::default()
        };
        let simulation = Simulation::new(settings, behaviours.collect()).run();
        let halvings = batch_records.next_power_of_two().ilog2() as usize;
        let tries = 1 + retries as usize;
        prop_assert!(simulation.failed_invocations <= halvings + tries);
        prop_assert_eq!(simulation.given_up.len(), 1);
    }

    #[test]
    fn with_unlimited_retries_a_transient_failure_loses_nothing(
        batch_records_max in 1..40_usize,
        bisect in any::<bool>(),
        behaviours in prop::collection::vec(
            prop_oneof![
                Just(Behaviour::Good),
                (1..6_u32).prop_map(Behaviour::Flaky),
                (1..6_u32).prop_map(Behaviour::ReportedFailed),
                (1..6_u32).prop_map(Behaviour::Failing),
            ],
            0..80,
        ),
    ) {
        let count = behaviours.len();
        let settings = MappingSettings { batch_records_max, bisect, retries_max: None, ..MappingSettings::default() };
        let simulation = Simulation::new(settings, behaviours).run();
        prop_assert!(simulation.given_up.is_empty());
        prop_assert_eq!(simulation.outcomes.len(), count);
    }
}
