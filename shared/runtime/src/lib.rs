//! How a process starts and speaks: the clock, telemetry, a socket host with an orderly end, the
//! Lambda host with partial failures of batches, and the shape of errors over HTTP and at an end.

#[cfg(feature = "lambda")]
pub mod batch;
pub mod causes;
pub mod clock;
pub mod host;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod problem;
pub mod telemetry;
