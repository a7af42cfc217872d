//! `substr(text, start[, length])`: a start below 0 counts from the end, and there is nothing at 0.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

/// A text of at most some characters, for `CAST(x AS varchar(n))`.
pub(super) fn shortened_function() -> Scalar {
    Scalar::new(
        "varchar_of_length",
        &[&[ArgType::Text, ArgType::Integer]],
        Returns::Type(DataType::Utf8),
        |arguments| {
            let texts = argument(arguments, 0)?.as_string_view();
            let lengths = argument(arguments, 1)?.as_primitive::<Int64Type>();
            let rows = texts
                .iter()
                .zip(lengths)
                .map(|(text, length)| Some(part(text?, 1, length)));
            Ok(Arc::new(rows.collect::<StringArray>()))
        },
    )
}

pub(super) fn functions() -> [Scalar; 2] {
    ["substr", "substring"].map(|name| {
        Scalar::new(
            name,
            &[
                &[ArgType::Text, ArgType::Integer],
                &[ArgType::Text, ArgType::Integer, ArgType::Integer],
            ],
            Returns::Type(DataType::Utf8),
            substr,
        )
    })
}

fn substr(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let starts = argument(arguments, 1)?.as_primitive::<Int64Type>();
    let lengths = arguments
        .get(2)
        .map(|lengths| lengths.as_primitive::<Int64Type>());
    let rows = texts
        .iter()
        .zip(starts)
        .enumerate()
        .map(|(row, (text, start))| {
            let length = match lengths {
                Some(lengths) => Some(lengths.iter().nth(row).flatten()?),
                None => None,
            };
            Some(part(text?, start?, length))
        });
    Ok(Arc::new(rows.collect::<StringArray>()))
}

fn part(text: &str, start: i64, length: Option<i64>) -> &str {
    let skipped = match start {
        0 => return "",
        1.. => usize::try_from(start - 1).unwrap_or(usize::MAX),
        _ => {
            let from_end = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
            match text.chars().count().checked_sub(from_end) {
                Some(skipped) => skipped,
                None => return "",
            }
        }
    };
    let at = |text: &str, chars: usize| {
        text.char_indices()
            .nth(chars)
            .map_or(text.len(), |(at, _)| at)
    };
    let rest = text.get(at(text, skipped)..).unwrap_or_default();
    match length {
        None => rest,
        Some(length) => {
            let length = usize::try_from(length).unwrap_or(0);
            rest.get(..at(rest, length)).unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_athena() {
        assert_eq!(part("hello", 2, None), "ello");
        assert_eq!(part("hello", 2, Some(3)), "ell");
        assert_eq!(part("hello", -3, Some(2)), "ll");
        assert_eq!(part("hello", 0, Some(2)), "");
        assert_eq!(part("hello", 9, None), "");
        assert_eq!(part("hello", -9, None), "");
        assert_eq!(part("日本語", 2, Some(1)), "本");
        assert_eq!(part("hello", 2, Some(-1)), "");
    }
}
