//! The AWS adapters with a fake HTTP client.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod archive;
mod arrival_time_claims;
mod candle_table;
mod dead_letters;
mod dynamodb_connections;
mod dynamodb_ticks;
mod emf;
mod event_ticks;
mod kinesis;
mod latest_ticks;
mod one_call;
mod project_metrics;
mod redrive_check;
mod scaling;
mod sqs;
mod ssm;
mod streamed_ticks;
mod tail;
mod throttled_ticks;
mod watching;
