//! What ends a query before its time: Ctrl-C, SIGTERM, and the clock.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::EngineError;
use crate::problem::Problem;
use crate::size::Size;

/// How long a query has to stop on the service, once it is told to.
const GRACE: Duration = Duration::from_secs(10);

/// Why a query is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// It took longer than this.
    Timeout(Duration),
}

/// Does something that can be cancelled, until it is done or a signal or the clock stops it.
pub(crate) async fn unless_stopped<T>(
    time_max: Duration,
    cancel: CancellationToken,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let reason = Arc::new(OnceLock::new());
    let _guard = watch(time_max, cancel.clone(), Arc::clone(&reason)).map_err(Problem::Start)?;
    let mut work = pin!(work);
    let outcome = tokio::select! {
        biased;
        outcome = &mut work => outcome,
        () = cancel.cancelled() => match tokio::time::timeout(GRACE, &mut work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(stopped(None, 0)),
        },
    };
    match (outcome, reason.get()) {
        (
            Err(Problem::Engine(EngineError::Cancelled {
                query_id,
                scanned_bytes,
            })),
            Some(reason),
        ) => Err(Problem::Stopped {
            reason: *reason,
            scanned: (scanned_bytes > 0).then_some(Size(scanned_bytes)),
            query_id,
        }),
        (outcome, _) => outcome,
    }
}

fn stopped(query_id: Option<String>, scanned_bytes: u64) -> Problem {
    Problem::Engine(EngineError::Cancelled {
        query_id,
        scanned_bytes,
    })
}

/// Cancels on the first signal, in a task of its own: the work may hang in a write to a reader that
/// does not read. On a second signal, or where the work does not end, the process does.
fn watch(
    time_max: Duration,
    cancel: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
) -> io::Result<DropGuard> {
    let mut signals = Signals::new()?;
    let done = CancellationToken::new();
    let guard = done.clone().drop_guard();
    tokio::spawn(async move {
        let first = tokio::select! {
            () = done.cancelled() => return,
            reason = signals.next() => reason,
            () = tokio::time::sleep(time_max) => Reason::Timeout(time_max),
        };
        let first = *reason.get_or_init(|| first);
        cancel.cancel();
        let code = tokio::select! {
            () = done.cancelled() => return,
            second = signals.next() => second.exit_code(),
            // Longer than the work has, which then ends in order.
            () = tokio::time::sleep(2 * GRACE) => first.exit_code(),
        };
        std::process::exit(i32::from(code));
    });
    Ok(guard)
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Reason {
        tokio::select! {
            _ = self.interrupt.recv() => Reason::Interrupt,
            _ = self.terminate.recv() => Reason::Terminate,
        }
    }
}
