//! The stream: what goes in, who reads it, and whether the counters reconcile.

use domain::count_of;

use super::check_line::{CheckLine, Deployment, Seen, percent};
use super::observations::{Backlog, ConsumerLag, Ledger, Receiving};
use crate::text::duration;

const STREAM: &str = "stream";
const LAG: &str = "lag";
const LEDGER: &str = "ledger";
const OUTBOX: &str = "outbox";

/// A reader that is further behind than this, besides the time after which it is set to read, does not work.
const LAG_FAILED_MS: i64 = 300_000;

/// A reader that is further behind than this needs a look.
const LAG_WARNING_MS: i64 = 60_000;

/// What a stopped tickstream needs.
pub(super) const START: &str = "start it: `tickstream --data-dir $DIR`";

/// The share of the ticks that were offered that the stream must have counted itself. The two are not read at the
/// same moment.
const COUNTED_PERCENT_MIN: f64 = 95.0;

/// Whether the ticks of the cohort go to the stream.
#[must_use]
pub fn receiving(place: &Deployment, seen: &Seen<Receiving>) -> CheckLine {
    CheckLine::of(STREAM, seen, |it| {
        let (recent, share) = (&it.recent, it.share_percent);
        let period = duration(
            i64::try_from(recent.seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000),
        );
        if recent.received == 0 {
            let advice = place.advice(
                "ask the provider whether it sends, and to which address; `tickctl load --to $URL --rate 10 --seconds 5` \
                 sends generated ticks",
                START,
                "ask the provider whether it sends to the webhook, whose address `PROJECT=$PROJECT just status` shows: \
                 docs/runbooks/webhook-silent.md",
            );
            let evidence = format!("nothing arrived in {period} (share {share} %)");
            return CheckLine::warning(STREAM, evidence, advice);
        }
        let evidence = format!(
            "in {period}: {} stored, {} of them in the cohort (share {share} %), {} streamed, {} counted by the stream",
            recent.stored, recent.in_cohort, recent.streamed, recent.stream_records
        );
        let back = place.advice(
            "`tickctl server rollout --to $URL --use-kinesis false --why REASON` turns the stream off; the cause is in \
             the log",
            START,
            "`PROJECT=$PROJECT just rollback --why REASON` turns the stream off; then docs/runbooks/stream-silent.md",
        );
        let counted = percent(recent.stream_records, recent.streamed);
        if recent.in_cohort == 0 {
            CheckLine::ok(STREAM, evidence)
        } else if recent.streamed == 0 || recent.stream_records == 0 {
            CheckLine::failed(STREAM, evidence, back)
        } else if recent.streamed < recent.in_cohort || counted < COUNTED_PERCENT_MIN {
            let missing = recent.in_cohort.saturating_sub(recent.streamed);
            let evidence = format!("{evidence}; {missing} not in the stream yet");
            let advice = place.advice(
                "look again in a minute: the outbox offers them again every 10 s",
                START,
                "`tickctl requeue --aws --project $PROJECT` counts what was given up: docs/runbooks/redrive-age.md",
            );
            CheckLine::warning(STREAM, evidence, advice)
        } else {
            CheckLine::ok(STREAM, evidence)
        }
    })
}

/// How far the readers of the stream are behind.
#[must_use]
pub fn lag(place: &Deployment, seen: &Seen<Vec<ConsumerLag>>) -> CheckLine {
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
pub fn ledger(place: &Deployment, seen: &Seen<Ledger>) -> CheckLine {
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
pub fn outbox(place: &Deployment, seen: &Seen<Backlog>) -> CheckLine {
    CheckLine::of(OUTBOX, seen, |it| {
        let evidence = format!(
            "{} of unfinished deliveries, at least {} all the last minute",
            count_of(it.pending, "tick"),
            it.pending_min
        );
        if it.pending_min == 0 {
            return CheckLine::ok(OUTBOX, evidence);
        }
        let advice = place.own_advice(
            "the outbox is drained every 10 s, so see the log for why it is not",
            START,
        );
        CheckLine::warning(OUTBOX, evidence, advice)
    })
}

#[cfg(test)]
mod tests {
    use super::super::check_line::CheckState::{Failed, Ok as Fine, Warning};
    use super::super::observations::Traffic;
    use super::super::tests::{aws, check, process};
    use super::*;

    #[test]
    fn a_stream_that_does_not_receive_the_cohort_is_found() {
        let line = |in_cohort, streamed, stream_records| {
            let recent = Traffic {
                seconds: 300,
                received: 1_000,
                stored: 1_000,
                in_cohort,
                streamed,
                stream_records,
                ..Traffic::default()
            };
            let share_percent = 10.0;
            receiving(
                &process(),
                &Ok(Receiving {
                    recent,
                    share_percent,
                }),
            )
        };
        check(
            &line(100, 100, 100),
            Fine,
            "100 of them in the cohort (share 10 %)",
            "",
        );
        check(&line(100, 100, 96), Fine, "96 counted", "");
        check(&line(0, 0, 0), Fine, "0 of them in the cohort", "");
        check(
            &line(100, 99, 99),
            Warning,
            "1 not in the stream",
            "look again",
        );
        check(&line(100, 100, 90), Warning, "90 counted", "look again");
        check(
            &line(100, 0, 0),
            Failed,
            "0 streamed",
            "--use-kinesis false",
        );
        check(
            &line(100, 100, 0),
            Failed,
            "0 counted",
            "--use-kinesis false",
        );
    }

    #[test]
    fn silence_is_not_taken_for_health() {
        let receiving = receiving(
            &aws(),
            &Ok(Receiving {
                recent: Traffic {
                    seconds: 300,
                    ..Traffic::default()
                },
                share_percent: 100.0,
            }),
        );
        check(
            &receiving,
            Warning,
            "nothing arrived in 5 min",
            "webhook-silent",
        );
    }

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
        let line = |pending, pending_min| {
            let backlog = Backlog {
                pending,
                pending_min,
            };
            outbox(&process(), &Ok(backlog))
        };
        check(&line(50, 0), Fine, "50 ticks", "");
        check(&line(50, 3), Warning, "at least 3", "see the log");
    }
}
