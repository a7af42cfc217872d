//! Numbers in cells as Athena writes them: `Infinity` and `-Infinity`, as in JSON.

use std::fmt::Write;

use arrow::array::{Array, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{
    ArrayFormatter, ArrayFormatterFactory, DisplayIndex, FormatOptions, FormatResult,
};
use query::non_finite_text;

/// Formats floating-point numbers, also within arrays and rows; everything else is left to arrow.
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
        let texts: Vec<Option<&str>> = numbers
            .iter()
            .map(|number| non_finite_text(number?))
            .collect();
        // Most columns have none.
        if texts.iter().all(Option::is_none) {
            return Ok(None);
        }
        let plain = ArrayFormatter::try_new(array, &options.clone().with_formatter_factory(None))?;
        let formatter = Box::new(WithTexts { plain, texts });
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

struct WithTexts<'a> {
    plain: ArrayFormatter<'a>,
    /// By row.
    texts: Vec<Option<&'static str>>,
}

impl DisplayIndex for WithTexts<'_> {
    fn write(&self, row: usize, output: &mut dyn Write) -> FormatResult {
        match self.texts.get(row) {
            Some(Some(text)) => Ok(output.write_str(text)?),
            Some(None) | None => Ok(self.plain.value(row).write(output)?),
        }
    }
}
