//! Runs a query: parameters, guard, engine, rows, and what is reported about it.

mod empty_note;
mod prepare;
mod query_summary;

use std::future::Future;
use std::io::{IsTerminal as _, Write, stdout};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use domain::count_of;
use futures_util::TryStreamExt as _;
use runtime::clock;
use tokio_util::sync::CancellationToken;

use crate::atomic_file::AtomicFile;
use crate::choose_engine;
use crate::cli_error::CliError;
use crate::destination;
use crate::engine::{Answer, Cancelled, Engine, EngineError, Figures, PastQuery, Progress, State};
use crate::format::{self, AnswerSummary, Rows};
use crate::full_scan_guard;
use crate::named::BoundQuery;
use crate::options::{EngineName, Format, Options};
use crate::outputs::Outputs;
use crate::progress::Line;
use crate::render::{PageInfo, Renderings};
use crate::source::Source;
use crate::statement::Statement;
use crate::stop::{QuerySignals, unless_stopped};
pub(crate) use prepare::{prepared, within};
use query_summary::QuerySummary;
use runtime::printable::PrintableWriter;

/// How often the progress line is updated while rows are read.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Runs a query and writes its rows to a file, or to standard output. `earlier` is a signal that a shell received.
pub(crate) async fn execute(
    engine: &dyn Engine,
    source: &Source,
    options: &Options,
    file: Option<&mut AtomicFile>,
    signals: QuerySignals,
    outputs: &mut Outputs<'_>,
) -> Result<QuerySummary, CliError> {
    let format = destination::format(options)?;
    let (bound, statement) = prepared(engine, source, options, outputs)?;
    let execution = Execution {
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
    let work = execution.work(cancel.clone(), file, outputs);
    let outcome = unless_stopped(time_max, cancel, signals, work).await;
    execution.remember(at_ms, &outcome);
    outcome
}

/// A query while it runs.
struct Execution<'a> {
    engine: &'a dyn Engine,
    source: &'a Source,
    bound: &'a BoundQuery,
    statement: &'a Statement,
    options: &'a Options,
    format: Format,
    started: Instant,
    /// Its current figures, once it has rows.
    figures: OnceLock<Arc<dyn Fn() -> Figures + Send + Sync>>,
}

impl Execution<'_> {
    async fn work(
        &self,
        cancel: CancellationToken,
        file: Option<&mut AtomicFile>,
        outputs: &mut Outputs<'_>,
    ) -> Result<QuerySummary, CliError> {
        let page = match &self.options.html {
            Some(path) => Some(AtomicFile::start(path)?),
            None => None,
        };
        self.check_days(&cancel, outputs).await?;
        self.check_size(&cancel).await?;
        let line = Line::new(self.options.quiet);
        let report = |progress| line.report(progress);
        let answer = self
            .engine
            .run(self.statement, &report, cancel.clone())
            .await;
        let answer = answer.inspect_err(|_| line.end())?;
        _ = self.figures.set(Arc::clone(&answer.figures));
        let mut renderings = Renderings::of(self.options, &answer.schema)?;
        let shows_rows = file.is_none() && self.options.chart.is_none();
        let read = {
            let mut terminal;
            let output: Option<&mut (dyn Write + Send)> = match file {
                Some(file) => Some(file.writer()),
                None if self.options.chart.is_some() => None,
                None if stdout().is_terminal() => {
                    terminal = PrintableWriter::new(&mut *outputs.output);
                    Some(&mut terminal)
                }
                None => Some(&mut *outputs.output),
            };
            let start = |output| format::start(self.format, &answer.schema, output);
            let rows = output.map(start).transpose()?;
            self.read(answer, rows, &mut renderings, &line).await
        };
        line.end();
        let ReadRows {
            count: rows,
            truncated,
            figures,
            failure,
        } = read?;
        if let Some(error) = failure {
            // Even with `--quiet`: rows that are shown must not look complete.
            if shows_rows && rows > 0 {
                let shown = count_of(rows as u64, "row");
                _ = writeln!(
                    outputs.status,
                    "note: the answer is incomplete: the query ended after {shown}"
                );
            }
            return Err(error);
        }
        let summary = QuerySummary {
            engine: self.engine.name(),
            rows,
            truncated,
            elapsed: self.started.elapsed(),
            figures,
        };
        let info = PageInfo {
            source: self.source,
            given: &self.bound.given,
            figures: &summary.message(),
            rows,
        };
        renderings.finish(&info, page, outputs.output)?;
        let is_empty = rows == 0 || summary.figures.files == Some(0);
        if is_empty && !self.options.quiet {
            self.note_on_empty(rows, outputs).await;
        }
        Ok(summary)
    }

    /// Refuses what would read most of the archive, unless `--full-scan` allows it.
    async fn check_days(
        &self,
        cancel: &CancellationToken,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), CliError> {
        if self.options.full_scan {
            return Ok(());
        }
        let note =
            unless_cancelled(cancel, full_scan_guard::check(self.engine, self.statement)).await?;
        if let Some(note) = note.filter(|_| !self.options.quiet) {
            _ = writeln!(outputs.status, "note: {note}");
        }
        Ok(())
    }

    /// Refuses what would read more than `--max-scan`.
    async fn check_size(&self, cancel: &CancellationToken) -> Result<(), CliError> {
        let Some(allowed) = self.options.max_scan else {
            return Ok(());
        };
        let estimate = async { Ok(self.engine.estimate(self.statement).await?) };
        within(&unless_cancelled(cancel, estimate).await?, allowed)
    }

    /// Reads rows up to the limit. If the query fails, those before are written.
    async fn read(
        &self,
        answer: Answer,
        mut rows: Option<Box<dyn Rows + '_>>,
        renderings: &mut Renderings,
        line: &Line,
    ) -> Result<ReadRows, CliError> {
        let rows_max = destination::rows_max(self.options, self.format).unwrap_or(usize::MAX);
        let Answer {
            mut batches,
            figures,
            ..
        } = answer;
        let (mut count, mut truncated) = (0_usize, false);
        let mut reported_at = Instant::now();
        let failure = loop {
            let batch = match batches.try_next().await {
                Ok(Some(batch)) => batch,
                Ok(None) => break None,
                Err(error) => break Some(error.into()),
            };
            let left = rows_max - count;
            truncated = batch.num_rows() > left;
            let batch = batch.slice(0, batch.num_rows().min(left));
            count += batch.num_rows();
            if let Some(rows) = &mut rows {
                rows.batch(&batch)?;
            }
            renderings.add(&batch)?;
            if truncated {
                break None;
            }
            if reported_at.elapsed() > PROGRESS_EVERY {
                reported_at = Instant::now();
                line.report(progress(&figures()));
            }
        };
        // Rows past the limit are not read.
        drop(batches);
        let figures = figures();
        let summary = AnswerSummary {
            rows: count,
            truncated,
            files: figures.files,
            bytes_read: figures.scanned_bytes,
            elapsed: self.started.elapsed(),
        };
        match (rows, &failure) {
            (Some(rows), None) => rows.finish(&summary)?,
            (Some(rows), Some(_)) => rows.finish_incomplete()?,
            (None, _) => {}
        }
        Ok(ReadRows {
            count,
            truncated,
            figures,
            failure,
        })
    }

    /// Adds the query to the journal. Athena keeps its own list, which has no names, so only its
    /// named queries are added. A journal that cannot be written is not a failure.
    fn remember(&self, at_ms: i64, outcome: &Result<QuerySummary, CliError>) {
        let Some(journal) = choose_engine::journal(self.options) else {
            return;
        };
        // A refused query did not run.
        if let Err(CliError::FullScan { .. }) = outcome {
            return;
        }
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
            Ok(summary) => ("succeeded", summary.figures.scanned_bytes),
            Err(CliError::Stopped { cancelled, .. }) => ("cancelled", cancelled.scanned_bytes),
            // A reader that leaves early (`| head`) had its answer.
            Err(error) if error.is_reader_gone() => ("succeeded", by_now()),
            Err(_) => ("failed", by_now()),
        };
        let ran = self.started.elapsed().as_millis();
        _ = journal.add(&PastQuery {
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
    }

    /// The service's id of the query, as far as it is known.
    fn query_id(&self, outcome: &Result<QuerySummary, CliError>) -> Option<String> {
        if let Err(CliError::Stopped { cancelled, .. }) = outcome {
            return cancelled.query_id.clone();
        }
        self.figures.get().and_then(|figures| figures().query_id)
    }
}

/// What was read of an answer.
struct ReadRows {
    count: usize,
    truncated: bool,
    figures: Figures,
    /// Why the query ended before its last row.
    failure: Option<CliError>,
}

/// Runs a step that comes before the query, unless `cancel` fires.
async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    tokio::select! {
        () = cancel.cancelled() => Err(EngineError::Cancelled(Cancelled::default()).into()),
        outcome = work => outcome,
    }
}

fn progress(figures: &Figures) -> Progress {
    Progress {
        state: State::Reading,
        queued: figures.queued,
        ran: figures.ran,
        scanned_bytes: figures.scanned_bytes,
    }
}
