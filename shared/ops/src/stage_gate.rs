//! The stages of a rollout, and which steps between them are allowed.

use std::fmt;
use std::str::FromStr;

use domain::Percentage;

use crate::ports::AlarmStates;

/// The stages in order, in percent.
const PERCENTS: [u8; 5] = [0, 1, 10, 50, 100];

/// A stage of the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage(usize);

/// The text is not the name of a stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stage: use canary (1 %), 10, 50 or 100; to go back to 0, use `rollback`")]
pub struct StageError(String);

impl Stage {
    /// Nothing goes to the stream.
    pub const OFF: Self = Self(0);

    /// The share of the stage.
    #[must_use]
    pub fn percentage(self) -> Percentage {
        let percent = PERCENTS.get(self.0).copied().unwrap_or_default();
        Percentage::try_from(f64::from(percent)).unwrap_or(Percentage::ZERO)
    }

    /// The highest stage that a share has reached: 5 % is past the canary, but short of 10.
    #[must_use]
    pub fn reached(share: Percentage) -> Self {
        let all = (0..PERCENTS.len()).map(Self).rev();
        let mut reached = all.filter(|stage| stage.percentage() <= share);
        reached.next().unwrap_or(Self::OFF)
    }
}

impl FromStr for Stage {
    type Err = StageError;

    fn from_str(text: &str) -> Result<Self, StageError> {
        match text {
            "canary" | "1" => Ok(Self(1)),
            "10" => Ok(Self(2)),
            "50" => Ok(Self(3)),
            "100" => Ok(Self(4)),
            other => Err(StageError(other.chars().take(20).collect())),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("canary (1 %)"),
            _ => write!(f, "{} %", self.percentage()),
        }
    }
}

/// Why a step is refused, unless it is forced with a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepRefused {
    /// A stage would be skipped.
    #[error("from {from} the next stage is {next}, not {requested}")]
    Skips {
        /// The stage reached so far.
        from: Stage,
        /// The one that follows.
        next: Stage,
        /// The one requested.
        requested: Stage,
    },
    /// An alarm is on.
    #[error("{} on: {}", alarms_are(.0), .0.join(", "))]
    Alarms(Vec<String>),
    /// An alarm was not evaluated yet.
    #[error("{} without enough data yet: {}", alarms_are(.0), .0.join(", "))]
    Undecided(Vec<String>),
    /// An alarm is not deployed.
    #[error("{} missing: {}: deploy `infra` first", alarms_are(.0), .0.join(", "))]
    Missing(Vec<String>),
    /// The stage before is too young: not enough of its traffic is due everywhere yet.
    #[error("the stage has been running for {ran_s} s, and its proof needs {needed_s} s: try again in {} s", needed_s - ran_s)]
    TooYoung {
        /// How long it has been running.
        ran_s: i64,
        /// How long it must run.
        needed_s: i64,
    },
    /// The stage before is not proven.
    #[error("the stage is not proven: {0}")]
    Unproven(String),
    /// The project has no alarms.
    #[error("the project has no alarms, so nobody would notice a problem: deploy `infra` first")]
    NoAlarms,
}

fn alarms_are(names: &[String]) -> &'static str {
    if names.len() == 1 {
        "an alarm is"
    } else {
        "alarms are"
    }
}

/// Checks a step. Down is always allowed; up is allowed one stage at a time, while the project has
/// all alarms and each of them is off. Those that cannot be seen on an emulator do not count. The proof of the stage before
/// is `stage_proof`'s.
///
/// # Errors
/// [`StepRefused`], the first reason found.
pub fn check_step(
    now: Percentage,
    requested: Stage,
    alarms: &AlarmStates,
) -> Result<(), StepRefused> {
    if requested.percentage() <= now {
        return Ok(());
    }
    let from = Stage::reached(now);
    let next = Stage(from.0 + 1);
    if requested != next {
        return Err(StepRefused::Skips {
            from,
            next,
            requested,
        });
    }
    if alarms.watched == 0 {
        return Err(StepRefused::NoAlarms);
    }
    let AlarmStates {
        on,
        missing,
        undecided,
        ..
    } = alarms;
    if !on.is_empty() {
        return Err(StepRefused::Alarms(on.clone()));
    }
    if !missing.is_empty() {
        return Err(StepRefused::Missing(missing.clone()));
    }
    if !undecided.is_empty() {
        return Err(StepRefused::Undecided(undecided.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(now: &str, requested: &str, alarms: &[&str]) -> Result<(), String> {
        let alarms = AlarmStates {
            watched: 26,
            on: alarms.iter().map(|name| (*name).to_owned()).collect(),
            ..AlarmStates::default()
        };
        check_step(now.parse().unwrap(), requested.parse().unwrap(), &alarms)
            .map_err(|refused| refused.to_string())
    }

    #[test]
    fn up_goes_one_stage_at_a_time() {
        for (now, requested) in [
            ("0", "canary"),
            ("1", "10"),
            ("10", "50"),
            ("50", "100"),
            ("5", "10"),
        ] {
            assert_eq!(step(now, requested, &[]), Ok(()), "{now} to {requested}");
        }
        for (now, requested, expected) in [
            (
                "0",
                "10",
                "from 0 % the next stage is canary (1 %), not 10 %",
            ),
            ("1", "100", "the next stage is 10 %"),
            ("0.5", "10", "the next stage is canary"),
            ("12.5", "100", "from 10 % the next stage is 50 %"),
        ] {
            let refused = step(now, requested, &[]).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn an_alarm_blocks_a_step_up_and_never_a_step_down() {
        let refused = step("1", "10", &["ticks-lag", "ticks-dlq"]).unwrap_err();
        assert_eq!(refused, "alarms are on: ticks-lag, ticks-dlq");
        for requested in ["canary", "10", "50", "100"] {
            assert_eq!(
                step("100", requested, &["ticks-lag"]),
                Ok(()),
                "{requested}"
            );
        }
    }

    #[test]
    fn without_alarms_no_step_up_is_allowed() {
        let none = AlarmStates::default();
        let check = |now: &str, requested: &str| {
            check_step(now.parse().unwrap(), requested.parse().unwrap(), &none)
        };
        assert_eq!(check("1", "10"), Err(StepRefused::NoAlarms));
        assert_eq!(check("50", "10"), Ok(()));
    }

    #[test]
    fn an_alarm_that_is_missing_or_undecided_blocks_a_step_up() {
        let names = || vec!["ticks-lag".to_owned()];
        let all = AlarmStates {
            watched: 25,
            ..AlarmStates::default()
        };
        let missing = AlarmStates {
            missing: names(),
            ..all.clone()
        };
        let undecided = AlarmStates {
            undecided: names(),
            ..all.clone()
        };
        let unseen = AlarmStates {
            unseen: names(),
            ..all
        };
        let canary = "canary".parse::<Stage>().unwrap();
        let check = |alarms| check_step(Percentage::ZERO, canary, &alarms);
        assert_eq!(check(missing), Err(StepRefused::Missing(names())));
        assert_eq!(check(undecided), Err(StepRefused::Undecided(names())));
        assert_eq!(check(unseen), Ok(()));
    }

    #[test]
    fn a_text_that_is_not_a_stage_is_refused() {
        for text in ["", "0", "5", "full", "1%", "Canary"] {
            assert!(text.parse::<Stage>().is_err(), "{text}");
        }
    }
}
