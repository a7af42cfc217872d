//! Converts times of the services to milliseconds.

use aws_smithy_types::DateTime;

const NANOS_PER_MS: u32 = 1_000_000;

/// Milliseconds since the epoch, rounded: JSON responses have seconds as a double, which is often
/// slightly below the intended millisecond.
pub(crate) fn epoch_ms(time: &DateTime) -> i64 {
    let ms = (time.subsec_nanos() + NANOS_PER_MS / 2) / NANOS_PER_MS;
    time.secs()
        .saturating_mul(1_000)
        .saturating_add(i64::from(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_intended_millisecond_round_trips() {
        for ms in 1_767_225_600_000..1_767_225_602_000_i64 {
            let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
            let seconds: f64 = text.parse().unwrap();
            assert_eq!(epoch_ms(&DateTime::from_secs_f64(seconds)), ms, "{text}");
        }
        assert_eq!(epoch_ms(&DateTime::from_millis(-1_500)), -1_500);
        assert_eq!(
            epoch_ms(&DateTime::from_secs_and_nanos(1, 999_999_999)),
            2_000
        );
    }
}
