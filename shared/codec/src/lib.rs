//! The stored record of a tick as JSON, as a binary record, as Arrow columns and as DDL. All follow
//! one table of columns; a test checks that they agree.
//!
//! Only this crate reads and writes the stored forms of a tick.

pub mod binary;
#[cfg(feature = "columnar")]
pub mod columnar;
pub mod ddl;
pub mod error;
pub mod json;
pub mod tick_columns;
