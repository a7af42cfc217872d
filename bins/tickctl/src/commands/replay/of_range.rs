//! Sends a range of the store or of the archive again.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use app::objects::Objects;
use app::tick_replay::{
    ReplayAction, ReplayDestination, ReplayOrigin, TickReplayReport, TickSelection, event_days,
    replay_ticks,
};
use archive::{ArchiveReader, Folder, table_folder};
use domain::count_of;
use tempfile::TempDir;

use super::ReplayArgs;
use super::destination::Inbox;
use super::range_text::text;
use super::selected_range::{failure, selection};
use super::spool::SpooledTicks;
use crate::data_access::{DataAccess, OpenStore};
use crate::process::{BadInput, ProcessContext, print_line};
use crate::spinner::spinner;

/// Where the ticks are.
enum Origin {
    Spooled(SpooledTicks),
    Store(OpenStore),
    #[cfg(feature = "aws")]
    Table(aws::dynamodb::TickTableReader),
    Archive {
        reader: ArchiveReader,
        /// Kept until the end.
        _work: TempDir,
    },
}

pub(super) async fn run(args: &ReplayArgs, process: &ProcessContext) -> anyhow::Result<()> {
    let selection = selection(args, (process.now_ms)())?;
    let Some(into) = args.into.as_deref() else {
        let rule = "where to? Pass --into URL or --into stream";
        return Err(BadInput(rule.to_owned()).into());
    };
    let to = destination(args, into, process).await?;
    // A process that hangs is not waited for.
    let opening = Box::pin(origin(args, &selection, process.now_ms));
    let Some(origin) = process.stop.run_until_cancelled(opening).await else {
        bail!("stopped; nothing was sent");
    };
    let origin = origin?;
    let action = match args.dry_run {
        true => ReplayAction::Count {
            only_cohort: to.only_cohort(),
        },
        false => ReplayAction::Send {
            to: to.as_ref(),
            per_second_max: args.rate,
        },
    };
    let bar = spinner();
    let progress = |report: &TickReplayReport| {
        let sent = report.sent.new + report.sent.duplicate + report.sent.rejected;
        let selected = count_of(report.selected, "tick");
        bar.set_message(format!("{selected} selected, {sent} sent"));
    };
    let stop = process.stop.clone();
    let stopped = move || stop.is_cancelled();
    // Of an archive on this machine, only files with ticks of the range are read, however old their folder is.
    let late_days = args.is_on_s3().then_some(args.late_days);
    let days = event_days(selection.range, late_days);
    let first_day = days.first().copied().filter(|_| late_days.is_some());
    let replaying = {
        let origin = match &origin {
            Origin::Spooled(spooled) => ReplayOrigin::Store(spooled),
            Origin::Store(opened) => ReplayOrigin::Store(&opened.store),
            #[cfg(feature = "aws")]
            Origin::Table(table) => ReplayOrigin::Store(table),
            Origin::Archive { reader, .. } => ReplayOrigin::Archive(reader),
        };
        replay_ticks(origin, &selection, days, action, &stopped, &progress).await
    };
    bar.finish_and_clear();
    if let Origin::Store(opened) = origin {
        opened.store.close();
    }
    let (report, done) = replaying;
    // Of an origin that could not be read at all, nothing is known.
    if done.is_ok() || !report.is_empty() {
        print_line(&text(&report, args.dry_run, into))?;
    }
    if let (Some(day), Ok(())) = (first_day, &done) {
        print_line(&format!(
            "note      no folders of days before {day} were read; trades that were sent later than that are in them, and \
             a higher --late-days than {} reads these, too",
            args.late_days
        ))?;
    }
    done.context("not all was sent; repeating the command is safe")?;
    failure(&report)
}

async fn destination(
    args: &ReplayArgs,
    into: &str,
    process: &ProcessContext,
) -> anyhow::Result<Box<dyn ReplayDestination>> {
    if into != "stream" {
        let inbox = Inbox::new(&args.target(into)?, args.attempts, process.stop.clone())?;
        return Ok(Box::new(inbox));
    }
    stream(&args.project.name).await
}

#[cfg(feature = "aws")]
async fn stream(project: &str) -> anyhow::Result<Box<dyn ReplayDestination>> {
    /// How long the stream may take to accept a batch, with retries.
    const ACCEPT_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
    let config = aws::client::config(aws::client::BATCH).await;
    aws::client::check(&config).await?;
    let client = aws::clients::kinesis(&config);
    let stream =
        aws::kinesis::KinesisStream::new(&client, format!("{project}-ticks"), ACCEPT_WITHIN);
    Ok(Box::new(app::tick_replay::IntoStream(Arc::new(stream))))
}

#[cfg(not(feature = "aws"))]
async fn stream(project: &str) -> anyhow::Result<Box<dyn ReplayDestination>> {
    bail!("this tickctl was built without AWS, where {project} is")
}

async fn origin(
    args: &ReplayArgs,
    selection: &TickSelection,
    now_ms: fn() -> i64,
) -> anyhow::Result<Origin> {
    if args.store && args.project.aws {
        return in_table(args, now_ms).await;
    }
    match args.archive.as_deref() {
        Some("") => {
            if !table_folder(&args.data_dir).is_dir() {
                let rule = format!(
                    "there is no archive in {}: pass the data folder of tickstream with --data-dir",
                    args.data_dir.display()
                );
                return Err(BadInput(rule).into());
            }
            // Beside the archive's files, so that they are linked and not copied.
            read_archive(Arc::new(Folder::new(&args.data_dir)), &args.data_dir)
        }
        Some(place) => read_archive(on_s3(place).await?, &std::env::temp_dir()),
        None => Ok(match args.data_options().open().await? {
            DataAccess::Server(server) => {
                Origin::Spooled(SpooledTicks::read(&server, selection).await?)
            }
            DataAccess::Store(opened) => Origin::Store(opened),
        }),
    }
}

fn read_archive(objects: Arc<dyn Objects>, work: &Path) -> anyhow::Result<Origin> {
    let work = tempfile::Builder::new()
        .prefix("tickctl-replay-")
        .tempdir_in(work);
    let work = work.context("cannot create a working folder")?;
    let reader = ArchiveReader::new(objects, work.path().to_owned());
    Ok(Origin::Archive {
        reader,
        _work: work,
    })
}

#[cfg(feature = "aws")]
async fn on_s3(place: &str) -> anyhow::Result<Arc<dyn Objects>> {
    let config = aws::client::config(aws::client::BATCH).await;
    aws::client::check(&config).await?;
    let objects = aws::archive::S3Objects::at(&config, place);
    Ok(Arc::new(
        objects.map_err(|error| BadInput(error.to_string()))?,
    ))
}

#[cfg(not(feature = "aws"))]
async fn on_s3(place: &str) -> anyhow::Result<Arc<dyn Objects>> {
    bail!("this tickctl was built without AWS, where {place} is")
}

#[cfg(feature = "aws")]
async fn in_table(args: &ReplayArgs, now_ms: fn() -> i64) -> anyhow::Result<Origin> {
    use aws::dynamodb::{Find, TickTableReader};
    let config = aws::client::config(aws::client::BATCH).await;
    aws::client::check(&config).await?;
    let client = aws::clients::dynamodb(&config);
    let table = format!("{}-ticks", args.project.name);
    Ok(Origin::Table(TickTableReader::new(
        client,
        table,
        Find::Listed,
        args.retention_days,
        Arc::new(now_ms),
    )))
}

#[cfg(not(feature = "aws"))]
async fn in_table(args: &ReplayArgs, _: fn() -> i64) -> anyhow::Result<Origin> {
    let project = &args.project.name;
    bail!("this tickctl was built without AWS, where {project} is")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[derive(Parser)]
    struct Replay {
        #[command(flatten)]
        args: ReplayArgs,
    }

    #[tokio::test]
    async fn it_is_stopped_while_the_process_that_is_read_does_not_answer() {
        let hangs = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", hangs.local_addr().unwrap());
        let into = "http://127.0.0.1:9";
        let line = ["replay", "--store", "--from", "1h", "--into", into];
        let arguments = line.into_iter().chain(["--server", &server]);
        let args = Replay::parse_from(arguments).args;
        let process = ProcessContext {
            now_ms: runtime::clock::now_ms,
            stop: CancellationToken::new(),
        };
        let stop = process.stop.clone();
        let accepted = async {
            let connection = hangs.accept().await.unwrap();
            stop.cancel();
            connection
        };
        let (done, _connection) = tokio::join!(run(&args, &process), accepted);
        let error = done.unwrap_err().to_string();
        assert!(error.contains("nothing was sent"), "{error}");
    }
}
