//! The live feed: ticks and results of the analysis are conflated, so that for each pair, candle and
//! average only the latest remains, and sent as JSON messages that are the same on this machine and
//! on AWS.

mod conflated_updates;
mod conflator;
mod fanout;
mod messages;
mod results_json;

pub use conflated_updates::{ConflatedUpdates, Kind, Update};
pub use conflator::{Conflator, Reader};
pub use fanout::{DELIVER_WITHIN, DeliveryReport, Fanout, MESSAGE_BYTES_MAX, NOBODY_WATCHES_FOR};
pub use messages::{messages, snapshot};
pub use results_json::{AnomalyJson, AveragesJson, CandleJson};
