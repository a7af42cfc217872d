//! The settings of the analysis.

use super::lateness::ALLOWED_LATENESS_MS;
use crate::detection::{DetectionConfig, ReportsPerDay};

/// The settings of the analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalysisConfig {
    /// How far behind the newest effective time a tick may be, in milliseconds, before it counts as
    /// too late.
    pub allowed_lateness_ms: i64,
    /// The settings of the detection of anomalies.
    pub detection: DetectionConfig,
}

impl Default for AnalysisConfig {
    fn default() -> Self {
        Self {
            allowed_lateness_ms: ALLOWED_LATENESS_MS,
            detection: DetectionConfig::PRICES,
        }
    }
}

impl AnalysisConfig {
    /// The default with another number of reports of anomalies.
    #[must_use]
    pub fn with_reports_per_day(reports: ReportsPerDay) -> Self {
        let mut config = Self::default();
        config.detection.reports_per_day = reports.get();
        config
    }
}
