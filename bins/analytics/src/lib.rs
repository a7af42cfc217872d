//! Lambda: batches of the stream become averages, candles and anomalies.
//!
//! A batch that comes twice changes nothing: the store knows the last record in each pair's state.
//! A record that is no tick is quarantined and passed over, so that it never holds its shard up.

pub mod config;
pub mod handler;
pub mod lambda;
