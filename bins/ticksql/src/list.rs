//! The named queries and their parameters.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use crate::cli_error::CliError;
use crate::destination::write_rows;
use crate::named::{self, Query};
use crate::options::Options;
use crate::outputs::Outputs;

/// Writes the named queries: in a format, or as a list for people.
pub(crate) fn list(options: &Options, outputs: &mut Outputs<'_>) -> Result<(), CliError> {
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
    write_rows(options, &batch, outputs.output)
}

/// Names, titles and parameters of the named queries.
fn queries() -> Result<[Vec<String>; 3], CliError> {
    let mut columns: [Vec<String>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for name in named::names() {
        let Some(text) = named::text(&name) else {
            continue;
        };
        let query = Query::parse(&text).map_err(|error| CliError::Header {
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
