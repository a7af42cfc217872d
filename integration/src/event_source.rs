//! **Our model of AWS's Kinesis event source.** The emulator's own reader ignores partial failures,
//! bisect, retry and age limits, the window and the failure destination. This model, between a
//! stream (of the emulator) and a function (a real bootstrap with a fake Runtime API), implements
//! them.
//!
//! It is a model based on AWS's documentation: it proves how our functions behave under these
//! rules, not that AWS follows them. The rules are in [`shard`], [`bisect`], [`answer`] and, for queues,
//! [`queue`], without I/O. Each names the page and section that it follows.
//! Implemented: batch size, payload size, window, bisect, retries, record age, partial failures,
//! failure destination, resharding (parents before children), one batch in flight per shard. Not
//! implemented: tumbling windows, more than one batch per shard, filters, enhanced fan-out.

pub mod answer;
pub mod bisect;
pub mod driver;
pub mod event;
pub mod function;
pub mod lineage;
pub mod mapping;
pub mod queue;
mod reading;
pub mod record;
pub mod shard;

pub use answer::Answer;
pub use driver::{DiscardedBatch, EventSource, FailureDestination, Report};
pub use function::Function;
pub use mapping::MappingSettings;
pub use reading::StartingPosition;
