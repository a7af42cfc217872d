//! A line on stderr that says how far a command is, if stderr is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often it turns.
const TURN_EVERY: Duration = Duration::from_millis(200);

/// A line without an end, for work of which nobody knows how much there is.
pub(crate) fn spinner() -> ProgressBar {
    turning(
        ProgressBar::new_spinner(),
        style("{spinner} {msg}, {elapsed}"),
    )
}

/// A bar of so much work.
pub(crate) fn bar(of: u64, style: ProgressStyle) -> ProgressBar {
    turning(ProgressBar::new(of), style)
}

/// It hides itself if stderr is not a terminal.
fn turning(bar: ProgressBar, style: ProgressStyle) -> ProgressBar {
    bar.set_style(style);
    if !bar.is_hidden() {
        bar.enable_steady_tick(TURN_EVERY);
    }
    bar
}

/// Shows how much of a whole is done.
pub(crate) fn show_part(bar: &ProgressBar, done: u64, of: u64) {
    if bar.length() != Some(of) {
        bar.set_length(of);
        bar.set_style(style("{wide_bar} {percent}% {msg}, {elapsed}"));
    }
    bar.set_position(done);
}

/// The style of a template.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
