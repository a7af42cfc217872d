//! The domain: ticks, prices, cohorts and analytics.
//!
//! Nothing in this crate does I/O, reads a clock or the environment, or waits: every function
//! returns the same result for the same arguments.

pub mod analytics;
pub mod detection;

pub mod aliases;
mod amount;
mod cohort;
mod count;
mod id;
mod identity;
mod malformed;
mod name;
mod nearest_double;
mod pair;
mod percentage;
mod rollout;
mod rounded;
mod text;
mod tick;

pub use amount::{AmountError, Price, Volume};
pub use cohort::cohort_bucket;
pub use count::count_of;
pub use id::{TickId, TickIdError};
pub use identity::TickIdentity;
pub use malformed::{Malformed, RAW_BYTES_MAX, Reason, Severity};
pub use name::{NameError, SourceName, Token};
pub use nearest_double::nearest_double;
pub use pair::Pair;
pub use percentage::{COHORT_BUCKETS, Percentage, PercentageError};
pub use rollout::{Rollout, RolloutChange, RolloutKey, RolloutKeyError};
pub use text::{ENCODING_BYTES, EncodingError, is_quoted, utf8_start, utf8_text};
pub use tick::{
    FUTURE_TOLERANCE_MS, MS_PER_DAY, Method, MethodError, Quality, QualityError, SEQUENCE_MAX,
    TICK_VERSION, TIMESTAMP_MS_MIN, Tick, TickOrder, TimestampError, check_timestamp,
};
