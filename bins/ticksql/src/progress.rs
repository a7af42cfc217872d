//! The progress line of a query, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::{Progress, State};
use crate::size::Size;

/// How often the line is redrawn while nothing changes.
const DRAWN_EVERY: Duration = Duration::from_millis(120);

/// The line.
#[derive(Clone)]
pub(crate) struct Line(ProgressBar);

impl Line {
    /// A line on standard error, or none.
    pub(crate) fn new(quiet: bool) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            // It hides itself if standard error is not a terminal.
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if !bar.is_hidden() {
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(DRAWN_EVERY);
        }
        Self(bar)
    }

    pub(crate) fn report(&self, progress: Progress) {
        if !self.0.is_hidden() {
            self.0.set_message(message(progress));
        }
    }

    /// Clears the line.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

fn message(progress: Progress) -> String {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let mut text = match progress.state {
        State::Queued => return format!("queued {}", seconds(progress.queued)),
        State::Running => format!("running {}", seconds(progress.ran)),
        State::Reading => format!("reading the answer, ran {}", seconds(progress.ran)),
    };
    if !progress.queued.is_zero() {
        text += &format!(", queued {}", seconds(progress.queued));
    }
    text + &format!(", {} scanned", Size(progress.scanned_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_state_times_and_bytes() {
        let check = |state, queued_ms, expected: &str| {
            let progress = Progress {
                state,
                queued: Duration::from_millis(queued_ms),
                ran: Duration::from_millis(1_250),
                scanned_bytes: 12_000_000,
            };
            assert_eq!(message(progress), expected);
        };
        check(State::Queued, 300, "queued 0.3 s");
        check(
            State::Running,
            300,
            "running 1.2 s, queued 0.3 s, 12.0 MB scanned",
        );
        check(
            State::Reading,
            0,
            "reading the answer, ran 1.2 s, 12.0 MB scanned",
        );
    }
}
