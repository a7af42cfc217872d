//! The signals that end a process.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit status of a process that a signal ended: 128 plus the signal's number.
const INTERRUPTED: i32 = 128 + 2;
/// The same for a termination.
const TERMINATED: i32 = 128 + 15;

/// The signals that end a process.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one; returns its exit status.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
        }
    }
}

/// Waits for Ctrl-C or a termination signal. A second one ends the process at once,
/// with status 130 or 143.
///
/// # Errors
/// If the process cannot listen for signals.
pub async fn stop_signal() -> std::io::Result<()> {
    let mut signals = StopSignals::listen()?;
    signals.next().await;
    tokio::spawn(async move {
        let status = signals.next().await;
        tracing::warn!("asked to stop a second time: exiting at once");
        std::process::exit(status);
    });
    Ok(())
}
