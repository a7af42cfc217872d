//! `tickctl status`: one screen about a tickstream on this machine or on AWS.

#[cfg(feature = "aws")]
mod cloud_screen;
mod machine_screen;
mod screen;

use std::time::Duration;

use clap::Args;
#[cfg(feature = "aws")]
use hyper::Uri;

use crate::data_access::{DataAccess, DataOptions};
use crate::observe;
#[cfg(feature = "aws")]
use crate::observe::cloud_view;
#[cfg(feature = "aws")]
use crate::operator_clients::OperatorClients;
use crate::process::{EXIT_UNSEEN, ExitWith, ProcessContext};
#[cfg(feature = "aws")]
use crate::project_options::{ON_AWS, ProjectOptions};
#[cfg(feature = "aws")]
use crate::quarantine_bucket;
#[cfg(feature = "aws")]
use crate::target::parse_base;
use crate::watch;

/// Options of `tickctl status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Whether all of it is as it should be is what `tickctl doctor` says. On AWS, a look reads 23 metrics ($0.0002);
`tickctl rollout status` shows the flag without them.

Examples:
  tickctl status
  tickctl status --watch 2
  tickctl status --aws --project prices --bucket prices-archive-123456789012-us-east-1 --watch 60

Exit codes: 0 shown; 1 the store cannot be read; 2 a wrong option; 3 the tickstream cannot be asked, or there is no such
project.")]
pub struct StatusArgs {
    #[command(flatten)]
    data: DataOptions,
    /// A project on AWS, instead of this machine.
    #[cfg(feature = "aws")]
    #[command(flatten)]
    project: ProjectOptions,
    /// The address of the webhook on AWS, without /webhooks, to show its code.
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "URL", env = "WEBHOOK_URL", value_parser = parse_base, help_heading = ON_AWS)]
    webhook: Option<Uri>,
    /// The archive's bucket on AWS (output ArchiveBucketName of the data stack), to show malformed entries by reason.
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "BUCKET", help_heading = ON_AWS)]
    bucket: Option<String>,
    /// Draw the screen again every so many seconds, until Ctrl-C.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

/// Runs `tickctl status`.
///
/// # Errors
/// If there is nothing that can be looked at.
pub async fn run(args: StatusArgs, process: ProcessContext) -> anyhow::Result<()> {
    let every = args.watch.map(Duration::from_secs);
    let is_found = watch::draw(every, &process, async || {
        Box::pin(look(&args, &process)).await
    })
    .await?;
    match is_found {
        true => Ok(()),
        false => Err(ExitWith(EXIT_UNSEEN).into()),
    }
}

/// The screen, and whether there is such a project.
async fn look(args: &StatusArgs, process: &ProcessContext) -> anyhow::Result<(String, bool)> {
    #[cfg(feature = "aws")]
    if args.project.aws {
        let clients = OperatorClients::open(&args.project.name, process.now_ms).await?;
        let webhook = args.webhook.as_ref();
        let view = cloud_view::observe(&clients, webhook, process.now_ms).await;
        let reasons = match &args.bucket {
            Some(bucket) => Some(quarantine_bucket::by_reason(bucket, (process.now_ms)()).await?),
            None => None,
        };
        let screen = cloud_screen::text(&args.project.name, &view, reasons);
        return Ok((screen, view.has_flag()));
    }
    let access = args.data.open().await?;
    let view = observe::observe(&access, None, process.now_ms).await;
    if let DataAccess::Store(opened) = access {
        opened.store.close();
    }
    Ok((machine_screen::text(&view?), true))
}
