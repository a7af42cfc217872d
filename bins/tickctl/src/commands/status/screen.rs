//! Rows of a screen: a name, and what was seen or why it was not.

use ops::doctor::{CheckLine, Seen, Traffic};
use runtime::printable::printable;

/// A row. Control characters of others do not reach the terminal.
pub(super) fn row(name: &str, seen: Seen<String>) -> String {
    let text = match seen {
        Ok(text) => text,
        Err(unseen) => format!("not seen: {} ({})", unseen.why, unseen.advice),
    };
    let text = text.replace(['\n', '\t'], " ");
    format!("{name:<9} {}", printable(&text))
}

/// The evidence of a check, without its judgement, of what was seen.
pub(super) fn evidence<T>(seen: &Seen<T>, line: CheckLine) -> Seen<String> {
    match seen {
        Ok(_) => Ok(line.evidence),
        Err(unseen) => Err(unseen.clone()),
    }
}

/// The share of the stored ticks that are in the cohort.
#[expect(clippy::cast_precision_loss, reason = "a share shown to people")]
pub(super) fn share_seen(traffic: &Traffic) -> String {
    if traffic.stored == 0 {
        return format!("no new tick in {} s", traffic.seconds);
    }
    format!(
        "{:.2} % of {} new ticks in {} s",
        100.0 * traffic.in_cohort as f64 / traffic.stored as f64,
        traffic.stored,
        traffic.seconds
    )
}
