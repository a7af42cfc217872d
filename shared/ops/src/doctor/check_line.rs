//! The line of a check: what was found, by what, and what to do.

use serde::Serialize;

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// It works, but needs a look.
    Warning,
    /// It does not work.
    Failed,
    /// It could not be looked at, which does not mean that it works.
    NotSeen,
}

impl CheckState {
    /// How it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::NotSeen => "not seen",
        }
    }
}

/// The line of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckLine {
    /// What was checked.
    pub check: &'static str,
    /// What was found.
    pub state: CheckState,
    /// What it is found by, with numbers.
    pub evidence: String,
    /// What to do, with a command; none if nothing is to be done.
    pub advice: Option<String>,
}

/// Why something could not be observed, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// The reason.
    pub why: String,
    /// What to do.
    pub advice: String,
}

/// An observation, or why there is none.
pub type Seen<T> = Result<T, Unseen>;

/// Where a tickstream runs: the commands of the advice depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// One process on a machine.
    Machine,
    /// A project on AWS.
    Aws {
        /// Its name.
        project: String,
    },
}

impl Place {
    /// The advice for this place. In that for AWS, `PROJECT` stands for the project's name.
    pub(super) fn advice(&self, machine: &str, aws: &str) -> String {
        match self {
            Self::Machine => machine.to_owned(),
            Self::Aws { project } => aws.replace("PROJECT", project),
        }
    }
}

impl CheckLine {
    pub(super) fn ok(check: &'static str, evidence: impl Into<String>) -> Self {
        Self {
            check,
            state: CheckState::Ok,
            evidence: evidence.into(),
            advice: None,
        }
    }

    pub(super) fn warning(
        check: &'static str,
        evidence: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            state: CheckState::Warning,
            advice: Some(advice.into()),
            ..Self::ok(check, evidence)
        }
    }

    pub(super) fn failed(
        check: &'static str,
        evidence: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            state: CheckState::Failed,
            ..Self::warning(check, evidence, advice)
        }
    }

    /// The line of something that could not be observed.
    pub(super) fn not_seen(check: &'static str, unseen: &Unseen) -> Self {
        Self {
            state: CheckState::NotSeen,
            ..Self::warning(check, unseen.why.clone(), unseen.advice.clone())
        }
    }

    /// Judges an observation, if there is one.
    pub(super) fn of<T>(
        check: &'static str,
        seen: &Seen<T>,
        judge: impl FnOnce(&T) -> Self,
    ) -> Self {
        match seen {
            Ok(observed) => judge(observed),
            Err(unseen) => Self::not_seen(check, unseen),
        }
    }
}

/// The state of all lines together: a failure is a failure, even if something else was not seen.
#[must_use]
pub fn overall(lines: &[CheckLine]) -> CheckState {
    let has = |state| lines.iter().any(|line| line.state == state);
    [CheckState::Failed, CheckState::NotSeen, CheckState::Warning]
        .into_iter()
        .find(|state| has(*state))
        .unwrap_or(CheckState::Ok)
}

/// A share in percent, of a whole that may be 0.
#[expect(clippy::cast_precision_loss, reason = "a share shown to people")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        100.0 * part as f64 / whole as f64
    }
}

/// A length of time as people say it: `40 s`, `12 min`, `3.5 h`, `9 days`.
pub(super) fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::check;

    #[test]
    fn a_failure_outweighs_what_was_not_seen() {
        let line = |state| CheckLine {
            state,
            ..CheckLine::ok("x", "y")
        };
        use CheckState::{Failed, NotSeen, Ok, Warning};
        for (states, expected) in [
            (&[Ok, Ok][..], Ok),
            (&[Ok, Warning], Warning),
            (&[NotSeen, Warning], NotSeen),
            (&[NotSeen, Failed, Ok], Failed),
            (&[], Ok),
        ] {
            let lines: Vec<_> = states.iter().map(|state| line(*state)).collect();
            assert_eq!(overall(&lines), expected, "{states:?}");
        }
    }

    #[test]
    fn what_was_not_seen_says_why_and_what_to_do() {
        let unseen = Unseen {
            why: "no process runs".to_owned(),
            advice: "start it".to_owned(),
        };
        let line = CheckLine::of::<u8>("x", &Err(unseen), |_| CheckLine::ok("x", ""));
        check(&line, CheckState::NotSeen, "no process runs", "start it");
    }

    #[test]
    fn a_length_of_time_has_one_unit() {
        for (ms, text) in [
            (-5, "0 s"),
            (119_999, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
