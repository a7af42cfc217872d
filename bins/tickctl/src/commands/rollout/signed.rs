//! Who makes a change, and why: the options and their defaults.

use clap::Args;
use ops::rollout_controller::Signature;
use ops::stage_gate::Stage;

/// Who makes a change, and why.
#[derive(Debug, Args)]
pub(super) struct Signed {
    /// Who makes the change, which is recorded; the default is USER, LOGNAME or `unknown`.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[arg(long, env = "USER", hide = true, hide_env = true)]
    login_user: Option<String>,
    #[arg(long, env = "LOGNAME", hide = true, hide_env = true)]
    login_name: Option<String>,
    /// Why the change is made, which is recorded.
    #[arg(long)]
    why: Option<String>,
}

impl Signed {
    /// The signature of a step. The reason of a forced step is marked as such.
    pub(super) fn step(self, stage: Stage, force: Option<&str>) -> Signature {
        let why = match (force, self.why.as_deref()) {
            (Some(reason), Some(why)) => format!("forced: {reason} ({why})"),
            (Some(reason), None) => format!("forced: {reason}"),
            (None, Some(why)) => why.to_owned(),
            (None, None) => format!("stage {stage}"),
        };
        Signature {
            why,
            who: self.name(),
        }
    }

    pub(super) fn rollback(self) -> Signature {
        Signature {
            why: self.why.clone().unwrap_or_else(|| "rollback".to_owned()),
            who: self.name(),
        }
    }

    /// A given name is used unchanged, so an empty one is refused. Without a name, none is
    /// invented: the account's audit trail has the caller.
    fn name(self) -> String {
        let login = [self.login_user, self.login_name].into_iter().flatten();
        let login = || login.into_iter().find(|name| !name.trim().is_empty());
        self.who
            .or_else(login)
            .unwrap_or_else(|| "unknown".to_owned())
    }
}

/// Parses a reason, which must not be empty.
pub(super) fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the reason must not be empty, since it is recorded".to_owned()),
        reason => Ok(reason.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Action, RolloutArgs};
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        rollout: RolloutArgs,
    }

    /// The signature of a step to 10 %.
    fn signature(options: &[&str]) -> Result<Signature, String> {
        let line = ["tickctl", "to", "10", "--login-user=", "--login-name="];
        let parsed = Line::try_parse_from(line.iter().chain(options));
        let action = parsed.map_err(|error| error.to_string())?.rollout.action;
        let Action::To {
            stage,
            signed,
            force,
            ..
        } = action
        else {
            panic!("{action:?}");
        };
        Ok(signed.step(stage, force.as_deref()))
    }

    #[test]
    fn a_forced_step_keeps_its_reason_beside_another_one() {
        let why = |options: &[&str]| signature(options).map(|signature| signature.why);
        assert_eq!(why(&[]), Ok("stage 10 %".to_owned()));
        assert_eq!(why(&["--why", "x"]), Ok("x".to_owned()));
        assert_eq!(why(&["--force", " known "]), Ok("forced: known".to_owned()));
        assert_eq!(
            why(&["--force", "known", "--why", "x"]),
            Ok("forced: known (x)".to_owned())
        );
        for empty in ["", "  "] {
            let refused = why(&["--force", empty]).unwrap_err();
            assert!(refused.contains("must not be empty"), "{refused}");
        }
    }

    #[test]
    fn who_defaults_to_the_login_name() {
        let who = |options: &[&str]| {
            let line = ["tickctl", "back"];
            let parsed = Line::try_parse_from(line.iter().chain(options)).unwrap();
            let Action::Back { signed } = parsed.rollout.action else {
                panic!("{parsed:?}");
            };
            signed.rollback().who
        };
        let (user, name) = ("--login-user=ann", "--login-name=bob");
        assert_eq!(who(&["--who", "eve", user, name]), "eve");
        assert_eq!(who(&[user, name]), "ann");
        assert_eq!(who(&["--login-user=", name]), "bob");
        assert_eq!(who(&["--login-user=", "--login-name="]), "unknown");
    }
}
