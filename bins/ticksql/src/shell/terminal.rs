//! The terminal, as it was before a line was edited in it.

use std::io::{Write as _, stdin, stdout};

use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};

/// Ends what the line editor asks of a terminal (pasted text in brackets), and the line.
const LEFT: &[u8] = b"\x1b[?2004l\r\n";

/// How a terminal was; nothing where there is none.
pub(super) struct Terminal(Option<Termios>);

impl Terminal {
    pub(super) fn as_it_is() -> Self {
        Self(tcgetattr(stdin()).ok())
    }

    /// Puts it back, for a process that ends while a line is edited: its user could not see what they
    /// type otherwise.
    pub(super) fn restore(self) {
        let Some(before) = self.0 else {
            return;
        };
        // Where it is gone there is nothing to put back.
        _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &before);
        _ = stdout().write_all(LEFT);
        _ = stdout().flush();
    }
}
