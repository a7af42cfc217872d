//! The stored record of a tick as JSON, as a binary record, as Arrow columns and as DDL. All follow
//! one table of columns; a test checks that they agree. Anomalies are Arrow columns and DDL by a table of their own.
//!
//! Only this crate reads and writes the stored forms of a tick.

#[cfg(feature = "columnar")]
pub mod anomaly_batch;
pub mod anomaly_columns;
pub mod binary;
#[cfg(feature = "columnar")]
pub mod columnar;
pub mod ddl;
pub mod error;
pub mod json;
pub mod tick_columns;
