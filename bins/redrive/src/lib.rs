//! Lambda: ticks that the stream refused go back into it.
//!
//! What is refused again goes back to the queue by the answer, until the queue gives it to its
//! dead-letter queue. A message that is no tick is quarantined and deleted.

pub mod config;
pub mod handler;
pub mod lambda;
