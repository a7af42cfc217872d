//! Anomalies as release 1.0 stored them.

use serde::Deserialize;

use super::anomaly::Anomaly;
use crate::detection::{AnomalyKind, Detection, Direction, Quantity};
use crate::{Price, TickId, Token};

/// An anomaly of release 1.0.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Anomaly`")]
pub struct AnomalyV1 {
    pub token: Token,
    pub quote: Token,
    pub tick_id: TickId,
    pub timestamp_ms: i64,
    pub price: Price,
    /// In multiples of the expected deviation.
    pub score: f64,
    /// The score of the weakest anomaly.
    pub threshold: f64,
    pub window_ms: i64,
    pub reason: ReasonV1,
    /// Such as `rose 5.1 % in 1.2 s, 14 times the expected move`.
    pub message: String,
}

/// Why it was one.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonV1 {
    /// [`AnomalyKind::Jump`].
    Jump,
    /// [`AnomalyKind::JumpAfterSilence`].
    JumpAfterSilence,
}

impl From<AnomalyV1> for Anomaly {
    fn from(before: AnomalyV1) -> Self {
        let seen = before.price.to_f64();
        // Only the message has the move.
        let mut words = before.message.split(' ');
        let direction = match words.next() {
            Some("fell") => Direction::Down,
            Some(_) | None => Direction::Up,
        };
        let percent = words.next().and_then(|word| word.parse().ok());
        let share = percent.map_or(0.0, |percent: f64| percent / 100.0);
        let moved = match direction {
            Direction::Up => 1.0 + share,
            Direction::Down => 1.0 - share,
        };
        let strength = before.score / before.threshold;
        Self {
            token: before.token,
            quote: before.quote,
            source: None,
            tick_id: before.tick_id,
            timestamp_ms: before.timestamp_ms,
            price: before.price,
            score: strength / (strength + 1.0),
            detection: Detection {
                kind: match before.reason {
                    ReasonV1::Jump => AnomalyKind::Jump,
                    ReasonV1::JumpAfterSilence => AnomalyKind::JumpAfterSilence,
                },
                direction,
                quantity: Quantity::Value,
                expected: if moved > 0.0 { seen / moved } else { seen },
                seen,
                window_ms: before.window_ms,
            },
            notifies: true,
        }
    }
}
