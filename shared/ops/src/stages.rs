//! The stages of a rollout, and which step from one to the next is taken.

use std::fmt;
use std::str::FromStr;

use domain::Percentage;

use crate::ports::AlarmStates;

/// The stages in their order, in percent.
const PERCENTS: [u8; 5] = [0, 1, 10, 50, 100];

/// A stage of the rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage(usize);

/// The text names no stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stage: use canary (1 %), 10, 50 or 100; going back to 0 is `rollback`")]
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

    /// The highest stage that a share has reached: 5 % has left the canary, and not reached 10.
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

/// Why a step is not taken, unless it is forced with a reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepRefused {
    /// A stage would be left out.
    #[error("from {from} the next stage is {next}, not {asked}")]
    Skips {
        /// The stage reached so far.
        from: Stage,
        /// The one that follows.
        next: Stage,
        /// The one asked for.
        asked: Stage,
    },
    /// An alarm is on.
    #[error("{} on: {}", if .0.len() == 1 { "an alarm is" } else { "alarms are" }, .0.join(", "))]
    Alarms(Vec<String>),
    /// There is no alarm that could be on.
    #[error("there is no alarm of the project, so that nobody would know: deploy `infra` first")]
    NoAlarms,
}

/// Checks a step: down goes always, up goes one stage at a time while there are alarms and none is
/// on. What else
/// must hold before a step up belongs here, such as the comparison of the stores.
///
/// # Errors
/// [`StepRefused`], the first reason found.
pub fn check_step(now: Percentage, asked: Stage, alarms: &AlarmStates) -> Result<(), StepRefused> {
    if asked.percentage() <= now {
        return Ok(());
    }
    let from = Stage::reached(now);
    let next = Stage(from.0 + 1);
    if asked != next {
        return Err(StepRefused::Skips { from, next, asked });
    }
    if alarms.watched == 0 {
        return Err(StepRefused::NoAlarms);
    }
    if !alarms.on.is_empty() {
        return Err(StepRefused::Alarms(alarms.on.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(now: &str, asked: &str, alarms: &[&str]) -> Result<(), String> {
        let alarms = AlarmStates {
            watched: 26,
            on: alarms.iter().map(|name| (*name).to_owned()).collect(),
        };
        check_step(now.parse().unwrap(), asked.parse().unwrap(), &alarms)
            .map_err(|refused| refused.to_string())
    }

    #[test]
    fn up_goes_one_stage_at_a_time() {
        for (now, asked) in [
            ("0", "canary"),
            ("1", "10"),
            ("10", "50"),
            ("50", "100"),
            ("5", "10"),
        ] {
            assert_eq!(step(now, asked, &[]), Ok(()), "{now} to {asked}");
        }
        for (now, asked, says) in [
            (
                "0",
                "10",
                "from 0 % the next stage is canary (1 %), not 10 %",
            ),
            ("1", "100", "the next stage is 10 %"),
            ("0.5", "10", "the next stage is canary"),
            ("12.5", "100", "from 10 % the next stage is 50 %"),
        ] {
            let refused = step(now, asked, &[]).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn an_alarm_stops_the_way_up_and_never_the_way_down() {
        let refused = step("1", "10", &["ticks-lag", "ticks-dlq"]).unwrap_err();
        assert_eq!(refused, "alarms are on: ticks-lag, ticks-dlq");
        for asked in ["canary", "10", "50", "100"] {
            assert_eq!(step("100", asked, &["ticks-lag"]), Ok(()), "{asked}");
        }
    }

    #[test]
    fn without_any_alarm_nothing_goes_up() {
        let none = AlarmStates {
            watched: 0,
            on: Vec::new(),
        };
        let check = |now: &str, asked: &str| {
            check_step(now.parse().unwrap(), asked.parse().unwrap(), &none)
        };
        assert_eq!(check("1", "10"), Err(StepRefused::NoAlarms));
        assert_eq!(check("50", "10"), Ok(()));
    }

    #[test]
    fn what_is_no_stage_is_refused() {
        for text in ["", "0", "5", "full", "1%", "Canary"] {
            assert!(text.parse::<Stage>().is_err(), "{text}");
        }
    }
}
