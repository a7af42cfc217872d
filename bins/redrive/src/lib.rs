//! Lambda function that appends ticks which the stream refused to it again.
//!
//! Ticks that are refused again stay in the queue until they go to its DLQ. A message that is not a
//! tick is quarantined and deleted.

pub mod config;
pub mod handler;
pub mod lambda;
