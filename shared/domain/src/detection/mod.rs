//! Anomalies of a series, found as it arrives: in one pass, with bounded state, and without looking ahead.
//!
//! A [`SeriesDetector`] sees its series at several horizons: samples that are at least 1 s, 10 s, 60 s and 600 s of event
//! time apart. At each, seven statistics measure how a sample departs from the past. Each measure is ranked in its own past,
//! so no distribution is assumed, and the root mean square of the ranks is the evidence. It is strong if it
//! exceeds the usual maximum of a day of such samples. It counts when it begins: an anomaly has one onset. Besides, the moves
//! up to each tick, silences, runs of one value and the size of the last steps are compared with the tails of their own
//! pasts, and prices that no market makes are recognized at once. [`Venues`] compares the venues of a pair.
//!
//! A statistic is a file with a type that implements `Statistic`. docs/analytics.md has the method and its figures.

mod anomaly_kind;
mod assessment;
mod cooldown;
mod detection_config;
mod horizon;
mod jump;
mod level;
mod logarithm;
mod mean;
mod moves;
mod onset;
mod out_of_range;
mod past;
mod price_fault;
mod rhythm;
mod series;
mod shares;
mod signal;
mod statistic;
mod statistics;
mod steps;
#[cfg(test)]
mod tests;
mod time_of_day;
mod venues;
mod volatility;

pub use anomaly_kind::{AnomalyKind, Direction, Quantity};
pub use assessment::{Assessment, Detection};
pub(crate) use mean::Mean;

pub use detection_config::{DetectionConfig, ReportsPerDay, ReportsPerDayError, Scale};
pub use series::{DETECTOR_STATE_VERSION, SeriesDetector};
pub use venues::Venues;
