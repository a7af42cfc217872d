//! What each command does.

use std::io::Read;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use crate::Failure;
use crate::ask::{self, Outputs};
use crate::choice;
use crate::cli::{Cli, Command, Options};
use crate::destination::{self, Aside};
use crate::engine::{Engine, EngineName, PastQuery};
use crate::explain;
use crate::format;
use crate::history;
use crate::named::{self, Query};
use crate::problem::Problem;
use crate::shell;
use crate::source;

pub(crate) async fn run(
    cli: &Cli,
    input: &mut dyn Read,
    outputs: &mut Outputs<'_>,
) -> Result<(), Failure> {
    let options = &cli.options;
    if let (Some(_), Some(query)) = (&cli.command, &cli.query) {
        let text =
            format!("`{query}` stands before the command: give a query or a command, not both");
        return Err(Problem::Usage(text).into());
    }
    match &cli.command {
        None => answer(cli.query.as_deref(), options, input, outputs).await,
        Some(Command::Run { query }) => answer(query.as_deref(), options, input, outputs).await,
        Some(Command::Explain { query, plan }) => {
            let source = source::find(query.as_deref(), input)?;
            let engine = open(options, None, outputs).await?;
            let explained = explain::explain(&*engine, &source, *plan, options, outputs).await;
            explained.map_err(|problem| Failure::of(problem, &source))
        }
        Some(Command::List) => Ok(list(options, outputs)?),
        Some(Command::Show { name }) => Ok(show(name, outputs)?),
        Some(Command::History { count }) => Ok(past(*count, options, outputs).await?),
        Some(Command::Cancel { id }) => {
            let engine = open(options, None, outputs).await?;
            engine.cancel(id).await.map_err(Problem::from)?;
            if !options.quiet {
                _ = writeln!(outputs.status, "{id} is cancelled");
            }
            Ok(())
        }
        #[cfg(feature = "aws")]
        Some(Command::Init(args)) => {
            if options.engine == Some(EngineName::Local) {
                let text = "init makes what Athena needs; the local engine needs nothing made: \
                            leave --engine (or TICKSQL_ENGINE) out";
                return Err(Problem::Usage(text.to_owned()).into());
            }
            let made = crate::init::run(args, &options.athena, outputs.status).await;
            Ok(made.map_err(Problem::from)?)
        }
        Some(Command::Shell) => {
            let engine = open(options, None, outputs).await?;
            shell::run(&*engine, options, outputs).await
        }
    }
}

async fn answer(
    query: Option<&str>,
    options: &Options,
    input: &mut dyn Read,
    outputs: &mut Outputs<'_>,
) -> Result<(), Failure> {
    let format = destination::format(options)?;
    let source = source::find(query, input)?;
    let rows_max = destination::rows_max(options, format);
    let engine = open(options, rows_max, outputs).await?;
    let answered = ask::ask(&*engine, &source, options, outputs).await;
    answered.map_err(|problem| Failure::of(problem, &source))
}

/// Opens the engine and says which it is.
async fn open(
    options: &Options,
    rows_max: Option<usize>,
    outputs: &mut Outputs<'_>,
) -> Result<Box<dyn Engine>, Problem> {
    let choice = choice::engine(options);
    let opened = choice::open(choice.engine, options, rows_max).await;
    if !options.quiet {
        // Which region it is may be known only once a profile was read.
        let region = opened.as_ref().ok().and_then(|engine| engine.region());
        _ = writeln!(outputs.status, "{}", choice.told(region.as_deref()));
    }
    opened
}

/// Tells the named queries: in a format, or for people to read.
pub(crate) fn list(options: &Options, outputs: &mut Outputs<'_>) -> Result<(), Problem> {
    let [names, titles, parameters] = queries()?;
    if options.format.is_none() && options.output.is_none() {
        let width = names.iter().map(String::len).max().unwrap_or(0);
        for ((name, title), takes) in names.iter().zip(&titles).zip(&parameters) {
            writeln!(outputs.output, "{name:<width$}  {title}")?;
            writeln!(outputs.output, "{:<width$}  {takes}", "")?;
        }
        return Ok(outputs.output.flush()?);
    }
    let array = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("name", array(names)),
        ("title", array(titles)),
        ("parameters", array(parameters)),
    ])?;
    written(options, &batch, outputs)
}

/// Writes rows that are all there to where the answer goes.
fn written(
    options: &Options,
    batch: &RecordBatch,
    outputs: &mut Outputs<'_>,
) -> Result<(), Problem> {
    let format = destination::format(options)?;
    let Some(path) = &options.output else {
        return format::all(format, batch, outputs.output);
    };
    let mut file = Aside::start(path)?;
    format::all(format, batch, file.writer())?;
    file.finish()
}

/// Names, titles and parameters of the named queries.
fn queries() -> Result<[Vec<String>; 3], Problem> {
    let mut columns: [Vec<String>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for name in named::names() {
        let Some(text) = named::text(&name) else {
            continue;
        };
        let query = Query::parse(&text).map_err(|error| Problem::Header {
            source_name: name.clone(),
            error,
        })?;
        let takes: Vec<String> = query.parameters.iter().map(ToString::to_string).collect();
        for (column, text) in columns
            .iter_mut()
            .zip([name, query.title, takes.join(", ")])
        {
            column.push(text);
        }
    }
    Ok(columns)
}

fn show(name: &str, outputs: &mut Outputs<'_>) -> Result<(), Problem> {
    let mut nobody = std::io::empty();
    let source = match source::named(name)? {
        Some(source) => source,
        None if name.contains(char::is_whitespace) => return Err(source::unknown(name)),
        None => source::find(Some(name), &mut nobody)?,
    };
    outputs.output.write_all(source.text.as_bytes())?;
    Ok(outputs.output.flush()?)
}

/// Queries of this machine, and where Athena is the engine, of the workgroup too.
async fn past(count: usize, options: &Options, outputs: &mut Outputs<'_>) -> Result<(), Problem> {
    let journal = choice::journal(options);
    let of_service = match choice::engine(options).engine {
        EngineName::Local => Ok(Vec::new()),
        EngineName::Athena => past_of_service(count, options, outputs).await,
    };
    let mut queries = Vec::new();
    let mut failed = None;
    match of_service {
        Ok(found) => queries = found,
        Err(problem) => failed = Some(problem),
    }
    if let Some(journal) = journal {
        journal.name(&mut queries);
        queries.extend(journal.newest_local(count));
    }
    queries.sort_by_key(|query| std::cmp::Reverse(query.at_ms));
    queries.truncate(count);
    let batch = history::rows(&queries)?;
    // What is known here is shown, whatever the service says.
    written(options, &batch, outputs)?;
    let Some(problem) = failed else {
        return Ok(());
    };
    if !options.quiet {
        let note =
            "note: the workgroup could not be asked, and only queries of this machine are shown";
        _ = writeln!(outputs.status, "{note}");
    }
    Err(problem)
}

async fn past_of_service(
    count: usize,
    options: &Options,
    outputs: &mut Outputs<'_>,
) -> Result<Vec<PastQuery>, Problem> {
    let engine = open(options, None, outputs).await?;
    Ok(engine.history(count).await?)
}
