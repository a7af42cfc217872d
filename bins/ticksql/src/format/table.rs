//! Tables for people: all rows are held, to know the width of each column.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use comfy_table::CellAlignment;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::cell_text::{NULL, for_each_row};
use super::{AnswerSummary, Rows};
use crate::cli_error::CliError;
use runtime::printable::printable;

/// The widest line of a cell: comfy-table's widths are 16-bit numbers and include a blank on both
/// sides. A wider text continues on the next line of its cell. comfy-table would wrap it too, in time
/// quadratic in its length.
const LINE_COLUMNS_MAX: usize = u16::MAX as usize - 2;

/// Cells are padded to at most this width. If all rows were padded to a cell of megabytes, the table
/// would take gigabytes.
const PADDED_COLUMNS_MAX: usize = 1_000;

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
        let names = schema.fields().iter().map(|field| field.name().clone());
        table.set_header(names.map(shown));
        Self {
            output,
            schema: SchemaRef::clone(schema),
            table,
        }
    }

    /// Writes all rows that are held.
    fn write(mut self) -> Result<(), CliError> {
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

impl Rows for Table<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        for_each_row(batch, |cells| {
            let cells = cells.into_iter();
            self.table
                .add_row(cells.map(|text| text.map_or_else(|| NULL.to_owned(), shown)));
            Ok(())
        })
    }

    fn finish(self: Box<Self>, _summary: &AnswerSummary) -> Result<(), CliError> {
        self.write()
    }

    fn finish_incomplete(self: Box<Self>) -> Result<(), CliError> {
        self.write()
    }
}

/// A text without control characters and tabs, in lines that fit a table.
fn shown(text: String) -> String {
    wrapped(printable(&text).replace('\t', "\\t"))
}

/// A text wrapped to lines that fit a table.
fn wrapped(text: String) -> String {
    // A char is never wider on screen than its number of bytes.
    if text.len() <= LINE_COLUMNS_MAX {
        return text;
    }
    let mut lines = String::with_capacity(text.len() + text.len() / LINE_COLUMNS_MAX + 1);
    let mut columns = 0;
    for char in text.chars() {
        // The most that a char takes on a screen.
        let most = if char.is_ascii() { 1 } else { 2 };
        if char == '\n' {
            columns = 0;
        } else if columns + most > LINE_COLUMNS_MAX {
            lines.push('\n');
            columns = most;
        } else {
            columns += most;
        }
        lines.push(char);
    }
    lines
}

/// A Markdown table, aligned so that its source is readable.
pub(super) struct Markdown<'w> {
    output: &'w mut (dyn Write + Send),
    /// Whether each column holds numbers, which are right-aligned.
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

    /// Writes all rows that are held.
    fn write(self) -> Result<(), CliError> {
        let widths: Vec<usize> = (0..self.numeric.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .map(|text| text.chars().count())
                    .max()
                    .unwrap_or(0)
                    .clamp(3, PADDED_COLUMNS_MAX)
            })
            .collect();
        for (number, row) in self.rows.iter().enumerate() {
            let columns = row.iter().zip(&widths).zip(&self.numeric);
            let cells: Vec<String> = columns
                .map(|((text, width), numeric)| match numeric {
                    true => format!("{text:>width$}"),
                    false => format!("{text:<width$}"),
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

/// A text that stays in its cell.
fn cell(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = printable(&text).replace('\\', "\\\\").replace('|', "\\|");
    text.replace('\n', "<br>")
}

impl Rows for Markdown<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        for_each_row(batch, |cells| {
            let cells = cells.iter().map(|text| match text {
                Some(text) => cell(text),
                None => NULL.to_owned(),
            });
            self.rows.push(cells.collect());
            Ok(())
        })
    }

    fn finish(self: Box<Self>, _summary: &AnswerSummary) -> Result<(), CliError> {
        self.write()
    }

    fn finish_incomplete(self: Box<Self>) -> Result<(), CliError> {
        self.write()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::format::all;
    use crate::options::Format;

    fn shown(format: Format, text: &str) -> String {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text, "b"]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 20]));
        let rows = RecordBatch::try_from_iter([("text", texts), ("n", numbers)]).unwrap();
        let mut output = Vec::new();
        all(format, &rows, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_wide_markdown_cell_is_complete_and_widens_the_others_up_to_a_limit() {
        let wide = "x".repeat(70_000);
        let output = shown(Format::Markdown, &wide);
        let lines: Vec<&str> = output.lines().collect();
        let blanks = |count: usize| " ".repeat(PADDED_COLUMNS_MAX - count);
        assert_eq!(lines[0], format!("| text{} |   n |", blanks(4)));
        assert_eq!(lines[2], format!("| {wide} |   1 |"));
        assert_eq!(lines[3], format!("| b{} |  20 |", blanks(1)));
    }

    /// Texts are wrapped here, in full lines; comfy-table wraps nothing itself.
    #[test]
    fn a_wide_table_cell_continues_on_the_next_line() {
        let wide = "0123456789".repeat(200_000) + "\nend";
        let output = shown(Format::Table, &wide);
        let lines: Vec<&str> = output.lines().collect();
        let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        let width = LINE_COLUMNS_MAX + 2 + "│┆ 20 │".chars().count();
        assert!(widths.iter().all(|found| *found == width), "{widths:?}");
        let cells = lines.iter().filter_map(|line| line.strip_prefix("│ "));
        let cells: Vec<&str> = cells
            .map(|line| line.split_once('┆').unwrap().0.trim_end())
            .collect();
        let full = 2_000_000_usize.div_ceil(LINE_COLUMNS_MAX);
        assert_eq!(cells.len(), 1 + full + 2);
        assert_eq!(cells[1..=full].concat() + "\nend", wide);
        assert_eq!(cells[full + 1..], ["end", "b"]);
    }

    #[test]
    fn a_line_is_wrapped_by_its_width_on_screen() {
        let widths = |text: &str| -> Vec<usize> {
            let lines = wrapped(text.to_owned());
            let lines = lines.lines().map(|line| line.chars().count());
            lines.collect()
        };
        assert_eq!(widths(&"x".repeat(65_533)), [65_533]);
        assert_eq!(widths(&"x".repeat(65_534)), [65_533, 1]);
        assert_eq!(widths(&"漢".repeat(40_000)), [32_766, 7_234]);
        assert_eq!(
            widths(&format!("{0}\n{0}", "x".repeat(60_000))),
            [60_000, 60_000]
        );
    }
}
