//! Doubles as texts, with the digits that Athena's engine writes.
//!
//! Trino's `DoubleOperators.castToVarchar` is Java's `DecimalFormat`, which up to JDK 25 takes its digits from
//! `FloatingDecimal.dtoa`. They are not always the fewest that are this double, as those of `Double.toString` are
//! since JDK 19 (JDK-4511638), so the same is computed here, even where a product overflows.

use std::cmp::Ordering;
use std::ops::Range;

use num_bigint::BigUint;

/// A double as Athena writes it: `1.0E10`.
pub(super) fn double_text(value: f64) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    if value == 0.0 {
        return format!("{sign}0E0");
    }
    let (digits, exponent) = digits(value.abs().to_bits());
    let (first, others) = digits.split_at(1);
    let others = match others.trim_end_matches('0') {
        "" => "0",
        others => others,
    };
    format!("{sign}{first}.{others}E{exponent}")
}

/// Bits of a double's significand, with the highest, which is not stored.
const SIGNIFICAND_BITS: i32 = 53;

const HIGHEST: u64 = 1 << (SIGNIFICAND_BITS - 1);

/// Those of Java's `long` without its sign.
const LONG_BITS: i32 = 63;

/// The powers of ten with which one digit is enough: Java writes the others with an exponent and two digits or more.
const ONE_DIGIT: Range<i32> = -3..8;

/// The digits of a positive double, and the power of ten of the first.
fn digits(bits: u64) -> (String, i32) {
    let stored = bits & (HIGHEST - 1);
    let biased = i32::try_from(bits >> (SIGNIFICAND_BITS - 1)).unwrap_or_default();
    let (significand, precision, exponent) = if biased == 0 {
        let missing = stored.leading_zeros().cast_signed() - (64 - SIGNIFICAND_BITS);
        let precision = SIGNIFICAND_BITS - missing;
        (stored << missing, precision, -1022 - missing)
    } else {
        (stored | HIGHEST, SIGNIFICAND_BITS, biased - 1023)
    };
    let used = SIGNIFICAND_BITS - significand.trailing_zeros().cast_signed();
    let odd = significand >> significand.trailing_zeros();
    let fraction = (used - exponent - 1).max(0);
    if fraction == 0 && exponent < LONG_BITS {
        return digits_of_integer(odd << (exponent - used + 1), exponent - precision - 1);
    }
    let from_1_to_2 = f64::from_bits(1.0_f64.to_bits() | (significand & (HIGHEST - 1)));
    #[expect(
        clippy::approx_constant,
        reason = "the estimate must be the engine's own, to the last bit"
    )]
    let log10 = (from_1_to_2 - 1.5) * 0.289_529_654
        + 0.176_091_259
        + f64::from(exponent) * 0.301_029_995_663_981;
    #[expect(clippy::cast_possible_truncation, reason = "from -324 to 308")]
    let log10 = log10.floor() as i32;

    // Powers of five and two in the numbers below; a factor that all have is left out.
    let (fives, unit_fives) = ((-log10).max(0), log10.max(0));
    let twos = fives + fraction + exponent;
    let half_twos = twos - precision - i32::from(used == 1);
    let (twos, unit_twos) = (twos - used + 1, unit_fives + fraction);
    let common = twos.min(unit_twos).min(half_twos);
    let (twos, unit_twos, half_twos) = (twos - common, unit_twos - common, half_twos - common);
    Development {
        exponent: log10,
        rest: (power_of_5(fives) * odd) << twos,
        unit: power_of_5(unit_fives) << unit_twos,
        half: power_of_5(fives) << half_twos,
        is_long: used + twos + bits_of_power(fives) <= LONG_BITS
            && unit_twos + 1 + bits_of_power(unit_fives + 1) <= LONG_BITS,
    }
    .digits()
}

/// Those of a whole number. It is rounded if its last bits, so many of them, are not the double's.
fn digits_of_integer(whole: u64, other_bits: i32) -> (String, i32) {
    let unit = 10_u64.pow((1_u64 << other_bits.max(0)).ilog10());
    let rounded = whole / unit + u64::from(whole % unit * 2 >= unit);
    let number = rounded * unit;
    (number.to_string(), number.ilog10().cast_signed())
}

/// The value is `rest / unit * 10^exponent`, and `half` is half of the distance to the next double in the same measure.
struct Development {
    exponent: i32,
    rest: BigUint,
    unit: BigUint,
    half: BigUint,
    /// Whether Java computes in `long`.
    is_long: bool,
}

impl Development {
    fn digits(mut self) -> (String, i32) {
        let ten = &self.unit * 10_u8;
        let mut digits: Vec<u64> = Vec::new();
        let mut is_first = true;
        let (low, high) = loop {
            let digit = low_bits(&(&self.rest / &self.unit));
            self.rest = &self.rest % &self.unit * 10_u8;
            self.half *= 10_u8;
            let (low, high) = self.is_near(&ten);
            if is_first && digit == 0 && !high {
                self.exponent -= 1;
            } else {
                digits.push(digit);
            }
            if (low || high) && (!is_first || ONE_DIGIT.contains(&self.exponent)) {
                break (low, high);
            }
            is_first = false;
        };
        let is_odd = digits.last().is_some_and(|digit| digit % 2 == 1);
        let is_nearer = match (self.rest << 1_u8).cmp(&ten) {
            Ordering::Less => false,
            Ordering::Equal => is_odd,
            Ordering::Greater => true,
        };
        if high && (!low || is_nearer) {
            while digits.pop_if(|digit| *digit == 9).is_some() {}
            match digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    digits.push(1);
                    self.exponent += 1;
                }
            }
        }
        (digits.iter().map(u64::to_string).collect(), self.exponent)
    }

    /// Whether the digits so far, and those with a last one more, are the double.
    fn is_near(&self, ten: &BigUint) -> (bool, bool) {
        if !self.is_long {
            return (self.rest < self.half, &self.rest + &self.half >= *ten);
        }
        let long = |number| low_bits(number).cast_signed();
        let (rest, half, ten) = (long(&self.rest), long(&self.half), long(ten));
        let is_overflow = half <= 0;
        (
            is_overflow || rest < half,
            is_overflow || rest.wrapping_add(half) > ten,
        )
    }
}

/// The lowest 64 bits.
fn low_bits(number: &BigUint) -> u64 {
    number.iter_u64_digits().next().unwrap_or_default()
}

fn power_of_5(exponent: i32) -> BigUint {
    BigUint::from(5_u8).pow(exponent.unsigned_abs())
}

/// Bits of a power of five, with none for 1.
fn bits_of_power(exponent: i32) -> i32 {
    match exponent {
        0 => 0,
        // log2(5)
        _ => exponent * 2_321_928 / 1_000_000 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::double_text;

    #[test]
    fn doubles_are_written_as_on_athena() {
        for (value, text) in [
            (1.0, "1.0E0"),
            (1e10, "1.0E10"),
            (-123.25, "-1.2325E2"),
            (0.1, "1.0E-1"),
            (2e-3, "2.0E-3"),
            (0.0, "0E0"),
            (-0.0, "-0E0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            // The least has two digits, since it is written with an exponent.
            (f64::from_bits(1), "4.9E-324"),
            // More digits than it takes, and not the nearest.
            (8.573_369_038_242_803e17, "8.5733690382428032E17"),
            (2e23, "1.9999999999999998E23"),
            (8.41e21, "8.409999999999999E21"),
            (4_611_686_018_427_387_904.0, "4.6116860184273879E18"),
            // Integers below 2^63 are rounded by the bits that a double of that size does not have.
            (9_223_372_036_854_774_784.0, "9.2233720368547748E18"),
            (9_223_372_036_854_775_808.0, "9.223372036854776E18"),
            (144_115_188_075_855_872.0, "1.44115188075855872E17"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }
}
