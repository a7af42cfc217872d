//! **Our model of AWS's Kinesis event source.** The emulator's own reader ignores partial failures,
//! bisect, retry and age limits, the window and the failure destination. This one stands between a
//! stream (the emulator's) and a function (a real bootstrap on a fake Runtime API) and honours them.
//!
//! It is a model, after AWS's documentation: what it proves is that our functions behave under these
//! rules, not that AWS follows them. The rules are in [`shard`] and [`answer`], without input and
//! output. Played: batch size, payload size, window, bisect, retries, record age, partial failures,
//! failure destination, resharding (parents before children), one batch in flight a shard. Not
//! played: tumbling windows, more than one batch a shard, filters, enhanced fan-out.

pub mod answer;
pub mod driver;
pub mod event;
pub mod function;
pub mod lineage;
mod reading;
pub mod record;
pub mod settings;
pub mod shard;

pub use answer::Answer;
pub use driver::{EventSource, FailureDestination, GivenUp, Report};
pub use function::Function;
pub use reading::StartingPosition;
pub use settings::Settings;
