//! The stream: who reads it, and whether the counters reconcile.

use domain::count_of;

use super::check_line::{CheckLine, Deployment, Observed};
use super::observations::{Backlog, ConsumerLag, Ledger};
use crate::text::duration;

const LAG: &str = "lag";
const LEDGER: &str = "ledger";
const OUTBOX: &str = "outbox";

/// A reader that is further behind than this, besides the time after which it is set to read, does not work.
const LAG_FAILED_MS: i64 = 300_000;

/// A reader that is further behind than this needs a look.
const LAG_WARNING_MS: i64 = 60_000;

/// What a stopped tickstream needs.
pub(super) const START: &str = "start it: `tickstream --data-dir $DIR`";

/// After this time, what is in the outbox has been offered again more than once.
const DRAINED_WITHIN_MS: i64 = 30_000;

/// How far the readers of the stream are behind.
#[must_use]
pub fn lag(place: &Deployment, seen: &Observed<Vec<ConsumerLag>>) -> CheckLine {
    CheckLine::of(LAG, seen, |consumers| {
        let texts: Vec<String> = consumers.iter().map(lag_text).collect();
        let evidence = texts.join("; ");
        let advice = place.advice(
            "see the log of tickstream: it names the cause and restarts what fails; if the disk fails, `tickctl backup \
             --to $URL` comes first",
            START,
            "see docs/runbooks/analytics-iterator-age.md: `aws logs filter-log-events --log-group-name \
             /aws/lambda/$PROJECT-analytics --filter-pattern '{ $.level = \"ERROR\" }'`",
        );
        let is = |wanted: fn(&ConsumerLag) -> bool| consumers.iter().any(wanted);
        if is(|it| it.down_ms.is_some() || it.age_ms - it.every_ms > LAG_FAILED_MS) {
            CheckLine::failed(LAG, evidence, advice)
        } else if is(|it| it.age_ms - it.every_ms > LAG_WARNING_MS || it.set_aside > 0) {
            CheckLine::warning(LAG, evidence, advice)
        } else {
            CheckLine::ok(LAG, evidence)
        }
    })
}

fn lag_text(it: &ConsumerLag) -> String {
    let mut text = match it.records {
        Some(records) => format!("{} {} behind", it.name, count_of(records, "record")),
        None => format!("{} behind", it.name),
    };
    if it.records != Some(0) {
        text += &format!(" ({})", duration(it.age_ms));
    }
    if let Some(down_ms) = it.down_ms {
        text += &format!(", down for {}", duration(down_ms));
    }
    if it.set_aside > 0 {
        text += &format!(", {} set aside", count_of(it.set_aside, "tick"));
    }
    text
}

/// Whether every entry is accounted for.
#[must_use]
pub fn ledger(place: &Deployment, seen: &Observed<Ledger>) -> CheckLine {
    CheckLine::of(LEDGER, seen, |it| {
        let evidence = format!(
            "received {} = stored {} + duplicate {} + rejected {} + ignored {}, difference {}",
            it.received, it.stored, it.duplicate, it.rejected, it.ignored, it.difference
        );
        if it.difference == 0 {
            return CheckLine::ok(LEDGER, evidence);
        }
        let advice = place.advice(
            "this is a defect, and ticks may be lost: `tickctl backup --to $URL`, then `tickctl server rollout --to $URL \
             --use-kinesis false --why REASON`, and report it with the backup",
            "this is a defect, and ticks may be lost: `cp -a $DIR COPY` before anything else, and report it with the copy",
            "this is a defect, and ticks may be lost: `PROJECT=$PROJECT just rollback --why REASON`, then \
             docs/runbooks/ledger-difference.md",
        );
        CheckLine::failed(LEDGER, evidence, advice)
    })
}

/// Whether what is stored is also offered to the stream.
#[must_use]
pub fn outbox(place: &Deployment, seen: &Observed<Backlog>) -> CheckLine {
    CheckLine::of(OUTBOX, seen, |it| {
        let pending = count_of(it.pending, "tick");
        let evidence = match it.observed_ms {
            Some(ms) => format!(
                "{pending} of unfinished deliveries, at least {} at any time of the last {}",
                it.pending_min,
                duration(ms)
            ),
            None => format!("{pending} of unfinished deliveries, which no process drains"),
        };
        if it.pending_min == 0 {
            return CheckLine::ok(OUTBOX, evidence);
        }
        let advice = match it.observed_ms {
            Some(ms) if ms < DRAINED_WITHIN_MS => place.own_advice(
                "look again in a minute: the outbox is drained every 10 s",
                START,
            ),
            Some(_) | None => place.own_advice(
                "the outbox is drained every 10 s, so see the log for why it is not",
                START,
            ),
        };
        CheckLine::warning(OUTBOX, evidence, advice)
    })
}

#[cfg(test)]
mod tests {
    use super::super::check_line::CheckState::{Failed, Ok as Fine, Warning};
    use super::super::tests::{aws, check, process};
    use super::*;

    #[test]
    fn a_reader_that_stands_still_or_omits_ticks_is_found() {
        let line_every = |every_ms, age_ms, down_ms, set_aside| {
            let consumer = ConsumerLag {
                name: "archive".to_owned(),
                records: Some(7),
                age_ms,
                every_ms,
                down_ms,
                set_aside,
            };
            lag(&aws(), &Ok(vec![consumer]))
        };
        let line = |age_ms, down_ms, set_aside| line_every(0, age_ms, down_ms, set_aside);
        // The archive may be set to be written every 15 minutes.
        check(&line_every(900_000, 930_000, None, 0), Fine, "archive", "");
        check(
            &line_every(900_000, 970_000, None, 0),
            Warning,
            "archive",
            "runbooks",
        );
        check(
            &line(900, None, 0),
            Fine,
            "archive 7 records behind (0 s)",
            "",
        );
        check(
            &line(61_000, None, 0),
            Warning,
            "(61 s)",
            "prices-analytics",
        );
        check(&line(0, None, 2), Warning, "2 ticks set aside", "runbooks");
        check(&line(301_000, None, 0), Failed, "(5 min)", "runbooks");
        check(&line(0, Some(4_000), 0), Failed, "down for 4 s", "runbooks");
    }

    #[test]
    fn a_difference_of_the_ledger_is_found() {
        let line = |difference| {
            let ledger = Ledger {
                received: 10,
                stored: 10,
                difference,
                ..Ledger::default()
            };
            super::ledger(&process(), &Ok(ledger))
        };
        check(&line(0), Fine, "received 10 = stored 10", "");
        check(
            &line(1),
            Failed,
            "difference 1",
            "tickctl backup --to http://h:9",
        );
    }

    #[test]
    fn an_outbox_that_is_not_drained_is_found() {
        let line = |pending, pending_min, observed_ms| {
            let backlog = Backlog {
                pending,
                pending_min,
                observed_ms,
            };
            outbox(&process(), &Ok(backlog))
        };
        check(&line(50, 0, Some(60_000)), Fine, "50 ticks", "");
        check(
            &line(50, 3, Some(60_000)),
            Warning,
            "at least 3 at any time of the last 60 s",
            "see the log",
        );
        // A second after the start, nobody has seen a minute.
        check(
            &line(50, 3, Some(1_000)),
            Warning,
            "of the last 1 s",
            "look again",
        );
        check(&line(50, 50, None), Warning, "no process drains", "log");
    }
}
