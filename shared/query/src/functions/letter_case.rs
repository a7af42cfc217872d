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
        Scalar::new("upper", texts, returns(), |texts| mapped(texts, upper)),
        Scalar::new("lower", texts, returns(), |texts| {
            mapped(texts, |char| char.to_lowercase().next().unwrap_or(char))
        }),
    ]
}

/// The capital letter. One that is several, such as that of `ß`, is not made; Greek letters with a small iota have one
/// with a small iota as well.
fn upper(char: char) -> char {
    let mut mapped = char.to_uppercase();
    match (char, mapped.next(), mapped.next()) {
        (_, Some(upper), None) => upper,
        ('\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}', ..) => {
            char::from_u32(u32::from(char) + 8).unwrap_or(char)
        }
        ('\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}', ..) => {
            char::from_u32(u32::from(char) + 9).unwrap_or(char)
        }
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
