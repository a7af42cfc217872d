//! The double nearest to a decimal.

use rust_decimal::Decimal;

/// Mantissas up to here are doubles, exactly: 2^53.
const EXACT_MANTISSA_MAX: u128 = 1 << 53;

/// Powers of ten that are doubles, exactly; the index is the exponent.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The double nearest to a decimal, as every reader of its text has it (Firehose, JSON, SQL).
///
/// `Decimal::to_f64` divides rounded numbers, so it is off by one unit in the last place for many decimals of 17 digits
/// and more, such as those of senders that print doubles.
#[must_use]
pub fn nearest_double(value: Decimal) -> f64 {
    let mantissa = value.mantissa();
    let power = usize::try_from(value.scale())
        .ok()
        .and_then(|scale| EXACT_POWERS.get(scale));
    if let Some(power) = power
        && mantissa.unsigned_abs() <= EXACT_MANTISSA_MAX
    {
        // A quotient of two exact doubles is rounded once.
        #[expect(clippy::cast_precision_loss, reason = "at most 2^53, so it is exact")]
        return mantissa as f64 / power;
    }
    let text = format!("{mantissa}e-{}", value.scale());
    text.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (f64, f64) {
        let decimal: Decimal = text.parse().unwrap();
        (nearest_double(decimal), text.parse().unwrap())
    }

    #[test]
    fn a_number_that_was_printed_from_a_double_is_that_double() {
        // Quantities of a trades file, of which `Decimal::to_f64` makes other doubles.
        for text in [
            "0.0011099999999999999",
            "0.012648999999999999",
            "0.020605000000000002",
            "0.00044800000000000005",
        ] {
            let (seen, expected) = read(text);
            assert_eq!(seen.to_bits(), expected.to_bits(), "{text}: {seen:?}");
            assert_eq!(seen.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn it_is_what_a_reader_of_the_text_has(mantissa in 0_u128..1 << 96, bits in 0_u32..96, scale in 0_u32..=28) {
            let decimal = Decimal::from_i128_with_scale((mantissa >> bits).cast_signed(), scale);
            let (seen, expected) = read(&decimal.to_string());
            prop_assert_eq!(seen.to_bits(), expected.to_bits(), "{}", decimal);
        }
    }
}
