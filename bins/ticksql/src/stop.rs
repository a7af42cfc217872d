//! What ends a query before its time: Ctrl-C, SIGTERM, a terminal that is gone, and the clock; and
//! what ends a shell that waits for its user.

use std::fs;
use std::future::{self, Future};
use std::io::{self, IsTerminal as _, stdin};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::{Cancelled, EngineError};
use crate::problem::Problem;

/// How long a query has to stop on the service, once it is told to.
pub(crate) const GRACE: Duration = Duration::from_secs(15);

/// How long the process goes on once it is told to end, where it hangs in a write to a reader that
/// does not read.
const HANG_MAX: Duration = Duration::from_secs(20);

/// SIGHUP, which is signal 1, in a mask of signals.
const SIGHUP_BIT: u64 = 1;

/// Why a query is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: nobody sees the answer any more.
    HangUp,
    /// It took longer than this.
    Timeout(Duration),
}

impl Reason {
    /// Whether a shell ends with the query: Ctrl-C and the clock are about the query alone.
    pub(crate) fn ends_shell(self) -> bool {
        match self {
            Self::Terminate | Self::HangUp => true,
            Self::Interrupt | Self::Timeout(_) => false,
        }
    }
}

/// Does something that can be cancelled, until it is done or a signal or the clock stops it.
pub(crate) async fn unless_stopped<T>(
    time_max: Duration,
    cancel: CancellationToken,
    work: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let reason = Arc::new(OnceLock::new());
    let signals = Signals::of_query().map_err(Problem::Start)?;
    let _guard = watch(signals, time_max, cancel.clone(), Arc::clone(&reason));
    let mut work = pin!(work);
    let outcome = tokio::select! {
        biased;
        outcome = &mut work => outcome,
        () = cancel.cancelled() => match tokio::time::timeout(GRACE, &mut work).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EngineError::Cancelled(Cancelled::default()).into()),
        },
    };
    match (outcome, reason.get()) {
        (Err(Problem::Engine(EngineError::Cancelled(cancelled))), Some(reason)) => {
            Err(Problem::Stopped {
                reason: *reason,
                cancelled,
            })
        }
        (outcome, _) => outcome,
    }
}

/// Cancels on the first signal, in a task of its own: the work may hang in a write to a reader that
/// does not read. On a second signal, or where the work does not end, the process does.
fn watch(
    mut signals: Signals,
    time_max: Duration,
    cancel: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
) -> DropGuard {
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
            () = tokio::time::sleep(HANG_MAX) => first.exit_code(),
        };
        std::process::exit(i32::from(code));
    });
    guard
}

/// Hears what ends a shell for its whole life. While it waits for its user it ends at once; while a
/// query runs, which the query's own watch stops, it ends after that.
pub(crate) struct ShellWatch {
    busy: Arc<AtomicBool>,
    told: Arc<OnceLock<Reason>>,
    _guard: DropGuard,
}

impl ShellWatch {
    /// Listens. `at_end` is done before the process ends.
    pub(crate) fn start(at_end: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::of_shell()?;
        let done = CancellationToken::new();
        let watch = Self {
            busy: Arc::new(AtomicBool::new(false)),
            told: Arc::new(OnceLock::new()),
            _guard: done.clone().drop_guard(),
        };
        let (busy, told) = (Arc::clone(&watch.busy), Arc::clone(&watch.told));
        tokio::spawn(async move {
            let reason = tokio::select! {
                () = done.cancelled() => return,
                reason = signals.next() => reason,
            };
            let reason = *told.get_or_init(|| reason);
            // Whoever is busy looks at what was told when that is over.
            if !busy.load(Ordering::SeqCst) {
                at_end();
                std::process::exit(i32::from(reason.exit_code()));
            }
        });
        Ok(watch)
    }

    /// Does something that is not to be broken off.
    pub(crate) async fn while_busy<T>(&self, work: impl Future<Output = T>) -> T {
        self.busy.store(true, Ordering::SeqCst);
        let done = work.await;
        self.busy.store(false, Ordering::SeqCst);
        done
    }

    /// What the shell was told meanwhile.
    pub(crate) fn told(&self) -> Option<Reason> {
        self.told.get().copied()
    }
}

struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

impl Signals {
    fn of_query() -> io::Result<Self> {
        Self::of(true)
    }

    /// Ctrl-C takes back what is typed, where somebody types.
    fn of_shell() -> io::Result<Self> {
        Self::of(!stdin().is_terminal())
    }

    fn of(hears_interrupt: bool) -> io::Result<Self> {
        // `nohup` has SIGHUP ignored: who hears it all the same undoes that.
        let hears_hang_up = !ignores_hang_up();
        let heard = |wanted: bool, kind| wanted.then(|| signal(kind)).transpose();
        Ok(Self {
            interrupt: heard(hears_interrupt, SignalKind::interrupt())?,
            terminate: heard(true, SignalKind::terminate())?,
            hang_up: heard(hears_hang_up, SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Reason {
        tokio::select! {
            () = heard(&mut self.interrupt) => Reason::Interrupt,
            () = heard(&mut self.terminate) => Reason::Terminate,
            () = heard(&mut self.hang_up) => Reason::HangUp,
        }
    }
}

/// Whether SIGHUP was ignored when this process started, and is since. Where the system does not tell,
/// `nohup` is known by the terminal that it takes off standard input.
fn ignores_hang_up() -> bool {
    let status = fs::read_to_string("/proc/self/status").ok();
    let ignored = status.as_deref().and_then(ignored_signals);
    ignored.map_or_else(
        || !stdin().is_terminal(),
        |ignored| ignored & SIGHUP_BIT != 0,
    )
}

/// The mask of ignored signals in a process' status; the lowest bit is that of signal 1.
fn ignored_signals(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => future::pending().await,
    }
}
