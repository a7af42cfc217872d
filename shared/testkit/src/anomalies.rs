//! An anomaly for tests of what becomes of it.

use domain::Tick;
use domain::analytics::Anomaly;
use domain::detection::{AnomalyKind, Detection, Direction, Quantity};

/// A tick that is a jump by 5 % in a second, of which people are notified.
#[must_use]
pub fn jump_at(tick: &Tick) -> Anomaly {
    let seen = tick.price.to_f64();
    Anomaly {
        token: tick.token.clone(),
        quote: tick.quote.clone(),
        source: Some(tick.source.clone()),
        tick_id: tick.tick_id,
        timestamp_ms: tick.timestamp_ms,
        price: tick.price,
        score: 0.75,
        detection: Detection {
            kind: AnomalyKind::Jump,
            direction: Direction::Up,
            quantity: Quantity::Value,
            expected: seen / 1.05,
            seen,
            window_ms: 1_000,
        },
        notifies: true,
    }
}
