//! `tickctl rollout`: the share of the ticks that goes to the stream on AWS.

use std::time::Duration;

use app::ports::PortError;
use app::rollout::RolloutError;
use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};
use domain::Percentage;
use hyper::Uri;
use ops::flag_record::{FlagChange, FlagContent, FlagRecord, FlagValue};
use ops::ports::{AlarmStates, Alarms};
use ops::rollout_controller::{
    Changed, DrainReport, RolloutController, RolloutControllerError, Signature, StepReport,
};
use ops::stages::Stage;

use crate::cli::{World, parse_base, print_line};
use crate::health;
use crate::operator_clients::OperatorClients;

/// Changes shown by `status`.
const HISTORY_SHOWN: usize = 10;

/// Reads and changes the share that goes to the stream; nothing is deployed for it.
#[derive(Debug, Args)]
pub struct RolloutArgs {
    /// What to do.
    #[command(subcommand)]
    action: Action,
    /// The project: the stacks' common name.
    #[arg(long, env = "PROJECT", default_value = "tickstream", global = true)]
    project: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the flag, its last changes, the alarms that are on, and which code the webhook runs.
    Status {
        /// The deployed webhook, as it is posted to without /webhooks: its /healthz is asked.
        #[arg(long, value_name = "URL", env = "WEBHOOK_URL", value_parser = parse_base)]
        webhook: Option<Uri>,
    },
    /// Goes to a stage: canary (1 %), 10, 50 or 100. Up goes one stage at a time, while no alarm
    /// is on.
    To {
        /// The stage.
        stage: Stage,
        #[command(flatten)]
        signed: Signed,
        /// Go even where a stage is left out or an alarm is on; the reason is recorded.
        #[arg(long, value_name = "REASON", value_parser = reason)]
        force: Option<String>,
        /// Seconds to watch the stream afterwards.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
        watch: u64,
    },
    /// Goes back to 0 %, and waits until no new tick arrives in the stream.
    Back {
        #[command(flatten)]
        signed: Signed,
    },
}

/// Who makes a change, and why.
#[derive(Debug, Args)]
struct Signed {
    /// Who makes the change; recorded. Without it that is USER, LOGNAME, or `unknown`.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[arg(long, env = "USER", hide = true, hide_env = true)]
    login_user: Option<String>,
    #[arg(long, env = "LOGNAME", hide = true, hide_env = true)]
    login_name: Option<String>,
    /// Why it is made; recorded.
    #[arg(long)]
    why: Option<String>,
}

impl Signed {
    /// Signs a step. A force's reason stays with the word, whatever else is said.
    fn step(self, stage: Stage, force: Option<&str>) -> Signature {
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

    fn back(self) -> Signature {
        Signature {
            why: self.why.clone().unwrap_or_else(|| "rollback".to_owned()),
            who: self.name(),
        }
    }

    /// A name that was given is taken as it is, so that an empty one is refused. One that nobody
    /// gave is not made up: the account's own trail has the caller.
    fn name(self) -> String {
        let login = [self.login_user, self.login_name].into_iter().flatten();
        let login = || login.into_iter().find(|name| !name.trim().is_empty());
        self.who
            .or_else(login)
            .unwrap_or_else(|| "unknown".to_owned())
    }
}

/// A reason, which is not empty.
fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why: the reason is recorded".to_owned()),
        reason => Ok(reason.to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
/// Where the flag cannot be read or changed, a step is refused, or what came of it was not seen.
pub async fn run(args: RolloutArgs, world: World) -> anyhow::Result<()> {
    let mut clients = OperatorClients::open(&args.project, world.now_ms).await?;
    let steering = RolloutController {
        flag: &clients.flag,
        alarms: &clients.alarms,
        clock: &clients.clock,
    };
    match args.action {
        Action::Status { webhook } => {
            // The flag is what matters at night: a webhook that does not answer does not hide it.
            let told = status(&clients.flag, &clients.alarms).await;
            if let Some(webhook) = webhook {
                print_line(&match health::ask(&webhook).await {
                    Ok(health) => format!("code      {}", health.told()),
                    Err(error) => format!("code      not known: {error:#}"),
                })?;
            }
            print_line(&told?)?;
        }
        Action::To {
            stage,
            signed,
            force,
            watch,
        } => {
            let signature = signed.step(stage, force.as_deref());
            let changed = steering
                .step(stage, force.is_some(), signature, &mut clients.arrivals)
                .await
                .map_err(advise)?;
            print_line(&told_step(stage, &changed))?;
            let watch = Duration::from_secs(watch);
            let seen = match steering.watch(&changed, &mut clients.arrivals, watch).await {
                Ok(seen) => seen,
                // Whoever goes down or by force has not asked for a stream that answers.
                Err(error) if force.is_some() || is_down(&changed) => {
                    print_line(&format!("stream    not seen: {error}"))?;
                    return Ok(());
                }
                Err(error) => {
                    return Err(anyhow::Error::new(error)
                        .context("the flag was changed, but the stream could not be watched"));
                }
            };
            print_line(&told_stream(&seen))?;
            if seen.outside_cohort > 0 {
                anyhow::bail!(
                    "{} of the ticks that arrived do not belong to the cohort: some process does \
                     not read the flag. `tickctl rollout back` stops the stream for those that do",
                    seen.outside_cohort
                );
            }
        }
        Action::Back { signed } => {
            let changed = steering.back(signed.back()).await.map_err(advise)?;
            print_line(&told_back(&changed))?;
            let seen = steering
                .rest(&changed, &mut clients.arrivals)
                .await
                .map_err(|error| {
                    let unseen = matches!(error, RolloutControllerError::Port(_));
                    let error = anyhow::Error::new(error);
                    if unseen {
                        error.context(
                            "the flag is at 0, which every process follows within seconds; but \
                             the stream could not be watched",
                        )
                    } else {
                        error
                    }
                })?;
            print_line(&told_rest(&seen))?;
        }
    }
    Ok(())
}

fn is_down(changed: &Changed) -> bool {
    changed
        .before
        .is_some_and(|before| changed.value.percentage <= before)
}

/// Says what to do about a step that was not taken.
fn advise(error: RolloutControllerError) -> anyhow::Error {
    let advice = match &error {
        RolloutControllerError::Refused(_) => {
            "the flag was not changed; `--force REASON` goes all the same"
        }
        RolloutControllerError::Unreadable(_) => {
            "the flag was not changed; `tickctl rollout back` writes over it, and so does a step \
             with `--force REASON`"
        }
        RolloutControllerError::Contended => "the change did not hold",
        RolloutControllerError::Change(RolloutError::Port(_)) => {
            "the flag could not be written, or the answer was lost; `tickctl rollout status` tells \
             what it holds"
        }
        RolloutControllerError::Change(RolloutError::Unsigned { .. } | RolloutError::Nothing)
        | RolloutControllerError::Port(_)
        | RolloutControllerError::Missing
        | RolloutControllerError::NoRest
        | RolloutControllerError::Behind => "the flag was not changed",
    };
    anyhow::Error::new(error).context(advice)
}

/// The flag, the alarms that are on, and the last changes, each whether or not the others can be
/// read.
///
/// # Errors
/// Where the flag could not be read: the error has the rest.
async fn status(flag: &dyn FlagRecord, alarms: &dyn Alarms) -> anyhow::Result<String> {
    let told = |error: &PortError| format!("cannot be read: {error}: {}", error.source);
    let (read, alarms, changes) =
        tokio::join!(flag.read(), alarms.states(), flag.history(HISTORY_SHOWN));
    let mut lines = vec![match &read {
        Ok(read) => format!("rollout   {}", told_flag(&read.content)),
        Err(error) => format!("rollout   {}", told(error)),
    }];
    lines.push(match &alarms {
        Ok(alarms) => format!("alarms    {}", told_alarms(alarms)),
        Err(error) => format!("alarms    {}", told(error)),
    });
    match &changes {
        Ok(changes) => lines.extend(changes.iter().map(|past| told_change(&past.change))),
        Err(error) => lines.push(format!("changes   {}", told(error))),
    }
    let lines = lines.join("\n");
    match read {
        Ok(_) => Ok(lines),
        Err(_) => anyhow::bail!("the flag is not known\n{lines}"),
    }
}

fn told_flag(content: &FlagContent) -> String {
    match content {
        FlagContent::Value(FlagValue {
            use_kinesis,
            percentage,
            key,
        }) => {
            let off = if *use_kinesis {
                ""
            } else {
                " (USE_KINESIS=false: nothing goes to the stream)"
            };
            let by = match key {
                Some(key) => format!(" by {key}"),
                None => String::new(),
            };
            format!("{percentage} %{off}{by}")
        }
        FlagContent::Unreadable(what) => format!(
            "unreadable: it holds {what}. Processes go on with the last value that they understood, \
             and new ones do not start; `tickctl rollout back` writes over it"
        ),
        FlagContent::Missing => {
            "there is none: is this project deployed in this account and region?".to_owned()
        }
    }
}

fn told_alarms(alarms: &AlarmStates) -> String {
    match (alarms.watched, alarms.on.as_slice()) {
        (0, _) => "there is none: nobody would know; deploy `infra`".to_owned(),
        (_, []) => "none is on".to_owned(),
        (_, on) => format!("{} on: {}", on.len(), on.join(", ")),
    }
}

fn told_change(change: &FlagChange) -> String {
    let at = DateTime::from_timestamp_millis(change.at_ms).map_or_else(String::new, |at| {
        at.to_rfc3339_opts(SecondsFormat::Secs, true)
    });
    let FlagChange {
        who, why, value, ..
    } = change;
    format!("{at}  {} %  {who}: {why}", value.percentage)
}

fn told_before(before: Option<Percentage>) -> String {
    before.map_or_else(|| "unknown".to_owned(), |before| format!("{before} %"))
}

fn with_notes(line: String, notes: &[String]) -> String {
    let notes = notes.iter().map(|note| format!("\nnote      {note}"));
    line + &notes.collect::<String>()
}

fn told_step(stage: Stage, changed: &Changed) -> String {
    let before = told_before(changed.before);
    let now = if changed.value.percentage == stage.percentage() {
        stage.to_string()
    } else {
        format!("{} %, not {stage}", changed.value.percentage)
    };
    with_notes(format!("rollout   {before} -> {now}"), &changed.notes)
}

fn told_stream(seen: &StepReport) -> String {
    let arrived = match seen.arrived {
        0 => "no tick arrived".to_owned(),
        1 => "1 tick arrived".to_owned(),
        ticks => format!("{ticks} ticks arrived"),
    };
    let inside = match (seen.arrived, seen.outside_cohort) {
        (0, _) => " (is there traffic?)".to_owned(),
        (_, 0) => ", each belongs to the cohort".to_owned(),
        (_, outside) => format!(", {outside} outside the cohort"),
    };
    let rest = if seen.caught_up {
        ""
    } else {
        " (the stream is written faster than it was read here: there are more)"
    };
    let watched = seconds(seen.watched_ms);
    format!("stream    in {watched:.1} s {arrived}{inside}{rest}")
}

fn told_back(changed: &Changed) -> String {
    let line = format!(
        "rollout   {} -> 0 % (stored in {:.2} s)",
        told_before(changed.before),
        seconds(changed.stored_after_ms)
    );
    with_notes(line, &changed.notes)
}

fn told_rest(seen: &DrainReport) -> String {
    let rest = match seen.last_arrival_after_ms {
        None => "no tick taken in after the change arrived".to_owned(),
        Some(ms) => format!(
            "the last of {} ticks taken in after the change arrived {:.1} s after it",
            seen.arrived,
            seconds(ms)
        ),
    };
    format!("stream    {rest}; it is at rest")
}

#[expect(clippy::cast_precision_loss, reason = "shown with a tenth")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use clap::Parser;
    use domain::RolloutKey;
    use ops::flag_record::{FlagRead, FlagVersion};

    use super::*;

    const FULL: FlagValue = FlagValue {
        use_kinesis: true,
        percentage: Percentage::FULL,
        key: None,
    };

    fn changed(before: Option<&str>, now: &str) -> Changed {
        Changed {
            before: before.map(|before| before.parse().unwrap()),
            value: FlagValue {
                percentage: now.parse().unwrap(),
                ..FULL
            },
            began_ms: 0,
            stored_after_ms: 31,
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_was_changed_and_seen_is_told() {
        let stage = "10".parse().unwrap();
        let mut change = changed(Some("1"), "10");
        assert_eq!(told_step(stage, &change), "rollout   1 % -> 10 %");
        change
            .notes
            .push("meanwhile bob had set 0 %: lag".to_owned());
        change.value.percentage = Percentage::ZERO;
        assert_eq!(
            told_step(stage, &change),
            "rollout   1 % -> 0 %, not 10 %\nnote      meanwhile bob had set 0 %: lag"
        );
        let mut seen = StepReport {
            watched_ms: 10_049,
            arrived: 132,
            outside_cohort: 0,
            caught_up: true,
        };
        assert_eq!(
            told_stream(&seen),
            "stream    in 10.0 s 132 ticks arrived, each belongs to the cohort"
        );
        seen.caught_up = false;
        assert!(told_stream(&seen).contains("there are more"));
        seen.caught_up = true;
        seen.arrived = 0;
        assert!(told_stream(&seen).ends_with("no tick arrived (is there traffic?)"));
        assert_eq!(
            told_back(&changed(Some("100"), "0")),
            "rollout   100 % -> 0 % (stored in 0.03 s)"
        );
        assert!(told_back(&changed(None, "0")).starts_with("rollout   unknown -> 0 %"));
        let mut rest = DrainReport {
            last_arrival_after_ms: Some(2_970),
            arrived: 61,
        };
        assert_eq!(
            told_rest(&rest),
            "stream    the last of 61 ticks taken in after the change arrived 3.0 s after it; it \
             is at rest"
        );
        rest.last_arrival_after_ms = None;
        assert!(told_rest(&rest).contains("no tick taken in after the change"));
    }

    #[test]
    fn a_change_is_told_with_who_when_and_why() {
        let change = FlagChange {
            at_ms: 1_760_000_000_000,
            who: "night shift".to_owned(),
            why: "lag".to_owned(),
            value: FULL,
        };
        assert_eq!(
            told_change(&change),
            "2025-10-09T08:53:20Z  100 %  night shift: lag"
        );
    }

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
    fn a_force_keeps_its_reason_beside_another_one() {
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
            assert!(refused.contains("say why"), "{refused}");
        }
    }

    #[test]
    fn who_is_the_login_where_nobody_is_named() {
        let who = |options: &[&str]| {
            let line = ["tickctl", "back"];
            let parsed = Line::try_parse_from(line.iter().chain(options)).unwrap();
            let Action::Back { signed } = parsed.rollout.action else {
                panic!("{parsed:?}");
            };
            signed.back().who
        };
        let (user, name) = ("--login-user=ann", "--login-name=bob");
        assert_eq!(who(&["--who", "eve", user, name]), "eve");
        assert_eq!(who(&[user, name]), "ann");
        assert_eq!(who(&["--login-user=", name]), "bob");
        assert_eq!(who(&["--login-user=", "--login-name="]), "unknown");
    }

    /// A flag, and alarms that do not answer.
    struct Flag(FlagContent);

    fn away() -> PortError {
        PortError {
            operation: "look",
            retryable: true,
            source: "a fault of the test".into(),
        }
    }

    #[async_trait]
    impl FlagRecord for Flag {
        async fn read(&self) -> Result<FlagRead, PortError> {
            Ok(FlagRead {
                version: 1,
                content: self.0.clone(),
            })
        }
        async fn write(&self, _: &FlagChange) -> Result<i64, PortError> {
            Err(away())
        }
        async fn history(&self, _: usize) -> Result<Vec<FlagVersion>, PortError> {
            Err(away())
        }
    }

    #[async_trait]
    impl Alarms for Flag {
        async fn states(&self) -> Result<AlarmStates, PortError> {
            Err(away())
        }
    }

    #[tokio::test]
    async fn the_status_shows_what_can_be_seen() {
        let unreadable = Flag(FlagContent::Unreadable(
            "`1O`, which is no rollout".to_owned(),
        ));
        let told = status(&unreadable, &unreadable).await.unwrap();
        assert!(
            told.contains("rollout   unreadable: it holds `1O`"),
            "{told}"
        );
        assert!(told.contains("alarms    cannot be read: "), "{told}");
        assert!(told.contains("changes   cannot be read: "), "{told}");
        let by_token = Flag(FlagContent::Value(FlagValue {
            key: Some(RolloutKey::Token),
            ..FULL
        }));
        let told = status(&by_token, &by_token).await.unwrap();
        assert!(told.starts_with("rollout   100 % by token\n"), "{told}");
        let without = Flag(FlagContent::Value(FULL));
        let told = status(&without, &without).await.unwrap();
        assert!(told.starts_with("rollout   100 %\n"), "{told}");
    }

    #[test]
    fn without_alarms_the_status_says_so() {
        let none = AlarmStates {
            watched: 0,
            on: Vec::new(),
        };
        assert!(told_alarms(&none).contains("nobody would know"));
    }
}
