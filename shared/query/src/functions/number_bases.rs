//! Numbers in other bases.

use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, Int64Array, StringArray};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use super::arg_type::ArgType;
use super::scalar_function::{Returns, Scalar, argument};

pub(super) fn functions() -> Vec<Scalar> {
    vec![
        Scalar::new(
            "from_base",
            &[&[ArgType::Text, ArgType::Integer]],
            Returns::Type(DataType::Int64),
            from_base,
        ),
        Scalar::new(
            "to_base",
            &[&[ArgType::Integer, ArgType::Integer]],
            Returns::Type(DataType::Utf8),
            to_base,
        ),
    ]
}

/// Checks that there are digits for a base.
fn radix(radix: i64) -> Result<u32> {
    match u32::try_from(radix) {
        Ok(radix) if (2..=36).contains(&radix) => Ok(radix),
        Ok(_) | Err(_) => exec_err!("a base is 2 to 36, not {radix}"),
    }
}

fn from_base(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let texts = argument(arguments, 0)?.as_string_view();
    let bases = argument(arguments, 1)?.as_primitive::<Int64Type>();
    let mut numbers = Vec::with_capacity(texts.len());
    for pair in texts.iter().zip(bases) {
        let (Some(text), Some(base)) = pair else {
            numbers.push(None);
            continue;
        };
        match i64::from_str_radix(text, radix(base)?) {
            Ok(number) => numbers.push(Some(number)),
            Err(_) => return exec_err!("'{text}' is not a number of 64 bits in base {base}"),
        }
    }
    Ok(Arc::new(Int64Array::from(numbers)))
}

fn to_base(arguments: &[ArrayRef]) -> Result<ArrayRef> {
    let numbers = argument(arguments, 0)?.as_primitive::<Int64Type>();
    let bases = argument(arguments, 1)?.as_primitive::<Int64Type>();
    let mut texts = Vec::with_capacity(numbers.len());
    for pair in numbers.iter().zip(bases) {
        let (Some(number), Some(base)) = pair else {
            texts.push(None);
            continue;
        };
        texts.push(Some(digits(number, radix(base)?)));
    }
    Ok(Arc::new(StringArray::from(texts)))
}

fn digits(number: i64, base: u32) -> String {
    let mut left = number.unsigned_abs();
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(left % u64::from(base)).unwrap_or(0);
        digits.extend(char::from_digit(digit, base));
        left /= u64::from(base);
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        digits.push('-');
    }
    digits.iter().rev().collect()
}
