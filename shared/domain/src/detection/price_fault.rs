//! Prices that no market makes: not above 0, off by a power of ten, or inverted.

use super::anomaly_kind::AnomalyKind;

/// How close a price must be to a power of ten, or to the reciprocal: within 0.05 of its logarithm, or 5 %.
const TOLERANCE: f64 = 0.05;

/// Close to 1, a price and its reciprocal are the same: an inverted one differs by at least 0.5 in its logarithm.
const INVERSION_MIN: f64 = 0.5;

/// What is wrong with a price, compared with an earlier one; both are natural logarithms, and that of 0 or less is not a
/// number.
pub(super) fn of(log_price: f64, earlier: f64) -> Option<AnomalyKind> {
    if !log_price.is_finite() {
        return Some(AnomalyKind::WrongDecimals);
    }
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
        check(0.0, 183.4, Some(AnomalyKind::WrongDecimals));
        check(-183.4, 183.4, Some(AnomalyKind::WrongDecimals));
        check(1.0 / 185.0, 183.4, Some(AnomalyKind::InvertedPair));
        check(2.5, 0.41, Some(AnomalyKind::InvertedPair));
        check(200.0, 183.4, None);
        check(900.0, 183.4, None);
        check(1.02, 0.99, None);
        // 10 and 0.1 are both: a power of ten needs no second explanation.
        check(3.1, 0.32, Some(AnomalyKind::WrongDecimals));
    }
}
