//! Lambda function that adjusts the number of shards on alarms, within limits.
//!
//! CloudWatch invokes it directly, as the action of two alarms: `…-shards-up` (more than 80 % of
//! the write throughput is used) and `…-shards-down` (less than 30 % for 15 minutes). With each
//! event, even that of an alarm that has ended, it writes the number of open shards as a metric.
//! The alarms compute the load per shard from it; a schedule also invokes the scaler every minute,
//! only to write this metric.

pub mod config;
pub mod handler;
pub mod lambda;
pub mod metric;
pub mod wire;
