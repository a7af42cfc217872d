//! JSON: one object per row, or one object for the answer. A row is a list if two columns have the same name. Numbers that JSON cannot write are texts:
//! `"NaN"`, `"Infinity"`, `"-Infinity"`.

use std::collections::HashSet;
use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::StructMode;
use arrow::json::writer::LineDelimited;
use query::{json_writer, type_name};
use serde_json::json;

use super::{AnswerSummary, Rows};
use crate::cli_error::CliError;

/// One JSON object per row and line.
pub(super) struct Lines<'w>(BufWriter<&'w mut (dyn Write + Send)>);

impl<'w> Lines<'w> {
    pub(super) fn new(output: &'w mut (dyn Write + Send)) -> Self {
        Self(BufWriter::new(output))
    }
}

impl Rows for Lines<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        lines(batch, &mut self.0)
    }

    fn finish(mut self: Box<Self>, _summary: &AnswerSummary) -> Result<(), CliError> {
        Ok(self.0.flush()?)
    }

    fn finish_incomplete(mut self: Box<Self>) -> Result<(), CliError> {
        Ok(self.0.flush()?)
    }
}

fn lines(batch: &RecordBatch, output: &mut impl Write) -> Result<(), CliError> {
    let names: HashSet<_> = batch
        .schema_ref()
        .fields()
        .iter()
        .map(|field| field.name())
        .collect();
    let mode = match names.len() == batch.num_columns() {
        true => StructMode::ObjectOnly,
        false => StructMode::ListOnly,
    };
    let mut writer = json_writer()
        .with_struct_mode(mode)
        .build::<_, LineDelimited>(output);
    writer.write(batch)?;
    Ok(writer.finish()?)
}

/// One JSON object: `columns` (name and type), `rows` (an object each), `row_count`, `truncated`,
/// `files`, `bytes_read`, `elapsed_ms`.
pub(super) struct Document<'w> {
    output: BufWriter<&'w mut (dyn Write + Send)>,
    has_rows: bool,
}

impl<'w> Document<'w> {
    pub(super) fn new(
        schema: &SchemaRef,
        output: &'w mut (dyn Write + Send),
    ) -> Result<Self, CliError> {
        let fields = schema.fields().iter();
        let columns: Vec<_> = fields
            .map(|field| json!({"name": field.name(), "type": type_name(field.data_type())}))
            .collect();
        let mut output = BufWriter::new(output);
        write!(output, "{{\"columns\":{},\"rows\":[", json!(columns))?;
        Ok(Self {
            output,
            has_rows: false,
        })
    }
}

impl Rows for Document<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        let mut rows = Vec::new();
        lines(batch, &mut rows)?;
        for row in rows
            .split(|byte| *byte == b'\n')
            .filter(|row| !row.is_empty())
        {
            if self.has_rows {
                self.output.write_all(b",")?;
            }
            self.has_rows = true;
            self.output.write_all(row)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, summary: &AnswerSummary) -> Result<(), CliError> {
        let end = json!({
            "row_count": summary.rows,
            "truncated": summary.truncated,
            "files": summary.files,
            "bytes_read": summary.bytes_read,
            // To the microsecond: further digits are noise.
            "elapsed_ms": (summary.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        });
        // What follows the rows is the rest of the object that they are in.
        let end = end.to_string();
        writeln!(self.output, "],{}", end.trim_start_matches('{'))?;
        Ok(self.output.flush()?)
    }

    fn finish_incomplete(mut self: Box<Self>) -> Result<(), CliError> {
        Ok(self.output.flush()?)
    }
}
