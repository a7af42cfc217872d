//! Separated values, one row per line.

use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::cell_text::for_each_row;
use super::{AnswerSummary, Rows};
use crate::cli_error::CliError;

/// Rows of cells with a separator between them.
pub(super) struct Separated<'w> {
    output: BufWriter<&'w mut (dyn Write + Send)>,
    separator: &'static str,
    cell: fn(Option<&str>) -> String,
}

impl<'w> Separated<'w> {
    /// As RFC 4180, with quotes around every text that needs them and around the empty one.
    pub(super) fn csv(
        schema: &SchemaRef,
        output: &'w mut (dyn Write + Send),
    ) -> Result<Self, CliError> {
        Self::with_header(schema, output, ",", |text| {
            text.map(quoted).unwrap_or_default()
        })
    }

    /// As PostgreSQL's COPY writes text: `\N` for NULL, and backslash escapes for what would
    /// separate cells or rows.
    pub(super) fn tsv(
        schema: &SchemaRef,
        output: &'w mut (dyn Write + Send),
    ) -> Result<Self, CliError> {
        Self::with_header(schema, output, "\t", |text| {
            text.map_or_else(|| "\\N".to_owned(), escaped)
        })
    }

    fn with_header(
        schema: &SchemaRef,
        output: &'w mut (dyn Write + Send),
        separator: &'static str,
        cell: fn(Option<&str>) -> String,
    ) -> Result<Self, CliError> {
        let mut rows = Self {
            output: BufWriter::new(output),
            separator,
            cell,
        };
        let names = schema.fields().iter();
        rows.line(names.map(|field| Some(field.name().clone())).collect())?;
        Ok(rows)
    }

    fn line(&mut self, cells: Vec<Option<String>>) -> Result<(), CliError> {
        let cells: Vec<String> = cells
            .iter()
            .map(|text| (self.cell)(text.as_deref()))
            .collect();
        Ok(writeln!(self.output, "{}", cells.join(self.separator))?)
    }
}

impl Rows for Separated<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        for_each_row(batch, |cells| self.line(cells))
    }

    fn finish(mut self: Box<Self>, _summary: &AnswerSummary) -> Result<(), CliError> {
        Ok(self.output.flush()?)
    }

    fn finish_incomplete(mut self: Box<Self>) -> Result<(), CliError> {
        Ok(self.output.flush()?)
    }
}

fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains([',', '"', '\n', '\r']);
    if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_if_needed() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("BTC", "BTC");
        check("", "\"\"");
        check("a,b", "\"a,b\"");
        check("say \"no\"", "\"say \"\"no\"\"\"");
        check("two\nlines", "\"two\nlines\"");
    }

    #[test]
    fn nothing_in_a_cell_separates_cells_or_rows() {
        let check = |text: &str, expected: &str| assert_eq!(escaped(text), expected);
        check("BTC", "BTC");
        check("", "");
        check("\\N", "\\\\N");
        check("a\tb\nc\r\\", "a\\tb\\nc\\r\\\\");
    }
}
