//! Decides when a row of a replayed file is due: according to event times, or at once.

use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// How fast a file is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as the server responds.
    Max,
    /// This many times faster than real time.
    Times(f64),
}

/// The text is not a speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a speed: use `max` or a number above 0, such as 1 (real time) or 60")]
pub struct SpeedError(String);

impl FromStr for Speed {
    type Err = SpeedError;
    fn from_str(text: &str) -> Result<Self, SpeedError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            Ok(_) | Err(_) => Err(SpeedError(text.to_owned())),
        }
    }
}

/// Maps event times to moments of this run.
#[derive(Debug)]
pub struct Pace {
    speed: Speed,
    /// The moment and the event time of the first row.
    origin: Option<(Instant, i64)>,
}

impl Pace {
    /// A pace that starts with the first row.
    #[must_use]
    pub fn new(speed: Speed) -> Self {
        Self {
            speed,
            origin: None,
        }
    }

    /// The moment at which the row is due; if it is in the past, the row is due at once. A row that
    /// is out of order is due with the rows before it, since rows are sent in the file's order.
    pub fn due(&mut self, event_ms: i64, now: Instant) -> Instant {
        let (started, first_ms) = *self.origin.get_or_insert((now, event_ms));
        let Speed::Times(times) = self.speed else {
            return now;
        };
        let gap_ms = u64::try_from(event_ms.saturating_sub(first_ms)).unwrap_or(0);
        // A gap that overflows is beyond the end of any run.
        let gap = Duration::try_from_secs_f64(Duration::from_millis(gap_ms).as_secs_f64() / times);
        gap.ok()
            .and_then(|gap| started.checked_add(gap))
            .unwrap_or(now + Duration::from_secs(86_400 * 365))
    }

    /// Whether rows are sent as fast as the server responds.
    #[must_use]
    pub fn is_max(&self) -> bool {
        self.speed == Speed::Max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_max_or_above_zero() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("1".parse(), Ok(Speed::Times(1.0)));
        assert_eq!("0.5".parse(), Ok(Speed::Times(0.5)));
        for bad in ["0", "-1", "NaN", "inf", "fast", ""] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rows_are_due_by_their_gaps() {
        let start = Instant::now();
        for (speed, event_ms, due_ms) in [
            (Speed::Times(1.0), 1_250, 250),
            (Speed::Times(10.0), 2_000, 100),
            (Speed::Times(0.5), 1_100, 200),
            (Speed::Times(1.0), 400, 0),
            (Speed::Max, 9_000, 0),
        ] {
            let mut pace = Pace::new(speed);
            assert_eq!(pace.due(1_000, start), start);
            assert_eq!(
                pace.due(event_ms, start),
                start + Duration::from_millis(due_ms),
                "{speed:?} {event_ms}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_that_overflows_does_not_panic() {
        let mut pace = Pace::new(Speed::Times(1e-300));
        let start = Instant::now();
        pace.due(0, start);
        assert!(pace.due(i64::MAX, start) > start);
    }
}
