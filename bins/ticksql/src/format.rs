//! Writes an answer in a format as its rows arrive. NULL and the empty text differ in each.

mod cell_text;
mod json;
mod parquet;
mod separated;
mod table;

use std::io::Write;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::cli_error::CliError;
use crate::options::Format;
pub(crate) use cell_text::for_each_row;

/// The figures of an answer at its end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AnswerSummary {
    pub(crate) rows: usize,
    pub(crate) truncated: bool,
    pub(crate) files: Option<usize>,
    pub(crate) bytes_read: u64,
    pub(crate) elapsed: Duration,
}

/// Writes rows as they arrive.
pub(crate) trait Rows {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError>;

    fn finish(self: Box<Self>, summary: &AnswerSummary) -> Result<(), CliError>;

    /// Writes the rows so far, after which the query failed. What only a complete answer has is omitted,
    /// so that a JSON document or a Parquet file cannot be mistaken for one.
    fn finish_incomplete(self: Box<Self>) -> Result<(), CliError>;
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
    rows.finish(&AnswerSummary {
        rows: batch.num_rows(),
        ..AnswerSummary::default()
    })
}
