//! Event times in the formats of the providers, checked against our clock.

use chrono::DateTime;
use domain::{Reason, TimestampError, check_timestamp};

use crate::refused::Refused;
use crate::value::Value;

const MS_PER_SECOND: i64 = 1_000;

impl Value<'_> {
    /// Milliseconds since the epoch, as a number or a string.
    pub(crate) fn time_ms(self, now_ms: i64) -> Result<i64, Refused> {
        self.checked(self.epoch()?, now_ms)
    }

    /// Milliseconds since the epoch, or microseconds, which Binance sends on request: 10^14 ms
    /// would be the year 5138.
    pub(crate) fn time_ms_or_us(self, now_ms: i64) -> Result<i64, Refused> {
        let epoch = self.epoch()?;
        let is_us = epoch >= 100_000_000_000_000;
        self.checked(if is_us { epoch / 1_000 } else { epoch }, now_ms)
    }

    /// Seconds since the epoch, as a number or a string; returns milliseconds.
    pub(crate) fn time_s(self, now_ms: i64) -> Result<i64, Refused> {
        let seconds = self.epoch()?;
        let checked = self.checked(seconds.saturating_mul(MS_PER_SECOND), now_ms);
        checked.map_err(|refused| {
            if refused.reason != Reason::InvalidTimestamp {
                return refused;
            }
            // The domain's message is about milliseconds.
            let rule = format_args!(
                "{seconds} s is before the year 2000: use seconds since the \
                                     epoch"
            );
            self.refused(Reason::InvalidTimestamp, rule)
        })
    }

    /// A text such as `2026-04-07T14:30:02.789012Z`; digits below a millisecond are dropped.
    pub(crate) fn time_rfc3339(self, now_ms: i64) -> Result<i64, Refused> {
        let text = self.text()?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(|_| self.not_a_time())?;
        self.checked(time.timestamp_millis(), now_ms)
    }

    /// Milliseconds since the epoch as a number or a string, or an RFC 3339 text.
    pub(crate) fn time(self, now_ms: i64) -> Result<i64, Refused> {
        let is_rfc3339 = self.raw().starts_with('"') && self.text()?.contains(['T', 't', ' ']);
        if is_rfc3339 {
            self.time_rfc3339(now_ms)
        } else {
            self.time_ms(now_ms)
        }
    }

    fn epoch(self) -> Result<i64, Refused> {
        self.digits()?.parse().map_err(|_| self.not_a_time())
    }

    fn not_a_time(self) -> Refused {
        self.refused(
            Reason::InvalidTimestamp,
            format_args!(
                "{} is not a time: use RFC 3339, or whole milliseconds since the epoch (seconds \
                 for providers that send seconds)",
                crate::described::described(self.raw())
            ),
        )
    }

    fn checked(self, timestamp_ms: i64, now_ms: i64) -> Result<i64, Refused> {
        check_timestamp(timestamp_ms, now_ms).map_err(|error| {
            let reason = match error {
                TimestampError::TooEarly(_) => Reason::InvalidTimestamp,
                TimestampError::InTheFuture { .. } => Reason::FutureTimestamp,
            };
            self.refused(reason, error)
        })
    }
}
