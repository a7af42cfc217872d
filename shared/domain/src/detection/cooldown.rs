//! What has just been reported is not reported again.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction};

/// A report within the cooldown must be stronger, or its move larger, by a tenth. A drift that continues must have doubled.
const LARGER: f32 = 1.1;
const LARGER_DRIFT: f32 = 2.0;

/// What may be reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) timestamp_ms: i64,
    pub(super) kind: AnomalyKind,
    pub(super) strength: f32,
    /// How far the value moved; `f32::MAX` if it is not a move.
    pub(super) size: f32,
    pub(super) direction: Direction,
}

/// The time after a report.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Cooldown(Option<Reported>);

/// The last report; of those within one cooldown in both directions, the strength and the size of the largest.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Reported {
    timestamp_ms: i64,
    kind: AnomalyKind,
    strength: f32,
    size: f32,
    directions: Directions,
}

/// The directions of the reports within a cooldown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Directions {
    Up,
    Down,
    Both,
}

impl Directions {
    fn of(direction: Direction) -> Self {
        match direction {
            Direction::Up => Self::Up,
            Direction::Down => Self::Down,
        }
    }
}

impl Cooldown {
    /// Whether to report it: the first in its direction within the cooldown, or larger than those before. If so, it is
    /// remembered.
    pub(super) fn admits(&mut self, report: &Report, cooldown_ms: i64) -> bool {
        let directions = Directions::of(report.direction);
        let last = self.0.filter(|last| {
            let elapsed_ms = report.timestamp_ms.saturating_sub(last.timestamp_ms);
            (0..cooldown_ms).contains(&elapsed_ms)
        });
        let is_repeated = last.is_some_and(|last| {
            let larger = match (last.kind, report.kind) {
                (AnomalyKind::Drift, AnomalyKind::Drift) => LARGER_DRIFT,
                _ => LARGER,
            };
            [directions, Directions::Both].contains(&last.directions)
                && report.strength <= larger * last.strength
                && (report.size >= f32::MAX || report.size <= larger * last.size)
        });
        if is_repeated {
            return false;
        }
        let mut reported = Reported {
            timestamp_ms: report.timestamp_ms,
            kind: report.kind,
            strength: report.strength,
            size: report.size,
            directions,
        };
        // A price that goes up and down is not reported with each turn.
        if let Some(last) = last.filter(|it| it.directions != directions) {
            reported.strength = reported.strength.max(last.strength);
            reported.size = reported.size.max(last.size);
            reported.directions = Directions::Both;
        }
        self.0 = Some(reported);
        true
    }
}
