//! `upper` and `lower`, which map each character to one.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn functions() -> [Scalar; 2] {
    let texts: &[&[ArgType]] = &[&[ArgType::Text]];
    let returns = || Returns::Type(DataType::Utf8);
    [
        Scalar::new("upper", texts, returns(), |texts| {
            mapped(texts, |char| only(char.to_uppercase(), char))
        }),
        Scalar::new("lower", texts, returns(), |texts| {
            mapped(texts, |char| char.to_lowercase().next().unwrap_or(char))
        }),
    ]
}

/// The only character of a mapping. One to several, such as that of `ß`, is not made.
fn only(mut mapped: impl Iterator<Item = char>, char: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => char,
    }
}

fn mapped(arguments: &[ArrayRef], map: fn(char) -> char) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view().iter();
    let mapped: StringArray = texts
        .map(|text| text.map(|text| text.chars().map(map).collect::<String>()))
        .collect();
    Ok(Arc::new(mapped))
}
