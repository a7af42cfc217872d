//! Key: kind (u8: [`Kind`]), day (u16), and the day of an event time (u16). Value: none.
//! Key: kind, day. Value: the number of rows of that day (u64); only for ticks.

use super::day::Day;
use super::key_of;

pub(crate) const KEYSPACE: &str = "days";

/// What is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ticks, by the day of their receipt.
    Ticks = b't' as isize,
    /// Candles, by the day on which they were written last.
    Candles = b'c' as isize,
}

impl Kind {
    pub(crate) fn byte(self) -> u8 {
        self as u8
    }
}

/// The key that says that a day has rows with event times of another day.
pub(crate) fn event_key(kind: Kind, day: Day, event_day: Day) -> [u8; 5] {
    let [high, low] = day.to_be_bytes();
    let [event_high, event_low] = event_day.to_be_bytes();
    [kind.byte(), high, low, event_high, event_low]
}

/// The key of a day's number of rows.
pub(crate) fn rows_key(kind: Kind, day: Day) -> [u8; 3] {
    key_of([kind.byte()].into_iter().chain(day.to_be_bytes()))
}
