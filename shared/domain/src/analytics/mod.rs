//! Candles, moving averages and anomalies of one pair, from its ticks in event time.
//!
//! A pair is a token and a quote: prices in different quotes cannot be averaged. Its state is
//! bounded: about 17 KB in memory and 12 KB stored of a busy pair with one series of prices, and 15 KB and 11 KB
//! more if it has both trades and quotes, or 4 KB and 3 KB for each further venue, of which at most 8 are judged. Only
//! [`PairState::apply`] and [`PairState::silences`] change it.
//!
//! **Order and repetition.** Candles and averages depend on the set of ticks, not on their order of
//! arrival; open and close follow [`crate::TickOrder`]. A state does not recognize a tick that it has; a
//! [`CandleBlock`] does.
//!
//! **Time.** Candles are in event time. A candle stays open until the pair's newest *effective* time
//! (event time, or the time of receipt if that is earlier) reaches its end. A tick that is ahead of our
//! clock opens the candle of its event time next to the current one, and makes no other tick late. A tick
//! of a candle that has ended yields a one-tick fragment. The store merges fragments into the stored
//! candles and reissues these with the next revision, however late the tick is: lateness is counted,
//! and nothing is dropped. A reader may consider a candle final once the pair's watermark (the newest
//! effective time minus the allowed lateness) has passed its end.
//!
//! **The caller's duty.** Store the state, the closed candles and the merged corrections of a step
//! together or not at all. Then repeating a step from the stored state gives the same result.
//! Within a step, store closed candles before merging corrections.

mod anomaly;
mod anomaly_v1;
mod averages;
mod block;
mod candle;
mod candle_v2;
mod config;
mod interval;
mod lateness;
mod longest_delay;
mod members;
mod ohlcv;
mod pair_detector;
mod pair_state;
mod series_kind;
mod state_v1;
#[cfg(test)]
mod tests;
mod total_volume;
mod watched;
mod window;

pub use anomaly::Anomaly;
pub use anomaly_v1::AnomalyV1;
pub use averages::Averages;
pub use block::{Added, CandleBlock, CompactBlock};
pub use candle::{Candle, CandleSeries, OTHER_VENUES};
pub use candle_v2::CandleV2;
pub use config::AnalysisConfig;
pub use interval::{Interval, IntervalError};
pub use lateness::{ALLOWED_LATENESS_MS, Timeliness};
pub use members::Member;
pub use ohlcv::Ohlcv;
pub use pair_state::{Effects, Latest, PairState, STATE_VERSION};
pub use series_kind::{SeriesKind, SeriesKindError};
pub use state_v1::{CandleV1, PairStateV1, StateVersionError};
pub use total_volume::{TotalVolume, TotalVolumeError};
pub use watched::{Watch, Watched};
pub use window::{WINDOWS_MS, WindowAverages};
