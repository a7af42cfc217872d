//! The kinds of anomalies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a series departs from its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// The value moved further at once than its past moves explain.
    Jump,
    /// It jumped and came back.
    Spike,
    /// A jump after a silence: the feed came back at another value.
    JumpAfterSilence,
    /// Its level changed suddenly and stayed.
    LevelShift,
    /// Its level moved by many small steps.
    Drift,
    /// It moves more, or less, than it used to.
    Volatility,
    /// It hardly moves, or repeats the same value for longer than it ever did.
    StuckFeed,
    /// No value came for longer than its own rhythm explains.
    Silence,
    /// It is outside of its range, or of its range at this time of the day.
    OutOfRange,
    /// It is off by a power of ten, or not above 0: misplaced decimals, or a fat finger.
    WrongDecimals,
    /// It is the reciprocal of the price: base and quote are swapped.
    InvertedPair,
    /// A venue departs from the other venues of the pair.
    Divergence,
}

impl AnomalyKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Jump,
        Self::Spike,
        Self::JumpAfterSilence,
        Self::LevelShift,
        Self::Drift,
        Self::Volatility,
        Self::StuckFeed,
        Self::Silence,
        Self::OutOfRange,
        Self::WrongDecimals,
        Self::InvertedPair,
        Self::Divergence,
    ];

    /// Its name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jump => "jump",
            Self::Spike => "spike",
            Self::JumpAfterSilence => "jump_after_silence",
            Self::LevelShift => "level_shift",
            Self::Drift => "drift",
            Self::Volatility => "volatility",
            Self::StuckFeed => "stuck_feed",
            Self::Silence => "silence",
            Self::OutOfRange => "out_of_range",
            Self::WrongDecimals => "wrong_decimals",
            Self::InvertedPair => "inverted_pair",
            Self::Divergence => "divergence",
        }
    }
}

impl fmt::Display for AnomalyKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// On which side of the expected value the seen one lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Above.
    Up,
    /// Below.
    Down,
}

impl Direction {
    pub(super) fn of(difference: f32) -> Self {
        if difference < 0.0 {
            Self::Down
        } else {
            Self::Up
        }
    }

    /// Its name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What `expected` and `seen` of a [`super::Detection`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Values of the series: prices.
    Value,
    /// Sizes of the change from sample to sample: relative (0.01 is 1 %) if the scale is logarithmic.
    Change,
    /// Milliseconds between ticks.
    IntervalMs,
    /// Ticks in a row with the same value.
    Ticks,
}

impl Quantity {
    /// Its name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Change => "change",
            Self::IntervalMs => "interval_ms",
            Self::Ticks => "ticks",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored anomalies have these numbers: a new kind is added at the end.
    #[test]
    fn the_numbers_of_kinds_are_a_format() {
        let byte = |kind: &AnomalyKind| postcard::to_stdvec(kind).unwrap();
        let numbers: Vec<Vec<u8>> = AnomalyKind::ALL.iter().map(byte).collect();
        let expected: Vec<Vec<u8>> = (0..12_u8).map(|number| vec![number]).collect();
        assert_eq!(numbers, expected);
        assert_eq!(AnomalyKind::Divergence.as_str(), "divergence");
        assert_eq!(
            postcard::to_stdvec(&[Direction::Up, Direction::Down]).unwrap(),
            [0, 1]
        );
        let quantities = [
            Quantity::Value,
            Quantity::Change,
            Quantity::IntervalMs,
            Quantity::Ticks,
        ];
        assert_eq!(postcard::to_stdvec(&quantities).unwrap(), [0, 1, 2, 3]);
    }
}
