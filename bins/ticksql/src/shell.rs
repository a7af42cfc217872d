//! One question after the other, with a history of what was typed and completion of names.

mod complete;
mod statements;
mod terminal;
mod typed;
mod values;
mod words;

use std::io::{self, IsTerminal as _, stdin};
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, Editor};

use crate::Failure;
use crate::ask::{self, Outputs};
use crate::cli::{Format, Options};
use crate::commands;
use crate::engine::{Cancelled, Engine, TableColumns};
use crate::format;
use crate::history::private_folder;
use crate::problem::Problem;
use crate::source::{self, Source};
use crate::stop::ShellWatch;
use complete::Names;
use terminal::Terminal;
use words::{Word, of_line, words};

/// Lines that are remembered.
const HISTORY_LINES_MAX: usize = 5_000;

const GREETING: &str = "a statement ends with a semicolon; \\? tells the commands, \\q leaves";

const HELP: &str = "\
SELECT …;            run a statement; it ends with a semicolon
\\run NAME k=v …      run a named query with its parameters
\\l                   the named queries and what they take
\\d                   tables and views
\\d TABLE             the columns of one
\\set NAME VALUE      keep a value for :NAME, in statements and named queries that take it
\\set                 the values that are kept, those of -p too
\\unset NAME          keep it no longer
\\format FORMAT       table, csv, tsv, jsonl, json, markdown
\\timing              tell rows, time, bytes and cost of each query, or no longer
\\chart [COLUMN]      draw the answers instead of showing rows, or no longer
\\? or help           this
\\q, quit or exit     leave (Ctrl-D does, too); Ctrl-C takes back what is typed
";

/// Reads and runs until the end of the input. Where that is a terminal, what fails is told and that is
/// all; otherwise the last failure is the shell's, told already.
pub(crate) async fn run(
    engine: &dyn Engine,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<(), Failure> {
    // Names are for convenience: where they cannot be had, the shell works without.
    let tables = engine.tables().await.unwrap_or_default();
    let mut shell = Shell {
        engine,
        options: options.clone(),
        tables,
    };
    let terminal = Terminal::as_it_is();
    let watch = ShellWatch::start(|| terminal.restore()).map_err(Problem::Start)?;
    let mut editor = shell.editor().map_err(failed)?;
    let mut history = history_file(options);
    if let Some(file) = &history {
        // There is none before the first time.
        _ = editor.load_history(file);
    }
    let is_typed = stdin().is_terminal();
    if is_typed && !options.quiet {
        _ = writeln!(outputs.status, "{GREETING}");
    }
    let mut last_failure = None;
    loop {
        let line = if is_typed {
            let next = typed::next(|prompt| editor.readline(prompt));
            let Some(text) = next.map_err(failed)? else {
                break;
            };
            text
        } else {
            // The line editor would drop a last statement that has no semicolon.
            let next = statements::next(&mut stdin().lock());
            let Some(text) = next.map_err(Problem::Input)? else {
                break;
            };
            text
        };
        if line.trim().is_empty() {
            continue;
        }
        _ = editor.add_history_entry(line.trim());
        if let Some(file) = &history
            && let Err(error) = remember(&mut editor, file)
        {
            let file = file.display();
            _ = writeln!(outputs.status, "note: no history is kept: {file}: {error}");
            history = None;
        }
        let done = watch.while_busy(shell.line(line.trim(), outputs)).await;
        let told = watch.told();
        match done {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => break,
            Err(failure) => match failure.problem.reason() {
                Some(reason) if told.is_some() || reason.ends_shell() => {
                    return Err(failure.problem.into());
                }
                _ => {
                    _ = outputs.status.write_all(failure.told().as_bytes());
                    if !failure.problem.is_reader_gone() {
                        last_failure = Some(failure.already_told());
                    }
                }
            },
        }
        if let Some(reason) = told {
            return Err(Problem::Stopped {
                reason,
                cancelled: Cancelled::default(),
            }
            .into());
        }
    }
    match last_failure {
        Some(failure) if !is_typed => Err(failure),
        Some(_) | None => Ok(()),
    }
}

fn failed(error: ReadlineError) -> Problem {
    Problem::Input(io::Error::other(error))
}

fn history_file(options: &Options) -> Option<PathBuf> {
    let folder = options.surroundings.state_folder()?;
    Some(folder.join("shell_history"))
}

/// Adds the last line to the file, which only its user reads: a shell may end at any time.
fn remember(editor: &mut Editor<Names, FileHistory>, file: &Path) -> Result<(), ReadlineError> {
    private_folder(file.parent())?;
    editor.append_history(file)
}

enum Next {
    Go,
    Leave,
}

struct Shell<'a> {
    engine: &'a dyn Engine,
    options: Options,
    tables: Vec<TableColumns>,
}

impl Shell<'_> {
    fn editor(&self) -> Result<Editor<Names, FileHistory>, ReadlineError> {
        let config = Config::builder()
            .max_history_size(HISTORY_LINES_MAX)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Names::of(&self.tables)));
        Ok(editor)
    }

    async fn line(&mut self, line: &str, outputs: &mut Outputs<'_>) -> Result<Next, Failure> {
        let plain = of_line(line);
        let command = line.strip_prefix('\\');
        let command = command.or(plain.map(|_| line));
        let Some(command) = command else {
            let source = source::of_text(None, line.to_owned())?;
            self.ask(&source, Vec::new(), outputs).await?;
            return Ok(Next::Go);
        };
        let words = words(command.trim_end_matches(';'));
        let mut words = words.iter().map(String::as_str);
        let word = words.next().unwrap_or_default();
        let argument = words.next();
        match plain.or_else(|| Word::of(word)) {
            Some(Word::Quit) => return Ok(Next::Leave),
            Some(Word::Help) => write_out(outputs, HELP)?,
            Some(Word::Tables) => self.describe(argument, outputs)?,
            Some(Word::Queries) => {
                commands::list(&self.options, outputs)?;
            }
            Some(Word::Timing) => {
                self.options.quiet = !self.options.quiet;
                let state = if self.options.quiet { "off" } else { "on" };
                _ = writeln!(outputs.status, "timing is {state}");
            }
            Some(Word::Chart) => {
                let column = argument.unwrap_or_default().to_owned();
                let same = self.options.chart.as_deref() == Some(&column)
                    || (argument.is_none() && self.options.chart.is_some());
                self.options.chart = if same { None } else { Some(column) };
            }
            Some(Word::Format) => self.set_format(argument)?,
            Some(Word::Run) => {
                let Some(name) = argument else {
                    let text = "write \\run NAME parameter=value …".to_owned();
                    return Err(Problem::Usage(text).into());
                };
                let source = source::named(name)?.ok_or_else(|| source::unknown(name))?;
                let given = words.map(|word| word.split_once('='));
                let given = given.map(|pair| pair.map(|(k, v)| (k.to_owned(), v.to_owned())));
                let Some(given) = given.collect::<Option<Vec<_>>>() else {
                    let text = "write each parameter as name=value".to_owned();
                    return Err(Problem::Usage(text).into());
                };
                self.ask(&source, given, outputs).await?;
            }
            Some(Word::Set) => match argument {
                None => {
                    let rows = complete::values(&self.options.params)?;
                    format::all(self.format(), &rows, outputs.output)?;
                }
                Some(argument) => {
                    let value: Vec<&str> = words.collect();
                    // As -p has it, `name=value`, does as well.
                    let (name, value) = match argument.split_once('=') {
                        Some((name, text)) if value.is_empty() => (name, text.to_owned()),
                        _ if value.is_empty() => {
                            let text = "write \\set NAME VALUE; '' is an empty value";
                            return Err(Problem::Usage(text.to_owned()).into());
                        }
                        _ => (argument, value.join(" ")),
                    };
                    values::set(&mut self.options.params, name, value)?;
                }
            },
            Some(Word::Unset) => {
                let Some(name) = argument else {
                    return Err(Problem::Usage("write \\unset NAME".to_owned()).into());
                };
                values::unset(&mut self.options.params, name)?;
            }
            None => {
                let text = format!("there is no \\{word}; \\? tells what there is");
                return Err(Problem::Usage(text).into());
            }
        }
        Ok(Next::Go)
    }

    /// Asks with the values given for this query, and those kept that it takes.
    async fn ask(
        &self,
        source: &Source,
        given: Vec<(String, String)>,
        outputs: &mut Outputs<'_>,
    ) -> Result<(), Failure> {
        let mut options = self.options.clone();
        options.params = values::for_query(&source.query, &self.options.params, given);
        let asked = ask::ask(self.engine, source, &options, outputs).await;
        asked.map_err(|problem| Failure::of(problem, source))
    }

    fn format(&self) -> Format {
        self.options.format.unwrap_or(Format::Table)
    }

    fn set_format(&mut self, name: Option<&str>) -> Result<(), Problem> {
        let known = |name: &str| Format::from_str(name, true).ok();
        match name.and_then(known) {
            Some(format) if format != Format::Parquet => {
                self.options.format = Some(format);
                Ok(())
            }
            _ => Err(Problem::Usage(
                "the formats are table, csv, tsv, jsonl, json, markdown".to_owned(),
            )),
        }
    }

    fn describe(&self, table: Option<&str>, outputs: &mut Outputs<'_>) -> Result<(), Problem> {
        let rows = match table {
            None => complete::tables(&self.tables)?,
            Some(name) => {
                let mut tables = self.tables.iter();
                let table = tables.find(|table| table.name.eq_ignore_ascii_case(name));
                let table = table.ok_or_else(|| {
                    Problem::Usage(format!(
                        "there is no table `{name}`; \\d tells which there are"
                    ))
                })?;
                complete::columns(table)?
            }
        };
        format::all(self.format(), &rows, outputs.output)
    }
}

fn write_out(outputs: &mut Outputs<'_>, text: &str) -> Result<(), Problem> {
    outputs.output.write_all(text.as_bytes())?;
    Ok(outputs.output.flush()?)
}
