//! A query's way from its text to the answer: parameters, guard, engine, rows, and what is said
//! about it.

mod prepared;
mod told;

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use query::ArchiveScan;
use runtime::clock;
use tokio_util::sync::CancellationToken;

use crate::choice;
use crate::cli::{Format, Options};
use crate::destination::{self, Aside};
use crate::drawn::{About, Drawn};
use crate::engine::{
    Answer, Cancelled, Engine, EngineError, EngineName, Figures, PastQuery, Progress, State,
};
use crate::format::{self, Ending, Rows};
use crate::guard;
use crate::named::Bound;
use crate::problem::Problem;
use crate::progress::Line;
use crate::source::Source;
use crate::statement::Statement;
use crate::stop::unless_stopped;
pub(crate) use prepared::{prepared, within};
use told::Told;
pub(crate) use told::counted;

/// How often the progress line is told while rows are read.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Where an answer and what is said about it go.
pub(crate) struct Outputs<'a> {
    pub(crate) output: &'a mut (dyn Write + Send),
    pub(crate) status: &'a mut (dyn Write + Send),
}

/// Runs a query and writes its answer.
pub(crate) async fn ask(
    engine: &dyn Engine,
    source: &Source,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(), Problem> {
    let format = destination::format(options)?;
    let (bound, statement) = prepared(engine, source, options, outputs)?;
    if !options.full_scan {
        guard::check(&statement)?;
    }
    let asked = Asked {
        engine,
        source,
        bound: &bound,
        statement: &statement,
        options,
        format,
        started: Instant::now(),
        figures: OnceLock::new(),
    };
    let at_ms = clock::now_ms();
    let time_max = Duration::from_secs(options.timeout);
    let cancel = CancellationToken::new();
    let work = asked.work(cancel.clone(), outputs);
    let outcome = unless_stopped(time_max, cancel, work).await;
    asked.remember(at_ms, &outcome);
    let told = outcome?;
    if !options.quiet {
        // Where standard error is closed, the exit code still tells.
        _ = writeln!(outputs.status, "{told}");
    }
    Ok(())
}

/// A query on its way.
struct Asked<'a> {
    engine: &'a dyn Engine,
    source: &'a Source,
    bound: &'a Bound,
    statement: &'a Statement,
    options: &'a Options,
    format: Format,
    started: Instant,
    /// What it took by now, once it has rows.
    figures: OnceLock<Arc<dyn Fn() -> Figures + Send + Sync>>,
}

impl Asked<'_> {
    async fn work(
        &self,
        cancel: CancellationToken,
        outputs: &mut Outputs<'_>,
    ) -> Result<Told, Problem> {
        let mut file = match &self.options.output {
            Some(path) => Some(Aside::start(path)?),
            None => None,
        };
        let page = match &self.options.html {
            Some(path) => Some(Aside::start(path)?),
            None => None,
        };
        self.check_size(&cancel).await?;
        let line = Line::new(self.options.quiet);
        let tell = |progress| line.tell(progress);
        let answer = self.engine.run(self.statement, &tell, cancel.clone()).await;
        let answer = answer.inspect_err(|_| line.end())?;
        _ = self.figures.set(Arc::clone(&answer.figures));
        let mut drawn = Drawn::of(self.options, &answer.schema)?;
        let read = {
            let output: &mut (dyn Write + Send) = match &mut file {
                Some(file) => file.writer(),
                None => &mut *outputs.output,
            };
            let to_rows = file_or_rows(self.options);
            let rows = match to_rows {
                true => Some(format::start(self.format, &answer.schema, output)?),
                false => None,
            };
            self.read(answer, rows, &mut drawn, &line).await
        };
        line.end();
        let (rows, truncated, figures) = read?;
        if let Some(file) = file {
            file.finish()?;
        }
        let told = Told {
            engine: self.engine.name(),
            rows,
            truncated,
            elapsed: self.started.elapsed(),
            figures,
        };
        let about = About {
            source: self.source,
            given: &self.bound.given,
            figures: &told.to_string(),
            rows,
        };
        drawn.finish(&about, page, outputs.output)?;
        let nothing = rows == 0 || told.figures.files == Some(0);
        if nothing && !self.options.quiet {
            self.say_why(rows, outputs).await;
        }
        Ok(told)
    }

    /// Refuses what would read more than `--max-scan`.
    async fn check_size(&self, cancel: &CancellationToken) -> Result<(), Problem> {
        let Some(allowed) = self.options.max_scan else {
            return Ok(());
        };
        let estimate = tokio::select! {
            () = cancel.cancelled() => Err(EngineError::Cancelled(Cancelled::default())),
            estimate = self.engine.estimate(self.statement) => estimate,
        };
        within(&estimate?, allowed)
    }

    /// Reads rows up to the limit.
    async fn read(
        &self,
        answer: Answer,
        mut rows: Option<Box<dyn Rows + '_>>,
        drawn: &mut Drawn,
        line: &Line,
    ) -> Result<(usize, bool, Figures), Problem> {
        let rows_max = destination::rows_max(self.options, self.format).unwrap_or(usize::MAX);
        let Answer {
            mut batches,
            figures,
            ..
        } = answer;
        let (mut count, mut truncated) = (0_usize, false);
        let mut told_at = Instant::now();
        while let Some(batch) = batches.try_next().await? {
            let left = rows_max - count;
            truncated = batch.num_rows() > left;
            let batch = batch.slice(0, batch.num_rows().min(left));
            count += batch.num_rows();
            if let Some(rows) = &mut rows {
                rows.batch(&batch)?;
            }
            drawn.add(&batch)?;
            if truncated {
                break;
            }
            if told_at.elapsed() > PROGRESS_EVERY {
                told_at = Instant::now();
                line.tell(progress(&figures()));
            }
        }
        // Nothing is read any more of a query that has more rows.
        drop(batches);
        let figures = figures();
        let ending = Ending {
            rows: count,
            truncated,
            files: figures.files,
            bytes_read: figures.scanned_bytes,
            elapsed: self.started.elapsed(),
        };
        if let Some(rows) = rows {
            rows.finish(&ending)?;
        }
        Ok((count, truncated, figures))
    }

    /// Says why an answer is of nothing, as far as that is known.
    async fn say_why(&self, rows: usize, outputs: &mut Outputs<'_>) {
        // That no time was asked for is said by then.
        if self.bound.is_of_no_time {
            return;
        }
        let of_days = self.days_to_blame().await;
        let of_tokens = || self.bound.note_on_tokens().filter(|_| rows == 0);
        if let Some(said) = of_days.or_else(of_tokens) {
            _ = writeln!(outputs.status, "note: {said}");
        }
    }

    /// What days the archive has, where it has nothing of those asked for.
    async fn days_to_blame(&self) -> Option<String> {
        let mut scans = self.statement.scans.iter();
        // The days of the quarantine are its own.
        if self.statement.scans.is_empty() || scans.any(ArchiveScan::is_of_quarantine) {
            return None;
        }
        let scans = &self.statement.scans;
        let days = self.engine.days().await.ok()??;
        let kept = |day: &chrono::NaiveDate| scans.iter().any(|scan| scan.keeps(*day));
        match (days.first(), days.last()) {
            (Some(first), Some(last)) if !days.iter().any(kept) => Some(format!(
                "the archive has nothing of the days asked for; it has {}, from {first} to {last}",
                counted(days.len(), "day")
            )),
            (Some(_), Some(_)) => None,
            _ => Some(match self.engine.name() {
                EngineName::Local => "the archive has no files yet".to_owned(),
                EngineName::Athena => "the archive has no files yet: it has only the ticks of the rollout's share, from when they were taken in; `just status` tells the share, and docs/athena.md how to raise it".to_owned(),
            }),
        }
    }

    /// Notes a query down. Of Athena, which keeps its own list, only those that were run by a name: the
    /// list has no names. What cannot be noted is no failure.
    fn remember(&self, at_ms: i64, outcome: &Result<Told, Problem>) {
        let Some(journal) = choice::journal(self.options) else {
            return;
        };
        let id = match self.engine.name() {
            EngineName::Local => format!("local-{at_ms:x}-{:x}", std::process::id()),
            EngineName::Athena => match self.query_id(outcome) {
                Some(id) if self.source.name.is_some() => id,
                Some(_) | None => return,
            },
        };
        let by_now = || {
            self.figures
                .get()
                .map_or(0, |figures| figures().scanned_bytes)
        };
        let (state, scanned_bytes) = match outcome {
            Ok(told) => ("succeeded", told.figures.scanned_bytes),
            Err(Problem::Stopped { cancelled, .. }) => ("cancelled", cancelled.scanned_bytes),
            // Who has seen enough (`| head`) had an answer.
            Err(problem) if problem.is_reader_gone() => ("succeeded", by_now()),
            Err(_) => ("failed", by_now()),
        };
        let ran = self.started.elapsed().as_millis();
        let noted = journal.add(&PastQuery {
            engine: self.engine.name(),
            id,
            at_ms,
            state: state.to_owned(),
            ran_ms: u64::try_from(ran).unwrap_or(u64::MAX),
            scanned_bytes,
            reused: false,
            name: self.source.name.clone(),
            sql: self.statement.rendered(),
        });
        _ = noted;
    }

    /// The service's name for the query, as far as it is known.
    fn query_id(&self, outcome: &Result<Told, Problem>) -> Option<String> {
        if let Err(Problem::Stopped { cancelled, .. }) = outcome {
            return cancelled.query_id.clone();
        }
        self.figures.get().and_then(|figures| figures().query_id)
    }
}

/// Whether the rows themselves are asked for, and not only a drawing of them.
fn file_or_rows(options: &Options) -> bool {
    options.output.is_some() || options.chart.is_none()
}

fn progress(figures: &Figures) -> Progress {
    Progress {
        state: State::Reading,
        queued: figures.queued,
        ran: figures.ran,
        scanned_bytes: figures.scanned_bytes,
    }
}
