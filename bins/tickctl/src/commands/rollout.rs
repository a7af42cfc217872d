//! `tickctl rollout`: shows and changes the share of ticks that goes to the stream on AWS.

mod signed;
pub(crate) mod text;

use std::time::Duration;

use app::flag_editor::RolloutError;
use app::ports::PortError;
use clap::{Args, Subcommand};
use hyper::Uri;
use ops::flag_record::FlagRecord;
use ops::ports::Alarms;
use ops::rollout_controller::{Changed, RolloutController, RolloutControllerError};
use ops::stage_gate::Stage;
use ops::stage_proof::StageProof;
use ops::verify::DueAfter;

use crate::cloud_verify::{CloudOptions, StageProver};
use crate::commands::verify::{Shown, proof_text};
use crate::health;
use crate::operator_clients::OperatorClients;
use crate::process::{ProcessContext, print_line};
use crate::target::parse_base;
use signed::{Signed, reason};
use text::{
    alarms_text, arrivals_text, change_text, drained_text, flag_text, rollback_text, step_text,
};

/// How many changes `status` shows.
const HISTORY_SHOWN: usize = 10;

/// Shows and changes the share of ticks that goes to the stream, without a deployment.
#[derive(Debug, Args)]
pub struct RolloutArgs {
    /// The action.
    #[command(subcommand)]
    action: Action,
    /// The project's name, which is the prefix of its stacks.
    #[arg(long, env = "PROJECT", default_value = "tickstream", global = true)]
    project: String,
    /// Other commands need it for a project; the rollout of a running tickstream is in `tickctl server`.
    #[arg(long, hide = true, global = true)]
    aws: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the flag, its last changes, the alarms that are on, and which code the webhook runs.
    Status {
        /// The address of the deployed webhook, without /webhooks, to query its /healthz.
        #[arg(long, value_name = "URL", env = "WEBHOOK_URL", value_parser = parse_base)]
        webhook: Option<Uri>,
    },
    /// Moves to a stage: canary (1 %), 10, 50 or 100. A step up is allowed one stage at a time, while no alarm is on, and
    /// from canary on only if the stage before is proven: all ticks of its cohort since it began, or of its last 23
    /// hours, are in stream and archive, as stored (`tickctl verify`).
    To {
        /// The stage.
        stage: Stage,
        #[command(flatten)]
        signed: Signed,
        /// Move even if a stage is skipped, an alarm is on, or the stage before is not proven; the reason is recorded.
        #[arg(long, value_name = "REASON", value_parser = reason)]
        force: Option<String>,
        /// How many seconds of traffic the proof of the stage before must rest on, after those until a tick is due.
        #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=72_000))]
        proof_seconds: u32,
        /// Seconds until a tick must be in the archive.
        #[arg(long, value_name = "SECONDS", default_value_t = 420, value_parser = clap::value_parser!(u32).range(0..=86_400))]
        due: u32,
        /// How many copies beyond the first the proof allows in stream and archive each.
        #[arg(long, value_name = "N", default_value_t = 0)]
        repeats_max: u64,
        /// How the project's stores are read for the proof.
        #[command(flatten)]
        cloud: CloudOptions,
        /// How many seconds to watch the stream afterwards.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
        watch: u64,
    },
    /// Rolls back to 0 %, and waits until the stream is drained.
    Back {
        #[command(flatten)]
        signed: Signed,
    },
}

/// Runs the command.
///
/// # Errors
/// If the flag cannot be read or changed, a step is refused, or its effect cannot be confirmed.
pub async fn run(args: RolloutArgs, process: ProcessContext) -> anyhow::Result<()> {
    let mut clients = OperatorClients::open(&args.project, process.now_ms).await?;
    let controller = RolloutController {
        flag: &clients.flag,
        alarms: &clients.alarms,
        clock: &clients.clock,
    };
    match args.action {
        Action::Status { webhook } => {
            // The flag is shown even if the webhook does not respond.
            let status = status(&clients.flag, &clients.alarms).await;
            if let Some(webhook) = webhook {
                print_line(&match health::query(&webhook).await {
                    Ok(it) => format!("code      {}", it.health.summary()),
                    Err(error) => format!("code      unknown: {error:#}"),
                })?;
            }
            print_line(&status?)?;
        }
        Action::To {
            stage,
            signed,
            force,
            proof_seconds,
            due,
            repeats_max,
            cloud,
            watch,
        } => {
            let signature = signed.step(stage, force.as_deref());
            let shown = Shown::new(process.stop.clone());
            let due_ms = i64::from(due) * 1_000;
            let prover = StageProver {
                project: &args.project,
                options: &cloud,
                due_after: DueAfter::AWS.with_archived_ms(due_ms),
                repeats_max,
                watch: &shown,
                now_ms: process.now_ms,
            };
            let proof = StageProof {
                prover: &prover,
                traffic_ms: i64::from(proof_seconds) * 1_000,
                due_ms,
            };
            let forced = force.is_some();
            let changed = controller
                .step(stage, forced, signature, &proof, &mut clients.arrivals)
                .await;
            shown.clear();
            let changed = changed.map_err(advise)?;
            if let Some(proof) = &changed.proof {
                print_line(&proof_text(proof))?;
            }
            print_line(&step_text(stage, &changed))?;
            let watch = Duration::from_secs(watch);
            let seen = match controller
                .watch(&changed, &mut clients.arrivals, watch)
                .await
            {
                Ok(seen) => seen,
                // A step down and a forced step do not require a readable stream.
                Err(error) if force.is_some() || is_down(&changed) => {
                    print_line(&format!("stream    could not be watched: {error}"))?;
                    return Ok(());
                }
                Err(error) => {
                    return Err(anyhow::Error::new(error)
                        .context("the flag was changed, but the stream could not be watched"));
                }
            };
            print_line(&arrivals_text(&seen))?;
            if seen.outside_cohort > 0 {
                anyhow::bail!(
                    "{} of the ticks that arrived are outside the cohort, so some process does not read \
                     the flag. `tickctl rollout back` turns the stream off for the others",
                    seen.outside_cohort
                );
            }
        }
        Action::Back { signed } => {
            let changed = controller
                .rollback(signed.rollback())
                .await
                .map_err(advise)?;
            print_line(&rollback_text(&changed))?;
            let seen = controller
                .watch_drained(&changed, &mut clients.arrivals)
                .await
                .map_err(|error| {
                    let unseen = matches!(error, RolloutControllerError::Port(_));
                    let error = anyhow::Error::new(error);
                    if unseen {
                        error.context(
                            "the flag is at 0, and every process follows within seconds, but the \
                             stream could not be watched",
                        )
                    } else {
                        error
                    }
                })?;
            print_line(&drained_text(&seen))?;
        }
    }
    Ok(())
}

fn is_down(changed: &Changed) -> bool {
    changed
        .before
        .is_some_and(|before| changed.value.percentage <= before)
}

/// Adds what to do about a step that was not taken.
fn advise(error: RolloutControllerError) -> anyhow::Error {
    let advice = match &error {
        RolloutControllerError::Refused(_) => {
            "the flag was not changed; `--force REASON` overrides the check"
        }
        RolloutControllerError::Unreadable(_) => {
            "the flag was not changed; `tickctl rollout back` overwrites it, and so does a step with \
             `--force REASON`"
        }
        RolloutControllerError::Contended => "the change was overwritten by others",
        RolloutControllerError::Change(RolloutError::Port(_)) => {
            "the flag could not be written, or the response was lost; `tickctl rollout status` shows \
             its value"
        }
        RolloutControllerError::Change(RolloutError::Unsigned { .. } | RolloutError::Nothing)
        | RolloutControllerError::Port(_)
        | RolloutControllerError::Missing
        | RolloutControllerError::NotDrained
        | RolloutControllerError::Behind => "the flag was not changed",
    };
    anyhow::Error::new(error).context(advice)
}

/// The flag, the alarms that are on, and the last changes. Each is shown even if the others cannot
/// be read.
///
/// # Errors
/// If the flag could not be read; the error contains the rest.
async fn status(flag: &dyn FlagRecord, alarms: &dyn Alarms) -> anyhow::Result<String> {
    let unreadable = |error: &PortError| format!("cannot be read: {error}: {}", error.source);
    let (read, alarms, changes) =
        tokio::join!(flag.read(), alarms.states(), flag.history(HISTORY_SHOWN));
    let mut lines = vec![match &read {
        Ok(read) => format!("rollout   {}", flag_text(&read.content)),
        Err(error) => format!("rollout   {}", unreadable(error)),
    }];
    lines.push(match &alarms {
        Ok(alarms) => format!("alarms    {}", alarms_text(alarms)),
        Err(error) => format!("alarms    {}", unreadable(error)),
    });
    match &changes {
        Ok(changes) => lines.extend(changes.iter().map(|past| change_text(&past.change))),
        Err(error) => lines.push(format!("changes   {}", unreadable(error))),
    }
    let lines = lines.join("\n");
    match read {
        Ok(_) => Ok(lines),
        Err(_) => anyhow::bail!("the flag could not be read\n{lines}"),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use domain::{Percentage, RolloutKey};
    use ops::flag_record::{FlagChange, FlagContent, FlagRead, FlagValue, FlagVersion};
    use ops::ports::AlarmStates;

    use super::*;

    const FULL: FlagValue = FlagValue {
        use_kinesis: true,
        percentage: Percentage::FULL,
        key: None,
    };

    /// A flag, and alarms that do not respond.
    struct Flag(FlagContent);

    fn port_error() -> PortError {
        PortError {
            operation: "read",
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
            Err(port_error())
        }
        async fn history(&self, _: usize) -> Result<Vec<FlagVersion>, PortError> {
            Err(port_error())
        }
    }

    #[async_trait]
    impl Alarms for Flag {
        async fn states(&self) -> Result<AlarmStates, PortError> {
            Err(port_error())
        }
    }

    #[tokio::test]
    async fn the_status_shows_whatever_can_be_read() {
        let unreadable = Flag(FlagContent::Unreadable(
            "`1O`, which is not a rollout".to_owned(),
        ));
        let text = status(&unreadable, &unreadable).await.unwrap();
        assert!(
            text.contains("rollout   not valid: it holds `1O`"),
            "{text}"
        );
        assert!(text.contains("alarms    cannot be read: "), "{text}");
        assert!(text.contains("changes   cannot be read: "), "{text}");
        let by_token = Flag(FlagContent::Value(FlagValue {
            key: Some(RolloutKey::Token),
            ..FULL
        }));
        let text = status(&by_token, &by_token).await.unwrap();
        assert!(text.starts_with("rollout   100 % by token\n"), "{text}");
        let without = Flag(FlagContent::Value(FULL));
        let text = status(&without, &without).await.unwrap();
        assert!(text.starts_with("rollout   100 %\n"), "{text}");
    }
}
