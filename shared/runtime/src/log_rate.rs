//! A message that may come with every request is logged once a second, and says how many were left out: a disk that is
//! full, for example, should not be filled by the log of what it refuses.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Of one message. Made to be a `static` beside it.
#[derive(Debug)]
pub struct LogRate(Mutex<Logged>);

#[derive(Debug)]
struct Logged {
    at: Option<Instant>,
    left_out: u64,
}

impl LogRate {
    /// Logs the first message.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(Logged {
            at: None,
            left_out: 0,
        }))
    }

    /// How many messages were left out since the last line, if it is time for another.
    pub fn line_due(&self) -> Option<u64> {
        self.line_due_at(Instant::now())
    }

    fn line_due_at(&self, now: Instant) -> Option<u64> {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if logged
            .at
            .is_some_and(|at| now.duration_since(at) < BETWEEN_LINES)
        {
            logged.left_out += 1;
            return None;
        }
        logged.at = Some(now);
        Some(std::mem::take(&mut logged.left_out))
    }
}

impl Default for LogRate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::LogRate;

    #[test]
    fn one_line_a_second_says_how_many_were_left_out() {
        let rate = LogRate::new();
        let start = Instant::now();
        let lines: Vec<_> = [0, 1, 999, 1000, 1500, 3000, 9000]
            .into_iter()
            .filter_map(|ms| rate.line_due_at(start + Duration::from_millis(ms)))
            .collect();
        assert_eq!(lines, [0, 2, 1, 0]);
    }
}
