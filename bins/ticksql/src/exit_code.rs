//! The exit codes, as `ticksql --help` lists them.

/// The query failed, or is not a query.
pub(crate) const QUERY: u8 = 1;

/// Wrong usage, or something that the command needs is not set up.
pub(crate) const USAGE: u8 = 2;

/// Refused before it ran: it would read too much.
pub(crate) const REFUSED: u8 = 3;

/// Stopped by `--timeout`.
pub(crate) const TIMEOUT: u8 = 4;

/// The service or the storage failed.
pub(crate) const SERVICE: u8 = 5;

/// Somebody else stopped the query on the service.
pub(crate) const STOPPED_ELSEWHERE: u8 = 6;

/// What a shell reports for a process that SIGHUP ended.
pub(crate) const HUNG_UP: u8 = 129;

/// What a shell reports for a process that SIGINT ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a shell reports for a process that SIGTERM ended.
pub(crate) const TERMINATED: u8 = 143;
