//! Numbers in cells as Athena writes them: `Infinity` and `-Infinity`, as in JSON.

use std::fmt::Write;

use arrow::array::{Array, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{
    ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult,
};

/// Formats floating-point numbers, those within arrays and rows too; all else as arrow does.
#[derive(Debug)]
pub(super) struct DoubleFormatters;

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
        let words: Vec<Option<&str>> = numbers.iter().map(|number| word(number?)).collect();
        // Most columns have none.
        if words.iter().all(Option::is_none) {
            return Ok(None);
        }
        let plain = ArrayFormatter::try_new(array, &options.clone().with_formatter_factory(None))?;
        let formatter = Box::new(WithWords { plain, words });
        Ok(Some(ArrayFormatter::new(formatter, options.safe())))
    }
}

/// The formatter of a column.
pub(super) fn formatter<'a>(
    array: &'a dyn Array,
    options: &FormatOptions<'a>,
) -> Result<ArrayFormatter<'a>, ArrowError> {
    match DoubleFormatters.create_array_formatter(array, options, None)? {
        Some(formatter) => Ok(formatter),
        None => ArrayFormatter::try_new(array, options),
    }
}

/// The word for a number that has no digits.
fn word(number: f64) -> Option<&'static str> {
    match number {
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

struct WithWords<'a> {
    plain: ArrayFormatter<'a>,
    /// By row.
    words: Vec<Option<&'static str>>,
}

impl DisplayIndex for WithWords<'_> {
    fn write(&self, row: usize, output: &mut dyn Write) -> FormatResult {
        match self.words.get(row) {
            Some(Some(word)) => Ok(output.write_str(word)?),
            Some(None) | None => Ok(self.plain.value(row).write(output)?),
        }
    }
}
