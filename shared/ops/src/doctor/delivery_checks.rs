//! Deliveries: whether writes work, whether more fail than before, what is malformed, and the broadcast.

use std::collections::BTreeMap;

use domain::count_of;

use super::check_line::{CheckLine, Deployment, Observed, percent};
use super::observations::{Broadcasts, Quarantined, Traffic, TrafficPeriods, WriteProbe};
use super::stream_checks::START;
use crate::text::duration;

const ERRORS: &str = "errors";
const WRITES: &str = "writes";
const BROADCASTS: &str = "broadcasts";
const QUARANTINE: &str = "quarantine";

/// The share of malformed entries from which on it is a failure: the limit of the alarm `malformed-share`.
const REJECTED_PERCENT_MAX: f64 = 5.0;

/// By how many percentage points the share may exceed that of the period before.
const RISE_PERCENT_MAX: f64 = 1.0;

/// Fewer malformed entries than this are no trend.
const REJECTED_COUNT_MIN: u64 = 10;

/// An update of the feed that waits for longer is late: the limit of the alarm `broadcast-age`.
const FEED_MS_MAX: i64 = 60_000;

/// Whether there are no more errors than before.
#[must_use]
pub fn errors(place: &Deployment, seen: &Observed<TrafficPeriods>) -> CheckLine {
    CheckLine::of(ERRORS, seen, |TrafficPeriods { recent, before }| {
        let (now, then) = (rejected_percent(recent), rejected_percent(before));
        let server_errors = recent.server_errors.unwrap_or_default();
        let evidence = format!(
            "{} of {} entries malformed in {} ({now:.1} %, {}), {} (before {})",
            recent.rejected(),
            recent.received,
            period(recent),
            match before.seconds {
                0 => "nothing was seen before".to_owned(),
                _ => format!(
                    "before {then:.1} % of {} in {}",
                    before.received,
                    period(before)
                ),
            },
            match recent.server_errors {
                Some(count) => format!("{} with a 5xx", count_of(count, "response")),
                None => "5xx not counted".to_owned(),
            },
            match before.server_errors {
                Some(count) => count.to_string(),
                None => "not counted".to_owned(),
            },
        );
        let advice = place.advice(
            "`tickctl quarantine list $ACCESS --from 1h` shows the newest malformed entries with their reasons; a 5xx has \
             its cause in the log",
            "`tickctl quarantine list $ACCESS --from 1h` shows the newest malformed entries with their reasons",
            "`aws logs filter-log-events --log-group-name /aws/lambda/$PROJECT-webhook --filter-pattern '{ $.level = \
             \"ERROR\" }'` has the causes of a 5xx; see docs/runbooks/webhook-server-errors.md, and \
             docs/runbooks/malformed-share.md for malformed entries",
        );
        let enough = recent.rejected() >= REJECTED_COUNT_MIN;
        // Periods of different length are compared by the second.
        let more_errors = server_errors > 0
            && per_hour(server_errors, recent)
                > per_hour(before.server_errors.unwrap_or_default(), before);
        if enough && now > REJECTED_PERCENT_MAX && now > then {
            CheckLine::failed(ERRORS, evidence, advice)
        } else if more_errors || (enough && now > then + RISE_PERCENT_MAX) {
            CheckLine::warning(ERRORS, evidence, advice)
        } else {
            CheckLine::ok(ERRORS, evidence)
        }
    })
}

fn period(traffic: &Traffic) -> String {
    let seconds = i64::try_from(traffic.seconds).unwrap_or(i64::MAX);
    duration(seconds.saturating_mul(1_000))
}

fn rejected_percent(traffic: &Traffic) -> f64 {
    percent(traffic.rejected(), traffic.received)
}

fn per_hour(count: u64, traffic: &Traffic) -> u64 {
    count.saturating_mul(3_600) / traffic.seconds.max(1)
}

/// Whether writes work.
#[must_use]
pub fn writes(place: &Deployment, seen: &Observed<WriteProbe>) -> CheckLine {
    CheckLine::of(WRITES, seen, |probe| match probe {
        WriteProbe::Works(evidence) => CheckLine::ok(WRITES, evidence.clone()),
        WriteProbe::ConsumersDown(evidence) => {
            let advice = "see the log for the cause; deliveries are accepted, but a load balancer that checks /healthz \
                          sends none meanwhile";
            CheckLine::warning(WRITES, evidence.clone(), advice)
        }
        WriteProbe::Failed(why) => {
            let advice = place.advice(
                "`curl -s $URL/healthz` has the reason, and the log the cause; deliveries get a 503 meanwhile, and their \
                 senders deliver again",
                "see whether the disk is full or read-only: `df -h $DIR`",
                "`aws logs filter-log-events --log-group-name /aws/lambda/$PROJECT-webhook --filter-pattern '{ $.level = \
                 \"ERROR\" }'` has the cause: docs/runbooks/webhook-server-errors.md",
            );
            CheckLine::failed(WRITES, why.clone(), advice)
        }
    })
}

/// Whether the live feed is sent as before.
#[must_use]
pub fn broadcasts(place: &Deployment, seen: &Observed<Broadcasts>) -> CheckLine {
    CheckLine::of(BROADCASTS, seen, |it| {
        let readers = it.readers.map_or_else(
            || "readers not counted".to_owned(),
            |readers| count_of(readers, "reader"),
        );
        let evidence = format!(
            "{readers}, the oldest unsent update is {} old, {}, {} given up",
            duration(it.waiting_ms),
            count_of(it.failures, "failure"),
            it.given_up
        );
        let advice = place.advice(
            "see the log of tickstream for `live`: it is restarted by itself",
            START,
            "`tickctl requeue broadcast --aws --project $PROJECT` shows what was given up: \
             docs/runbooks/broadcast-dlq.md; docs/runbooks/broadcast-age.md if updates wait",
        );
        if it.waiting_ms > FEED_MS_MAX {
            CheckLine::failed(BROADCASTS, evidence, advice)
        } else if it.failures > 0 || it.given_up > 0 {
            CheckLine::warning(BROADCASTS, evidence, advice)
        } else {
            CheckLine::ok(BROADCASTS, evidence)
        }
    })
}

/// What was malformed lately, by reason.
#[must_use]
pub fn quarantine(place: &Deployment, seen: &Observed<Quarantined>) -> CheckLine {
    CheckLine::of(QUARANTINE, seen, |it| {
        let kept = it
            .total
            .map(|total| format!("{total} kept, "))
            .unwrap_or_default();
        let evidence = format!("{kept}lately {}", by_reason(&it.recent));
        if it.unprocessable == 0 {
            return CheckLine::ok(QUARANTINE, evidence);
        }
        let evidence = format!(
            "{evidence}; {} could not be processed",
            count_of(it.unprocessable, "tick")
        );
        let list = "`tickctl quarantine list $ACCESS --reason unprocessable` shows them; they are a defect: report them, and \
                    replay them after an update";
        let advice = place.same_advice(list);
        CheckLine::warning(QUARANTINE, evidence, advice)
    })
}

/// Counts by reason, the largest first.
#[must_use]
pub fn by_reason(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    counts.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), (*reason).clone()));
    if counts.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<String> = counts
        .into_iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::check_line::CheckState::{Failed, Ok as Fine, Warning};
    use super::super::tests::{check, process};
    use super::*;

    fn traffic(seconds: u64, received: u64, rejected: u64, server_errors: u64) -> Traffic {
        Traffic {
            seconds,
            received,
            rejected_by_reason: BTreeMap::from([("invalid_price".to_owned(), rejected)]),
            server_errors: Some(server_errors),
            ..Traffic::default()
        }
    }

    #[test]
    fn more_errors_than_before_are_found() {
        let line =
            |recent, before| super::errors(&process(), &Ok(TrafficPeriods { recent, before }));
        let before = || traffic(3_300, 10_000, 100, 11);
        check(
            &line(traffic(300, 1_000, 15, 1), before()),
            Fine,
            "15 of 1000 entries malformed in 5 min (1.5 %, before 1.0 % of 10000 in 55 min)",
            "",
        );
        check(
            &line(traffic(300, 1_000, 30, 0), before()),
            Warning,
            "(3.0 %, before 1.0 %",
            "quarantine",
        );
        check(
            &line(traffic(300, 1_000, 60, 0), before()),
            Failed,
            "(6.0 %",
            "quarantine",
        );
        check(
            &line(traffic(300, 1_000, 0, 3), before()),
            Warning,
            "3 responses with a 5xx (before 11)",
            "log",
        );
        // A constantly high share has not become worse, and three entries are too few for a trend.
        check(
            &line(traffic(300, 1_000, 60, 0), traffic(3_300, 1_000, 70, 0)),
            Fine,
            "before 7.0 %",
            "",
        );
        check(&line(traffic(300, 3, 1, 0), before()), Fine, "1 of 3", "");
        check(
            &line(traffic(300, 0, 0, 0), traffic(0, 0, 0, 0)),
            Fine,
            "0 of 0 entries malformed in 5 min (0.0 %, nothing was seen before)",
            "",
        );
    }

    #[test]
    fn writes_that_fail_are_found() {
        let place = Deployment::Aws {
            project: "prices".to_owned(),
        };
        let confirmed = Ok(WriteProbe::Works("confirmed in 12 ms".to_owned()));
        check(&super::writes(&place, &confirmed), Fine, "in 12 ms", "");
        let failed = super::writes(
            &place,
            &Ok(WriteProbe::Failed("the disk is full".to_owned())),
        );
        check(&failed, Failed, "the disk is full", "webhook-server-errors");
        let down = WriteProbe::ConsumersDown("the consumer live is down".to_owned());
        let down = super::writes(&process(), &Ok(down));
        check(&down, Warning, "live is down", "deliveries are accepted");
    }

    #[test]
    fn a_feed_that_is_late_or_fails_is_found() {
        let line = |waiting_ms, failures, given_up| {
            super::broadcasts(
                &process(),
                &Ok(Broadcasts {
                    readers: Some(3),
                    waiting_ms,
                    given_up,
                    failures,
                }),
            )
        };
        check(&line(900, 0, 0), Fine, "3 readers", "");
        check(&line(0, 1, 0), Warning, "1 failure,", "log");
        check(&line(0, 0, 1), Warning, "1 given up", "log");
        check(&line(61_000, 0, 0), Failed, "61 s old", "log");
    }

    #[test]
    fn reasons_are_counted_and_defects_are_found() {
        let mut entries = Quarantined {
            total: Some(20),
            recent: BTreeMap::from([
                ("invalid_price".to_owned(), 2),
                ("missing_token".to_owned(), 5),
                ("unknown".to_owned(), 0),
            ]),
            unprocessable: 0,
        };
        let line = super::quarantine(&process(), &Ok(entries.clone()));
        check(
            &line,
            Fine,
            "20 kept, lately 5 missing_token, 2 invalid_price",
            "",
        );
        entries.unprocessable = 1;
        check(
            &super::quarantine(&process(), &Ok(entries)),
            Warning,
            "1 tick could not",
            "tickctl quarantine list --server http://h:9",
        );
        assert_eq!(by_reason(&BTreeMap::new()), "none");
    }
}
