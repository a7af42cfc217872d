//! `tickctl requeue`: sends messages of dead-letter queues (DLQs) back to where they can be processed.

#[cfg(feature = "aws")]
mod queues;
#[cfg(feature = "aws")]
mod report_text;

use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};

use crate::moment::Moment;
use crate::process::{BadInput, ProcessContext};
use crate::project_options::ProjectOptions;

/// Options of `tickctl requeue`.
#[derive(Debug, Args)]
#[command(after_help = "\
A message of a DLQ goes back to the queue that it came from; it is deleted only after it was sent. A tick that was
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

Exit codes: 0 done, or nothing to do; 1 a message was not accepted, or a queue cannot be read; 2 a wrong option, or
no --aws: there are no DLQs on one machine; 3 the range is in the future.")]
pub struct RequeueArgs {
    /// The queue; all are shown if none is named.
    #[arg(value_enum)]
    pub queue: Option<Queue>,
    /// Whose queues: those of a project on AWS.
    #[command(flatten)]
    pub project: ProjectOptions,
    /// Only messages that were first sent at this time or later: a time, or how long ago (2h). Of `broadcast`, the
    /// default is 1h, since nobody wants old prices.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Moment>,
    /// Only messages that were first sent before this time.
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub to: Moment,
    /// Only messages of this kind.
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Only batches with this condition of Lambda, such as RetryAttemptsExhausted or RecordAgeExceeded.
    #[arg(long, value_name = "CONDITION")]
    pub reason: Option<String>,
    /// The most messages.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value_parser!(u64).range(1..))]
    pub limit: u64,
    /// The most messages a second.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Send them, instead of only showing what would be sent.
    #[arg(long, requires = "queue")]
    pub apply: bool,
    /// Print one JSON object per queue instead of text.
    #[arg(long)]
    pub json: bool,
    /// Other commands take a data folder; here it gets the answer that there are no DLQs in one.
    #[arg(long, value_name = "DIR", hide = true)]
    pub data_dir: Option<PathBuf>,
    /// As `data_dir`.
    #[arg(long, value_name = "URL", hide = true)]
    pub server: Option<String>,
}

/// A queue that has a DLQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Queue {
    /// Ticks and results for the live feed.
    Broadcast,
    /// Ticks that the stream refused.
    Redrive,
    /// Batches of the stream that Lambda gave up.
    Analytics,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A tick.
    Tick,
    /// Results of the analysis for the live feed.
    Results,
    /// A batch that Lambda gave up.
    // The output has this form.
    #[value(name = "failed_batch", alias = "failed-batch")]
    FailedBatch,
    /// None of these.
    Unreadable,
}

/// What there is instead of DLQs on one machine.
const NONE_HERE: &str = "\
nothing was done: only a project on AWS has DLQs, for which pass --aws. A tickstream on one machine keeps what the \
stream does not accept in the outbox of its store, and offers it again by itself; a tick for which a consumer fails \
is in the quarantine (`tickctl quarantine list --reason unprocessable`)";

/// Shows or requeues the messages of DLQs.
///
/// # Errors
/// If a queue cannot be read, or a message was not accepted.
pub async fn run(args: RequeueArgs, process: ProcessContext) -> anyhow::Result<()> {
    if !args.project.aws {
        return Err(BadInput(NONE_HERE.to_owned()).into());
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
