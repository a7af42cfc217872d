use super::*;

/// The current minute is the 1,000th; the newest that is looked at is the 998th.
const NOW_MS: i64 = 1_000 * MINUTE_MS + 17_000;
const NEWEST: i64 = 998;

const OPEN: u32 = 4;

/// Records of a minute that are so many percent of four shards.
fn records(percent: f64) -> f64 {
    percent / 100.0 * f64::from(OPEN) * SHARD_RECORDS_PER_SECOND * SECONDS_PER_MINUTE
}

/// The last minutes in percent of four shards, the newest last; `None` has no traffic. The number of shards is known in
/// each.
fn history(percents: &[Option<f64>]) -> StreamHistory {
    let mut history = StreamHistory::default();
    for (back, percent) in percents.iter().rev().enumerate() {
        let at_ms = (NEWEST - i64::try_from(back).unwrap()) * MINUTE_MS;
        let minute = history.minute_mut(at_ms);
        minute.records = percent.map(records);
        minute.open = Some(f64::from(OPEN));
    }
    history
}

/// A history with these percentages at the end of a half hour at 50 %.
fn ends_with(percents: &[Option<f64>]) -> StreamHistory {
    history(&[&[Some(50.0); 30][..], percents].concat())
}

#[track_caller]
fn check(name: &str, history: &StreamHistory, expected: Option<Load>) {
    assert_eq!(history.load(OPEN, NOW_MS), expected, "{name}");
}

#[test]
fn two_minutes_in_a_row_above_80_percent_are_a_high_load() {
    let high = Some(Load::High { excess: 1.2 });
    let (above, below, none) = (Some(96.0), Some(60.0), None);
    for (name, percents, expected) in [
        ("two", vec![Some(88.0), above], high),
        ("one", vec![above], None),
        ("the threshold itself", vec![Some(80.0), Some(80.0)], None),
        ("it has ended", vec![above, above, below], None),
        ("with a gap", vec![above, below, above], None),
        ("a missing minute between", vec![above, none, above], None),
        ("late by one minute", vec![above, above, none], high),
        ("late by three", vec![above, above, none, none, none], high),
        ("older", vec![above, above, none, none, none, none], None),
    ] {
        check(name, &ends_with(&percents), expected);
    }
}

#[test]
fn the_minute_that_has_just_ended_is_not_looked_at() {
    // CloudWatch has only a part of it.
    let mut history = ends_with(&[Some(96.0), Some(96.0)]);
    history.minute_mut((NEWEST + 1) * MINUTE_MS).records = Some(records(10.0));
    check("a part", &history, Some(Load::High { excess: 1.2 }));
}

#[test]
fn bytes_and_records_both_count() {
    let bytes = |percent: f64| records(percent) / 1_000.0 * SHARD_BYTES_PER_SECOND;
    for (name, by_bytes, by_records) in [
        ("bytes", Some(bytes(96.0)), Some(records(10.0))),
        ("records", Some(bytes(10.0)), Some(records(96.0))),
        ("bytes alone", Some(bytes(96.0)), None),
        ("records alone", None, Some(records(96.0))),
    ] {
        let mut history = ends_with(&[]);
        for minute in [NEWEST - 1, NEWEST] {
            let minute = history.minute_mut(minute * MINUTE_MS);
            (minute.bytes, minute.records) = (by_bytes, by_records);
        }
        let Some(Load::High { excess }) = history.load(OPEN, NOW_MS) else {
            panic!("{name}")
        };
        assert!((excess - 1.2).abs() < 1e-9, "{name}: {excess}");
    }
}

#[test]
fn fifteen_minutes_below_30_percent_are_a_low_load() {
    let quiet = [Some(29.0); 15];
    let with = |minute: usize, percent: Option<f64>| {
        let mut minutes = quiet;
        minutes[minute] = percent;
        minutes.to_vec()
    };
    for (name, percents, expected) in [
        ("fifteen", quiet.to_vec(), Some(Load::Low)),
        ("fourteen", quiet[1..].to_vec(), None),
        ("the threshold itself", with(0, Some(30.0)), None),
        ("busy in between", with(7, Some(60.0)), None),
        ("an empty stream", vec![None; 15], Some(Load::Low)),
        ("some minutes are empty", with(7, None), Some(Load::Low)),
    ] {
        check(name, &ends_with(&percents), expected);
    }
}

#[test]
fn missing_metrics_are_not_taken_for_an_empty_stream() {
    check("nothing is known", &StreamHistory::default(), None);
    let mut history = history(&[None; 15]);
    for minute in NEWEST - 4..=NEWEST {
        history.minute_mut(minute * MINUTE_MS).open = None;
    }
    check("ten minutes are known", &history, Some(Load::Low));
    history.minute_mut((NEWEST - 5) * MINUTE_MS).open = None;
    check("nine are", &history, None);
}

#[test]
fn a_low_load_is_one_of_an_unchanged_number_of_shards() {
    let mut history = ends_with(&[Some(10.0); 15]);
    check("unchanged", &history, Some(Load::Low));
    assert_eq!(history.load(OPEN - 1, NOW_MS), None, "fewer since now");
    history.minute_mut((NEWEST - 14) * MINUTE_MS).open = Some(5.0);
    check("fewer since fourteen minutes", &history, None);
}

/// After a step up, the same minutes are a lower load, so there is no second step before new minutes show it.
#[test]
fn a_step_up_is_not_repeated_from_the_minutes_before_it() {
    let history = ends_with(&[Some(100.0), Some(100.0)]);
    let before = history.load(OPEN, NOW_MS);
    assert!(matches!(before, Some(Load::High { .. })), "{before:?}");
    assert_eq!(history.load(6, NOW_MS), None);
}

#[test]
fn resizes_of_the_day_are_counted_and_some_are_left_for_more_shards() {
    let mut history = StreamHistory::default();
    for minute in 0..1_000 {
        // A resize each 100 minutes, which takes three.
        let open = minute / 100 * 3 + (minute % 100).min(3) + 1;
        history.minute_mut(minute * MINUTE_MS).open = Some(open as f64);
        let resizes = usize::try_from(minute / 100 + i64::from(minute % 100 > 0)).unwrap();
        assert_eq!(history.resizes(), resizes, "{minute}");
        assert_eq!(history.may_shrink(), resizes < 6, "{minute}");
        // Two calls of the schedule in one minute leave another without.
        if minute % 7 == 0 && minute % 100 > 5 {
            history.minute_mut(minute * MINUTE_MS).open = None;
        }
    }
}
