//! How a process starts, stops and reports: the clock, telemetry, the socket host, the Lambda host
//! with partial batch failures, errors over HTTP, a limit for log lines, and text that is safe for a terminal.

pub mod causes;
pub mod clock;
pub mod host;
#[cfg(feature = "lambda")]
pub mod kinesis_event;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod log_rate;
#[cfg(feature = "lambda")]
pub mod partial_batch;
pub mod printable;
pub mod problem;
pub mod telemetry;
