//! Why a query is stopped from here.

use std::time::Duration;

use crate::exit_code;

/// Why a query is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: nobody sees the answer any more.
    HangUp,
    /// It took longer than this.
    Timeout(Duration),
}

impl StopReason {
    /// Whether a shell ends with the query: Ctrl-C and the timeout concern the query alone.
    pub(crate) fn ends_shell(self) -> bool {
        match self {
            Self::Terminate | Self::HangUp => true,
            Self::Interrupt | Self::Timeout(_) => false,
        }
    }

    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => exit_code::INTERRUPTED,
            Self::Terminate => exit_code::TERMINATED,
            Self::HangUp => exit_code::HUNG_UP,
            Self::Timeout(_) => exit_code::TIMEOUT,
        }
    }
}
