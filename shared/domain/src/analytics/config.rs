//! The settings of the analysis.

use super::lateness::ALLOWED_LATENESS_MS;
use crate::detection::DetectionConfig;

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
