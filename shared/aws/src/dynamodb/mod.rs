//! The ports on DynamoDB: ticks, the results and checkpoints of the analysis, and the subscriptions of the live API.
//! `docs/dynamodb.md` describes the tables and has the numbers.

mod anomaly_item;
mod arrival_time_claims;
mod attributes;
mod batch_write;
mod block_item;
pub mod candle_blocks;
pub mod connections;
pub mod event_ticks;
mod known_ticks;
mod put_rows;
mod reads;
pub mod shard_heads;
mod store_timeout;
mod stored_days;
mod stored_ticks;
mod tick_item;
mod tick_row;
pub mod ticks;
mod unarchived_days;

pub use attributes::ItemError;
pub use candle_blocks::CandleTable;
pub use connections::ConnectionTable;
pub use shard_heads::ShardCheckpoints;
pub use store_timeout::{STORE_TIMEOUT, STORE_TIMEOUT_MAX, StoreTimeout};
pub use stored_days::ListedTicks;
pub use stored_ticks::{Find, TickTableReader};
pub use ticks::{TickTable, TickTableConfig};
pub use unarchived_days::UnarchivedDays;
