//! Replays a range into the stream of a tickstream on this machine.
//!
//! Its analysis counts each record, so the ticks are compared with the stream first, where it is: see
//! `ops::verify::Verify::replay_into_stream`.

use anyhow::{Context as _, bail};
use app::tick_replay::TickReplayReport;
use hyper::Method;
use ops::verify::{DueAfter, Progress, StreamReplayRequest, VerifyError};
use store::LocalVerify;

use super::ReplayArgs;
use super::range_text::into_stream_text;
use super::selected_range::{failure, selection};
use crate::client::PostError;
use crate::commands::verify::Shown;
use crate::data_access::DataAccess;
use crate::process::{BadInput, ExitUnseen, ProcessContext, print_line};

pub(super) async fn run(args: &ReplayArgs, process: &ProcessContext) -> anyhow::Result<()> {
    let now_ms = (process.now_ms)();
    let selection = selection(args, now_ms)?;
    if args.is_on_s3() {
        let rule = "the stream of a tickstream on this machine takes the ticks of its own store or archive. Those of an \
                    archive on S3 are stored there with --into URL; for the stream of a project on AWS, pass --aws";
        return Err(BadInput(rule.to_owned()).into());
    }
    let request = StreamReplayRequest {
        from_ms: selection.range.from_ms,
        to_ms: selection.range.to_ms,
        tokens: selection.tokens,
        only_archived: args.archive.is_some(),
        per_second_max: args.rate,
        dry_run: args.dry_run,
    };
    if let Err(error) = request.range(now_ms, DueAfter::HERE) {
        return Err(ExitUnseen(format!("nothing was replayed: {error}")).into());
    }
    let Some(report) = replay(args, &request, now_ms, process).await? else {
        bail!("stopped; repeating the command is safe");
    };
    print_line(&into_stream_text(&report, args.dry_run))?;
    failure(&report)
}

/// The report, or `None` if it was stopped.
async fn replay(
    args: &ReplayArgs,
    request: &StreamReplayRequest,
    now_ms: i64,
    process: &ProcessContext,
) -> anyhow::Result<Option<TickReplayReport>> {
    let watch = Shown::new(process.stop.clone());
    let data = args.data_options();
    let opening = Box::pin(data.open());
    let Some(opened) = process.stop.run_until_cancelled(opening).await else {
        return Ok(None);
    };
    let report = match opened? {
        DataAccess::Server(server) => {
            let body = serde_json::to_value(request)?;
            let path = "/api/replay/stream";
            let job = server.job(Method::POST, path, Some(&body), |progress: Progress| {
                watch.show(progress);
            });
            let report: Option<Result<TickReplayReport, PostError>> =
                process.stop.run_until_cancelled(job).await;
            report.transpose().map_err(|error| server.explain(error))?
        }
        DataAccess::Store(opened) => {
            // There is no live traffic, and tickstream cannot start before the store is closed.
            let request = StreamReplayRequest {
                per_second_max: u32::MAX,
                ..request.clone()
            };
            let verify = LocalVerify::new(opened.store.clone(), &opened.data_dir, DueAfter::HERE);
            let report = verify.replay_into_stream(&request, now_ms, &watch).await;
            drop(verify);
            opened.store.close();
            match report {
                Err(VerifyError::Stopped) => None,
                report => {
                    Some(report.context("not all was replayed; repeating the command is safe")?)
                }
            }
        }
    };
    watch.clear();
    Ok(report)
}
