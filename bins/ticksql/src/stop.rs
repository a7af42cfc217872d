//! Stops a query on Ctrl-C, SIGTERM, SIGHUP and timeout, and ends a shell that waits for its user.

use std::fs;
use std::future::{self, Future};
use std::io::{self, IsTerminal as _, stdin};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cli_error::CliError;
use crate::engine::{Cancelled, EngineError};
use crate::stop_reason::StopReason;

/// How long a query has to stop on the service.
pub(crate) const GRACE: Duration = Duration::from_secs(15);

/// How long the process runs after a signal if a write blocks on a reader that does not read.
const HANG_MAX: Duration = Duration::from_secs(20);

/// SIGHUP, which is signal 1, in a mask of signals.
const SIGHUP_BIT: u64 = 1;

/// The signals that stop a query. From the beginning of listening on, none ends the process before its temporary files
/// are removed.
pub(crate) struct QuerySignals {
    own: Signals,
    earlier: ShellSignal,
}

impl QuerySignals {
    /// Listens, beside a shell whose signal may have come before.
    pub(crate) fn listen(earlier: ShellSignal) -> Result<Self, CliError> {
        let own = Signals::of(true).map_err(CliError::Start)?;
        Ok(Self { own, earlier })
    }
}

/// Runs work that can be cancelled, until it is done or a signal or the timeout stops it.
pub(crate) async fn unless_stopped<T>(
    time_max: Duration,
    cancel: CancellationToken,
    signals: QuerySignals,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let reason = Arc::new(OnceLock::new());
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
        (Err(CliError::Engine(EngineError::Cancelled(cancelled))), Some(reason)) => {
            Err(CliError::Stopped {
                reason: *reason,
                cancelled,
            })
        }
        (outcome, _) => outcome,
    }
}

/// Cancels on the first signal, in a task of its own: the work may block in a write to a reader that
/// does not read. On a second signal, or if the work does not end, the process exits.
fn watch(
    signals: QuerySignals,
    time_max: Duration,
    cancel: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
) -> DropGuard {
    let done = CancellationToken::new();
    let guard = done.clone().drop_guard();
    let QuerySignals {
        own: mut signals,
        mut earlier,
    } = signals;
    tokio::spawn(async move {
        let first = tokio::select! {
            // A signal that the shell receives too is not a second one.
            biased;
            () = done.cancelled() => return,
            reason = signals.next() => reason,
            reason = earlier.received() => reason,
            () = tokio::time::sleep(time_max) => StopReason::Timeout(time_max),
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

/// What a shell does, and the signal that it received.
#[derive(Debug, Clone, Copy, Default)]
struct ShellState {
    busy: bool,
    signal: Option<StopReason>,
}

/// The signal that a shell receives: its query may begin to listen only afterwards.
#[derive(Debug, Clone)]
pub(crate) struct ShellSignal(Option<watch::Receiver<ShellState>>);

impl ShellSignal {
    /// That of a query without a shell.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    async fn received(&mut self) -> StopReason {
        if let Some(state) = &mut self.0
            && let Ok(state) = state.wait_for(|state| state.signal.is_some()).await
            && let Some(reason) = state.signal
        {
            return reason;
        }
        future::pending().await
    }
}

/// Listens for signals while a shell runs. A shell that waits for its user ends at once; one that runs
/// a query, which the query's own watch stops, ends after it.
pub(crate) struct ShellWatch {
    state: Arc<watch::Sender<ShellState>>,
    _guard: DropGuard,
}

impl ShellWatch {
    /// Starts to listen. `at_end` runs before the process exits.
    pub(crate) fn start(at_end: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let mut signals = Signals::of_shell()?;
        let done = CancellationToken::new();
        let watch = Self {
            state: Arc::new(watch::Sender::new(ShellState::default())),
            _guard: done.clone().drop_guard(),
        };
        let state = Arc::clone(&watch.state);
        tokio::spawn(async move {
            let reason = tokio::select! {
                () = done.cancelled() => return,
                reason = signals.next() => reason,
            };
            let mut busy = false;
            state.send_modify(|state| {
                state.signal = Some(reason);
                busy = state.busy;
            });
            // A busy shell checks for the signal before it waits again.
            if !busy {
                at_end();
                std::process::exit(i32::from(reason.exit_code()));
            }
        });
        Ok(watch)
    }

    /// From now on a signal does not end the process.
    pub(crate) async fn begin(&self) {
        let mut exits = false;
        self.state.send_modify(|state| {
            exits = state.signal.is_some() && !state.busy;
            state.busy |= !exits;
        });
        if exits {
            future::pending().await
        }
    }

    /// From now on a signal ends the process, unless one has been received, which is returned.
    pub(crate) fn wait(&self) -> Option<StopReason> {
        let mut signal = None;
        self.state.send_modify(|state| {
            signal = state.signal;
            state.busy &= signal.is_some();
        });
        signal
    }

    /// The signal that was received, if any.
    pub(crate) fn received_signal(&self) -> Option<StopReason> {
        self.state.borrow().signal
    }

    /// The signal, for a query that begins.
    pub(crate) fn signal(&self) -> ShellSignal {
        ShellSignal(Some(self.state.subscribe()))
    }
}

struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

impl Signals {
    /// At a terminal, Ctrl-C only discards the input line.
    fn of_shell() -> io::Result<Self> {
        Self::of(!stdin().is_terminal())
    }

    fn of(on_interrupt: bool) -> io::Result<Self> {
        // `nohup` sets SIGHUP to be ignored: a handler that still runs reverts it.
        let on_hang_up = !ignores_hang_up();
        let listen = |wanted: bool, kind| wanted.then(|| signal(kind)).transpose();
        Ok(Self {
            interrupt: listen(on_interrupt, SignalKind::interrupt())?,
            terminate: listen(true, SignalKind::terminate())?,
            hang_up: listen(on_hang_up, SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> StopReason {
        tokio::select! {
            () = received(&mut self.interrupt) => StopReason::Interrupt,
            () = received(&mut self.terminate) => StopReason::Terminate,
            () = received(&mut self.hang_up) => StopReason::HangUp,
        }
    }
}

/// Whether SIGHUP has been ignored since this process started. If the system does not report it,
/// standard input decides: under `nohup` it is not a terminal.
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

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => future::pending().await,
    }
}
