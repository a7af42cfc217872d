//! Candles, moving averages and anomalies of one pair, from its ticks in event time.
//!
//! A pair is a token and a quote: prices in different quotes cannot be averaged. Its state is
//! bounded (about 14 KB in memory, 10 KB stored), and only [`PairState::apply`] changes it.
//!
//! **Order and repetition.** A tick whose id is among the pair's last 512 changes nothing. Candles
//! and averages depend on the set of ticks, not on their order. A tick newer than all before it
//! closes the candles that ended before it. A tick older than an open candle yields one-tick
//! fragments of the candles it belongs to. The store merges them into the stored candles and
//! reissues these with the next revision, however late the tick is: lateness is counted, and
//! nothing is dropped. A reader may consider a candle final once the pair's watermark (the newest
//! event time minus the allowed lateness) has passed its end.
//!
//! **The caller's duty.** Store the state, the closed candles and the merged corrections of a step
//! together or not at all. Then repeating a step from the stored state gives the same result.
//! Within a step, store closed candles before merging corrections.

mod anomaly;
mod averages;
mod candle;
mod detector;
mod interval;
mod lateness;
mod pair_state;
mod recent_ids;
#[cfg(test)]
mod tests;
mod total_volume;

pub use anomaly::Anomaly;
pub use averages::{Averages, WINDOWS_MS, WindowAverages};
pub use candle::Candle;
pub use detector::{AnomalyReason, Detector, DetectorConfig, Verdict};
pub use interval::{Interval, IntervalError};
pub use lateness::{ALLOWED_LATENESS_MS, AnalysisConfig, Timeliness};
pub use pair_state::{Effects, Latest, PairState, STATE_VERSION};
pub use total_volume::{TotalVolume, TotalVolumeError};
