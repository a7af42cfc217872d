//! `tickctl verify`: compares store, stream and archive, tick by tick.

mod proof_text;
mod shown_progress;

use anyhow::{Context as _, bail};
use clap::{Args, value_parser};
use hyper::Method;
#[cfg(feature = "aws")]
use ops::verify::EstimateLine;
use ops::verify::{DueAfter, Progress, Proof, Verdict, VerifyRequest};
use store::LocalVerify;

use crate::client::PostError;
#[cfg(feature = "aws")]
use crate::cloud_verify::CloudOptions;
use crate::data_access::{DataAccess, DataOptions};
use crate::moment::{Moment, range_ms};
use crate::process::{
    BadInput, EXIT_FAILED, EXIT_UNSEEN, ExitUnseen, ExitWith, ProcessContext, print_line,
};
#[cfg(feature = "aws")]
use crate::project_options::{ON_AWS, ProjectOptions};
pub(crate) use shown_progress::Shown;

pub(crate) use proof_text::proof_text;

const MS_PER_SECOND: i64 = 1_000;

/// Compares store, stream and archive.
#[derive(Debug, Args)]
#[command(after_help = "\
Compared are the ticks that were received in the range and whose first decision was to go to the stream: each must be
in the stream once with the same content, and in the archive once with the same content after rounding to doubles. A
tick that is there without belonging there is found, too.

  matched    in stream and archive, as stored
  missing    not there, although it is due
  late       not there, and not due yet, or known to be on its way: in the outbox, or not read by the archive's writer
  different  there with other content: the fields are shown
  repeated   there more than once: on AWS, where that is normal, analytics counts it once, and --repeats-max allows some;
             the analysis of one machine counts each copy
  extra      there, but outside the cohort or not in the store
  unseen     may be there: that part could not be read

With --repair, a tick that the stream lacks is appended to it, and the archive follows; one that only the archive lacks
is written to it. What is late stays as it is, since it will come. A second run then finds nothing. On AWS, nothing is
repaired while the redrive queue has messages, since it appends their ticks itself.

Examples:
  tickctl verify --from 1h
  tickctl verify --from 2026-03-07 --to 2026-03-08 --json
  tickctl verify --from 1h --repair; tickctl verify --from 1h
  tickctl verify --from 1h --aws --project tickstream --archive s3://tickstream-archive-123456789012-us-east-1/price-archive

Exit codes: 0 all that is due is proven; 1 there are differences; 2 a wrong option; 3 not everything could be seen, ticks that are due
are still on their way, the comparison could not be completed, there was nothing to compare, or the redrive queue was not
empty.")]
pub struct VerifyArgs {
    /// Ticks received from this time on: 2026-03-07T12:00:00Z, 2026-03-07, epoch milliseconds, or how long ago (90s, 30m, 2h, 7d).
    /// The stream keeps 24 hours, so what was received earlier cannot be seen there.
    #[arg(long, value_name = "TIME", default_value = "23h")]
    from: Moment,
    /// And before this time. What was received in the last seconds is left out, since it may be on its way.
    #[arg(long, value_name = "TIME", default_value = "now")]
    to: Moment,
    /// Compare only one minute in N of each token.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=100_000))]
    sample: u32,
    /// How many copies beyond the first are allowed in each place.
    #[arg(long, value_name = "N", default_value_t = 0)]
    repeats_max: u64,
    /// Seconds until a tick must be in the archive. The default is 50 more than the --archive-seconds of a running tickstream,
    /// 60 in the folder of a stopped one, and 420 on AWS, where Firehose needs up to that, and --repair takes no less.
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u32).range(0..=86_400))]
    due: Option<u32>,
    /// Offer what is missing again.
    #[arg(long)]
    repair: bool,
    /// Only say what the comparison would read on AWS, and what that costs at most.
    #[cfg(feature = "aws")]
    #[arg(long, help_heading = ON_AWS)]
    estimate: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Where the data is.
    #[command(flatten)]
    data: DataOptions,
    /// The stores of a project on AWS, whose archive is --archive, instead of those on this machine.
    #[cfg(feature = "aws")]
    #[command(flatten)]
    project: ProjectOptions,
    /// How a project's stores are read.
    #[cfg(feature = "aws")]
    #[command(flatten)]
    cloud: CloudOptions,
}

/// Runs `tickctl verify`.
///
/// # Errors
/// If there are differences, or nothing is proven, or the data cannot be read.
pub async fn run(args: VerifyArgs, process: ProcessContext) -> anyhow::Result<()> {
    compare(args, process).await.map_err(|error| {
        let is_said = error.is::<ExitWith>()
            || error.is::<ExitUnseen>()
            || error.chain().any(|it| it.is::<BadInput>());
        match is_said {
            true => error,
            // It must not look like differences.
            false => error.context(ExitUnseen(
                "the comparison could not be completed".to_owned(),
            )),
        }
    })
}

async fn compare(args: VerifyArgs, process: ProcessContext) -> anyhow::Result<()> {
    let now_ms = (process.now_ms)();
    let watch = Shown::new(process.stop.clone());
    #[cfg(feature = "aws")]
    if args.project.aws {
        let request = args.request(now_ms, DueAfter::AWS)?;
        args.check_repair()?;
        let verify = args.cloud.open(&args.project.name, process.now_ms).await?;
        if args.estimate {
            let range = request.range(now_ms, request.due_after(DueAfter::AWS))?;
            let lines = verify.estimate(range).await?;
            return print_line(&estimate_text(&lines, args.json)).map_err(Into::into);
        }
        if args.repair {
            let repairable = verify.check_repairable().await;
            repairable.context(ExitUnseen("nothing was repaired".to_owned()))?;
        }
        let proof = verify.run(&request, &watch).await?;
        watch.clear();
        return args.report(&proof);
    }
    let request = args.request(now_ms, DueAfter::HERE)?;
    let proof = match args.data.open().await? {
        DataAccess::Server(server) => {
            let body = serde_json::to_value(request)?;
            let path = "/api/verify";
            let job = server.job(Method::POST, path, Some(&body), |progress: Progress| {
                watch.show(progress);
            });
            let proof: Option<Result<Proof, PostError>> =
                process.stop.run_until_cancelled(job).await;
            let Some(proof) = proof else {
                bail!("stopped");
            };
            proof.map_err(|error| server.explain(error))?
        }
        DataAccess::Store(opened) => {
            let (store, due_after) = (opened.store.clone(), DueAfter::HERE);
            let verify = LocalVerify::new(store, &opened.data_dir, due_after);
            let proof = verify.run(&request, now_ms, &watch).await;
            drop(verify);
            opened.store.close();
            proof?
        }
    };
    watch.clear();
    args.report(&proof)
}

#[cfg(feature = "aws")]
fn estimate_text(lines: &[EstimateLine], json: bool) -> String {
    let usd: f64 = lines.iter().map(|line| line.usd).sum();
    if json {
        return serde_json::json!({ "reads": lines, "usd": usd }).to_string();
    }
    let text = lines.iter().map(|line| {
        let EstimateLine {
            what,
            quantity,
            unit,
            usd,
        } = line;
        // Parts of a read unit or of a gigabyte.
        let digits = if quantity.fract() > 0.0 { 3 } else { 0 };
        format!("{what:<9} {quantity:.digits$} {unit}: at most {usd:.4} USD\n")
    });
    let text: String = text.collect();
    format!(
        "{text}total     at most {usd:.4} USD, at the prices of us-east-1; the table's size is up to 6 hours old"
    )
}

impl VerifyArgs {
    /// The request. When ticks are due there is known by those who compare, unless it is an option.
    fn request(&self, now_ms: i64, as_set: DueAfter) -> anyhow::Result<VerifyRequest> {
        let (from_ms, to_ms) = range_ms(self.from, self.to, now_ms)?;
        let due_after = self.due.map(|seconds| {
            let archived_ms = i64::from(seconds) * MS_PER_SECOND;
            as_set.with_archived_ms(archived_ms)
        });
        let request = VerifyRequest {
            from_ms,
            to_ms,
            one_in: self.sample,
            repeats_max: self.repeats_max,
            due_after,
            repair: self.repair,
        };
        match request.range(now_ms, request.due_after(as_set)) {
            Ok(_) => Ok(request),
            Err(error) => Err(ExitUnseen(error.to_string()).into()),
        }
    }

    /// On one machine, what is on its way is known; on AWS, only the time since the receipt says whether a tick may be.
    #[cfg(feature = "aws")]
    fn check_repair(&self) -> Result<(), BadInput> {
        let least = DueAfter::AWS.archived_ms / MS_PER_SECOND;
        match self.due {
            Some(due) if self.repair && i64::from(due) < least => Err(BadInput(format!(
                "with --repair on AWS, --due must be at least {least}: a tick that is still on its way would be appended a \
                 second time"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    fn report(&self, proof: &Proof) -> anyhow::Result<()> {
        if self.json {
            let verdict = serde_json::json!({ "verdict": proof.verdict(), "proof": proof });
            print_line(&verdict.to_string())?;
        } else {
            print_line(&proof_text(proof))?;
        }
        match proof.verdict() {
            Verdict::Proven => Ok(()),
            Verdict::Differences => Err(ExitWith(EXIT_FAILED).into()),
            Verdict::Incomplete | Verdict::NoTicks => Err(ExitWith(EXIT_UNSEEN).into()),
        }
    }
}
