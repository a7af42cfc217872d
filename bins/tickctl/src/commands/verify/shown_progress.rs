//! Shows how far a comparison is.

use domain::count_of;
use indicatif::ProgressBar;
use ops::verify::{Phase, Progress, Watch};
use tokio_util::sync::CancellationToken;

use crate::spinner::{show_part, spinner};

/// A line on stderr, if that is a terminal.
pub(crate) struct Shown {
    bar: ProgressBar,
    stop: CancellationToken,
}

impl Shown {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        let bar = spinner();
        Self { bar, stop }
    }

    pub(crate) fn show(&self, progress: Progress) {
        let Progress { phase, done, of } = progress;
        // How many ticks a range has is only known once they are read.
        self.bar.set_message(match phase {
            Phase::StoreAndStream => {
                format!("reading store and stream: {}", count_of(done, "tick"))
            }
            Phase::Archive => format!("reading the archive: {}", count_of(done, "tick")),
            Phase::Compare => "comparing".to_owned(),
            Phase::Append => format!("appending to the stream: {}", count_of(done, "tick")),
        });
        if let Some(of) = of {
            show_part(&self.bar, done, of);
        }
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
