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
pub struct Unobserved {
    /// The reason.
    pub why: String,
    /// What to do.
    pub advice: String,
}

/// An observation, or why there is none.
pub type Observed<T> = Result<T, Unobserved>;

/// Where a tickstream runs: the commands of the advice depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployment {
    /// A process, on this machine or another one.
    Process {
        /// Its address.
        url: String,
        /// Its data folder, if that is on this machine.
        data_dir: Option<String>,
    },
    /// A data folder that no process has open.
    Folder {
        /// The folder.
        data_dir: String,
    },
    /// A project on AWS.
    Aws {
        /// Its name.
        project: String,
    },
}

impl Deployment {
    /// The advice for this place: `$URL`, `$DIR`, `$ACCESS` (the option that selects the process or the folder) and
    /// `$PROJECT` stand for its own.
    pub(super) fn advice(&self, process: &str, folder: &str, aws: &str) -> String {
        let fill_folder = |text: &str, data_dir: &str| {
            let access = format!("--data-dir {}", quoted(data_dir));
            text.replace("$ACCESS", &access)
                .replace("$DIR", &quoted(data_dir))
        };
        match self {
            Self::Process { url, data_dir } => {
                let text = process
                    .replace("$URL", &quoted(url))
                    .replace("$ACCESS", &format!("--server {}", quoted(url)));
                // Of a server elsewhere, only its own machine knows the folder.
                fill_folder(&text, data_dir.as_deref().unwrap_or("DIR"))
            }
            Self::Folder { data_dir } => fill_folder(folder, data_dir),
            Self::Aws { project } => aws.replace("$PROJECT", project),
        }
    }

    /// Advice that is the same wherever the check is made.
    pub(super) fn same_advice(&self, text: &str) -> String {
        self.advice(text, text, text)
    }

    /// The advice of a check that no project on AWS has.
    pub(super) fn own_advice(&self, process: &str, folder: &str) -> String {
        self.advice(process, folder, process)
    }
}

/// A value as a word of a shell.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:[]".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
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
    pub(super) fn not_seen(check: &'static str, unseen: &Unobserved) -> Self {
        Self {
            state: CheckState::NotSeen,
            ..Self::warning(check, unseen.why.clone(), unseen.advice.clone())
        }
    }

    /// Judges an observation, if there is one.
    pub(super) fn of<T>(
        check: &'static str,
        seen: &Observed<T>,
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
    fn advice_is_a_command_for_this_place_and_no_other() {
        let of =
            |place: Deployment| place.advice("a $URL $ACCESS $DIR", "b $ACCESS $DIR", "c $PROJECT");
        let url = "http://h:9/stage".to_owned();
        let data_dir = Some("/srv/my data".to_owned());
        let expected = "a http://h:9/stage --server http://h:9/stage '/srv/my data'";
        assert_eq!(
            of(Deployment::Process {
                url: url.clone(),
                data_dir
            }),
            expected
        );
        let elsewhere = of(Deployment::Process {
            url,
            data_dir: None,
        });
        assert!(elsewhere.ends_with(" DIR"), "{elsewhere}");
        let data_dir = "it's".to_owned();
        assert_eq!(
            of(Deployment::Folder { data_dir }),
            r"b --data-dir 'it'\''s' 'it'\''s'"
        );
        let project = "prices".to_owned();
        assert_eq!(of(Deployment::Aws { project }), "c prices");
    }

    #[test]
    fn what_was_not_seen_says_why_and_what_to_do() {
        let unseen = Unobserved {
            why: "no process runs".to_owned(),
            advice: "start it".to_owned(),
        };
        let line = CheckLine::of::<u8>("x", &Err(unseen), |_| CheckLine::ok("x", ""));
        check(&line, CheckState::NotSeen, "no process runs", "start it");
    }
}
