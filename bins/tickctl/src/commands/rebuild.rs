//! `tickctl rebuild`: computes candles again from the stored ticks.

mod difference_text;
#[cfg(feature = "aws")]
mod project_candles;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use app::candle_rebuild::{RebuildReport, RebuildRequest, rebuild};
use app::ports::PortError;
use clap::{Args, value_parser};
use domain::{Token, count_of};
use hyper::Method;
use serde_json::json;

use crate::client::PostError;
use crate::data_access::{DataAccess, DataOptions, OpenStore};
use crate::moment::{Moment, range_ms, time_text};
use crate::process::{ExitUnseen, ProcessContext, print_line, selected_tokens};
use crate::project_options::{ON_AWS, ProjectOptions};
use crate::server_client::ServerClient;
use crate::spinner::spinner;

/// Options of `tickctl rebuild`.
#[derive(Debug, Args)]
#[command(after_help = "\
The candles of a range of event time are computed from the stored ticks that belong to the stream, and compared with
the stored candles. Without --apply, it shows what would change. With --apply, candles that are missing or differ are
replaced, each with the next revision, and are compared again. Candles that may still get ticks are left alone:
those with ticks of the last minute (on AWS: the last two hours), and those that the analysis has open. So are
candles without stored ticks, and on AWS tokens that the webhook has not listed, unless --tokens names them. Averages
and the detector look at the last minutes only, and are not rebuilt.

Examples:
  tickctl rebuild --from 24h --to 1h
  tickctl rebuild --from 2026-03-07T10:00:00Z --to 2026-03-07T12:00:00Z --tokens BTC,ETH --apply
  tickctl rebuild --aws --from 2026-03-07 --to 2026-03-08

Exit codes: 0 all candles are as they should be, or were replaced; 1 some are not, or the store cannot be read; 2 a
wrong option; 3 there were no ticks to compute candles from, of the range or of one of --tokens: it says why; or,
without --apply, the tickstream cannot be asked.")]
pub struct RebuildArgs {
    /// The first event time: a time, or how long ago (24h).
    #[arg(long, value_name = "TIME")]
    pub from: Moment,
    /// The end of event times.
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub to: Moment,
    /// Only these tokens, as they are stored.
    #[arg(long, value_name = "TOKEN,…", value_delimiter = ',')]
    pub tokens: Vec<String>,
    /// Replace candles, instead of only showing what would change.
    #[arg(long)]
    pub apply: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Where the store is.
    #[command(flatten)]
    pub data: DataOptions,
    /// Whose candles: those of a project on AWS, whose tokens are those that its webhook has listed, or of this machine.
    #[command(flatten)]
    pub project: ProjectOptions,
    /// The interval of the project's candles (parameter CandleInterval of the service stack).
    #[arg(long, value_name = "INTERVAL", default_value = "1m", help_heading = ON_AWS)]
    pub interval: domain::analytics::Interval,
    /// The days that the project keeps ticks and candles (parameter RetentionDays of the service stack).
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = value_parser!(u32).range(1..=3_650), help_heading = ON_AWS)]
    pub retention_days: u32,
}

/// What is compared, without where.
struct Wanted {
    from_ms: i64,
    to_ms: i64,
    tokens: BTreeSet<Token>,
    now_ms: i64,
}

/// The longest wait for the analysis of a store that no process has open: it does not go on by itself.
const ANALYSED_WITHIN: Duration = Duration::ZERO;

impl Wanted {
    fn of(args: &RebuildArgs, now_ms: i64) -> anyhow::Result<Self> {
        let (from_ms, to_ms) = range_ms(args.from, args.to, now_ms)?;
        Ok(Self {
            from_ms,
            to_ms,
            tokens: selected_tokens(&args.tokens)?,
            now_ms,
        })
    }
}

/// Where candles are rebuilt.
enum CandleAccess {
    Server(Box<ServerClient>),
    Store(OpenStore),
    #[cfg(feature = "aws")]
    Project(Box<project_candles::ProjectCandles>),
}

impl CandleAccess {
    async fn open(args: &RebuildArgs, wanted: &Wanted) -> anyhow::Result<Self> {
        #[cfg(feature = "aws")]
        if args.project.aws {
            let project = project_candles::ProjectCandles::open(&args.project.name, args, wanted);
            let project = project.await?;
            return Ok(Self::Project(Box::new(project)));
        }
        let opened = match args.data.open().await? {
            DataAccess::Server(server) => return Ok(Self::Server(server)),
            DataAccess::Store(opened) => opened,
        };
        let complete_from_ms = opened.store.complete_from_ms();
        let refused: Option<anyhow::Error> = if wanted.from_ms < complete_from_ms {
            Some(removed(&time_text(complete_from_ms)).into())
        } else {
            let analysed = opened.store.analysed_within(ANALYSED_WITHIN).await;
            analysed.err().map(|error| anyhow!(error.to_string()))
        };
        match refused {
            None => Ok(Self::Store(opened)),
            Some(refused) => {
                opened.store.close();
                Err(refused)
            }
        }
    }

    /// Compares, and replaces if that is requested.
    async fn run(
        &self,
        wanted: &Wanted,
        apply: bool,
        process: &ProcessContext,
    ) -> anyhow::Result<RebuildReport> {
        let bar = spinner();
        let progress = |report: &RebuildReport| {
            let (tokens, ticks) = (
                count_of(report.tokens, "token"),
                count_of(report.ticks, "tick"),
            );
            bar.set_message(format!("{tokens}, {ticks}"));
        };
        let stop = process.stop.clone();
        let stopped = move || stop.is_cancelled();
        let request = |received_before_ms| RebuildRequest {
            from_ms: wanted.from_ms,
            to_ms: wanted.to_ms,
            tokens: wanted.tokens.clone(),
            received_before_ms,
            apply,
        };
        let done = match self {
            Self::Server(server) => {
                let tokens: Vec<&str> = wanted.tokens.iter().map(Token::as_str).collect();
                let body = json!({"from": wanted.from_ms, "to": wanted.to_ms, "tokens": tokens, "apply": apply});
                let job = server.job(Method::POST, "/api/rebuild", Some(&body), |it| {
                    progress(&it)
                });
                tokio::select! {
                    report = job => report.map_err(|error| refused(server, error)),
                    () = process.stop.cancelled() => Err(anyhow::anyhow!(STOPPED)),
                }
            }
            Self::Store(opened) => {
                let (store, request) = (&opened.store, request(i64::MAX));
                finished(rebuild(store, store, &request, &stopped, &progress).await)
            }
            #[cfg(feature = "aws")]
            Self::Project(project) => {
                let request = request(project.received_before_ms);
                let rebuilt = rebuild(
                    &project.ticks,
                    &project.candles,
                    &request,
                    &stopped,
                    &progress,
                );
                finished(rebuilt.await)
            }
        };
        bar.finish_and_clear();
        done
    }
}

const STOPPED: &str = "stopped; repeating the command is safe";

/// Says that candles before a time cannot be computed, and what to do.
fn removed(complete_from: &str) -> ExitUnseen {
    ExitUnseen(format!(
        "ticks with event times before {complete_from} may have been removed, so that their candles cannot be computed: \
         use a later --from"
    ))
}

/// A server's refusal; one for its retention is as that of a folder.
fn refused(server: &ServerClient, error: PostError) -> anyhow::Error {
    if let PostError::Status { reason, detail, .. } = &error
        && reason == REMOVED
    {
        return ExitUnseen(detail.clone()).into();
    }
    server.explain(error)
}

/// The code with which a server refuses a range of which ticks may have been removed.
const REMOVED: &str = "ticks_removed";

fn finished(
    (report, done): (RebuildReport, Result<(), PortError>),
) -> anyhow::Result<RebuildReport> {
    done.context("not all was compared; repeating the command is safe")?;
    Ok(report)
}

/// Shows or replaces candles.
///
/// # Errors
/// If candles are not as they should be, or cannot be compared.
pub async fn run(args: RebuildArgs, process: ProcessContext) -> anyhow::Result<()> {
    let wanted = Wanted::of(&args, (process.now_ms)())?;
    let place = CandleAccess::open(&args, &wanted).await?;
    let done = compare(&args, &wanted, &place, &process).await;
    if let CandleAccess::Store(opened) = place {
        opened.store.close();
    }
    done
}

async fn compare(
    args: &RebuildArgs,
    wanted: &Wanted,
    place: &CandleAccess,
    process: &ProcessContext,
) -> anyhow::Result<()> {
    let report = place.run(wanted, args.apply, process).await?;
    // What a late tick changed at the moment of its replacement is found here.
    let after = match args.apply && report.changes() > 0 && !report.stopped {
        true => Some(place.run(wanted, false, process).await?),
        false => None,
    };
    print_line(&match args.json {
        true => json!({"rebuild": report, "after": after}).to_string(),
        false => difference_text::text(&report, after.as_ref(), args.apply),
    })?;
    if report.stopped {
        bail!(STOPPED);
    }
    let unseen = difference_text::unseen(&report);
    match after.map_or(report.changes(), |after| after.changes()) {
        0 => unseen.map_or(Ok(()), |why| Err(ExitUnseen(why).into())),
        left if args.apply => bail!("candles that still differ: {left}; repeat the command"),
        left => bail!("candles that are not as they should be: {left}; --apply replaces them"),
    }
}
