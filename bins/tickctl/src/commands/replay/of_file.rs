//! Sends real trades from a file to a running tickstream, in the file's order.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use domain::count_of;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use hyper::StatusCode;
use indicatif::{HumanDuration, ProgressBar, ProgressState};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

use super::ReplayArgs;
use crate::batches::{Batch, Batches, Event};
use crate::client::{Answer, PostError, Webhook};
use crate::delivery::{Undelivered, deliver};
use crate::formats::{About, Format, ReadError};
use crate::process::{BadInput, ProcessContext, print_line};
use crate::spinner::{bar, spinner, style};
use crate::target::Target;

/// The most bad or rejected rows that are listed; all are counted.
const ROWS_SHOWN_MAX: u64 = 10;

/// The outcome of the rows so far.
#[derive(Debug, Default)]
struct Summary {
    requests: u64,
    sent: u64,
    stored: u64,
    duplicate: u64,
    rejected: u64,
    ignored: u64,
    bad_rows: u64,
    /// Entry errors in the responses; only the first are shown.
    errors_seen: u64,
    /// Rows from the start of the file that are done.
    rows_done: u64,
}

pub(super) async fn run(
    args: ReplayArgs,
    file: PathBuf,
    format: Format,
    target: Target,
    process: ProcessContext,
) -> anyhow::Result<()> {
    let in_flight_max = usize::try_from(args.in_flight)?;
    let mut webhooks = BTreeMap::new();
    for source in format.sources() {
        let webhook = Webhook::new(&target, source, in_flight_max)?;
        webhooks.insert(*source, webhook);
    }
    let (input, bytes_total) = open(&file)?;
    let file_name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let (symbol, market) = (args.symbol.clone(), args.market);
    let rows = move || {
        let about = About {
            file_name: &file_name,
            symbol: symbol.as_deref(),
            market,
        };
        format.rows(input, about)
    };
    let batches = Batches::new(rows, args.skip, args.speed, usize::try_from(args.batch)?)?;
    let replay = Replay {
        bar: progress_bar(bytes_total),
        summary: Summary {
            rows_done: args.skip,
            ..Summary::default()
        },
        args,
        file,
        format,
        target,
        webhooks,
        process,
    };
    replay.run(batches).await
}

struct Replay {
    args: ReplayArgs,
    file: PathBuf,
    format: Format,
    target: Target,
    /// By the source of a row.
    webhooks: BTreeMap<&'static str, Webhook>,
    process: ProcessContext,
    bar: ProgressBar,
    summary: Summary,
}

impl Replay {
    async fn run(mut self, batches: Batches) -> anyhow::Result<()> {
        let started = Instant::now();
        let ended = self.send_all(batches).await;
        self.bar.finish_and_clear();
        // If a file is refused before anything was sent, there are no figures.
        if ended.is_ok() || self.summary.requests > 0 {
            print_line(&self.summary.text(started.elapsed()))?;
        }
        ended.map_err(|error| self.with_continuation(error))?;
        if self.summary.rejected > 0 && !self.args.skip_bad {
            bail!(
                "the server rejected {}, now in its quarantine",
                count_of(self.summary.rejected, "tick")
            );
        }
        Ok(())
    }

    /// Reads, sends and counts until the rows end or the attempts are exhausted.
    async fn send_all(&mut self, mut batches: Batches) -> anyhow::Result<()> {
        let in_flight_max = usize::try_from(self.args.in_flight)?;
        let stop = self.process.stop.clone();
        // In order, so the rows done are always a prefix of the file.
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
                        Event::Batch(batch) => in_flight.push_back(self.delivery(batch)?),
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
    ) -> anyhow::Result<impl Future<Output = (Batch, Result<Answer, Undelivered>)> + use<>> {
        // All rows of a file have the same source.
        let source = batch.rows.first().map(|row| row.source).unwrap_or_default();
        let webhook = self.webhooks.get(source).context("a batch without rows")?;
        let (webhook, stop, bar) = (webhook.clone(), self.process.stop.clone(), self.bar.clone());
        let attempts_max = self.args.attempts;
        let body = Bytes::from(self.format.delivery(&batch.rows));
        let rng = StdRng::seed_from_u64(uuid::Uuid::now_v7().as_u64_pair().1);
        Ok(async move {
            let notice = |error: &PostError, delay: Duration| {
                say(
                    &bar,
                    &format!("{error}; retrying in {:.1} s", delay.as_secs_f64()),
                );
            };
            let answer = deliver(&webhook, body, attempts_max, rng, &stop, notice).await;
            (batch, answer)
        })
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
                        "line {line}: the server rejected it: {}: {}",
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
        self.bar.set_message(count_of(summary.sent, "tick"));
    }

    /// Skips the row if requested; an unreadable file always ends the replay.
    fn bad_row(&mut self, error: ReadError) -> anyhow::Result<()> {
        if self.args.skip_bad && matches!(error, ReadError::Row { .. }) {
            self.summary.bad_rows += 1;
            if self.summary.bad_rows <= ROWS_SHOWN_MAX {
                say(&self.bar, &format!("skipped: {error}"));
            }
            return Ok(());
        }
        let hint = match error {
            ReadError::Row { .. } => "; correct the row, or skip such rows with --skip-bad",
            ReadError::File(_) => "",
        };
        Err(BadInput(format!("{}: {error}{hint}", self.file.display())).into())
    }

    /// Adds what to do about a 401.
    fn with_secret(&self, error: Undelivered) -> anyhow::Error {
        match error {
            Undelivered::Refused(PostError::Status { status, .. })
                if status == StatusCode::UNAUTHORIZED =>
            {
                anyhow!("{error}; {}", self.target.about_secret())
            }
            error @ (Undelivered::Refused(_)
            | Undelivered::GaveUp { .. }
            | Undelivered::Stopped) => error.into(),
        }
    }

    /// Adds how far it got and how to continue.
    fn with_continuation(&self, error: anyhow::Error) -> anyhow::Error {
        let rows = self.summary.rows_done;
        let continuation = match rows {
            0 => "nothing of this file was stored".to_owned(),
            1 => "the first row is done; continue after that with --skip 1".to_owned(),
            rows => {
                format!("the first {rows} rows are done; continue after that with --skip {rows}")
            }
        };
        // The type decides the exit code, so it is kept.
        match error.downcast::<BadInput>() {
            Ok(BadInput(rule)) => BadInput(format!("{rule}; {continuation}")).into(),
            Err(error) => anyhow!("{error:#}; {continuation}"),
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
            rows => format!(", {} skipped", count_of(rows, "bad row")),
        };
        format!(
            "sent {} in {}: {} stored, {} duplicate, {} rejected, {} ignored{bad_rows}; {seconds:.2} s, {per_s:.0} ticks/s",
            count_of(self.sent, "tick"),
            count_of(self.requests, "request"),
            self.stored,
            self.duplicate,
            self.rejected,
            self.ignored,
        )
    }
}

/// The input, and its length if it is a file.
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
    let progress = match bytes_total {
        Some(bytes) => {
            let style = style("{wide_bar} {percent}% {msg}{left}");
            bar(bytes, style.with_key("left", time_left))
        }
        None => spinner(),
    };
    progress.with_message("reading the file")
}

/// `, 12s left`, once it can be estimated.
fn time_left(state: &ProgressState, text: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
    }
}

/// Writes a line to stderr, above the progress bar if there is one.
fn say(bar: &ProgressBar, line: &str) {
    bar.suspend(|| eprintln!("tickctl: {line}"));
}
