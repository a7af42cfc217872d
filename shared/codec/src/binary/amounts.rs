//! Prices and volumes in a record: one byte for the scale, then the mantissa.

use domain::{Price, Volume};
use rust_decimal::Decimal;

use super::bytes::{Reader, put_number};
use crate::error::CodecError;

/// Appends a decimal that is not negative.
pub(super) fn put_amount(amount: Decimal, out: &mut Vec<u8>) {
    // The scale is at most 28; a mantissa has at most 96 bits.
    out.push(amount.scale().to_le_bytes()[0]);
    put_number(amount.mantissa().unsigned_abs(), out);
}

pub(super) fn price(reader: &mut Reader<'_>) -> Result<Price, CodecError> {
    let amount = amount(reader, "price")?;
    Price::new(amount).map_err(|source| CodecError::Amount {
        column: "price",
        source,
    })
}

pub(super) fn volume(reader: &mut Reader<'_>) -> Result<Volume, CodecError> {
    let amount = amount(reader, "volume")?;
    Volume::new(amount).map_err(|source| CodecError::Amount {
        column: "volume",
        source,
    })
}

fn amount(reader: &mut Reader<'_>, field: &'static str) -> Result<Decimal, CodecError> {
    let scale = reader.byte(field)?;
    let mantissa = reader.long_number(field)?;
    i128::try_from(mantissa)
        .ok()
        .and_then(|mantissa| Decimal::try_from_i128_with_scale(mantissa, u32::from(scale)).ok())
        .ok_or(CodecError::Code {
            field,
            value: u64::from(scale),
        })
}
