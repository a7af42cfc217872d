//! Shows how far a comparison is.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ops::verify::{Phase, Progress, Watch};
use tokio_util::sync::CancellationToken;

/// A line on stderr, if that is a terminal.
pub(crate) struct Shown {
    bar: ProgressBar,
    stop: CancellationToken,
}

impl Shown {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, stop }
    }

    pub(crate) fn show(&self, progress: Progress) {
        let Progress { phase, done, of } = progress;
        self.bar.set_message(match (phase, of) {
            (Phase::StoreAndStream, _) => format!("reading store and stream: {done} ticks"),
            (Phase::Archive, _) => format!("reading the archive: {done} ticks"),
            (Phase::Compare, Some(of)) => format!("comparing: part {done} of {of}"),
            (Phase::Compare, None) => format!("comparing: part {done}"),
        });
    }

    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Shown {
    fn progress(&self, progress: Progress) {
        self.show(progress);
    }

    fn stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}
