//! The time, read in one place.

/// Milliseconds since the epoch, by the system's clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place where the clock is read"
)]
pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
