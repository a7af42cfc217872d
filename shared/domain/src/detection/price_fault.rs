//! Prices that no market makes: off by a power of ten, or inverted.

use super::anomaly_kind::AnomalyKind;

/// How close to a power of ten, or to the reciprocal, a price must be: 5 % in logarithms.
const TOLERANCE: f64 = 0.05;

/// A price is inverted only if its reciprocal is another price: further away than a half.
const INVERSION_MIN: f64 = 0.5;

/// What is wrong with a price next to an earlier one, both as natural logarithms.
pub(super) fn of(log_price: f64, earlier: f64) -> Option<AnomalyKind> {
    let ratio = log_price - earlier;
    if ratio.abs() < INVERSION_MIN {
        return None;
    }
    let powers = (ratio / std::f64::consts::LN_10).round();
    if powers != 0.0 && (ratio - powers * std::f64::consts::LN_10).abs() <= TOLERANCE {
        return Some(AnomalyKind::WrongDecimals);
    }
    ((log_price + earlier).abs() <= TOLERANCE).then_some(AnomalyKind::InvertedPair)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(price: f64, earlier: f64, expected: Option<AnomalyKind>) {
        assert_eq!(
            of(price.ln(), earlier.ln()),
            expected,
            "{price} after {earlier}"
        );
    }

    #[test]
    fn powers_of_ten_and_reciprocals_are_faults_and_no_other_move_is() {
        check(1_834.0, 183.4, Some(AnomalyKind::WrongDecimals));
        check(0.000_185, 185.0, Some(AnomalyKind::WrongDecimals));
        check(1.0 / 185.0, 183.4, Some(AnomalyKind::InvertedPair));
        check(2.5, 0.41, Some(AnomalyKind::InvertedPair));
        check(200.0, 183.4, None);
        check(900.0, 183.4, None);
        check(1.02, 0.99, None);
        // 10 and 0.1 are both: a power of ten needs no second explanation.
        check(3.1, 0.32, Some(AnomalyKind::WrongDecimals));
    }
}
