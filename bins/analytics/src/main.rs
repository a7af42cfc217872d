//! Lambda function that computes averages, candles and anomalies from batches of the stream.

use std::process::ExitCode;

/// The allocator of tickstream: the C libraries' own cost a tenth more CPU time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    runtime::lambda::main(analytics::lambda::run)
}
