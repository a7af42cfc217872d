//! Lateness: a tick's position in event time, relative to the ticks before it.

use super::DetectorConfig;
use super::pair_state::PairState;

/// How late a tick may be before it counts as too late: one minute.
pub const ALLOWED_LATENESS_MS: i64 = 60_000;

/// The settings of the analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisConfig {
    /// How far behind the newest event time a tick may be, in milliseconds, before it counts as
    /// too late.
    pub allowed_lateness_ms: i64,
    /// The settings of the detector.
    pub detector: DetectorConfig,
}

impl Default for AnalysisConfig {
    fn default() -> Self {
        Self {
            allowed_lateness_ms: ALLOWED_LATENESS_MS,
            detector: DetectorConfig::default(),
        }
    }
}

/// A tick's position in event time, relative to the ticks before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timeliness {
    /// As new as the newest seen, or newer.
    InOrder,
    /// Older than the newest, within the allowed lateness.
    Late,
    /// Older than the watermark. It still counts in candles.
    TooLate,
    /// Its id is among the last 512; nothing changed.
    Duplicate,
}

impl PairState {
    pub(super) fn timeliness(&self, timestamp_ms: i64, config: &AnalysisConfig) -> Timeliness {
        match (self.newest_ms, self.watermark_ms(config)) {
            (Some(newest_ms), _) if timestamp_ms >= newest_ms => Timeliness::InOrder,
            (_, Some(watermark_ms)) if timestamp_ms >= watermark_ms => Timeliness::Late,
            (Some(_), _) => Timeliness::TooLate,
            (None, _) => Timeliness::InOrder,
        }
    }

    /// The newest event time minus the allowed lateness; `None` before the first tick.
    #[must_use]
    pub fn watermark_ms(&self, config: &AnalysisConfig) -> Option<i64> {
        let lateness_ms = config.allowed_lateness_ms.max(0);
        Some(self.newest_ms?.saturating_sub(lateness_ms))
    }
}
