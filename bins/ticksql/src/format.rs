//! The answer in the format asked for. NULL and the empty text are told apart in each.

use std::io::{BufWriter, Write};

use arrow::array::RecordBatch;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use local::sql::Answer;

use crate::cli::Format;
use crate::problem::Problem;

/// How a table shows that there is no value.
const NULL: &str = "NULL";

pub(crate) fn write(
    answer: &Answer,
    format: Format,
    output: &mut dyn Write,
) -> Result<(), Problem> {
    let mut output = BufWriter::new(output);
    match format {
        Format::Table => table(answer, &mut output)?,
        Format::Csv => csv(answer, &mut output)?,
        Format::Jsonl => jsonl(answer, &mut output)?,
        Format::Json => {
            output.write_all(&answer.to_json()?)?;
            output.write_all(b"\n")?;
        }
    }
    output.flush()?;
    Ok(())
}

/// The cells of a batch as texts, row by row; `None` is NULL.
fn for_each_row(
    batch: &RecordBatch,
    mut row_of: impl FnMut(Vec<Option<String>>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let options = FormatOptions::default();
    let columns = batch
        .columns()
        .iter()
        .map(|array| ArrayFormatter::try_new(array, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        let mut cells = Vec::with_capacity(columns.len());
        for (array, formatter) in batch.columns().iter().zip(&columns) {
            let text = || formatter.value(row).try_to_string();
            cells.push(if array.is_null(row) {
                None
            } else {
                Some(text()?)
            });
        }
        row_of(cells)?;
    }
    Ok(())
}

fn table(answer: &Answer, output: &mut impl Write) -> Result<(), Problem> {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(answer.schema.fields().iter().map(|field| field.name()));
    for batch in &answer.batches {
        for_each_row(batch, |cells| {
            table.add_row(
                cells
                    .into_iter()
                    .map(|text| text.unwrap_or_else(|| NULL.to_owned())),
            );
            Ok(())
        })?;
    }
    for (index, field) in answer.schema.fields().iter().enumerate() {
        if let Some(column) = table
            .column_mut(index)
            .filter(|_| field.data_type().is_numeric())
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(output, "{table}")?;
    Ok(())
}

/// As RFC 4180, with quotes around every text that needs them and around the empty one.
fn csv(answer: &Answer, output: &mut impl Write) -> Result<(), Problem> {
    let header: Vec<String> = answer
        .schema
        .fields()
        .iter()
        .map(|f| quoted(f.name()))
        .collect();
    writeln!(output, "{}", header.join(","))?;
    for batch in &answer.batches {
        for_each_row(batch, |cells| {
            let fields: Vec<String> = cells
                .iter()
                .map(|text| text.as_deref().map(quoted).unwrap_or_default())
                .collect();
            Ok(writeln!(output, "{}", fields.join(","))?)
        })?;
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && !text.contains([',', '"', '\n', '\r']);
    if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

fn jsonl(answer: &Answer, output: &mut impl Write) -> Result<(), Problem> {
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(output);
    for batch in &answer.batches {
        writer.write(batch)?;
    }
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("BTC", "BTC");
        check("", "\"\"");
        check("a,b", "\"a,b\"");
        check("say \"no\"", "\"say \"\"no\"\"\"");
        check("two\nlines", "\"two\nlines\"");
    }
}
