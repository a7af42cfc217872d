//! Times as the services give them, in milliseconds.

use aws_smithy_types::DateTime;

const NANOS_PER_MS: u32 = 1_000_000;

/// Milliseconds since the epoch, to the nearest one: JSON answers carry seconds as a double, which
/// often lies a little below the millisecond that was meant.
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
    fn the_millisecond_that_was_meant_comes_back() {
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
