//! Writes an answer in a format as its rows arrive. NULL and the empty text differ in each.

mod cell_text;
mod json;
mod parquet;
mod separated;
mod table;

use std::io::Write;
use std::time::Duration;

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::util::display::FormatOptions;

use crate::cli_error::CliError;
use crate::options::Format;
use cell_text::{DoubleFormatters, formatter};

/// How a table shows NULL.
const NULL: &str = "NULL";

/// The figures of an answer at its end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ending {
    pub(crate) rows: usize,
    pub(crate) truncated: bool,
    pub(crate) files: Option<usize>,
    pub(crate) bytes_read: u64,
    pub(crate) elapsed: Duration,
}

/// Writes rows as they arrive.
pub(crate) trait Rows {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError>;

    fn finish(self: Box<Self>, ending: &Ending) -> Result<(), CliError>;
}

/// Starts an answer in a format.
pub(crate) fn start<'w>(
    format: Format,
    schema: &SchemaRef,
    output: &'w mut (dyn Write + Send),
) -> Result<Box<dyn Rows + 'w>, CliError> {
    Ok(match format {
        Format::Table => Box::new(table::Table::new(schema, output)),
        Format::Markdown => Box::new(table::Markdown::new(schema, output)),
        Format::Csv => Box::new(separated::Separated::csv(schema, output)?),
        Format::Tsv => Box::new(separated::Separated::tsv(schema, output)?),
        Format::Jsonl => Box::new(json::Lines::new(output)),
        Format::Json => Box::new(json::Document::new(schema, output)?),
        Format::Parquet => Box::new(parquet::File::new(schema, output)?),
    })
}

/// Writes a complete answer.
pub(crate) fn all(
    format: Format,
    batch: &RecordBatch,
    output: &mut (dyn Write + Send),
) -> Result<(), CliError> {
    let mut rows = start(format, &batch.schema(), output)?;
    rows.batch(batch)?;
    rows.finish(&Ending {
        rows: batch.num_rows(),
        ..Ending::default()
    })
}

/// The cells of a batch as texts, row by row; `None` is NULL.
pub(crate) fn for_each_row(
    batch: &RecordBatch,
    mut row_of: impl FnMut(Vec<Option<String>>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    // A NULL within an array or a row must not look like an empty text.
    let options = FormatOptions::default()
        .with_null(NULL)
        .with_formatter_factory(Some(&DoubleFormatters));
    // `is_null` is false in a column of type NULL, which has no null buffer.
    let nulls = batch.columns().iter().map(|array| array.logical_nulls());
    let nulls: Vec<_> = nulls.collect();
    let columns = batch
        .columns()
        .iter()
        .map(|array| formatter(array, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let mut cells = Vec::with_capacity(columns.len());
        for (nulls, formatter) in nulls.iter().zip(&columns) {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            let text = || formatter.value(row).try_to_string();
            cells.push(if is_null { None } else { Some(text()?) });
        }
        row_of(cells)?;
    }
    Ok(())
}
