//! The stored record of a tick: one table of columns, from which JSON, the binary record, the
//! Arrow schema and the DDL follow, and against which a test holds them.
//!
//! Nothing outside this crate writes or reads a tick's stored form.

pub mod binary;
pub mod column;
#[cfg(feature = "columnar")]
pub mod columnar;
pub mod ddl;
pub mod error;
pub mod json;
