//! The rules one by one, as in AWS's documentation.

use app::ports::SequenceNumber;
use integration::event_source::mapping::MappingSettings;
use integration::event_source::record::Record;
use integration::event_source::shard::{
    Batch, Condition, NoStepInProgress, Outcome, PAYLOAD_BYTES_MAX, Shard, Step,
};

use crate::simulation::{Behaviour, RecordOutcome, START_MS, Simulation};

use Behaviour::{Failing, Flaky, Good, Poison, ReportedFailed};

fn settings() -> MappingSettings {
    MappingSettings {
        batch_records_max: 4,
        retries_max: Some(1),
        partial_failures: true,
        retry_delay_ms: 0,
        ..MappingSettings::default()
    }
}

fn bisecting() -> MappingSettings {
    MappingSettings {
        bisect: true,
        ..settings()
    }
}

/// Checks the invocations, by the records' indexes, and the ranges that were given up.
fn check(
    settings: MappingSettings,
    behaviours: &[Behaviour],
    invocations: &[&[usize]],
    given_up: &[(usize, usize)],
) {
    let simulation = Simulation::new(settings, behaviours.to_vec()).run();
    assert_eq!(simulation.invocations, invocations);
    let ranges: Vec<_> = simulation
        .given_up
        .iter()
        .map(|(first, last, _)| (*first, *last))
        .collect();
    assert_eq!(ranges, given_up);
}

#[test]
fn batches_have_the_records_in_order() {
    check(settings(), &[Good; 6], &[&[0, 1, 2, 3], &[4, 5]], &[]);
    check(settings(), &[], &[], &[]);
}

#[test]
fn without_bisect_a_poison_record_takes_its_batch_with_it() {
    check(
        settings(),
        &[Good, Poison, Good, Good, Good],
        &[&[0, 1, 2, 3], &[0, 1, 2, 3], &[4]],
        &[(0, 3)],
    );
}

#[test]
fn with_bisect_the_poison_record_alone_is_given_up_and_splitting_uses_up_no_retry() {
    check(
        bisecting(),
        &[Good, Poison, Good, Good, Good],
        &[&[0, 1, 2, 3], &[0, 1], &[0], &[1], &[1], &[2, 3], &[4]],
        &[(1, 1)],
    );
    let no_retries = MappingSettings {
        retries_max: Some(0),
        ..bisecting()
    };
    check(
        no_retries,
        &[Good, Poison, Good, Good],
        &[&[0, 1, 2, 3], &[0, 1], &[0], &[1], &[2, 3]],
        &[(1, 1)],
    );
}

#[test]
fn a_partial_failure_moves_the_checkpoint_and_retries_from_the_reported_record() {
    check(
        settings(),
        &[Good, Good, ReportedFailed(1), Good],
        &[&[0, 1, 2, 3], &[2, 3]],
        &[],
    );
    check(
        bisecting(),
        &[Good, Good, ReportedFailed(1), Good],
        &[&[0, 1, 2, 3], &[2, 3]],
        &[],
    );
}

#[test]
fn without_bisect_a_record_that_always_fails_takes_the_following_ones_with_it() {
    check(
        settings(),
        &[Good, Good, ReportedFailed(99), Good, Good],
        &[&[0, 1, 2, 3], &[2, 3], &[4]],
        &[(2, 3)],
    );
}

#[test]
fn a_response_that_names_the_first_record_never_halves_the_batch() {
    // So a record that always fails takes the following ones with it, bisect or not.
    check(
        bisecting(),
        &[Good, Good, ReportedFailed(99), Good, Good],
        &[&[0, 1, 2, 3], &[2, 3], &[2, 3], &[4]],
        &[(2, 3)],
    );
}

#[test]
fn with_an_error_for_the_first_record_a_record_that_always_fails_is_given_up_alone() {
    check(
        bisecting(),
        &[Good, Good, Failing(99), Good, Good],
        &[&[0, 1, 2, 3], &[2, 3], &[2], &[2], &[3], &[4]],
        &[(2, 2)],
    );
}

#[test]
fn a_response_that_fails_the_whole_batch_does_not_halve_it() {
    let mut shard = Shard::new(bisecting());
    shard.offer(records(&[1, 2]), START_MS).unwrap();
    for retries in 0..=1 {
        let Step::Invoke(batch) = shard.step(START_MS) else {
            panic!()
        };
        assert_eq!((batch.records.len(), batch.retries), (2, retries));
        shard.answered(&Outcome::AllReported, START_MS).unwrap();
    }
    assert!(matches!(shard.step(START_MS), Step::GiveUp(batch, _) if batch.records.len() == 2));
}

#[test]
fn a_transient_failure_is_retried_in_place() {
    check(settings(), &[Flaky(1), Good], &[&[0, 1], &[0, 1]], &[]);
    check(bisecting(), &[Flaky(1), Good], &[&[0, 1], &[0], &[1]], &[]);
}

#[test]
fn a_reported_record_outside_the_batch_fails_the_whole_batch() {
    let mut shard = Shard::new(settings());
    shard.offer(records(&[1, 2]), START_MS).unwrap();
    assert!(matches!(shard.step(START_MS), Step::Invoke(_)));
    let elsewhere = "77".parse::<SequenceNumber>().unwrap();
    shard
        .answered(&Outcome::DoneBefore(elsewhere), START_MS)
        .unwrap();
    assert_eq!(shard.checkpoint(), None);
    let Step::Invoke(batch) = shard.step(START_MS) else {
        panic!()
    };
    assert_eq!((batch.records.len(), batch.retries), (2, 1));
}

#[test]
fn delays_double_up_to_their_limit() {
    let settings = MappingSettings {
        retries_max: None,
        retry_delay_ms: 1_000,
        ..settings()
    };
    let mut shard = Shard::new(settings);
    shard.offer(records(&[1]), START_MS).unwrap();
    let mut now_ms = START_MS;
    let mut delays = Vec::new();
    for _ in 0..9 {
        assert!(matches!(shard.step(now_ms), Step::Invoke(_)));
        shard.answered(&Outcome::Failed, now_ms).unwrap();
        let Step::WaitUntil(until_ms) = shard.step(now_ms) else {
            panic!()
        };
        delays.push(until_ms - now_ms);
        now_ms = until_ms;
    }
    assert_eq!(delays[..4], [1_000, 2_000, 4_000, 8_000]);
    assert_eq!(
        delays[8],
        integration::event_source::bisect::RETRY_DELAY_MS_MAX
    );
}

#[test]
fn a_batch_that_is_not_full_waits_for_its_window() {
    let settings = MappingSettings {
        window_ms: 5_000,
        ..settings()
    };
    let mut shard = Shard::new(settings);
    shard.offer(records(&[1]), START_MS).unwrap();
    assert_eq!(shard.step(START_MS), Step::WaitUntil(START_MS + 5_000));
    shard.offer(records(&[2]), START_MS + 4_000).unwrap();
    assert_eq!(
        shard.step(START_MS + 4_999),
        Step::WaitUntil(START_MS + 5_000)
    );
    let Step::Invoke(batch) = shard.step(START_MS + 5_000) else {
        panic!()
    };
    assert_eq!(batch.records.len(), 2);
    // The next window starts with the response, although a record was already waiting.
    shard.offer(records(&[3]), START_MS + 5_500).unwrap();
    shard.answered(&Outcome::Done, START_MS + 9_000).unwrap();
    assert_eq!(
        shard.step(START_MS + 9_000),
        Step::WaitUntil(START_MS + 14_000)
    );
    // A full batch does not wait.
    shard.offer(records(&[4, 5, 6]), START_MS + 9_001).unwrap();
    assert!(matches!(shard.step(START_MS + 9_001), Step::Invoke(_)));
}

#[test]
fn a_payload_over_the_limit_is_split() {
    let settings = MappingSettings {
        batch_records_max: 100,
        ..settings()
    };
    let mut shard = Shard::new(settings);
    let large = |index: u32| Record {
        data: vec![0; 1024 * 1024],
        ..record(index)
    };
    shard
        .offer((1..=10).map(large).collect(), START_MS)
        .unwrap();
    let Step::Invoke(batch) = shard.step(START_MS) else {
        panic!()
    };
    let bytes: usize = batch.records.iter().map(Record::payload_bytes).sum();
    assert_eq!(batch.records.len(), 4);
    assert!(bytes <= PAYLOAD_BYTES_MAX && bytes + large(5).payload_bytes() > PAYLOAD_BYTES_MAX);
}

#[test]
fn records_that_are_too_old_are_given_up_without_an_invocation() {
    let settings = MappingSettings {
        record_age_max_ms: Some(60_000),
        ..settings()
    };
    let mut simulation = Simulation::new(settings, vec![Good; 4]);
    simulation.arrive(2);
    simulation.now_ms += 60_001;
    simulation.arrive(2);
    simulation.run_to_end();
    assert_eq!(simulation.given_up, [(0, 1, Condition::RecordAgeExceeded)]);
    assert_eq!(simulation.invocations, [[2, 3]]);
}

#[test]
fn a_failing_batch_is_given_up_when_it_becomes_too_old() {
    let settings = MappingSettings {
        retries_max: None,
        record_age_max_ms: Some(60_000),
        retry_delay_ms: 1_000,
        ..settings()
    };
    let simulation = Simulation::new(settings, vec![Poison, Good]).run();
    assert_eq!(simulation.given_up, [(0, 1, Condition::RecordAgeExceeded)]);
    assert!(
        simulation
            .outcomes
            .iter()
            .all(|(_, outcome)| matches!(outcome, RecordOutcome::GivenUp(_)))
    );
    assert!(
        simulation.invocations.len() > 3,
        "it was retried until then"
    );
}

#[test]
fn a_function_that_cannot_be_invoked_uses_up_no_retry() {
    let mut shard = Shard::new(MappingSettings {
        retries_max: Some(0),
        ..settings()
    });
    shard.offer(records(&[1, 2]), START_MS).unwrap();
    for _ in 0..50 {
        let Step::Invoke(batch) = shard.step(START_MS) else {
            panic!()
        };
        assert_eq!(
            (batch.records.len(), batch.retries, batch.invocations),
            (2, 0, 0)
        );
        shard.answered(&Outcome::NotInvoked, START_MS).unwrap();
    }
    assert_eq!(shard.checkpoint(), None);
}

#[test]
fn the_checkpoint_waits_for_the_failure_destination() {
    let mut shard = Shard::new(MappingSettings {
        retries_max: Some(0),
        ..settings()
    });
    shard.offer(records(&[1, 2]), START_MS).unwrap();
    assert!(matches!(shard.step(START_MS), Step::Invoke(_)));
    shard.answered(&Outcome::Failed, START_MS).unwrap();
    let Step::GiveUp(batch, condition) = shard.step(START_MS) else {
        panic!()
    };
    assert_eq!(condition, Condition::RetryAttemptsExhausted);
    assert_eq!(batch.invocations, 1);
    assert_eq!(shard.checkpoint(), None);
    shard.given_up().unwrap();
    assert_eq!(
        shard.checkpoint(),
        Some(&"2".parse::<SequenceNumber>().unwrap())
    );
}

#[test]
fn an_outcome_without_an_invocation_is_refused() {
    let mut shard = Shard::new(settings());
    assert_eq!(
        shard.answered(&Outcome::Done, START_MS),
        Err(NoStepInProgress)
    );
    assert_eq!(shard.given_up(), Err(NoStepInProgress));
    shard.offer(records(&[1]), START_MS).unwrap();
    assert!(matches!(shard.step(START_MS), Step::Invoke(_)));
    assert_eq!(shard.given_up(), Err(NoStepInProgress));
    assert_eq!(shard.answered(&Outcome::Done, START_MS), Ok(()));
}

#[test]
fn repeated_and_unordered_records_are_refused() {
    let mut shard = Shard::new(settings());
    shard.offer(records(&[9, 10]), START_MS).unwrap();
    let error = shard.offer(records(&[10]), START_MS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "record 10 came after 10: records of a shard are read in ascending order"
    );
    assert!(shard.offer(records(&[9]), START_MS).is_err());
    assert_eq!(shard.backlog_records(), 2);
}

#[test]
fn a_batch_has_a_range() {
    let mut shard = Shard::new(settings());
    shard.offer(records(&[5, 6, 7]), START_MS).unwrap();
    let Step::Invoke(batch) = shard.step(START_MS) else {
        panic!()
    };
    let (first, last) = Batch::range(&batch).unwrap();
    assert_eq!(
        (first.to_string(), last.to_string()),
        ("5".to_owned(), "7".to_owned())
    );
}

fn record(index: u32) -> Record {
    Record {
        sequence_number: index.to_string().parse::<SequenceNumber>().unwrap(),
        arrival_ms: START_MS,
        partition_key: "SOL".to_owned(),
        data: Vec::new(),
    }
}

fn records(indexes: &[u32]) -> Vec<Record> {
    indexes.iter().map(|index| record(*index)).collect()
}
