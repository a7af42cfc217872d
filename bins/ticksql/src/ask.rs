//! A query's way from its text to the answer: parameters, guard, engine, rows, and what is said
//! about it.

use std::io::Write;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use runtime::clock;
use tokio_util::sync::CancellationToken;

use crate::choice;
use crate::cli::{Format, Options};
use crate::destination::{self, Aside};
use crate::drawn::{About, Drawn};
use crate::engine::{Answer, Engine, EngineError, EngineName, Figures, PastQuery, Progress, State};
use crate::format::{self, Ending, Rows};
use crate::guard;
use crate::money::{Dollars, billed_bytes};
use crate::named::Bound;
use crate::problem::Problem;
use crate::progress::Line;
use crate::size::Size;
use crate::source::Source;
use crate::statement::Statement;
use crate::stop::{Reason, unless_stopped};

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
    };
    let at_ms = clock::now_ms();
    let time_max = Duration::from_secs(options.timeout);
    let cancel = CancellationToken::new();
    let outcome = if time_max.is_zero() {
        Err(Problem::Stopped {
            reason: Reason::Timeout(time_max),
            scanned: None,
            query_id: None,
        })
    } else {
        let work = asked.work(cancel.clone(), outputs);
        unless_stopped(time_max, cancel, work).await
    };
    asked.remember(at_ms, &outcome);
    let told = outcome?;
    if !options.quiet {
        // Where standard error is closed, the exit code still tells.
        _ = writeln!(outputs.status, "{told}");
    }
    Ok(())
}

/// The statement of a query with its values. What a person should know is said.
pub(crate) fn prepared(
    engine: &dyn Engine,
    source: &Source,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(Bound, Statement), Problem> {
    let bound = source.query.bind(&options.params, clock::now_ms())?;
    if !options.quiet {
        for note in &bound.notes {
            _ = writeln!(outputs.status, "note: {note}");
        }
    }
    let statement = match Statement::of(&bound) {
        Ok(statement) => statement,
        Err(local::sql::SqlError::Syntax { message, place })
            if engine.name() == EngineName::Athena =>
        {
            // Athena's dialect has words that this parser does not know.
            if options.full_scan && reads_only(&bound.sql) {
                Statement::unread(&bound)
            } else {
                let error = local::sql::SqlError::Syntax { message, place };
                let message = format!(
                    "{error}; if Athena understands it, --full-scan sends it without a look at what it reads"
                );
                return Err(EngineError::Query { message, place }.into());
            }
        }
        Err(error) => return Err(error.into()),
    };
    Ok((bound, statement))
}

/// Whether a statement begins as those do that only read.
fn reads_only(sql: &str) -> bool {
    let lines = sql.lines().map(str::trim);
    let mut words = lines
        .filter(|line| !line.starts_with("--"))
        .flat_map(str::split_whitespace);
    let first = words.next().unwrap_or_default().trim_start_matches('(');
    ["select", "with", "values", "show", "describe", "explain"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word))
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
}

/// What is left of an answer once it is written.
struct Told {
    rows: usize,
    truncated: bool,
    elapsed: Duration,
    figures: Figures,
    text: String,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
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
        let mut told = Told {
            rows,
            truncated,
            elapsed: self.started.elapsed(),
            figures,
            text: String::new(),
        };
        told.text = self.summary(&told);
        let about = About {
            source: self.source,
            given: &self.bound.given,
            figures: &told.text,
            rows,
        };
        drawn.finish(&about, page, outputs.output)?;
        let nothing = rows == 0 || told.figures.files == Some(0);
        if nothing && !self.options.quiet {
            self.say_which_days(outputs).await;
        }
        Ok(told)
    }

    /// Refuses what would read more than `--max-scan`.
    async fn check_size(&self, cancel: &CancellationToken) -> Result<(), Problem> {
        let Some(allowed) = self.options.max_scan else {
            return Ok(());
        };
        let estimate = tokio::select! {
            () = cancel.cancelled() => Err(EngineError::Cancelled {
                query_id: None,
                scanned_bytes: 0,
            }),
            estimate = self.engine.estimate(self.statement) => estimate,
        };
        let estimate = estimate?;
        if estimate.bytes > allowed.0 {
            return Err(Problem::TooMuch {
                estimated: Size(estimate.bytes),
                files: estimate.files,
                days: estimate.days.len(),
                allowed,
            });
        }
        Ok(())
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

    /// `3 rows in 12 ms, 1 file, 4.2 kB read`, with what it cost, and whether rows are missing.
    fn summary(&self, told: &Told) -> String {
        let Figures {
            query_id,
            scanned_bytes,
            files,
            reused,
            queued,
            ..
        } = &told.figures;
        let mut text = format!("{} in {}", counted(told.rows, "row"), seconds(told.elapsed));
        if !queued.is_zero() {
            text += &format!(" (queued {})", seconds(*queued));
        }
        if let Some(files) = files {
            text += &format!(", {}", counted(*files, "file"));
        }
        match self.engine.name() {
            EngineName::Local => text += &format!(", {} read", Size(*scanned_bytes)),
            EngineName::Athena => {
                text += &format!(", {} scanned, ", Size(*scanned_bytes));
                text += &cost(*scanned_bytes, *reused, self.statement.runs);
            }
        }
        if let Some(id) = query_id {
            text += &format!(", query {id}");
        }
        if told.truncated {
            text += &format!(
                "; there are more rows: give --max-rows above {}, or a LIMIT",
                told.rows
            );
        }
        text
    }

    /// Where an answer is of nothing because the archive has nothing of the days asked for, says what it
    /// has.
    async fn say_which_days(&self, outputs: &mut Outputs<'_>) {
        let scans = &self.statement.scans;
        if scans.is_empty() {
            return;
        }
        let Ok(Some(days)) = self.engine.days().await else {
            return;
        };
        let kept = |day: &chrono::NaiveDate| scans.iter().any(|scan| scan.keeps(*day));
        let said = match (days.first(), days.last()) {
            (Some(first), Some(last)) if !days.iter().any(kept) => format!(
                "the archive has nothing of the days asked for; it has {}, from {first} to {last}",
                counted(days.len(), "day")
            ),
            (Some(_), Some(_)) => return,
            _ => "the archive has no files yet".to_owned(),
        };
        _ = writeln!(outputs.status, "note: {said}");
    }

    /// Notes a local query down; Athena keeps its own list. What cannot be noted is no failure.
    fn remember(&self, at_ms: i64, outcome: &Result<Told, Problem>) {
        if self.engine.name() != EngineName::Local {
            return;
        }
        let Some(journal) = choice::journal(self.options) else {
            return;
        };
        let (state, scanned_bytes) = match outcome {
            Ok(told) => ("succeeded", told.figures.scanned_bytes),
            Err(Problem::Stopped { scanned, .. }) => {
                ("cancelled", scanned.map_or(0, |scanned| scanned.0))
            }
            Err(_) => ("failed", 0),
        };
        let ran = self.started.elapsed().as_millis();
        let noted = journal.add(&PastQuery {
            engine: EngineName::Local,
            id: format!("local-{at_ms:x}-{:x}", std::process::id()),
            at_ms,
            state: state.to_owned(),
            ran_ms: u64::try_from(ran).unwrap_or(u64::MAX),
            scanned_bytes,
            reused: false,
            sql: self.statement.rendered(),
        });
        _ = noted;
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

/// What a query costs: `10 MB billed, $0.000050`.
pub(crate) fn cost(scanned_bytes: u64, reused: bool, runs: bool) -> String {
    if reused {
        return "nothing billed: the answer of an earlier run".to_owned();
    }
    if !runs && scanned_bytes == 0 {
        return "nothing billed".to_owned();
    }
    let billed = billed_bytes(scanned_bytes);
    format!("{} billed, {}", Size(billed), Dollars::of_billed(billed))
}

pub(crate) fn counted(number: usize, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.0} ms", time.as_secs_f64() * 1_000.0)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
