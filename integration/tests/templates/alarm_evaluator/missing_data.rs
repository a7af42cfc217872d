//! How CloudWatch judges an alarm of which data is missing: "Configuring how CloudWatch alarms treat missing data"
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html>).

use serde_json::Value;

use crate::stack::text;

/// An alarm's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Alarm,
    InsufficientData,
}

/// `TreatMissingData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    Missing,
    Ignore,
    Breaching,
    NotBreaching,
}

impl Treatment {
    /// The treatment that an alarm on a namespace has.
    #[track_caller]
    pub(super) fn of(chosen: Option<&Value>, namespace: &str) -> Self {
        match chosen.map(text).as_deref() {
            Some("missing") => Self::Missing,
            Some("ignore") => Self::Ignore,
            Some("breaching") => Self::Breaching,
            Some("notBreaching") => Self::NotBreaching,
            Some(other) => panic!("the tests do not support {other}"),
            // "Alarms that evaluate metrics in the AWS/DynamoDB namespace default to ignore missing data."
            None if namespace == "AWS/DynamoDB" => Self::Ignore,
            None => Self::Missing,
        }
    }
}

/// The state by the data points of the evaluation range, the newest last, of which `needed` are evaluated and `to_alarm`
/// must breach.
pub(super) fn judge(
    range: &[Option<bool>],
    needed: usize,
    to_alarm: usize,
    treatment: Treatment,
    before: State,
) -> State {
    let real: Vec<bool> = range.iter().flatten().copied().collect();
    let breaching = |points: &[bool]| points.iter().filter(|breaches| **breaches).count();
    let state = |count: usize| {
        if count >= to_alarm {
            State::Alarm
        } else {
            State::Ok
        }
    };
    // Enough real points, including older ones: the treatment does not matter.
    if real.len() >= needed {
        return state(breaching(&real[real.len() - needed..]));
    }
    let found = breaching(&real);
    let missing = needed - real.len();
    match treatment {
        Treatment::NotBreaching => state(found),
        Treatment::Breaching => state(found + missing),
        Treatment::Missing | Treatment::Ignore if found >= to_alarm => State::Alarm,
        Treatment::Missing | Treatment::Ignore if found < real.len() => State::Ok,
        Treatment::Ignore => before,
        Treatment::Missing if real.is_empty() => State::InsufficientData,
        Treatment::Missing => {
            // "Avoiding premature transitions to alarm state": all that is there breaches, and the oldest is old enough.
            let age = range
                .iter()
                .position(Option::is_some)
                .map_or(0, |oldest| range.len() - oldest);
            if age >= to_alarm {
                State::Alarm
            } else {
                before
            }
        }
    }
}

/// A row of the documentation: `0` is within the threshold, `X` is not, `-` is missing. `None` retains the state.
#[track_caller]
fn check(points: &str, to_alarm: usize, expected: [Option<State>; 4]) {
    let range: Vec<Option<bool>> = points
        .split(' ')
        .map(|point| match point {
            "0" => Some(false),
            "X" => Some(true),
            _ => None,
        })
        .collect();
    let treatments = [
        Treatment::Missing,
        Treatment::Ignore,
        Treatment::Breaching,
        Treatment::NotBreaching,
    ];
    for (treatment, expected) in treatments.into_iter().zip(expected) {
        for before in [State::Ok, State::Alarm] {
            let state = judge(&range, 3, to_alarm, treatment, before);
            assert_eq!(state, expected.unwrap_or(before), "{points} {treatment:?}");
        }
    }
}

#[test]
fn three_of_three_are_judged_as_published() {
    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    check("0 - X - X", 3, [OK; 4]);
    check("0 - - - -", 3, [OK; 4]);
    check(
        "- - - - -",
        3,
        [Some(State::InsufficientData), None, ALARM, OK],
    );
    check("0 X X - X", 3, [ALARM; 4]);
    check("- - X - -", 3, [ALARM, None, ALARM, OK]);
}

#[test]
fn two_of_three_are_judged_as_published() {
    const OK: Option<State> = Some(State::Ok);
    const ALARM: Option<State> = Some(State::Alarm);
    check("0 - X - X", 2, [ALARM; 4]);
    check("0 0 X 0 X", 2, [ALARM; 4]);
    check("0 - X - -", 2, [OK, OK, ALARM, OK]);
    check("- - - - 0", 2, [OK, OK, ALARM, OK]);
    check("- - - X -", 2, [ALARM, None, ALARM, OK]);
}
