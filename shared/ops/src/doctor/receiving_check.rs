//! What goes into the stream, and whether it is the share that is set.

use domain::count_of;

use super::check_line::{CheckLine, Deployment, Observed, percent};
use super::observations::Receiving;
use super::shares_in_force::Fit;
use super::stream_checks::START;
use crate::text::duration;

const STREAM: &str = "stream";

/// The share of the ticks that were offered that the stream must have counted itself. The two are not read at the
/// same moment.
const COUNTED_PERCENT_MIN: f64 = 95.0;

/// From this time on, a silence says something of those who send.
const SILENCE_SECONDS_MIN: u64 = 60;

/// Whether the ticks of the cohort go to the stream, and are those that the share selects.
#[must_use]
pub fn receiving(place: &Deployment, seen: &Observed<Receiving>) -> CheckLine {
    CheckLine::of(STREAM, seen, |it| {
        let recent = &it.recent;
        let completed = recent.completed();
        if recent.received == 0 && completed == 0 {
            return silent(place, it);
        }
        let back = || {
            place.advice(
                "`tickctl server rollout --to $URL --use-kinesis false --why REASON` turns the stream off; the cause is in \
                 the log",
                START,
                "`PROJECT=$PROJECT just rollback --why REASON` turns the stream off; then docs/runbooks/stream-silent.md",
            )
        };
        let soon = || {
            place.advice(
                "look again in a minute: the outbox offers them again every 10 s",
                START,
                "`tickctl requeue --aws --project $PROJECT` counts what was given up: docs/runbooks/redrive-age.md",
            )
        };
        let evidence = evidence(it);
        let fit = it
            .shares
            .fit(recent.in_cohort, completed, recent.stored_before_max);
        if fit != Fit::Fits {
            let share = percent(recent.in_cohort, completed);
            let evidence = format!(
                "{evidence}; {share:.2} % are in the cohort, which chance does not explain"
            );
            if fit == Fit::ByTokenOnly {
                let unless = ", unless it is selected by token (KINESIS_ROLLOUT_KEY)";
                return CheckLine::warning(STREAM, evidence + unless, back());
            }
            return CheckLine::failed(STREAM, evidence, back());
        }
        // What was stored earlier may have been in the stream already, and is counted as streamed when it is completed.
        let counted_max = recent
            .stream_records
            .saturating_add(recent.stored_before_max);
        let counted = percent(counted_max, recent.streamed);
        let missing = recent.in_cohort.saturating_sub(recent.streamed);
        let lacking = if completed == 0 && recent.stored > 0 {
            let stored = count_of(recent.stored, "stored tick");
            format!("{stored} not offered to the stream yet")
        } else if recent.in_cohort == 0 {
            return CheckLine::ok(STREAM, evidence);
        } else if recent.streamed == 0 || counted_max == 0 {
            return CheckLine::failed(STREAM, evidence, back());
        } else if missing > 0 {
            format!("{missing} not in the stream yet")
        } else if counted < COUNTED_PERCENT_MIN {
            format!("the stream counted only {counted:.1} % of them")
        } else {
            return CheckLine::ok(STREAM, evidence);
        };
        CheckLine::warning(STREAM, format!("{evidence}; {lacking}"), soon())
    })
}

fn evidence(it: &Receiving) -> String {
    let (recent, share) = (&it.recent, it.share_percent);
    let completed = recent.completed();
    // What an earlier process stored, and this one drained from the outbox.
    let earlier = match completed.saturating_sub(recent.stored) {
        0 => String::new(),
        earlier => format!(" ({earlier} of them earlier)"),
    };
    format!(
        "in {}: {completed} stored{earlier}, {} of them in the cohort (share {share} %), {} streamed, {} counted by the \
         stream",
        period(it),
        recent.in_cohort,
        recent.streamed,
        recent.stream_records
    )
}

fn period(it: &Receiving) -> String {
    let seconds = i64::try_from(it.recent.seconds).unwrap_or(i64::MAX);
    duration(seconds.saturating_mul(1_000))
}

fn silent(place: &Deployment, it: &Receiving) -> CheckLine {
    let evidence = format!(
        "nothing arrived in {} (share {} %)",
        period(it),
        it.share_percent
    );
    let advice = if it.recent.seconds < SILENCE_SECONDS_MIN {
        place.same_advice("look again in a minute: the process has just been started")
    } else {
        place.advice(
            "ask the provider whether it sends, and to which address; `tickctl load --to $URL --rate 10 --seconds 5` \
             sends generated ticks",
            START,
            "ask the provider whether it sends to the webhook, whose address `PROJECT=$PROJECT just status` shows: \
             docs/runbooks/webhook-silent.md",
        )
    };
    CheckLine::warning(STREAM, evidence, advice)
}

#[cfg(test)]
mod tests {
    use super::super::check_line::CheckState::{Failed, Ok as Fine, Warning};
    use super::super::observations::Traffic;
    use super::super::tests::{aws, check, process, shares};
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
            receiving(&process(), &Ok(at_share(recent, 10.0)))
        };
        check(
            &line(100, 100, 100),
            Fine,
            "100 of them in the cohort (share 10 %)",
            "",
        );
        check(&line(100, 100, 96), Fine, "96 counted", "");
        check(
            &line(0, 0, 0),
            Failed,
            "0.00 % are in the cohort, which chance does not explain",
            "--use-kinesis false",
        );
        check(
            &line(100, 99, 99),
            Warning,
            "1 not in the stream",
            "look again",
        );
        check(
            &line(100, 100, 90),
            Warning,
            "90 counted by the stream; the stream counted only 90.0 %",
            "look again",
        );
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

    fn at_share(recent: Traffic, share_percent: f64) -> Receiving {
        Receiving {
            recent,
            share_percent,
            shares: shares(share_percent),
        }
    }

    #[test]
    fn a_cohort_that_is_not_that_of_the_share_is_found() {
        let line = |in_cohort, share_percent, place: &Deployment| {
            let recent = Traffic {
                seconds: 300,
                received: 1_000,
                stored: 1_000,
                completed: Some(1_000),
                in_cohort,
                streamed: in_cohort,
                stream_records: in_cohort,
                ..Traffic::default()
            };
            receiving(place, &Ok(at_share(recent, share_percent)))
        };
        for place in [process(), aws()] {
            check(&line(1_000, 100.0, &place), Fine, "1000 of them", "");
            check(&line(0, 0.0, &place), Fine, "0 of them", "");
            check(&line(0, 1.0, &place), Fine, "0 of them", "");
            for (in_cohort, share_percent) in [(0, 100.0), (999, 100.0), (1, 0.0), (100, 50.0)] {
                let line = line(in_cohort, share_percent, &place);
                check(
                    &line,
                    Failed,
                    "which chance does not explain",
                    "REASON` turns",
                );
            }
        }
    }

    #[test]
    fn ticks_that_were_stored_earlier_are_no_more_than_all() {
        let drained = |completed, in_cohort, stored_before_max| {
            let recent = Traffic {
                seconds: 20,
                received: 1_002,
                stored: 1_002,
                completed: Some(completed),
                stored_before_max,
                in_cohort,
                streamed: in_cohort,
                stream_records: in_cohort,
                ..Traffic::default()
            };
            receiving(&process(), &Ok(at_share(recent, 100.0)))
        };
        let evidence = "in 20 s: 1102 stored (100 of them earlier), 1102 of them in the cohort";
        check(&drained(1_102, 1_102, 100), Fine, evidence, "");
        // The earlier process may have appended them, and not have counted it.
        let appended = Traffic {
            seconds: 20,
            received: 500,
            stored: 500,
            completed: Some(2_000),
            stored_before_max: 1_500,
            in_cohort: 2_000,
            streamed: 2_000,
            stream_records: 1_300,
            ..Traffic::default()
        };
        let line = receiving(&process(), &Ok(at_share(appended, 100.0)));
        check(&line, Fine, "1300 counted by the stream", "");
        // The earlier process may have had another share.
        check(&drained(1_102, 1_002, 100), Fine, "1002 of them", "");
        check(&drained(1_102, 1_001, 100), Failed, "1001 of", "turns");
        // A stream that accepts nothing completes no delivery.
        let none = drained(0, 0, 0);
        check(
            &none,
            Warning,
            "1002 stored ticks not offered",
            "look again",
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
                shares: shares(100.0),
            }),
        );
        check(
            &receiving,
            Warning,
            "nothing arrived in 5 min",
            "webhook-silent",
        );
        let recent = Traffic {
            seconds: 3,
            ..Traffic::default()
        };
        let started = super::receiving(&process(), &Ok(at_share(recent, 100.0)));
        check(&started, Warning, "nothing arrived in 3 s", "look again");
    }
}
