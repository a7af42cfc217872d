//! Anomalies that the archive may lack, where they are stored and archived by two functions.

use async_trait::async_trait;
use domain::analytics::Anomaly;

use crate::ports::PortError;

/// A UTC day of event time with anomalies that were stored since the archive got those of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnarchivedDay {
    /// The day, as `YYYY-MM-DD`.
    pub day: String,
    /// Changes whenever anomalies of the day are stored.
    pub version: String,
}

/// The anomalies that the archive may lack.
///
/// A day is listed from when its anomalies were stored until [`UnarchivedAnomalies::archived`] is called with the version
/// of the listing. So all that was stored before a listing is among [`UnarchivedAnomalies::of_day`] after it, and what is
/// stored later lists the day again.
#[async_trait]
pub trait UnarchivedAnomalies: Send + Sync {
    /// The days, in order.
    async fn days(&self) -> Result<Vec<UnarchivedDay>, PortError>;

    /// All anomalies of a day that are stored, with those that the archive has.
    async fn of_day(&self, day: &str) -> Result<Vec<Anomaly>, PortError>;

    /// The archive has the anomalies of a day: it is no longer listed, unless more were stored meanwhile.
    async fn archived(&self, day: &UnarchivedDay) -> Result<(), PortError>;
}
