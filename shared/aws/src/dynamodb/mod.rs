//! The ports on DynamoDB: ticks, the analytics store, and the subscriptions of the live API.
//! `docs/dynamodb.md` describes the tables and has the numbers.

pub mod analytics;
mod arrival_time_claims;
mod attributes;
mod batch_write;
mod candle_item;
pub mod connections;
mod known_ticks;
mod pair_step;
mod put_rows;
mod reads;
mod store_timeout;
mod tick_item;
mod tick_row;
pub mod ticks;

pub use analytics::AnalyticsTable;
pub use attributes::ItemError;
pub use connections::ConnectionTable;
pub use store_timeout::{STORE_TIMEOUT, STORE_TIMEOUT_MAX, StoreTimeout};
pub use ticks::{TickTable, TickTableConfig};
