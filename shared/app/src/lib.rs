//! The use cases of the data path, and the ports they need.
//!
//! A use case is a struct of ports with one or two methods. It accesses storage, network services
//! and the clock only through ports, so the same code runs on the embedded store and on AWS.

pub mod analyse;
pub mod bisect;
pub mod candle_rebuild;
pub mod day_folder;
pub mod digest;
mod drain_outbox;
pub mod flag_editor;
pub mod ingest;
pub mod isolate;
pub mod ledger;
pub mod live;
pub mod objects;
pub mod pace;
pub mod poison;
pub mod ports;
mod quarantine;
pub mod quarantine_objects;
pub mod quarantine_review;
pub mod read_back;
pub mod rebuilt_blocks;
pub mod recent_offers;
pub mod redrive;
pub mod replay;
pub mod requeue;
pub mod requeue_batches;
pub mod sequence;
pub mod tick_replay;
pub mod time_text;
pub mod unarchived_anomalies;
pub mod utc_days;
