//! `tickctl compact`: merges the archive's small files of each day into a few large sorted ones.

mod day_report;
mod options;
mod totals;
mod units;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use app::objects::Objects;
use archive::compaction::{
    Compaction, CompactionError, DayFolder, Lease, Memory, Settings, Watch, day_folders,
};
use archive::{Folder, RunLock, table_folder};
use chrono::{DateTime, Days, NaiveDate};
use clap::Args;
use indicatif::ProgressBar;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::process::{BadInput, ProcessContext, print_line};
use crate::spinner::{bar, style};
use day_report::Line;
use options::{DayArg, parse_bytes, parse_day, parse_time};
use totals::Totals;

/// How long replaced files of a local archive are kept for queries that read them: longer than
/// `ticksql`'s default limit for a query.
const LOCAL_GRACE_MS: i64 = 10 * 60 * 1_000;

/// The smallest target size of a file: one row group of a few columns.
const TARGET_BYTES_MIN: u64 = 1_000;

/// The largest target size of a file: one and a half times that is still below the limit of one
/// request to S3.
const TARGET_BYTES_MAX: u64 = 3 * 1024 * 1024 * 1024;

/// Options of `tickctl compact`.
#[derive(Debug, Args)]
#[command(after_help = "\
A day's files are merged into a few large ones, sorted by token and time. Late files are included. Of
rows of the same tick (token, quote, time and tick_id) the one ingested first is kept; the report names
the first ten that were removed. Readers see every row exactly once at every moment. If a run is killed,
the next one completes its work. It may run beside tickstream and queries.

Examples:
  tickctl compact --dry-run
  tickctl compact
  tickctl compact --from 2026-03-01 --to 2026-03-31 --json
  tickctl compact --archive s3://tickstream-archive-123456789012-us-east-1/price-archive/

Exit codes: 0 done; 1 a day failed or a file cannot be read (the others are compacted), or another
compaction is running; 2 a wrong option.")]
pub struct CompactArgs {
    /// The data folder of tickstream, which may be running.
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// An archive on S3, instead of the one in the data folder.
    #[cfg(feature = "aws")]
    #[arg(long, value_name = "s3://BUCKET/PREFIX")]
    pub archive: Option<String>,
    /// The first day: YYYY-MM-DD (UTC), `today` or `yesterday`.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    pub from: Option<DayArg>,
    /// The last day, inclusive. `today` is only compacted if you pass it here.
    #[arg(long, value_name = "DAY", value_parser = parse_day, default_value = "yesterday")]
    pub to: DayArg,
    /// Only show what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object per day instead of a line of text.
    #[arg(long)]
    pub json: bool,
    /// The target size of a file; actual sizes are between half and one and a half times that.
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = target)]
    pub target: u64,
    /// How long replaced files are kept for queries that read them: 0s, 90s, 10m, 2h. The next run
    /// after that removes them. The default is 10m for a local archive, and 0s on S3, where Athena
    /// would read them too.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub grace: Option<i64>,
    /// A working folder with room for about three times the largest day. The default is beside a
    /// local archive; for S3, it is the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    pub temp_dir: Option<PathBuf>,
    /// The name that another compaction of the same archive on S3 reports as the holder.
    #[arg(long, env = "USER", default_value = "tickctl", hide = true)]
    pub who: String,
}

fn target(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if (TARGET_BYTES_MIN..=TARGET_BYTES_MAX).contains(&bytes) {
        return Ok(bytes);
    }
    Err("use a size from 1KB to 3GiB, such as 256MiB".to_owned())
}

/// An archive, and the right to compact it.
struct Opened {
    objects: Arc<dyn Objects>,
    work: PathBuf,
    grace_ms: i64,
    /// Kept until the end.
    _lock: Option<RunLock>,
    _temp: Option<tempfile::TempDir>,
    lease: Option<Arc<Lease>>,
}

/// Shows the progress to the user, who may stop the command.
struct Terminal {
    bar: ProgressBar,
    stop: CancellationToken,
}

impl Watch for Terminal {
    fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn progress(&self, step: &'static str, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(step);
    }
}

/// Compacts the days and prints a line for each.
///
/// # Errors
/// [`BadInput`] for a wrong option; others if days failed or files cannot be read.
pub async fn run(args: CompactArgs, process: ProcessContext) -> anyhow::Result<()> {
    let today = DateTime::from_timestamp_millis((process.now_ms)());
    let today = today
        .context("the system clock is outside the calendar")?
        .date_naive();
    let (from, to) = (args.from.map(|day| day.on(today)), args.to.on(today));
    if from.is_some_and(|from| from > to) {
        let rule = format!("--from is after --to, which is {to}");
        return Err(BadInput(rule).into());
    }
    let opened = open(&args, &process).await?;
    let days = day_folders(opened.objects.as_ref(), from, None).await;
    let days = days.map_err(CompactionError::from)?;
    let (days, later): (Vec<DayFolder>, Vec<DayFolder>) =
        days.into_iter().partition(|folder| folder.day <= to);
    say_skipped(&later, today, to);
    let bar = bar(0, style("{prefix} {wide_bar} {msg} {pos}/{len}, {elapsed}"));
    let compaction = Compaction {
        objects: Arc::clone(&opened.objects),
        clock: Arc::new(process.now_ms),
        settings: Settings {
            target_bytes: args.target,
            grace_ms: opened.grace_ms,
            memory: Memory::default(),
        },
        work: opened.work.clone(),
        watch: Arc::new(Terminal {
            bar: bar.clone(),
            stop: process.stop.clone(),
        }),
        lease: opened.lease.clone(),
    };
    // It ends with this function in any case.
    let mut kept = tokio::task::JoinSet::new();
    if let Some(lease) = opened.lease.clone() {
        kept.spawn(async move { lease.keep().await });
    }
    let ended = all_days(&compaction, &days, &args, &bar).await;
    bar.finish_and_clear();
    drop(kept);
    if let Some(lease) = &opened.lease
        && let Err(error) = lease.release().await
    {
        eprintln!("tickctl: the lease could not be released and will expire by itself: {error}");
    }
    let totals = ended?;
    if !args.json {
        print_line(&totals.text(args.dry_run))?;
    }
    if process.stop.is_cancelled() {
        bail!("stopped; the days so far are compacted, and the others are unchanged");
    }
    if let Some(failure) = totals.failure() {
        bail!(failure);
    }
    Ok(())
}

async fn all_days(
    compaction: &Compaction,
    days: &[DayFolder],
    args: &CompactArgs,
    bar: &ProgressBar,
) -> anyhow::Result<Totals> {
    let mut totals = Totals::default();
    for day in days {
        if compaction.watch.stopped() {
            break;
        }
        bar.set_prefix(day.day.to_string());
        let started = Instant::now();
        let line = if args.dry_run {
            compaction
                .plan(day)
                .await
                .map(|plan| Line::of_plan(day, &plan))
        } else {
            let report = compaction.compact(day).await;
            report.map(|report| Line::of_report(day, &report, started.elapsed()))
        };
        let line = match line {
            Ok(line) => line,
            Err(CompactionError::Stopped) => break,
            // Without the lease, no other day may be changed.
            Err(error @ CompactionError::Lease(_)) => return Err(error.into()),
            Err(error) => Line::of_error(day, &error),
        };
        totals.add(&line);
        for problem in line.problems() {
            bar.suspend(|| eprintln!("tickctl: {problem}"));
        }
        let text = if args.json {
            Some(serde_json::to_string(&line)?)
        } else {
            line.text()
        };
        if let Some(text) = text {
            bar.suspend(|| print_line(&text))?;
        }
    }
    Ok(totals)
}

async fn open(args: &CompactArgs, process: &ProcessContext) -> anyhow::Result<Opened> {
    #[cfg(feature = "aws")]
    if let Some(place) = &args.archive {
        return open_s3(place, args, process).await;
    }
    #[cfg(not(feature = "aws"))]
    let _ = process;
    if !table_folder(&args.data_dir).is_dir() {
        let rule = format!(
            "there is no archive in {}: pass the data folder of tickstream with --data-dir",
            args.data_dir.display()
        );
        return Err(BadInput(rule).into());
    }
    let folder = Folder::new(&args.data_dir);
    let (lock, work) = if args.dry_run {
        (None, PathBuf::new())
    } else {
        let (lock, work) = folder.lock()?;
        (Some(lock), work)
    };
    let temp = args.temp_dir.as_ref().map(temp_in).transpose()?;
    Ok(Opened {
        objects: Arc::new(folder),
        work: temp.as_ref().map_or(work, |temp| temp.path().to_owned()),
        grace_ms: args.grace.unwrap_or(LOCAL_GRACE_MS),
        _lock: lock,
        _temp: temp,
        lease: None,
    })
}

#[cfg(feature = "aws")]
async fn open_s3(
    place: &str,
    args: &CompactArgs,
    process: &ProcessContext,
) -> anyhow::Result<Opened> {
    let config = aws::client::config(aws::client::BATCH).await;
    aws::client::check(&config).await?;
    let objects = aws::archive::S3Objects::at(&config, place);
    let objects: Arc<dyn Objects> = Arc::new(objects.map_err(|error| BadInput(error.to_string()))?);
    let lease = if args.dry_run {
        None
    } else {
        let by = format!("{} (process {})", args.who, std::process::id());
        let token = uuid::Uuid::now_v7().to_string();
        let clock = Arc::new(process.now_ms);
        let lease = Lease::take(Arc::clone(&objects), clock, &by, &token).await?;
        Some(Arc::new(lease))
    };
    let temp = temp_in(&args.temp_dir.clone().unwrap_or_else(std::env::temp_dir))?;
    Ok(Opened {
        objects,
        work: temp.path().to_owned(),
        grace_ms: args.grace.unwrap_or(0),
        _lock: None,
        _temp: Some(temp),
        lease,
    })
}

fn temp_in(folder: &PathBuf) -> anyhow::Result<tempfile::TempDir> {
    let temp = tempfile::Builder::new()
        .prefix("tickctl-compact-")
        .tempdir_in(folder);
    temp.with_context(|| format!("cannot create a working folder in {}", folder.display()))
}

/// Today still gets new files, so it is only compacted on request.
fn say_skipped(later: &[DayFolder], today: NaiveDate, to: NaiveDate) {
    let is_today = later.iter().any(|folder| folder.day == today);
    if is_today && today.checked_sub_days(Days::new(1)) == Some(to) {
        eprintln!("tickctl: {today} is today and was skipped; --to today includes it");
    }
}

#[cfg(test)]
mod tests {
    use archive::compaction::TARGET_BYTES;
    use clap::Parser as _;

    use crate::cli::{Cli, Command};

    #[test]
    fn the_default_target_is_that_of_the_archive() {
        let parsed = |args: &[&str]| {
            let cli = Cli::try_parse_from([&["tickctl", "compact"], args].concat()).unwrap();
            let Command::Compact(args) = cli.command else {
                panic!("{args:?} is another command");
            };
            args.target
        };
        assert_eq!(parsed(&[]), TARGET_BYTES);
        assert_eq!(parsed(&["--target", "64KB"]), 64_000);
    }
}
