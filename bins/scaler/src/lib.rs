//! Lambda function that adjusts the number of shards to the load, within limits.
//!
//! A schedule invokes it each minute. It writes the number of open shards as a metric, reads what CloudWatch has of the
//! last day, and decides: more shards after two minutes above 80 % of the write throughput, fewer after 15 minutes below
//! 30 %. It keeps nothing between calls, so a change that Kinesis refuses is requested again by the next one.

pub mod config;
pub mod handler;
pub mod lambda;
pub mod metric;
