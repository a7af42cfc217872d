//! Restores the terminal to its state before the line editor changed it.

use std::io::{Write as _, stdin, stdout};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// Turns off bracketed paste, which the line editor turned on, and ends the line.
const LEFT: &[u8] = b"\x1b[?2004l\r\n";

/// The saved state of a terminal, if there is one.
pub(super) struct TerminalState(Option<Termios>);

impl TerminalState {
    pub(super) fn save() -> Self {
        Self(tcgetattr(stdin()).ok())
    }

    /// Restores it, for a process that ends while a line is edited: otherwise its user would not
    /// see what they type.
    pub(super) fn restore(self) {
        let Some(before) = self.0 else {
            return;
        };
        // A terminal that is gone needs no state.
        _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &before);
        _ = stdout().write_all(LEFT);
        _ = stdout().flush();
    }
}
