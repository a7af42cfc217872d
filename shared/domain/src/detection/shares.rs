//! How the reports of a day are shared among what is judged.

use super::detection_config::{DetectionConfig, Scale};

/// The limits of what is expected by chance in a day. Together they are about 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    /// Onsets of what the statistics show, of all horizons.
    pub(super) onsets: f32,
    /// Moves, of each horizon.
    pub(super) moves: f32,
    /// Times of large steps.
    pub(super) steps: f32,
    /// Runs of one value.
    pub(super) runs: f32,
    pub(super) silences: f32,
}

const OF_PRICES: Shares = Shares {
    onsets: 0.4,
    moves: 0.1,
    steps: 0.1,
    runs: 0.1,
    silences: 0.1,
};

/// In numbers other than prices, runs and gaps are mostly of no interest: sensors rest, and collectors restart. Nor are a
/// few large steps.
const OF_NUMBERS: Shares = Shares {
    onsets: 0.4,
    moves: 0.05,
    steps: 0.0,
    runs: 1e-7,
    silences: 1e-8,
};

/// A few hours cannot show what happens once in ten days: by such a limit, even four times the largest of all that was seen
/// would count as usual. So the first hours may have as many reports as eight, but no hour may have more.
const SHORT_PAST_HOURS: f32 = 8.0;

impl Shares {
    /// The limits for a series that has been seen for this many hours.
    pub(super) fn limits(config: &DetectionConfig, hours: f32) -> Self {
        let shares = match config.scale {
            Scale::Linear => OF_NUMBERS,
            Scale::Logarithmic => OF_PRICES,
        };
        let short_past = SHORT_PAST_HOURS / hours.clamp(1.0, SHORT_PAST_HOURS);
        let tails = config.reports_per_day * short_past;
        Self {
            onsets: shares.onsets * config.reports_per_day,
            moves: shares.moves * tails,
            steps: shares.steps * tails,
            runs: shares.runs * tails,
            silences: shares.silences * tails,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_past_has_the_limits_of_eight_hours() {
        for (hours, expected) in [(0.0, 0.8), (1.0, 0.8), (4.0, 0.2), (8.0, 0.1), (500.0, 0.1)] {
            let limits = Shares::limits(&DetectionConfig::PRICES, hours);
            assert_eq!(limits.moves, expected, "{hours} hours");
            assert_eq!(limits.onsets, 0.4);
        }
    }
}
