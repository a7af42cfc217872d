//! `split_part(text, separator, n)`.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn functions() -> Vec<Scalar> {
    vec![Scalar::new(
        "split_part",
        &[&[ArgType::Text, ArgType::Text, ArgType::Integer]],
        Returns::Type(DataType::Utf8),
        split_part,
    )]
}

/// A missing part is NULL in Trino; the engine's own function returns an empty text.
fn split_part(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let separators = argument(arguments, 1)?.as_string_view();
    let positions = argument(arguments, 2)?.as_primitive::<Int64Type>();
    let mut parts = Vec::with_capacity(texts.len());
    for ((text, separator), position) in texts.iter().zip(separators).zip(positions) {
        let (Some(text), Some(separator), Some(position)) = (text, separator, position) else {
            parts.push(None);
            continue;
        };
        let Some(before) = usize::try_from(position)
            .ok()
            .and_then(|p| p.checked_sub(1))
        else {
            return exec_err!("the parts of split_part count from 1, not {position}");
        };
        parts.push(part(text, separator, before));
    }
    Ok(Arc::new(StringArray::from(parts)))
}

/// The part after `before` others. An empty separator splits a text into its characters.
fn part<'a>(text: &'a str, separator: &str, before: usize) -> Option<&'a str> {
    if !separator.is_empty() {
        return text.split(separator).nth(before);
    }
    let (start, character) = text.char_indices().nth(before)?;
    text.get(start..start + character.len_utf8())
}
