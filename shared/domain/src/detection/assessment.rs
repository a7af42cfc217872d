//! What the detector says about a value.

use serde::{Deserialize, Serialize};

use super::anomaly_kind::{AnomalyKind, Direction, Quantity};

/// What the detector says about a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assessment {
    /// How anomalous the value is, in [0, 1).
    pub score: f64,
    /// Why; `None` if the score is 0.
    pub detection: Option<Detection>,
    /// Whether to report it: the score reaches the threshold, and nothing as large in the same direction was reported
    /// within the cooldown.
    pub is_reported: bool,
}

impl Assessment {
    pub(crate) const NONE: Self = Self {
        score: 0.0,
        detection: None,
        is_reported: false,
    };
}

/// An anomaly of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// How the series departs from its past.
    pub kind: AnomalyKind,
    /// On which side of `expected` `seen` lies.
    pub direction: Direction,
    /// What `expected` and `seen` are.
    pub quantity: Quantity,
    /// What the past suggests.
    pub expected: f64,
    /// What was seen.
    pub seen: f64,
    /// How long it took, in milliseconds of event time.
    pub window_ms: i64,
}

impl Detection {
    /// The anomaly as a sentence without its subject, such as `rose 5.1 % in 1.2 s, from 1.17 to 1.23`.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { expected, seen, .. } = self;
        let (from, to) = (number_text(*expected), number_text(*seen));
        let window = duration_text(self.window_ms);
        let verb = match self.direction {
            Direction::Up => "rose",
            Direction::Down => "fell",
        };
        let side = match self.direction {
            Direction::Up => "above",
            Direction::Down => "below",
        };
        let moved = self.share_text();
        match self.kind {
            AnomalyKind::Jump => format!("{verb} {moved}in {window}, from {from} to {to}"),
            AnomalyKind::Spike => format!("came back from {from} to {to} in {window}"),
            AnomalyKind::JumpAfterSilence => {
                format!("{verb} {moved}in a silence of {window}, from {from} to {to}")
            }
            AnomalyKind::LevelShift => {
                format!("shifted {moved}from about {from} to {to} within {window}")
            }
            AnomalyKind::Drift => {
                format!("drifted {moved}from about {from} to {to} within {window}")
            }
            AnomalyKind::Volatility | AnomalyKind::StuckFeed
                if self.quantity == Quantity::Change =>
            {
                let change = |size: f64| number_text(size);
                format!(
                    "moved by {} from sample to sample over {window}, not by the usual {}",
                    change(*seen),
                    change(*expected)
                )
            }
            AnomalyKind::StuckFeed if self.quantity == Quantity::Value => {
                format!("at {to} for {window}, while the other venues went to {from}")
            }
            AnomalyKind::Volatility | AnomalyKind::StuckFeed => {
                format!("the same value {to} times in a row over {window}; {from} is usual")
            }
            AnomalyKind::Silence => format!(
                "nothing came for {}; {} is usual",
                duration_text(self.window_ms),
                duration_text(rounded(*expected))
            ),
            AnomalyKind::OutOfRange => format!("at {to}, {side} its range, which ends at {from}"),
            AnomalyKind::WrongDecimals if *seen <= 0.0 => {
                format!("at {to} after {from}, which is not a price")
            }
            AnomalyKind::WrongDecimals => {
                format!("at {to} after {from}, off by a power of ten: misplaced decimals?")
            }
            AnomalyKind::InvertedPair => {
                format!("at {to} after {from}, its reciprocal: base and quote exchanged?")
            }
            AnomalyKind::Divergence => {
                format!("at {to}, {moved}{side} the other venues at {from}")
            }
        }
    }

    /// How far apart the values are, in percent, with a space at the end; empty if a percentage makes no sense.
    fn share_text(&self) -> String {
        let share = (self.seen - self.expected) / self.expected;
        if self.expected > 0.0 && share.is_finite() {
            format!("{:.1} % ", share.abs() * 100.0)
        } else {
            String::new()
        }
    }
}

/// A number with five significant digits and no trailing zeros.
fn number_text(number: f64) -> String {
    let magnitude = number.abs().log10().floor();
    if !magnitude.is_finite() {
        return format!("{number}");
    }
    if !(-9.0..15.0).contains(&magnitude) {
        return format!("{number:.4e}");
    }
    let decimals = (4.0 - magnitude).max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 13"
    )]
    let text = format!("{number:.*}", decimals as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds of a gap")]
fn rounded(ms: f64) -> i64 {
    ms.round() as i64
}

/// A duration in the unit that people would use for it.
fn duration_text(ms: i64) -> String {
    const MINUTE_S: f64 = 60.0;
    const HOUR_S: f64 = 3_600.0;
    const DAY_S: f64 = 86_400.0;
    const YEAR_S: f64 = 365.25 * DAY_S;
    #[expect(
        clippy::cast_precision_loss,
        reason = "spans of time are far below 2^53 ms"
    )]
    let seconds = ms as f64 / 1_000.0;
    let units = [
        (YEAR_S, "years"),
        (DAY_S, "days"),
        (HOUR_S, "hours"),
        (MINUTE_S, "minutes"),
    ];
    match units.iter().find(|(length_s, _)| seconds >= 2.0 * length_s) {
        Some((length_s, unit)) => format!("{:.1} {unit}", seconds / length_s),
        None if ms < 100 => format!("{ms} ms"),
        None => format!("{seconds:.1} s"),
    }
}
