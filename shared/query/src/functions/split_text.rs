//! `split(text, delimiter[, limit])`.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, ListBuilder, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn function() -> Scalar {
    let item = Field::new_list_field(DataType::Utf8, true);
    Scalar::new(
        "split",
        &[
            &[ArgType::Text, ArgType::Text],
            &[ArgType::Text, ArgType::Text, ArgType::Integer],
        ],
        Returns::Type(DataType::List(Arc::new(item))),
        split,
    )
}

fn split(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let delimiters = argument(arguments, 1)?.as_string_view();
    let limits = arguments
        .get(2)
        .map(|limits| limits.as_primitive::<Int64Type>());
    let mut lists = ListBuilder::new(StringBuilder::new());
    for (row, (text, delimiter)) in texts.iter().zip(delimiters).enumerate() {
        let limit = match limits {
            Some(limits) => limits.iter().nth(row).flatten(),
            None => Some(i64::MAX),
        };
        let (Some(text), Some(delimiter), Some(limit)) = (text, delimiter, limit) else {
            lists.append(false);
            continue;
        };
        if delimiter.is_empty() {
            return exec_err!("the delimiter of split is a text of at least one character");
        }
        if limit < 1 {
            return exec_err!("the limit of split is at least 1");
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        text.splitn(limit, delimiter)
            .for_each(|part| lists.values().append_value(part));
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}
