//! What each command does.

use std::io::Read;

use crate::atomic_file::AtomicFile;
use crate::choose_engine;
use crate::cli::{Cli, Command};
use crate::cli_error::CliError;
use crate::destination::{self, write_rows, write_text};
use crate::engine::{Engine, PastQuery};
use crate::execute;
use crate::explain;
use crate::history;
use crate::list;
use crate::options::{EngineName, Format, Options};
use crate::outputs::Outputs;
use crate::query_failure::QueryFailure;
use crate::shell;
use crate::source;
use crate::stop::{QuerySignals, ShellSignal};

pub(crate) async fn run(
    cli: &Cli,
    input: &mut dyn Read,
    outputs: &mut Outputs<'_>,
) -> Result<(), QueryFailure> {
    let options = &cli.options;
    if let (Some(_), Some(query)) = (&cli.command, &cli.query) {
        let text = format!("`{query}` precedes the command: pass a query or a command, not both");
        return Err(CliError::Usage(text).into());
    }
    if let Some(command) = &cli.command {
        check_output_options(command, options)?;
    }
    match &cli.command {
        None => answer(cli.query.as_deref(), options, input, outputs).await,
        Some(Command::Run { query }) => answer(query.as_deref(), options, input, outputs).await,
        Some(Command::Explain { query, plan }) => {
            let source = source::find(query.as_deref(), input)?;
            let engine = open(options, None, outputs).await?;
            let explained = explain::explain(&*engine, &source, *plan, options, outputs).await;
            explained.map_err(|error| QueryFailure::of(error, &source))
        }
        Some(Command::List) => Ok(list::list(options, outputs)?),
        Some(Command::Show { name }) => Ok(show(name, options, outputs)?),
        Some(Command::History { count }) => Ok(past(*count, options, outputs).await?),
        Some(Command::Cancel { id }) => {
            let engine = open(options, None, outputs).await?;
            engine.cancel(id).await.map_err(CliError::from)?;
            if !options.quiet {
                _ = writeln!(outputs.status, "{id} is cancelled");
            }
            Ok(())
        }
        #[cfg(feature = "aws")]
        Some(Command::Init(args)) => {
            if options.engine == Some(EngineName::Local) {
                let text = "init creates what Athena needs, and the local engine needs nothing: \
                            omit --engine (or TICKSQL_ENGINE)";
                return Err(CliError::Usage(text.to_owned()).into());
            }
            let created = crate::init::run(args, &options.athena, outputs.status).await;
            Ok(created.map_err(CliError::from)?)
        }
        Some(Command::Shell) => {
            let engine = open(options, None, outputs).await?;
            shell::run(&*engine, options, outputs).await
        }
    }
}

/// Refuses options for the answer that a command would ignore.
fn check_output_options(command: &Command, options: &Options) -> Result<(), CliError> {
    // Which of these each command takes: --output, --format, --chart, --html.
    let (name, takes) = match command {
        Command::Run { .. } => return Ok(()),
        Command::Shell => ("shell", [true, true, true, false]),
        Command::List => ("list", [true, true, false, false]),
        Command::History { .. } => ("history", [true, true, false, false]),
        Command::Explain { .. } => ("explain", [true, true, false, false]),
        Command::Show { .. } => ("show", [true, false, false, false]),
        Command::Cancel { .. } => ("cancel", [false; 4]),
        #[cfg(feature = "aws")]
        Command::Init(_) => ("init", [false; 4]),
    };
    let given = [
        ("--output", options.output.is_some()),
        ("--format", options.format.is_some()),
        ("--chart", options.chart.is_some()),
        ("--html", options.html.is_some()),
    ];
    let ignored = given.iter().zip(takes);
    let mut ignored = ignored.filter(|((_, is_given), takes)| *is_given && !takes);
    if let Some(((option, _), _)) = ignored.next() {
        return Err(CliError::Usage(format!(
            "`{name}` does not take {option}: omit it"
        )));
    }
    if matches!(command, Command::Shell) && destination::format(options)? == Format::Parquet {
        return Err(CliError::Usage(
            "a Parquet file holds one answer, and a shell may have several: run the query with `ticksql run`, or choose another format"
                .to_owned(),
        ));
    }
    Ok(())
}

async fn answer(
    query: Option<&str>,
    options: &Options,
    input: &mut dyn Read,
    outputs: &mut Outputs<'_>,
) -> Result<(), QueryFailure> {
    let format = destination::format(options)?;
    let source = source::find(query, input)?;
    let rows_max = destination::rows_max(options, format);
    let engine = open(options, rows_max, outputs).await?;
    let answered = async {
        // Before there is a file to remove.
        let signals = QuerySignals::listen(ShellSignal::none())?;
        let file = options.output.as_deref().map(AtomicFile::start);
        let mut file = file.transpose()?;
        let summary =
            execute::execute(&*engine, &source, options, file.as_mut(), signals, outputs).await?;
        if let Some(file) = file {
            file.finish()?;
        }
        summary.report(options.quiet, outputs.status);
        Ok(())
    };
    answered
        .await
        .map_err(|error| QueryFailure::of(error, &source))
}

/// Opens the engine and reports which it is.
async fn open(
    options: &Options,
    rows_max: Option<usize>,
    outputs: &mut Outputs<'_>,
) -> Result<Box<dyn Engine>, CliError> {
    let selected = choose_engine::engine(options);
    let opened = choose_engine::open(selected.engine, options, rows_max).await;
    if !options.quiet {
        // The region may be known only once a profile was read.
        let region = opened.as_ref().ok().and_then(|engine| engine.region());
        _ = writeln!(outputs.status, "{}", selected.message(region.as_deref()));
    }
    opened
}

fn show(name: &str, options: &Options, outputs: &mut Outputs<'_>) -> Result<(), CliError> {
    let mut no_input = std::io::empty();
    let source = match source::named(name)? {
        Some(source) => source,
        None if name.contains(char::is_whitespace) => return Err(source::unknown(name)),
        None => source::find(Some(name), &mut no_input)?,
    };
    write_text(options, &source.text, outputs.output)
}

/// Queries from this machine, and if Athena is the engine, those of the workgroup too.
async fn past(count: usize, options: &Options, outputs: &mut Outputs<'_>) -> Result<(), CliError> {
    let journal = choose_engine::journal(options);
    let of_service = match choose_engine::engine(options).engine {
        EngineName::Local => Ok(Vec::new()),
        EngineName::Athena => past_of_service(count, options, outputs).await,
    };
    let (mut queries, failed) = match of_service {
        Ok(queries) => (queries, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    if let Some(journal) = journal {
        journal.add_names(&mut queries);
        queries.extend(journal.newest_local(count));
    }
    queries.sort_by_key(|query| std::cmp::Reverse(query.at_ms));
    queries.truncate(count);
    let batch = history::rows(&queries)?;
    // The local history is shown even if the service fails.
    write_rows(options, &batch, outputs.output)?;
    let Some(error) = failed else {
        return Ok(());
    };
    if !options.quiet {
        let note =
            "note: the workgroup cannot be queried, so only queries from this machine are shown";
        _ = writeln!(outputs.status, "{note}");
    }
    Err(error)
}

async fn past_of_service(
    count: usize,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<Vec<PastQuery>, CliError> {
    let engine = open(options, None, outputs).await?;
    Ok(engine.history(count).await?)
}
