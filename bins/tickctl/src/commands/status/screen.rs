//! Rows of a screen: a name, and what was seen or why it was not.

use ops::doctor::{CheckLine, Observed, Traffic};
use runtime::printable::printable;

/// A row. Control characters of others do not reach the terminal.
pub(super) fn row(name: &str, seen: Observed<String>) -> String {
    let text = match seen {
        Ok(text) => text,
        Err(unseen) => format!("not seen: {} ({})", unseen.why, unseen.advice),
    };
    let text = text.replace(['\n', '\t'], " ");
    format!("{name:<9} {}", printable(&text))
}

/// The evidence of a check, without its judgement, of what was seen.
pub(super) fn evidence<T>(seen: &Observed<T>, line: CheckLine) -> Observed<String> {
    match seen {
        Ok(_) => Ok(line.evidence),
        Err(unseen) => Err(unseen.clone()),
    }
}

/// The share of the new ticks that are in the cohort: of those whose delivery was completed, so that it is counted.
#[expect(clippy::cast_precision_loss, reason = "a share shown to people")]
pub(super) fn share_seen(traffic: &Traffic) -> String {
    let completed = traffic.completed();
    if completed == 0 {
        return format!("no new tick in {} s", traffic.seconds);
    }
    format!(
        "{:.2} % of {completed} new ticks in {} s",
        100.0 * traffic.in_cohort as f64 / completed as f64,
        traffic.seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_seen_is_never_more_than_all() {
        let drained = Traffic {
            seconds: 20,
            stored: 1_002,
            completed: Some(1_102),
            in_cohort: 1_102,
            ..Traffic::default()
        };
        assert_eq!(share_seen(&drained), "100.00 % of 1102 new ticks in 20 s");
        let earlier_release = Traffic {
            completed: None,
            ..drained
        };
        assert!(share_seen(&earlier_release).starts_with("100.00 %"));
        assert_eq!(share_seen(&Traffic::default()), "no new tick in 0 s");
    }
}
