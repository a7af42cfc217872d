//! Each alarm rises from its failure within a stated time, ends with it, and stays quiet on a healthy day.
//!
//! A new alarm needs a row in [`PAIRS`].

mod day;
mod failure;
mod redrive_queue;

use std::collections::BTreeSet;

use crate::alarm_evaluator::{Alarm, Metrics, State, UNKNOWNS, Unknowns, members};
use crate::stack::{Resource, stack, text};
use day::{DAY, Failing, HOUR, MIDNIGHT, Plan, WHOLE, simulate};
use failure::Failure;

/// An alarm without the project's name, its failure, and the longest time until it rises, in minutes. The time includes
/// two minutes until CloudWatch has a metric.
const PAIRS: [(&str, Failure, i64); 46] = [
    ("webhook-server-errors", Failure::StoreDown, 3),
    ("webhook-url-errors", Failure::StoreDown, 3),
    ("webhook-errors", Failure::WebhookCrashes, 3),
    ("webhook-throttles", Failure::WebhookThrottled, 3),
    ("webhook-latency", Failure::ColdStarts, 5),
    ("webhook-url-latency", Failure::ColdStarts, 5),
    ("webhook-client-errors", Failure::SecretRotated, 23),
    ("webhook-url-client-errors", Failure::SecretRotated, 23),
    ("webhook-stale-secrets", Failure::SecretsUnread, 4),
    ("webhook-silent", Failure::NoSenders, 18),
    ("ledger-difference", Failure::CountsDiffer, 3),
    ("malformed-share", Failure::FormatChanged, 4),
    ("ticks-pending", Failure::StreamAndQueueDown, 3),
    (
        "ticks-write-throttles",
        Failure::WritesThrottled("ticks"),
        3,
    ),
    ("ticks-read-throttles", Failure::ReadsThrottled("ticks"), 3),
    ("ticks-system-errors", Failure::DynamoDbFails, 3),
    (
        "analytics-write-throttles",
        Failure::WritesThrottled("analytics"),
        3,
    ),
    (
        "analytics-read-throttles",
        Failure::ReadsThrottled("analytics"),
        3,
    ),
    (
        "connections-write-throttles",
        Failure::WritesThrottled("connections"),
        3,
    ),
    (
        "connections-read-throttles",
        Failure::ReadsThrottled("connections"),
        3,
    ),
    ("stream-write-throttles", Failure::StreamRefuses, 3),
    ("stream-read-throttles", Failure::TooManyReaders, 5),
    ("stream-write-throughput", Failure::StreamNearlyFull, 5),
    ("stream-silent", Failure::StreamForbidden, 18),
    ("redrive-age", Failure::StreamForbidden, 18),
    ("redrive-errors", Failure::FunctionFails("redrive"), 3),
    ("redrive-dlq", Failure::DeadLetters("redrive-dlq"), 18),
    ("redrive-source", Failure::MappingStops("redrive"), 14),
    ("analytics-iterator-age", Failure::AnalyticsSlow, 8),
    ("analytics-errors", Failure::FunctionFails("analytics"), 4),
    (
        "analytics-failed",
        Failure::DeadLetters("analytics-failed"),
        18,
    ),
    ("analytics-source", Failure::MappingStops("analytics"), 14),
    ("analytics-states-set-aside", Failure::StateUnreadable, 3),
    ("archive-freshness", Failure::FirehoseCannotWrite, 35),
    ("archive-conversion-failures", Failure::ConversionFails, 3),
    ("archive-partitions", Failure::TooManyPartitions, 3),
    ("archive-errors", Failure::PartitionQueryFails, 3),
    ("archive-silent", Failure::FirehoseCannotRead, 18),
    ("broadcast-age", Failure::BroadcastSlow, 7),
    ("broadcast-errors", Failure::FunctionFails("broadcast"), 4),
    ("broadcast-dlq", Failure::DeadLetters("broadcast-dlq"), 18),
    ("broadcast-source", Failure::MappingStops("broadcast"), 14),
    ("scaler-errors", Failure::FunctionFails("scaler"), 3),
    // From 02:00 on; the run is due at 03:00.
    (
        "compaction-errors",
        Failure::FunctionFails("compaction"),
        63,
    ),
    ("compaction-silent", Failure::CompactionNotStarted, 5 * HOUR),
    ("ramp-blocked", Failure::StoreDown, 3),
];

/// Further failures that an alarm must see.
const OTHERS: [(&str, Failure, i64); 6] = [
    ("webhook-client-errors", Failure::ApiThrottled, 23),
    ("webhook-server-errors", Failure::WebhookCrashes, 3),
    ("webhook-server-errors", Failure::WebhookThrottled, 3),
    ("stream-write-throughput", Failure::ScalerStops, 10),
    ("redrive-age", Failure::StreamRefuses, 18),
    ("broadcast-age", Failure::MappingStops("broadcast"), 7),
];

/// All alarms that can be deployed, and the composite one.
fn deployed(mode: &str) -> (Vec<Alarm>, Resource) {
    let url = ("WebhookFunctionUrl", "true");
    let math = stack("alarms-math.yaml", &[url, ("StreamMode", mode)]);
    let resources = stack("alarms.yaml", &[url]).all("AWS::CloudWatch::Alarm");
    let resources = resources
        .into_iter()
        .chain(math.all("AWS::CloudWatch::Alarm"));
    (
        resources.map(|resource| Alarm::of(&resource)).collect(),
        math.one("RampBlocked"),
    )
}

/// The names of the alarms under the composite one.
fn member_names(composite: &Resource) -> BTreeSet<String> {
    let math = stack("alarms-math.yaml", &[("WebhookFunctionUrl", "true")]);
    let full = |name: String| match name.strip_prefix("ref:") {
        Some(id) => math.one(id).text("/AlarmName").to_owned(),
        None => name,
    };
    members(composite).into_iter().map(full).collect()
}

/// The states of an alarm, or of the composite one, whose rule is that one of its members is on.
fn states(
    name: &str,
    (alarms, composite): &(Vec<Alarm>, Resource),
    metrics: &Metrics,
    minutes: std::ops::Range<i64>,
    unknowns: Unknowns,
) -> Vec<State> {
    let named = |name: &str| alarms.iter().find(|alarm| alarm.name == name);
    if let Some(alarm) = named(name) {
        return alarm.states(metrics, minutes, unknowns);
    }
    assert_eq!(
        name,
        text(composite.at("/AlarmName")),
        "there is no alarm {name}"
    );
    let mut of_members: Vec<Vec<State>> = Vec::new();
    for member in member_names(composite) {
        of_members.push(
            named(&member)
                .unwrap()
                .states(metrics, minutes.clone(), unknowns),
        );
    }
    let at = |index: usize| {
        let is_on = of_members
            .iter()
            .any(|states| states[index] == State::Alarm);
        if is_on { State::Alarm } else { State::Ok }
    };
    (0..usize::try_from(minutes.end - minutes.start).unwrap())
        .map(at)
        .collect()
}

/// How long after the end of its failure an alarm may stay on, in minutes: it looks back so far, and CloudWatch further.
const ENDS_AFTER_MINUTES: i64 = 45;

/// Asserts that an alarm is quiet until its failure, rises within a time, stays on, and ends with it.
#[track_caller]
fn rises(deployed: &(Vec<Alarm>, Resource), name: &str, failure: Failure, within_minutes: i64) {
    // Alarms of the compaction look at a day.
    let (from, starts_at, ends_after) = match name.starts_with("compaction-") {
        true => (MIDNIGHT + DAY + 2 * HOUR, MIDNIGHT, 26 * HOUR),
        false => (
            MIDNIGHT + 10 * HOUR,
            MIDNIGHT + 8 * HOUR,
            ENDS_AFTER_MINUTES,
        ),
    };
    let to = from + within_minutes + 10;
    let what = failure;
    let plan = Plan {
        share: WHOLE,
        failure: Some(Failing { what, from, to }),
    };
    let (quiet_from, last) = (from - HOUR, to + ends_after);
    let metrics = simulate(starts_at..last + 1, plan);
    let index = |minute: i64| usize::try_from(minute - quiet_from).unwrap();
    for unknowns in UNKNOWNS {
        let about = format!("{name}, {failure:?}, {unknowns:?}");
        let name = format!("prices-{name}");
        let states = states(&name, deployed, &metrics, quiet_from..last + 1, unknowns);
        let before = &states[..index(from)];
        assert!(
            before.iter().all(|it| *it == State::Ok),
            "{about}: is on before its failure"
        );
        let in_time = &states[index(from)..=index(from + within_minutes)];
        assert!(
            in_time.contains(&State::Alarm),
            "{about}: does not rise in {within_minutes} minutes"
        );
        let on = &states[index(from + within_minutes)..index(to)];
        assert!(
            on.iter().all(|it| *it == State::Alarm),
            "{about}: does not stay on"
        );
        assert_eq!(states.last(), Some(&State::Ok), "{about}: does not end");
    }
}

#[test]
fn each_alarm_rises_from_its_failure() {
    let deployed = deployed("PROVISIONED");
    for (name, failure, within_minutes) in PAIRS.into_iter().chain(OTHERS) {
        rises(&deployed, name, failure, within_minutes);
    }
}

#[test]
fn the_load_of_an_on_demand_stream_is_seen() {
    rises(
        &deployed("ON_DEMAND"),
        "stream-write-throughput",
        Failure::StreamNearlyFull,
        5,
    );
}

/// Asserts that an alarm is quiet on the second of two days.
#[track_caller]
fn is_quiet(alarm: &Alarm, metrics: &Metrics, share: u64) {
    for unknowns in alarm.unknowns() {
        let states = alarm.states(metrics, MIDNIGHT + DAY..MIDNIGHT + 2 * DAY, unknowns);
        let first = states.iter().position(|state| *state != State::Ok);
        assert_eq!(
            first, None,
            "{} at this minute of the day, share {share}, {unknowns:?}",
            alarm.name
        );
    }
}

/// Night hours with a delivery in four minutes, a busy hour, cold starts, strangers, and failures that a retry repairs.
/// With its members, the composite alarm is quiet.
#[test]
fn every_alarm_is_quiet_on_a_healthy_day() {
    let (provisioned, on_demand) = (deployed("PROVISIONED").0, deployed("ON_DEMAND").0);
    // In the other mode, only this one is different.
    let load = on_demand
        .iter()
        .filter(|alarm| alarm.name == "prices-stream-write-throughput");
    for share in [0, WHOLE / 100, WHOLE] {
        let metrics = simulate(
            MIDNIGHT..MIDNIGHT + 2 * DAY,
            Plan {
                share,
                failure: None,
            },
        );
        for alarm in provisioned.iter().chain(load.clone()) {
            is_quiet(alarm, &metrics, share);
        }
    }
}

#[test]
fn every_alarm_has_a_pair() {
    let (alarms, composite) = deployed("PROVISIONED");
    let mut names: Vec<String> = alarms.into_iter().map(|alarm| alarm.name).collect();
    names.push(text(composite.at("/AlarmName")));
    names.sort();
    let mut paired: Vec<String> = PAIRS
        .iter()
        .map(|(name, ..)| format!("prices-{name}"))
        .collect();
    paired.sort();
    assert_eq!(names, paired);
}
