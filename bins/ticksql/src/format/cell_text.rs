//! The cells of rows as texts. Numbers are spelled as Athena writes them: `Infinity` and `-Infinity`, as in
//! JSON.

use std::fmt::Write;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{
    ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult,
};
use query::non_finite_text;

use crate::cli_error::CliError;

/// How a table shows NULL.
pub(super) const NULL: &str = "NULL";

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

/// Formats floating-point numbers, also within arrays and rows; everything else is left to arrow.
#[derive(Debug)]
struct DoubleFormatters;

impl ArrayFormatterFactory for DoubleFormatters {
    fn create_array_formatter<'a>(
        &self,
        array: &'a dyn Array,
        options: &FormatOptions<'a>,
        _field: Option<&'a Field>,
    ) -> Result<Option<ArrayFormatter<'a>>, ArrowError> {
        if !array.data_type().is_floating() {
            return Ok(None);
        }
        let numbers = cast(array, &DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        let texts: Vec<Option<&str>> = numbers
            .iter()
            .map(|number| non_finite_text(number?))
            .collect();
        // Most columns have none.
        if texts.iter().all(Option::is_none) {
            return Ok(None);
        }
        let plain = ArrayFormatter::try_new(array, &options.clone().with_formatter_factory(None))?;
        let formatter = Box::new(NonFiniteFormatter { plain, texts });
        Ok(Some(ArrayFormatter::new(formatter, options.safe())))
    }
}

/// The formatter of a column.
fn formatter<'a>(
    array: &'a dyn Array,
    options: &FormatOptions<'a>,
) -> Result<ArrayFormatter<'a>, ArrowError> {
    match DoubleFormatters.create_array_formatter(array, options, None)? {
        Some(formatter) => Ok(formatter),
        None => ArrayFormatter::try_new(array, options),
    }
}

struct NonFiniteFormatter<'a> {
    plain: ArrayFormatter<'a>,
    /// By row.
    texts: Vec<Option<&'static str>>,
}

impl DisplayIndex for NonFiniteFormatter<'_> {
    fn write(&self, row: usize, output: &mut dyn Write) -> FormatResult {
        match self.texts.get(row) {
            Some(Some(text)) => Ok(output.write_str(text)?),
            Some(None) | None => Ok(self.plain.value(row).write(output)?),
        }
    }
}
