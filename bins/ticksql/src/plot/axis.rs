//! Round numbers and times for the axes.

use chrono::DateTime;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Steps between times on an axis.
const TIME_STEPS_MS: [i64; 22] = [
    1,
    10,
    100,
    SECOND_MS,
    5 * SECOND_MS,
    15 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    5 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
    HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    30 * DAY_MS,
    91 * DAY_MS,
    182 * DAY_MS,
    365 * DAY_MS,
];

/// Round values between two bounds, about `count` of them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of steps are small and positive"
)]
pub(super) fn values(low: f64, high: f64, count: u32) -> Vec<f64> {
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return vec![low];
    }
    let rough = span / f64::from(count);
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * magnitude)
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil();
    let steps = ((high / step).floor() - first).max(0.0) as u32;
    (0..=steps.min(4 * count))
        .map(|number| (first + f64::from(number)) * step)
        .collect()
}

/// A value with as many digits as distinguish it from its neighbours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number of digits is small and positive"
)]
pub(super) fn value(value: f64, span: f64) -> String {
    let digits = if span > 0.0 && span.is_finite() {
        (3.0 - span.log10().floor()).clamp(0.0, 12.0) as usize
    } else {
        6
    };
    let text = format!("{value:.digits$}");
    if digits == 0 {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Round times between two bounds, at most about `count` of them.
pub(super) fn times(from_ms: i64, to_ms: i64, count: i64) -> Vec<i64> {
    let span = to_ms.saturating_sub(from_ms);
    let mut steps = TIME_STEPS_MS.into_iter();
    let step = steps
        .find(|step| span / step <= count)
        .unwrap_or_else(|| span / count.max(1) + 1);
    let first = from_ms.div_euclid(step) * step;
    (0..=count + 1)
        .map(|number| first.saturating_add(number * step))
        .filter(|time| (from_ms..=to_ms).contains(time))
        .collect()
}

/// A time (UTC) with the parts that differ within a range.
pub(super) fn time(ms: i64, span_ms: i64) -> String {
    let form = if span_ms <= SECOND_MS {
        "%H:%M:%S%.3f"
    } else if span_ms <= HOUR_MS {
        "%H:%M:%S"
    } else if span_ms <= DAY_MS {
        "%m-%d %H:%M"
    } else {
        "%Y-%m-%d"
    };
    DateTime::from_timestamp_millis(ms)
        .map(|time| time.format(form).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_round() {
        assert_eq!(values(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(
            values(39_432.0, 39_510.0, 4),
            [39_440.0, 39_460.0, 39_480.0, 39_500.0]
        );
        assert_eq!(values(7.0, 7.0, 4), [7.0]);
        assert_eq!(value(39_440.0, 78.0), "39440");
        assert_eq!(value(0.000_012_5, 0.000_01), "0.0000125");
        assert_eq!(value(-0.0, 1.0), "0");
    }

    #[test]
    fn times_are_round() {
        let noon = 1_772_884_800_000;
        let hours: Vec<i64> = (0..5).map(|number| noon + number * HOUR_MS).collect();
        assert_eq!(times(noon - 5, noon + 4 * HOUR_MS, 5), hours);
        assert_eq!(time(noon, 4 * HOUR_MS), "03-07 12:00");
        assert_eq!(time(noon, 40 * DAY_MS), "2026-03-07");
        assert_eq!(time(noon + 250, 900), "12:00:00.250");
        assert_eq!(times(noon, noon, 5), [noon]);
    }
}
