//! `replace`: nothing is between all letters, and in an empty text. The engine's own finds it nowhere.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn function() -> Scalar {
    let takes: &[&[ArgType]] = &[&[ArgType::Text; 3]];
    Scalar::new("replace", takes, Returns::Type(DataType::Utf8), replace)
}

fn replace(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view().iter();
    let searched = argument(arguments, 1)?.as_string_view();
    let with = argument(arguments, 2)?.as_string_view();
    let rows = texts.zip(searched).zip(with);
    let replaced: StringArray = rows
        .map(|((text, searched), with)| Some(text?.replace(searched?, with?)))
        .collect();
    Ok(Arc::new(replaced))
}
