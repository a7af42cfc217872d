//! How a process starts, stops and reports: the clock, telemetry, the socket host, the Lambda host
//! with partial batch failures, errors over HTTP, and text that is safe for a terminal.

#[cfg(feature = "lambda")]
pub mod batch;
pub mod causes;
pub mod clock;
pub mod host;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod printable;
pub mod problem;
pub mod telemetry;
