//! A logarithm that is fast and the same on every machine; the platform's are neither.

/// Bits of an `f32` below its exponent, and the exponent of 1.
const MANTISSA_BITS: u32 = 23;
const MANTISSA: u32 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_OF_ONE: u32 = 127;

/// The curvature with which the parabola is closest to the logarithm.
const CURVATURE: f32 = 0.344;

/// log10 of 2.
const LOG10_2: f32 = std::f32::consts::LOG10_2;

/// The binary logarithm, to 0.01: a parabola between powers of two, where it is exact. For 0 and NaN it is -127 or less,
/// for infinity 128 or more.
pub(super) fn log2(number: f32) -> f32 {
    // The maximum of -0 and 0 may be either, by how the compiler optimizes, and the bits of -0 are large. The sum is 0.
    let bits = (number.max(0.0) + 0.0).to_bits();
    let power = small_f32(bits >> MANTISSA_BITS) - small_f32(EXPONENT_OF_ONE);
    let fraction = f32::from_bits((bits & MANTISSA) | (EXPONENT_OF_ONE << MANTISSA_BITS)) - 1.0;
    power + fraction * (1.0 + CURVATURE - CURVATURE * fraction)
}

/// The decimal logarithm, to 0.003.
pub(super) fn log10(number: f32) -> f32 {
    LOG10_2 * log2(number)
}

#[expect(clippy::cast_precision_loss, reason = "at most 511")]
fn small_f32(number: u32) -> f32 {
    number as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_close_and_rises() {
        let mut last = f32::NEG_INFINITY;
        for step in 0..20_000_u16 {
            let number = (f32::from(step) * 0.002 - 20.0).exp2();
            let found = log2(number);
            assert!((found - number.log2()).abs() < 0.01, "{number}");
            assert!(found >= last);
            last = found;
        }
        assert!(log2(-0.0) <= -127.0);
        assert!(log2(8.0) == 3.0 && log2(0.0) <= -127.0 && log2(f32::NAN) <= -127.0);
        assert!((log10(1_000.0) - 3.0).abs() < 0.003);
    }
}
