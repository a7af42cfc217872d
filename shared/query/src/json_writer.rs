//! JSON of rows.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{Array, AsArray as _};
use datafusion::arrow::datatypes::{FieldRef, Float32Type, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{
    Encoder, EncoderFactory, EncoderOptions, NullableEncoder, WriterBuilder, make_encoder,
};

/// How rows are written as JSON: NULL is `null`, and numbers that JSON cannot write are texts
/// (see [`non_finite_text`]), so that they differ from NULL.
#[must_use]
pub fn json_writer() -> WriterBuilder {
    WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Numbers))
}

/// Arrow's own encoding, which writes such numbers as null.
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

#[derive(Debug)]
struct Numbers;

impl EncoderFactory for Numbers {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let texts = if let Some(numbers) = array.as_primitive_opt::<Float64Type>() {
            texts(numbers.iter())
        } else if let Some(numbers) = array.as_primitive_opt::<Float32Type>() {
            texts(numbers.iter().map(|number| number.map(f64::from)))
        } else {
            return Ok(None);
        };
        // Most columns have none.
        let Some(texts) = texts else { return Ok(None) };
        let plain = make_encoder(field, array, &PLAIN)?;
        let encoder = Box::new(NonFiniteEncoder { plain, texts });
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// The texts of the numbers that are written as such; `None` if no number is.
fn texts(numbers: impl Iterator<Item = Option<f64>>) -> Option<Vec<Option<&'static str>>> {
    let texts: Vec<_> = numbers
        .map(|number| number.and_then(non_finite_text))
        .collect();
    texts.iter().any(Option::is_some).then_some(texts)
}

/// Athena's texts of the numbers that are not finite: `NaN`, `Infinity` and `-Infinity`. All
/// formats use them.
#[must_use]
pub fn non_finite_text(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number == f64::INFINITY {
        Some("Infinity")
    } else if number == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

struct NonFiniteEncoder<'a> {
    plain: NullableEncoder<'a>,
    /// By row.
    texts: Vec<Option<&'static str>>,
}

impl Encoder for NonFiniteEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.texts.get(row) {
            Some(Some(text)) => out.extend_from_slice(format!("\"{text}\"").as_bytes()),
            Some(None) | None => self.plain.encode(row, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, ListArray};
    use datafusion::arrow::json::writer::LineDelimited;
    use datafusion::arrow::record_batch::RecordBatch;

    use super::*;

    fn lines(columns: Vec<(&str, ArrayRef)>) -> String {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = json_writer().build::<_, LineDelimited>(Vec::new());
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        String::from_utf8(writer.into_inner()).unwrap()
    }

    #[test]
    fn numbers_that_json_cannot_write_are_texts_and_not_null() {
        let odd = [
            Some(f64::NAN),
            None,
            Some(f64::INFINITY),
            Some(f64::NEG_INFINITY),
            Some(2500.0),
            Some(1e-7),
        ];
        let small = [
            Some(f32::NAN),
            None,
            Some(f32::INFINITY),
            Some(f32::NEG_INFINITY),
            Some(2500.0),
            Some(1e-7),
        ];
        let column = Float64Array::from(odd.to_vec());
        let written = lines(vec![
            ("d", Arc::new(column)),
            ("r", Arc::new(Float32Array::from(small.to_vec()))),
            ("n", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6]))),
        ]);
        assert_eq!(
            written,
            "{\"d\":\"NaN\",\"r\":\"NaN\",\"n\":1}\n\
             {\"d\":null,\"r\":null,\"n\":2}\n\
             {\"d\":\"Infinity\",\"r\":\"Infinity\",\"n\":3}\n\
             {\"d\":\"-Infinity\",\"r\":\"-Infinity\",\"n\":4}\n\
             {\"d\":2500.0,\"r\":2500.0,\"n\":5}\n\
             {\"d\":1.0e-7,\"r\":1.0e-7,\"n\":6}\n"
        );
    }

    #[test]
    fn so_are_those_in_lists() {
        let list = ListArray::from_iter_primitive::<Float64Type, _, _>([Some(vec![
            Some(1.5),
            Some(f64::NAN),
            None,
        ])]);
        assert_eq!(
            lines(vec![("l", Arc::new(list))]),
            "{\"l\":[1.5,\"NaN\",null]}\n"
        );
    }
}
