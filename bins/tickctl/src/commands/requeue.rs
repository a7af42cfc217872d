//! `tickctl requeue`: sends dead letters back to where they can be processed.

#[cfg(feature = "aws")]
mod queues;
#[cfg(feature = "aws")]
mod report_text;

use clap::{Args, ValueEnum, value_parser};

use crate::moment::Moment;
use crate::process::{ProcessContext, print_line};
use crate::project_options::ProjectOptions;

/// Options of `tickctl requeue`.
#[derive(Debug, Args)]
#[command(after_help = "\
A dead letter goes back to the queue that it came from; it is deleted only after it was sent. A tick that was
processed already counts once. Batches that Lambda gave up (analytics) only say where their records are in the
stream: these are read and appended again, as long as the stream has them; after that, `tickctl rebuild` computes
the candles from the stored ticks.

Without --apply, it only shows what would be sent. Fix the cause first: the runbooks say how.

Examples:
  tickctl requeue --aws
  tickctl requeue redrive --aws
  tickctl requeue redrive --aws --apply --rate 20
  tickctl requeue analytics --aws --reason RetryAttemptsExhausted --from 6h --apply
  tickctl requeue broadcast --aws --from 10m --limit 100 --apply

Exit codes: 0 done, or nothing to do; 1 a letter was not accepted, or a queue cannot be read; 2 a wrong option.")]
pub struct RequeueArgs {
    /// The queue; all are shown if none is named.
    #[arg(value_enum)]
    pub queue: Option<Queue>,
    /// Whose queues: those of a project on AWS.
    #[command(flatten)]
    pub project: ProjectOptions,
    /// Only letters that were first sent at this time or later: a time, or how long ago (2h). Of `broadcast`, the
    /// default is 1h, since nobody wants old prices.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Only letters that were first sent before this time.
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub to: Moment,
    /// Only letters of this kind.
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Only batches with this condition of Lambda, such as RetryAttemptsExhausted or RecordAgeExceeded.
    #[arg(long, value_name = "CONDITION")]
    pub reason: Option<String>,
    /// The most letters.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u64).range(1..))]
    pub limit: u64,
    /// The most letters a second.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Send them, instead of only showing what would be sent.
    #[arg(long, requires = "queue")]
    pub apply: bool,
    /// Print one JSON object per queue instead of text.
    #[arg(long)]
    pub json: bool,
}

/// A queue whose messages have dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Queue {
    /// Ticks and results for the live feed.
    Broadcast,
    /// Ticks that the stream refused.
    Redrive,
    /// Batches of the stream that Lambda gave up.
    Analytics,
}

/// What a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A tick.
    Tick,
    /// Results of the analysis for the live feed.
    Results,
    /// A batch that Lambda gave up.
    FailedBatch,
    /// None of these.
    Unreadable,
}

/// What there is instead of dead letters on one machine.
const NONE_HERE: &str = "\
tickstream on this machine has no dead letters: what the stream does not accept stays in the store's outbox, and is
offered again by itself; a tick for which a consumer fails is in the quarantine (`tickctl quarantine list --reason
unprocessable`). For a project on AWS, pass --aws.";

/// Shows or requeues dead letters.
///
/// # Errors
/// If a queue cannot be read, or a letter was not accepted.
pub async fn run(args: RequeueArgs, process: ProcessContext) -> anyhow::Result<()> {
    if !args.project.aws {
        print_line(NONE_HERE)?;
        return Ok(());
    }
    on_aws(&args.project.name, &args, &process).await
}

#[cfg(feature = "aws")]
async fn on_aws(project: &str, args: &RequeueArgs, process: &ProcessContext) -> anyhow::Result<()> {
    queues::run(project, args, process).await
}

#[cfg(not(feature = "aws"))]
async fn on_aws(
    project: &str,
    _args: &RequeueArgs,
    _process: &ProcessContext,
) -> anyhow::Result<()> {
    anyhow::bail!("this tickctl was built without AWS, where {project} is")
}
