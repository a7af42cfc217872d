//! `tickctl rollout`: the share of the ticks that goes to the stream on AWS.

use std::sync::Arc;
use std::time::Duration;

use app::ports::{Alarms, Arrivals, RolloutStore};
use app::rollout::{RolloutChange, RolloutControl};
use app::stages::Stage;
use app::steering::{BackSeen, Signature, Steering, SteeringError, StepSeen};
use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};

use crate::cli::{World, print_line};
use crate::desk::Desk;

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
    /// Shows the flag, its last changes, and the alarms that are on.
    Status,
    /// Goes to a stage: canary (1 %), 10, 50 or 100. Up goes one stage at a time, while no alarm
    /// is on.
    To {
        /// The stage.
        stage: Stage,
        #[command(flatten)]
        signed: Signed,
        /// Go even where a stage is left out or an alarm is on; the reason is recorded.
        #[arg(long, value_name = "REASON")]
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
    /// Who makes the change; recorded.
    #[arg(long, env = "USER")]
    who: String,
    /// Why it is made; recorded.
    #[arg(long)]
    why: Option<String>,
}

impl Signed {
    fn or(self, why: String) -> Signature {
        Signature {
            who: self.who,
            why: self.why.unwrap_or(why),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Where the flag, the alarms or the stream cannot be read or changed, or a step is refused.
pub async fn run(args: RolloutArgs, world: World) -> anyhow::Result<()> {
    let mut desk = Desk::open(&args.project, world.now_ms).await?;
    let steering = Steering {
        control: &desk.control,
        alarms: desk.alarms.as_ref(),
    };
    let arrivals: &mut dyn Arrivals = desk.arrivals.as_mut();
    match args.action {
        Action::Status => {
            let told = status(&desk.control, desk.alarms.as_ref(), &desk.history).await?;
            print_line(&told)?;
        }
        Action::To {
            stage,
            signed,
            force,
            watch,
        } => {
            let forced = force.is_some();
            let why = force.map_or_else(
                || format!("stage {stage}"),
                |reason| format!("forced: {reason}"),
            );
            let watch = Duration::from_secs(watch);
            let seen = steering
                .step(stage, forced, signed.or(why), arrivals, watch)
                .await
                .map_err(advise)?;
            print_line(&told_step(stage, &seen))?;
            if seen.outside_cohort > 0 {
                anyhow::bail!(
                    "{} of the ticks that arrived do not belong to the cohort: some process does \
                     not read the flag. `tickctl rollout back` stops the stream for those that do",
                    seen.outside_cohort
                );
            }
        }
        Action::Back { signed } => {
            let seen = steering
                .back(signed.or("rollback".to_owned()), arrivals)
                .await
                .map_err(advise)?;
            print_line(&told_back(&seen))?;
        }
    }
    Ok(())
}

/// Says what to do about a refused step.
fn advise(error: SteeringError) -> anyhow::Error {
    let refused = matches!(error, SteeringError::Refused(_));
    let error = anyhow::Error::new(error);
    if refused {
        error.context("the flag was not changed; `--force REASON` goes all the same")
    } else {
        error
    }
}

async fn status(
    control: &RolloutControl,
    alarms: &dyn Alarms,
    history: &Arc<dyn RolloutStore>,
) -> anyhow::Result<String> {
    let rollout = control.flag.current().await;
    let mut lines = vec![format!(
        "rollout   {} %{} by {}",
        rollout.percentage,
        if rollout.use_kinesis {
            ""
        } else {
            " (USE_KINESIS=false: nothing goes to the stream)"
        },
        rollout.key
    )];
    // The flag is what matters at night: alarms that cannot be read do not hide it.
    lines.push(match alarms.active().await.as_deref() {
        Ok([]) => "alarms    none is on".to_owned(),
        Ok(on) => format!("alarms    {} on: {}", on.len(), on.join(", ")),
        Err(error) => format!("alarms    cannot be read: {error}: {}", error.source),
    });
    let changes = history.history(HISTORY_SHOWN).await?;
    lines.extend(changes.iter().map(told_change));
    Ok(lines.join("\n"))
}

fn told_change(change: &RolloutChange) -> String {
    let at = DateTime::from_timestamp_millis(change.at_ms).map_or_else(String::new, |at| {
        at.to_rfc3339_opts(SecondsFormat::Secs, true)
    });
    let RolloutChange {
        who, why, rollout, ..
    } = change;
    format!("{at}  {} %  {who}: {why}", rollout.percentage)
}

fn told_step(stage: Stage, seen: &StepSeen) -> String {
    let share = |ticks: u64| match ticks {
        0 => "no tick arrived".to_owned(),
        1 => "1 tick arrived".to_owned(),
        ticks => format!("{ticks} ticks arrived"),
    };
    let inside = match (seen.arrived, seen.outside_cohort) {
        (0, _) => " (is there traffic?)".to_owned(),
        (_, 0) => ", each belongs to the cohort".to_owned(),
        (_, outside) => format!(", {outside} outside the cohort"),
    };
    format!(
        "rollout   {} % -> {stage}\nstream    in {:.1} s {}{inside}",
        seen.before,
        seconds(seen.watched_ms),
        share(seen.arrived)
    )
}

fn told_back(seen: &BackSeen) -> String {
    let rest = match seen.last_arrival_after_ms {
        None => "no tick taken in after the change arrived".to_owned(),
        Some(ms) => format!(
            "the last of {} ticks taken in after the change arrived {:.1} s after it",
            seen.arrived,
            seconds(ms)
        ),
    };
    format!(
        "rollout   {} % -> 0 % (stored in {:.2} s)\nstream    {rest}; it is at rest",
        seen.before,
        seconds(seen.changed_after_ms)
    )
}

#[expect(clippy::cast_precision_loss, reason = "shown with a tenth")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use domain::{Percentage, Rollout, RolloutKey};

    use super::*;

    const FLAG: Rollout = Rollout {
        use_kinesis: true,
        percentage: Percentage::FULL,
        key: RolloutKey::Tick,
    };

    #[test]
    fn what_was_seen_is_told_in_two_lines() {
        let mut seen = StepSeen {
            before: "1".parse().unwrap(),
            rollout: FLAG,
            watched_ms: 10_049,
            arrived: 132,
            outside_cohort: 0,
        };
        let stage = "10".parse().unwrap();
        assert_eq!(
            told_step(stage, &seen),
            "rollout   1 % -> 10 %\nstream    in 10.0 s 132 ticks arrived, each belongs to the cohort"
        );
        seen.arrived = 0;
        assert!(told_step(stage, &seen).ends_with("no tick arrived (is there traffic?)"));
        let mut back = BackSeen {
            before: Percentage::FULL,
            changed_after_ms: 31,
            last_arrival_after_ms: Some(2_970),
            arrived: 61,
        };
        assert_eq!(
            told_back(&back),
            "rollout   100 % -> 0 % (stored in 0.03 s)\nstream    the last of 61 ticks taken in \
             after the change arrived 3.0 s after it; it is at rest"
        );
        back.last_arrival_after_ms = None;
        assert!(told_back(&back).contains("no tick taken in after the change"));
    }

    #[test]
    fn a_change_is_told_with_who_when_and_why() {
        let change = RolloutChange {
            at_ms: 1_760_000_000_000,
            who: "night shift".to_owned(),
            why: "lag".to_owned(),
            rollout: FLAG,
        };
        assert_eq!(
            told_change(&change),
            "2025-10-09T08:53:20Z  100 %  night shift: lag"
        );
    }
}
