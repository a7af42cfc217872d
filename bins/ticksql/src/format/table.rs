//! Tables to look at: all rows are held, for the sake of the columns' widths.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use comfy_table::CellAlignment;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::{Ending, NULL, Rows, for_each_row};
use crate::problem::Problem;

/// A table with lines around its cells.
pub(super) struct Table<'w> {
    output: &'w mut (dyn Write + Send),
    schema: SchemaRef,
    table: comfy_table::Table,
}

impl<'w> Table<'w> {
    pub(super) fn new(schema: &SchemaRef, output: &'w mut (dyn Write + Send)) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        table.set_header(schema.fields().iter().map(|field| field.name()));
        Self {
            output,
            schema: SchemaRef::clone(schema),
            table,
        }
    }
}

impl Rows for Table<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), Problem> {
        for_each_row(batch, |cells| {
            let cells = cells.into_iter();
            self.table
                .add_row(cells.map(|text| text.unwrap_or_else(|| NULL.to_owned())));
            Ok(())
        })
    }

    fn finish(mut self: Box<Self>, _ending: &Ending) -> Result<(), Problem> {
        for (index, field) in self.schema.fields().iter().enumerate() {
            let column = self.table.column_mut(index);
            if let Some(column) = column.filter(|_| field.data_type().is_numeric()) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(self.output, "{}", self.table)?;
        Ok(self.output.flush()?)
    }
}

/// A table of Markdown, which also reads well as it stands.
pub(super) struct Markdown<'w> {
    output: &'w mut (dyn Write + Send),
    /// Whether each column is of numbers, which stand on the right.
    numeric: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl<'w> Markdown<'w> {
    pub(super) fn new(schema: &SchemaRef, output: &'w mut (dyn Write + Send)) -> Self {
        let fields = schema.fields().iter();
        let header = schema.fields().iter().map(|field| cell(field.name()));
        Self {
            output,
            numeric: fields.map(|field| field.data_type().is_numeric()).collect(),
            rows: vec![header.collect()],
        }
    }
}

/// A text that stays in its cell.
fn cell(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('|', "\\|");
    text.replace("\r\n", "<br>").replace(['\n', '\r'], "<br>")
}

impl Rows for Markdown<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), Problem> {
        for_each_row(batch, |cells| {
            let cells = cells.iter().map(|text| match text {
                Some(text) => cell(text),
                None => NULL.to_owned(),
            });
            self.rows.push(cells.collect());
            Ok(())
        })
    }

    fn finish(self: Box<Self>, _ending: &Ending) -> Result<(), Problem> {
        let widths: Vec<usize> = (0..self.numeric.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .map(|text| text.chars().count())
                    .max()
                    .unwrap_or(0)
                    .max(3)
            })
            .collect();
        for (number, row) in self.rows.iter().enumerate() {
            let columns = row.iter().zip(&widths).zip(&self.numeric);
            let cells: Vec<String> = columns
                .map(|((text, width), numeric)| {
                    if *numeric {
                        format!("{text:>width$}")
                    } else {
                        format!("{text:<width$}")
                    }
                })
                .collect();
            writeln!(self.output, "| {} |", cells.join(" | "))?;
            if number == 0 {
                let lines = widths.iter().zip(&self.numeric);
                let lines: Vec<String> = lines
                    .map(|(width, numeric)| {
                        let end = if *numeric { ":" } else { "-" };
                        format!("{}{end}", "-".repeat(width - 1))
                    })
                    .collect();
                writeln!(self.output, "| {} |", lines.join(" | "))?;
            }
        }
        Ok(self.output.flush()?)
    }
}
