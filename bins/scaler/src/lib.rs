//! Lambda: alarms move the number of shards inside its limits.
//!
//! CloudWatch calls it directly, as the action of two alarms: `…-shards-up` (more than 80 % of the
//! write throughput is used) and `…-shards-down` (less than 30 % for 15 minutes). With each event,
//! also of an alarm that has ended, it tells the number of open shards as a metric: the alarms
//! measure the load a shard by it, and a schedule calls the scaler every minute for nothing else.

pub mod config;
pub mod handler;
pub mod lambda;
pub mod metric;
pub mod wire;
