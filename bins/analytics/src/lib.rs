//! Lambda function that computes averages, candles and anomalies from batches of the stream.
//!
//! A batch that is delivered twice changes nothing: the store knows the last record in each pair's
//! state. A tick that the stream holds twice counts once: the candles of one second keep which ticks
//! are in them. A record that is not a tick is quarantined and skipped, so it never blocks its shard.

pub mod config;
pub mod event;
pub mod handler;
pub mod lambda;
