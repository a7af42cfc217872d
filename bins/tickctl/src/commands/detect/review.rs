//! What people say about the anomalies that a tickstream found.

use std::fmt::Write as _;

use serde::Deserialize;
use store::KindReview;

use crate::data_access::{DataAccess, DataOptions};

#[derive(Deserialize)]
struct Review {
    kinds: Vec<KindReview>,
}

/// The anomalies of each kind, and the false alarms among them.
pub(super) async fn read(data: &DataOptions) -> anyhow::Result<Vec<KindReview>> {
    match data.open().await? {
        DataAccess::Server(server) => {
            let review: Result<Review, _> = server.get("/api/anomalies/review").await;
            Ok(review.map_err(|error| server.explain(error))?.kinds)
        }
        DataAccess::Store(opened) => {
            let kinds = opened.store.anomaly_review().await;
            opened.store.close();
            Ok(kinds?)
        }
    }
}

/// A table of them.
pub(super) fn text(kinds: &[KindReview]) -> String {
    if kinds.is_empty() {
        return "no anomaly was found yet\n".to_owned();
    }
    let mut text = format!("{:<20}{:>8}{:>14}\n", "kind", "found", "false alarms");
    let mut line = |name: &str, found: u64, false_alarms: u64| {
        let share = (false_alarms * 100).checked_div(found).unwrap_or_default();
        // Writing to a String cannot fail.
        _ = writeln!(text, "{name:<20}{found:>8}{false_alarms:>14}{share:>5} %");
    };
    for it in kinds {
        line(it.kind.as_str(), it.found, it.false_alarms);
    }
    let sum = |of: fn(&KindReview) -> u64| kinds.iter().map(of).sum();
    line("all", sum(|it| it.found), sum(|it| it.false_alarms));
    text
}

#[cfg(test)]
mod tests {
    use domain::detection::AnomalyKind;

    use super::*;

    #[test]
    fn each_kind_is_a_line_with_its_false_alarms() {
        let review = |kind, found, false_alarms| KindReview {
            kind,
            found,
            false_alarms,
        };
        let kinds = [
            review(AnomalyKind::Jump, 12, 3),
            review(AnomalyKind::StuckFeed, 1, 0),
        ];
        assert_eq!(
            text(&kinds),
            "\
kind                   found  false alarms
jump                      12             3   25 %
stuck_feed                 1             0    0 %
all                       13             3   23 %
"
        );
        assert_eq!(text(&[]), "no anomaly was found yet\n");
    }
}
