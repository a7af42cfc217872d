//! SQL over the archive: read only, within limits, and with nothing but the archive in reach.
//!
//! Tables: `price_archive` (the files as they are), `price_history` (the column names of the JSON
//! record), `ticks` (with `time`, a real timestamp, and the cohort), `anomalies` (what the analysis found) and
//! `quarantine` (what could not become a tick). The engine is DataFusion, on threads of its own, so that a heavy query does not
//! block the process around it.

mod archive_table;
mod ast_names;
mod compact_string_views;
mod cooperative_yield;
mod day_predicate;
mod day_table;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the many forms of SQL, types and plans, each place means a few"
)]
mod dialect;
mod error;
mod error_text;
mod filters_by_name;
mod from_clause;
mod functions;
mod implied_filters;
mod json_writer;
mod limits;
mod local_sql;
mod locate_corrupt_file;
mod locate_error;
mod partition_filter;
mod partitions;
mod planned;
mod position;
mod predicate;
mod predicate_from_expr;
mod pushdown;
mod quarantine_table;
mod read_only;
mod recursion_depth;
mod result_columns;
mod rows;
mod scan_stats;
mod session;
mod suggestions;
mod table_names;
mod threads;
mod unknown_function;
mod value;
mod wrapper_exec;

pub use day_predicate::day_predicate;
pub use error::SqlError;
pub use json_writer::{json_writer, non_finite_text};
pub use limits::Limits;
pub use local_sql::LocalSql;
pub use partition_filter::ArchiveScan;
pub use position::{Position, at};
pub use read_only::{ArchiveReads, SQL_BYTES_MAX, archive_scans};
pub use result_columns::type_name;
pub use rows::Rows;
pub use scan_stats::{ScanEstimate, ScanStats};
pub use suggestions::{did_you_mean, suggestions};
pub use table_names::{ANOMALIES, PRICE_ARCHIVE, QUARANTINE, VIEWS, View, table_names};
pub use value::Value;
