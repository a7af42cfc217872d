//! The screen of a project on AWS.

use std::collections::BTreeMap;

use ops::doctor::{self, CloudObservations, Deployment, Observed, Traffic};

use super::screen::{evidence, row, share_seen};
use crate::commands::rollout::text::{alarms_text, change_text, flag_text};
use crate::observe::cloud_view::CloudView;

/// How many changes are shown.
const CHANGES_SHOWN: usize = 5;

/// The screen; `reasons` are those of malformed entries of the last hour, if they were asked for.
pub(super) fn text(
    project: &str,
    view: &CloudView,
    reasons: Option<Observed<BTreeMap<String, u64>>>,
) -> String {
    let place = Deployment::Aws {
        project: project.to_owned(),
    };
    let traffic = view.metrics(|it| it.traffic().recent);
    let seen_share = match &traffic {
        Ok(recent) => share_seen(recent),
        Err(unseen) => unseen.why.clone(),
    };
    let flag = view.flag.as_ref().map_err(Clone::clone);
    let alarms = view.alarms.as_ref().map_err(Clone::clone);
    let lag = view.metrics(CloudObservations::lag);
    let ledger = view.metrics(CloudObservations::ledger);
    let mut rows = vec![
        row("project", Ok(project.to_owned())),
        row("code", view.code()),
        row(
            "rollout",
            flag.map(|flag| format!("{}; seen: {seen_share}", flag_text(flag))),
        ),
        row("rate", traffic.clone().map(|recent| rate(&recent))),
        row("lag", evidence(&lag, doctor::lag(&place, &lag))),
        row("ledger", evidence(&ledger, doctor::ledger(&place, &ledger))),
        row("malformed", traffic.map(|recent| malformed(&recent))),
        row("alarms", alarms.map(alarms_text)),
    ];
    rows.extend(reasons.map(|reasons| {
        let text = reasons.map(|it| format!("in the last hour: {}", doctor::by_reason(&it)));
        row("reasons", text)
    }));
    match &view.changes {
        Ok(changes) => rows.extend(
            changes
                .iter()
                .take(CHANGES_SHOWN)
                .map(|past| row("change", Ok(change_text(&past.change)))),
        ),
        Err(unseen) => rows.push(row("changes", Err(unseen.clone()))),
    }
    rows.join("\n")
}

fn malformed(recent: &Traffic) -> String {
    let (rejected, received) = (recent.rejected(), recent.received);
    format!("{rejected} of {received} entries lately; --bucket shows the reasons of the last hour")
}

#[expect(clippy::cast_precision_loss, reason = "a rate shown to people")]
fn rate(recent: &Traffic) -> String {
    let per_second = recent.stored as f64 / recent.seconds.max(1) as f64;
    format!("{per_second:.1} ticks/s")
}

#[cfg(test)]
mod tests {
    use domain::Percentage;
    use ops::doctor::Unobserved;
    use ops::flag_record::{FlagChange, FlagContent, FlagValue, FlagVersion};
    use ops::ports::AlarmStates;
    use ops::project_series::{MINUTE_MS, ProjectMetric, ProjectSeries};

    use super::*;

    const NOW_MS: i64 = 100 * MINUTE_MS;

    #[test]
    fn one_screen_has_it_all_and_says_what_was_not_seen() {
        let value = FlagValue {
            use_kinesis: true,
            percentage: Percentage::FULL,
            key: None,
        };
        let mut series = ProjectSeries::default();
        for (metric, count) in [
            (ProjectMetric::Received, 700.0),
            (ProjectMetric::Stored, 600.0),
            (ProjectMetric::Rejected, 100.0),
            (ProjectMetric::Streamed, 600.0),
        ] {
            series.insert(metric, NOW_MS - 5 * MINUTE_MS, count);
        }
        let view = CloudView {
            project: "prices".to_owned(),
            flag: Ok(FlagContent::Value(value)),
            changes: Ok(vec![FlagVersion {
                version: 3,
                change: FlagChange {
                    at_ms: 1_772_878_440_000,
                    who: "ann".to_owned(),
                    why: "stage 100 %".to_owned(),
                    value,
                },
            }]),
            alarms: Ok(AlarmStates {
                watched: 44,
                on: vec!["prices-webhook-latency".to_owned()],
                ..AlarmStates::default()
            }),
            observations: Ok(CloudObservations::new(series, NOW_MS)),
            webhook: Err(Unobserved {
                why: "no address".to_owned(),
                advice: "--webhook".to_owned(),
            }),
        };
        let reasons = BTreeMap::from([("invalid_price".to_owned(), 70)]);
        let text = text("prices", &view, Some(Ok(reasons)));
        for line in [
            "code      not seen: no address (--webhook)",
            "rollout   100 %; seen: 100.00 % of 600 new ticks in 600 s",
            "rate      1.0 ticks/s",
            "ledger    received 700 = stored 600",
            "malformed 100 of 700 entries lately",
            "reasons   in the last hour: ",
            "invalid_price",
            "alarms    1 on: prices-webhook-latency",
            "change    2026-03-07T10:14:00Z  100 %  ann: stage 100 %",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
