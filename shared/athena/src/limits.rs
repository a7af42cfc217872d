//! The service's limits.

use std::time::Duration;

/// The service's limit for the text of a statement.
pub const SQL_BYTES_MAX: usize = 262_144;

/// The service's limit for the age of a reused result: seven days.
pub const REUSE_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);
