//! `tickctl replay`: real trades from a file to a running tickstream, in the file's order.

use std::fmt;
use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{anyhow, bail};
use bytes::Bytes;
use clap::{Args, value_parser};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use hyper::StatusCode;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::batches::{Batch, Batches, Event};
use crate::cli::{BadInput, Target, World, print_line};
use crate::client::{Answer, PostError, Webhook};
use crate::delivery::{Undelivered, deliver};
use crate::formats::{Format, ReadError};
use crate::pace::Speed;

/// Most bad or rejected rows that are shown one by one; all are counted.
const ROWS_SHOWN_MAX: u64 = 10;

/// Options of `tickctl replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Replaying is safe to repeat: a tick that is stored already counts as duplicate. Numbers are sent
with the digits they have in the file.

Examples:
  tickctl replay binance-BTCUSDT-2021-01-08.csv --format binance-trades --speed 10
  tickctl replay kraken-XBTUSDT-trades.json --format kraken-trades --to https://ticks.example/stage
  unzip -p BTCUSDT-trades-2025-01-08.zip | tickctl replay - --format binance-trades --symbol BTCUSDT
  tickctl replay ticks.csv --format ticks-csv --batch 500 --skip 120000

Exit codes: 0 all rows are stored; 1 the server did not take them all; 2 a bad row (what came
before it was sent) or a wrong option.")]
pub struct ReplayArgs {
    /// The file; `-` is stdin.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What the file holds.
    #[arg(long, value_enum)]
    pub format: Format,
    /// `max`: as fast as the server answers; 1: as it happened; N: N times faster.
    #[arg(long, value_name = "N|max", default_value = "max")]
    pub speed: Speed,
    /// What was traded, where the file does not say: BTCUSDT for binance-trades (otherwise taken
    /// from the file's name), BASE/QUOTE for kraken-trades (otherwise from the pair).
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Option<String>,
    /// Most ticks in a request.
    #[arg(long, value_name = "B", default_value_t = 100, value_parser = value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Requests under way at once. With more than 1 the server may see batches out of order.
    #[arg(long, value_name = "M", default_value_t = 1, value_parser = value_parser!(u32).range(1..=64))]
    pub in_flight: u32,
    /// Leave out so many rows at the start: a replay that ended early says how many.
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    pub skip: u64,
    /// Leave out rows that are bad, here or in the server's eyes, and count them.
    #[arg(long)]
    pub skip_bad: bool,
    /// How often a request is sent at most, when the server is away, busy or too slow.
    #[arg(long, value_name = "A", default_value_t = 10, value_parser = value_parser!(u32).range(1..=1_000))]
    pub attempts: u32,
    /// Where to.
    #[command(flatten)]
    pub target: Target,
}

/// What became of the rows so far.
#[derive(Debug, Default)]
struct Summary {
    requests: u64,
    sent: u64,
    stored: u64,
    duplicate: u64,
    rejected: u64,
    ignored: u64,
    bad_rows: u64,
    /// Entry errors in the answers; only the first are shown.
    errors_seen: u64,
    /// Rows from the start of the file that need no second sending.
    rows_done: u64,
}

/// Replays the file and prints a summary.
///
/// # Errors
/// [`BadInput`] for a file or a row that breaks a rule; others where the server did not take
/// every tick.
pub async fn run(args: ReplayArgs, world: World) -> anyhow::Result<()> {
    let in_flight_max = usize::try_from(args.in_flight)?;
    let webhook = Webhook::new(&args.target, args.format.source(), in_flight_max)?;
    let (input, bytes_total) = open(&args.file)?;
    let file_name = args
        .file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let (format, symbol) = (args.format, args.symbol.clone());
    let rows = move || format.rows(input, &file_name, symbol.as_deref());
    let batches = Batches::new(rows, args.skip, args.speed, usize::try_from(args.batch)?)?;
    let replay = Replay {
        bar: progress_bar(bytes_total),
        summary: Summary {
            rows_done: args.skip,
            ..Summary::default()
        },
        args,
        webhook,
        world,
    };
    replay.run(batches).await
}

struct Replay {
    args: ReplayArgs,
    webhook: Webhook,
    world: World,
    bar: ProgressBar,
    summary: Summary,
}

impl Replay {
    async fn run(mut self, batches: Batches) -> anyhow::Result<()> {
        let started = Instant::now();
        let ended = self.send_all(batches).await;
        self.bar.finish_and_clear();
        // A file that is refused before anything was sent needs no figures.
        if ended.is_ok() || self.summary.requests > 0 {
            print_line(&self.summary.text(started.elapsed()))?;
        }
        ended.map_err(|error| self.with_way_on(error))?;
        if self.summary.rejected > 0 && !self.args.skip_bad {
            bail!(
                "the server rejected {} ticks; they are in its quarantine",
                self.summary.rejected
            );
        }
        Ok(())
    }

    /// Reads, sends and counts until the rows or the patience end.
    async fn send_all(&mut self, mut batches: Batches) -> anyhow::Result<()> {
        let in_flight_max = usize::try_from(self.args.in_flight)?;
        let stop = self.world.stop.clone();
        // Ordered, so that the rows done are always all rows up to one.
        let mut in_flight = FuturesOrdered::new();
        let mut end = None;
        loop {
            if end.is_some() && in_flight.is_empty() {
                return end.unwrap_or(Ok(()));
            }
            tokio::select! {
                Some((batch, delivered)) = in_flight.next() => {
                    let answer: Result<Answer, Undelivered> = delivered;
                    let answer = answer.map_err(|error| self.with_secret(error))?;
                    self.count(&batch, &answer);
                }
                () = stop.cancelled(), if end.is_none() => end = Some(Err(anyhow!("stopped"))),
                event = batches.next(), if end.is_none() && in_flight.len() < in_flight_max => {
                    match event {
                        Event::Batch(batch) => in_flight.push_back(self.delivery(batch)),
                        Event::Bad(error) => end = self.bad_row(error).err().map(Err),
                        Event::End => end = Some(Ok(())),
                    }
                }
            }
        }
    }

    fn delivery(
        &self,
        batch: Batch,
    ) -> impl Future<Output = (Batch, Result<Answer, Undelivered>)> + use<> {
        let (webhook, stop, bar) = (
            self.webhook.clone(),
            self.world.stop.clone(),
            self.bar.clone(),
        );
        let attempts_max = self.args.attempts;
        let body = Bytes::from(self.args.format.delivery(&batch.rows));
        let rng = StdRng::seed_from_u64(uuid::Uuid::now_v7().as_u64_pair().1);
        async move {
            let notice = |error: &PostError, delay: Duration| {
                say(
                    &bar,
                    &format!("{error}; trying again in {:.1} s", delay.as_secs_f64()),
                );
            };
            let answer = deliver(&webhook, body, attempts_max, rng, &stop, notice).await;
            (batch, answer)
        }
    }

    fn count(&mut self, batch: &Batch, answer: &Answer) {
        let summary = &mut self.summary;
        for error in &answer.errors {
            summary.errors_seen += 1;
            if summary.errors_seen <= ROWS_SHOWN_MAX {
                let line = batch.rows.get(error.index).map_or(0, |row| row.place.line);
                say(
                    &self.bar,
                    &format!(
                        "line {line}: the server says {}: {}",
                        error.reason, error.message
                    ),
                );
            }
        }
        summary.requests += 1;
        summary.sent += batch.rows.len() as u64;
        summary.stored += answer.stored;
        summary.duplicate += answer.duplicate;
        summary.rejected += answer.rejected;
        summary.ignored += answer.ignored;
        if let Some(last) = batch.rows.last() {
            summary.rows_done = last.place.number;
            self.bar.set_position(last.place.offset_bytes);
        }
        self.bar.set_message(format!("{} ticks", summary.sent));
    }

    /// Leaves the row out if that is wished; a file that is broken as a whole always ends it.
    fn bad_row(&mut self, error: ReadError) -> anyhow::Result<()> {
        if self.args.skip_bad && matches!(error, ReadError::Row { .. }) {
            self.summary.bad_rows += 1;
            if self.summary.bad_rows <= ROWS_SHOWN_MAX {
                say(&self.bar, &format!("left out: {error}"));
            }
            return Ok(());
        }
        let hint = match error {
            ReadError::Row { .. } => "; mend the row, or leave such rows out with --skip-bad",
            ReadError::File(_) => "",
        };
        Err(BadInput(format!("{}: {error}{hint}", self.args.file.display())).into())
    }

    /// Adds what to do about a 401.
    fn with_secret(&self, error: Undelivered) -> anyhow::Error {
        match error {
            Undelivered::Refused(PostError::Status { status, .. })
                if status == StatusCode::UNAUTHORIZED =>
            {
                anyhow!("{error}; {}", self.args.target.about_secret())
            }
            error @ (Undelivered::Refused(_)
            | Undelivered::GaveUp { .. }
            | Undelivered::Stopped) => error.into(),
        }
    }

    /// Adds how far it got and how to go on.
    fn with_way_on(&self, error: anyhow::Error) -> anyhow::Error {
        let rows = self.summary.rows_done;
        let way_on = match rows {
            0 => "nothing of this file is stored".to_owned(),
            rows => format!("the first {rows} rows are done; go on after them with --skip {rows}"),
        };
        // The type decides the exit code, so it stays.
        match error.downcast::<BadInput>() {
            Ok(BadInput(rule)) => BadInput(format!("{rule}; {way_on}")).into(),
            Err(error) => anyhow!("{error:#}; {way_on}"),
        }
    }
}

impl Summary {
    fn text(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let per_s = if seconds > 0.0 {
            self.sent as f64 / seconds
        } else {
            0.0
        };
        let bad_rows = match self.bad_rows {
            0 => String::new(),
            rows => format!(", {rows} bad rows left out"),
        };
        format!(
            "sent {} ticks in {} requests: {} stored, {} duplicate, {} rejected, {} ignored{bad_rows}; \
             {seconds:.2} s, {per_s:.0} ticks/s",
            self.sent, self.requests, self.stored, self.duplicate, self.rejected, self.ignored,
        )
    }
}

/// The input and, where it is a file, its length.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let bad = |error: std::io::Error| BadInput(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(bad)?;
    let metadata = file.metadata().map_err(bad)?;
    if metadata.is_dir() {
        return Err(BadInput(format!("{} is a directory", path.display())).into());
    }
    let bytes_total = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), bytes_total))
}

fn progress_bar(bytes_total: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes_total {
        Some(bytes) => (ProgressBar::new(bytes), "{wide_bar} {percent}% {msg}{left}"),
        None => (ProgressBar::no_length(), "{spinner} {msg}, {elapsed}"),
    };
    bar.enable_steady_tick(Duration::from_millis(200));
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("left", time_left);
    bar.with_style(style).with_message("reading the file")
}

/// `, 12s left`, once there is something to reckon it by.
fn time_left(state: &ProgressState, text: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
    }
}

/// Writes a line to stderr above the bar, or as it is where there is none.
fn say(bar: &ProgressBar, line: &str) {
    bar.suspend(|| eprintln!("tickctl: {line}"));
}
