//! The ports on DynamoDB: ticks, the state and results of the analysis, and who watches the live
//! API.

pub mod analytics;
mod attributes;
mod batch;
mod candle_item;
mod claims;
pub mod connections;
mod pair_step;
mod reads;
mod tick_item;
pub mod ticks;

pub use analytics::AnalyticsTable;
pub use attributes::ItemError;
pub use connections::ConnectionTable;
pub use ticks::TickTable;
