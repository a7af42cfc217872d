//! How a process starts and speaks: the clock, telemetry, a socket host with an orderly end, and
//! the shape of errors over HTTP.

pub mod clock;
pub mod host;
pub mod problem;
pub mod telemetry;
