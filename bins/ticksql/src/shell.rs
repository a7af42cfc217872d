//! The interactive shell: one statement after another, with a history of what was typed and completion
//! of names.

mod completion;
mod listing;
mod meta_command;
mod script;
mod terminal_state;
mod variables;

use std::io::{self, IsTerminal as _, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum as _;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};
use tokio::sync::Mutex;

use crate::atomic_file::AtomicFile;
use crate::cli_error::CliError;
use crate::engine::{Cancelled, Engine, TableColumns};
use crate::execute;
use crate::format;
use crate::journal::private_folder;
use crate::list;
use crate::options::{Format, Options};
use crate::outputs::Outputs;
use crate::query_failure::QueryFailure;
use crate::source::{self, Source};
use crate::stop::{QuerySignals, ShellSignal, ShellWatch};
use crate::stop_reason::StopReason;
use completion::InputHelper;
use meta_command::{MetaCommand, parse_bare_word, words};
use terminal_state::TerminalState;

/// Lines that are remembered.
const HISTORY_LINES_MAX: usize = 5_000;

const PROMPT: &str = "ticksql> ";

const GREETING: &str = "End a statement with a semicolon. \\? lists the commands, \\q leaves.";

const HELP: &str = "\
SELECT …;            run a statement; it ends with a semicolon
\\run NAME k=v …      run a named query with its parameters
\\l                   list the named queries and their parameters
\\d                   list tables and views
\\d TABLE             list the columns of one
\\set NAME VALUE      keep a value for :NAME, for every statement and named query that takes it
\\set                 list the values that are kept, including those of -p
\\unset NAME          drop a value
\\format FORMAT       table, csv, tsv, jsonl, json, markdown
\\timing              turn the summary of each query (rows, time, bytes, cost) on or off
\\chart [COLUMN]      draw answers instead of showing rows, on or off
\\? or help           this list
\\q, quit or exit     leave (also Ctrl-D); Ctrl-C discards the input
";

/// Where statements come from.
enum Input {
    Terminal(Box<Terminal>),
    /// Standard input without a terminal. The line editor would drop a last statement without a
    /// semicolon.
    Script,
}

/// A line editor, and the file of its history.
struct Terminal {
    editor: Editor<InputHelper, FileHistory>,
    history: Option<PathBuf>,
}

impl Terminal {
    fn open(tables: &[TableColumns], options: &Options) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES_MAX)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(InputHelper::of(tables)));
        let folder = options.environment.state_folder();
        let history = folder.map(|folder| folder.join("shell_history"));
        if let Some(file) = &history {
            // There is none before the first session.
            _ = editor.load_history(file);
        }
        Ok(Self { editor, history })
    }

    /// The next statement or command; `None` if the user leaves. Ctrl-C discards what is typed.
    fn next(&mut self) -> Result<Option<String>, ReadlineError> {
        loop {
            return match self.editor.readline(PROMPT) {
                Ok(text) if script::is_quit(&text) => Ok(None),
                Ok(text) => Ok(Some(text)),
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => Ok(None),
                Err(error) => Err(error),
            };
        }
    }

    /// Adds what was typed to the history at once: a shell may end at any time.
    fn remember(&mut self, text: &str, outputs: &mut Outputs<'_>) {
        _ = self.editor.add_history_entry(text);
        if let Some(file) = &self.history
            && let Err(error) = append(&mut self.editor, file)
        {
            let file = file.display();
            _ = writeln!(outputs.status, "note: no history is kept: {file}: {error}");
            self.history = None;
        }
    }
}

fn append(editor: &mut Editor<InputHelper, FileHistory>, file: &Path) -> Result<(), ReadlineError> {
    private_folder(file.parent())?;
    editor.append_history(file)
}

/// Reads and runs statements until the input ends. At a terminal, failures are only reported; otherwise
/// the shell fails with the last one, which has already been reported.
pub(crate) async fn run(
    engine: &dyn Engine,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(), QueryFailure> {
    // Names are only for completion and `\d`: the shell works without them.
    let tables = engine.tables().await.unwrap_or_default();
    let file = options.output.as_deref().map(AtomicFile::start);
    let file = Arc::new(Mutex::new(file.transpose()?));
    let state = TerminalState::save();
    let answers = Arc::clone(&file);
    let at_end = move || {
        state.restore();
        // Nothing writes to it while the shell waits for its user.
        if let Ok(mut file) = answers.try_lock()
            && let Some(file) = file.take()
            && let Err(error) = file.finish()
        {
            // The process exits because of the signal, with its code.
            eprintln!("ticksql: {error}");
        }
    };
    let watch = ShellWatch::start(at_end).map_err(CliError::Start)?;
    let mut shell = Shell {
        engine,
        options: options.clone(),
        tables,
        file: Arc::clone(&file),
        signal: watch.signal(),
    };
    let outcome = converse(&mut shell, &watch, outputs).await;
    // However the shell ends, the answers are kept.
    let kept = file.lock().await.take().map_or(Ok(()), AtomicFile::finish);
    match (outcome, kept) {
        // As for a shell that waits: the exit code is the signal's.
        (Err(failure), Err(error))
            if failure
                .error
                .stop_reason()
                .is_some_and(StopReason::ends_shell)
                || watch.received_signal().is_some() =>
        {
            _ = writeln!(outputs.status, "ticksql: {error}");
            Err(failure)
        }
        (outcome, kept) => kept.map_err(QueryFailure::from).and(outcome),
    }
}

/// Runs statement after statement.
async fn converse(
    shell: &mut Shell<'_>,
    watch: &ShellWatch,
    outputs: &mut Outputs<'_>,
) -> Result<(), QueryFailure> {
    let mut input = if stdin().is_terminal() {
        let terminal = Terminal::open(&shell.tables, &shell.options).map_err(failed)?;
        if !shell.options.quiet {
            _ = writeln!(outputs.status, "{GREETING}");
        }
        Input::Terminal(Box::new(terminal))
    } else {
        Input::Script
    };
    let mut last_failure = None;
    loop {
        if let Some(reason) = watch.wait() {
            return Err(CliError::Stopped {
                reason,
                cancelled: Cancelled::default(),
            }
            .into());
        }
        let next = match &mut input {
            Input::Terminal(terminal) => terminal.next().map_err(failed),
            Input::Script => script::next(&mut stdin().lock())
                .map(|next| next.filter(|text| !script::is_quit(text)))
                .map_err(CliError::Input),
        };
        watch.begin().await;
        let Some(text) = next? else {
            break;
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if let Input::Terminal(terminal) = &mut input {
            terminal.remember(text, outputs);
        }
        match shell.line(text, outputs).await {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => break,
            Err(failure) => match failure.error.stop_reason() {
                Some(reason) if watch.received_signal().is_some() || reason.ends_shell() => {
                    return Err(failure.error.into());
                }
                _ => {
                    _ = outputs.status.write_all(failure.message().as_bytes());
                    if !failure.error.is_reader_gone() {
                        last_failure = Some(failure.reported());
                    }
                }
            },
        }
    }
    match (last_failure, input) {
        (Some(failure), Input::Script) => Err(failure),
        _ => Ok(()),
    }
}

fn failed(error: ReadlineError) -> CliError {
    CliError::Input(io::Error::other(error))
}

enum Next {
    Go,
    Leave,
}

struct Shell<'a> {
    engine: &'a dyn Engine,
    options: Options,
    tables: Vec<TableColumns>,
    /// The file that all answers go to, one after another.
    file: Arc<Mutex<Option<AtomicFile>>>,
    signal: ShellSignal,
}

impl Shell<'_> {
    async fn line(&mut self, line: &str, outputs: &mut Outputs<'_>) -> Result<Next, QueryFailure> {
        let plain = parse_bare_word(line);
        let command = line.strip_prefix('\\');
        let command = command.or(plain.map(|_| line));
        let Some(command) = command else {
            let source = source::of_text(None, line.to_owned())?;
            self.run_query(&source, Vec::new(), outputs).await?;
            return Ok(Next::Go);
        };
        let words = words(command.trim_end_matches(';'));
        let mut words = words.iter().map(String::as_str);
        let word = words.next().unwrap_or_default();
        let argument = words.next();
        match plain.or_else(|| MetaCommand::of(word)) {
            Some(MetaCommand::Quit) => return Ok(Next::Leave),
            Some(MetaCommand::Help) => write_out(outputs, HELP)?,
            Some(MetaCommand::Tables) => self.describe(argument, outputs)?,
            Some(MetaCommand::Queries) => {
                // The file of -o is for answers.
                let options = Options {
                    output: None,
                    ..self.options.clone()
                };
                list::list(&options, outputs)?;
            }
            Some(MetaCommand::Timing) => {
                self.options.quiet = !self.options.quiet;
                let state = if self.options.quiet { "off" } else { "on" };
                _ = writeln!(outputs.status, "timing is {state}");
            }
            Some(MetaCommand::Chart) => {
                let column = argument.unwrap_or_default().to_owned();
                let same = self.options.chart.as_deref() == Some(&column)
                    || (argument.is_none() && self.options.chart.is_some());
                self.options.chart = if same { None } else { Some(column) };
            }
            Some(MetaCommand::Format) => self.set_format(argument)?,
            Some(MetaCommand::Run) => {
                let Some(name) = argument else {
                    let text = "write \\run NAME parameter=value …".to_owned();
                    return Err(CliError::Usage(text).into());
                };
                let source = source::named(name)?.ok_or_else(|| source::unknown(name))?;
                let given = words.map(|word| word.split_once('='));
                let given = given.map(|pair| pair.map(|(k, v)| (k.to_owned(), v.to_owned())));
                let Some(given) = given.collect::<Option<Vec<_>>>() else {
                    let text = "write each parameter as name=value".to_owned();
                    return Err(CliError::Usage(text).into());
                };
                self.run_query(&source, given, outputs).await?;
            }
            Some(MetaCommand::Set) => match argument {
                None => {
                    let rows = listing::values(&self.options.params)?;
                    format::all(self.format(), &rows, outputs.output)?;
                }
                Some(argument) => {
                    let value: Vec<&str> = words.collect();
                    // `name=value`, as -p takes it, works as well.
                    let (name, value) = match argument.split_once('=') {
                        Some((name, text)) if value.is_empty() => (name, text.to_owned()),
                        _ if value.is_empty() => {
                            let text = "write \\set NAME VALUE; '' is an empty value";
                            return Err(CliError::Usage(text.to_owned()).into());
                        }
                        _ => (argument, value.join(" ")),
                    };
                    variables::set(&mut self.options.params, name, value)?;
                }
            },
            Some(MetaCommand::Unset) => {
                let Some(name) = argument else {
                    return Err(CliError::Usage("write \\unset NAME".to_owned()).into());
                };
                variables::unset(&mut self.options.params, name)?;
            }
            None => {
                let text = format!("no command \\{word}; \\? lists the commands");
                return Err(CliError::Usage(text).into());
            }
        }
        Ok(Next::Go)
    }

    /// Runs a query with the values given for it, and those kept that it takes.
    async fn run_query(
        &mut self,
        source: &Source,
        given: Vec<(String, String)>,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), QueryFailure> {
        let params = variables::for_query(&source.query, &self.options.params, given);
        let options = Options {
            params,
            ..self.options.clone()
        };
        let (engine, signal) = (self.engine, self.signal.clone());
        let answer = async {
            let signals = QuerySignals::listen(signal)?;
            let mut file = self.file.lock().await;
            let Some(file) = file.as_mut() else {
                return execute::execute(engine, source, &options, None, signals, outputs).await;
            };
            let before = file.len()?;
            let answer =
                execute::execute(engine, source, &options, Some(file), signals, outputs).await;
            if answer.is_err() {
                // No partial answer is left between the others.
                file.truncate(before)?;
            }
            answer
        };
        let summary = answer.await;
        let summary = summary.map_err(|error| QueryFailure::of(error, source))?;
        summary.report(self.options.quiet, outputs.status);
        Ok(())
    }

    fn format(&self) -> Format {
        self.options.format.unwrap_or(Format::Table)
    }

    fn set_format(&mut self, name: Option<&str>) -> Result<(), CliError> {
        let known = |name: &str| Format::from_str(name, true).ok();
        match name.and_then(known) {
            Some(format) if format != Format::Parquet => {
                self.options.format = Some(format);
                Ok(())
            }
            _ => Err(CliError::Usage(format!(
                "write \\format FORMAT: {}",
                Format::of_shell().join(", ")
            ))),
        }
    }

    fn describe(&self, table: Option<&str>, outputs: &mut Outputs<'_>) -> Result<(), CliError> {
        let rows = match table {
            None => listing::tables(&self.tables)?,
            Some(name) => {
                let mut tables = self.tables.iter();
                let table = tables.find(|table| table.name.eq_ignore_ascii_case(name));
                let table = table.ok_or_else(|| {
                    CliError::Usage(format!("no table `{name}`; \\d lists the tables"))
                })?;
                listing::columns(table)?
            }
        };
        format::all(self.format(), &rows, outputs.output)
    }
}

fn write_out(outputs: &mut Outputs<'_>, text: &str) -> Result<(), CliError> {
    outputs.output.write_all(text.as_bytes())?;
    Ok(outputs.output.flush()?)
}
