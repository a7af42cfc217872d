//! What only a project on AWS has: alarms, quotas, queues, and a bill.

use domain::count_of;

use super::check_line::{CheckLine, Deployment, Observed, Unobserved};
use super::observations::{Cost, Queues, Throttles};
use crate::ports::AlarmStates;

const ALARMS: &str = "alarms";
const COST: &str = "cost";
const QUOTAS: &str = "quotas";
const REDRIVE: &str = "redrive";

/// The share of the budget from which on it needs a look.
const BUDGET_PERCENT_WARNING: f64 = 80.0;

/// Whether every alarm is there, evaluated and off.
#[must_use]
pub fn alarms(place: &Deployment, seen: &Observed<AlarmStates>) -> CheckLine {
    CheckLine::of(ALARMS, seen, |it| {
        let list = |names: &[String]| names.join(", ");
        let off = it.watched.saturating_sub(it.on.len() + it.undecided.len());
        if let Some(first) = it.on.first() {
            let evidence = format!("{} on: {}", it.on.len(), list(&it.on));
            let advice = format!(
                "`aws cloudwatch describe-alarms --alarm-names {first} --query 'MetricAlarms[0].AlarmDescription'` says \
                 what it means, and which page of docs/runbooks to follow"
            );
            return CheckLine::failed(ALARMS, evidence, advice);
        }
        if !it.missing.is_empty() || it.watched == 0 {
            let missing = match it.missing.as_slice() {
                [] => String::new(),
                names => format!("; missing: {}", list(names)),
            };
            let evidence = format!("{} exist{missing}", it.watched);
            // A project that is looked for in the wrong place must not be deployed there.
            let advice = match it.watched {
                0 => {
                    "check project, account and region; where the project is deployed, `PROJECT=$PROJECT just deploy \
                     infra` deploys its alarms"
                }
                _ => "`PROJECT=$PROJECT just deploy infra` deploys them",
            };
            return CheckLine::failed(ALARMS, evidence, place.same_advice(advice));
        }
        if !it.unseen.is_empty() {
            let evidence = format!(
                "{} exist, and an emulator evaluates none of them",
                it.watched
            );
            return CheckLine::not_seen(
                ALARMS,
                &Unobserved {
                    why: evidence,
                    advice: "look at a project on AWS".to_owned(),
                },
            );
        }
        if !it.undecided.is_empty() {
            let evidence = format!(
                "{off} off; {} without data yet: {}",
                it.undecided.len(),
                list(&it.undecided)
            );
            return CheckLine::warning(ALARMS, evidence, "look again in a few minutes");
        }
        CheckLine::ok(ALARMS, format!("all {off} are off"))
    })
}

/// Whether the bill is within the budget.
#[must_use]
pub fn cost(seen: &Observed<Cost>) -> CheckLine {
    CheckLine::of(COST, seen, |it| {
        let share = if it.budget_usd > 0.0 {
            100.0 * it.month_usd / it.budget_usd
        } else {
            f64::INFINITY
        };
        let evidence = format!(
            "about ${:.0} a month by list prices at {:.0} ticks a day, {share:.0} % of the budget of ${:.0}",
            it.month_usd, it.ticks_per_day, it.budget_usd
        );
        let advice = format!(
            "`tickctl cost --ticks-per-day {:.0}` shows the items; larger deliveries (--batch) lower most of them",
            it.ticks_per_day
        );
        if share > 100.0 {
            CheckLine::failed(COST, evidence, advice)
        } else if share > BUDGET_PERCENT_WARNING {
            CheckLine::warning(COST, evidence, advice)
        } else {
            CheckLine::ok(COST, evidence)
        }
    })
}

/// Whether a quota refuses requests.
#[must_use]
pub fn throttles(place: &Deployment, seen: &Observed<Throttles>) -> CheckLine {
    CheckLine::of(QUOTAS, seen, |it| {
        let evidence = format!(
            "refused by quotas: {}, {} to tables, {} of the stream",
            count_of(it.invocations, "invocation"),
            count_of(it.writes, "write"),
            count_of(it.records, "record")
        );
        let advice = if it.invocations > 0 {
            "`aws lambda get-function-concurrency --function-name $PROJECT-webhook` shows its limit, and `aws lambda \
             get-account-settings --query AccountLimit` the account's: docs/runbooks/webhook-throttles.md"
        } else if it.writes > 0 {
            "`aws dynamodb update-contributor-insights --table-name $PROJECT-ticks --contributor-insights-action ENABLE` \
             finds the tokens: docs/runbooks/ticks-write-throttles.md"
        } else if it.records > 0 {
            "`aws kinesis describe-stream-summary --stream-name $PROJECT-ticks` shows the number of shards: \
             docs/runbooks/stream-write-throttles.md"
        } else {
            return CheckLine::ok(QUOTAS, evidence);
        };
        CheckLine::warning(QUOTAS, evidence, place.same_advice(advice))
    })
}

/// Whether everything that the stream refused has been offered again.
#[must_use]
pub fn queues(place: &Deployment, seen: &Observed<Queues>) -> CheckLine {
    CheckLine::of(REDRIVE, seen, |it| {
        let evidence = format!(
            "{} in the redrive queue, {} given up; {} of analytics given up",
            count_of(it.redrive, "tick"),
            it.redrive_dlq,
            count_of(it.analytics_failed, "batch")
        );
        if it.redrive_dlq > 0 {
            let advice = "`tickctl requeue redrive --aws --project $PROJECT` shows them, and with --apply offers them again: \
                          docs/runbooks/redrive-dlq.md";
            CheckLine::failed(REDRIVE, evidence, place.same_advice(advice))
        } else if it.analytics_failed > 0 {
            let advice = "`tickctl requeue analytics --aws --project $PROJECT` shows them, and with --apply appends their \
                          records again: docs/runbooks/analytics-failed.md";
            CheckLine::failed(REDRIVE, evidence, place.same_advice(advice))
        } else if it.redrive > 0 {
            let advice = "they are offered again within 200 s; if they stay, `aws logs filter-log-events --log-group-name \
                          /aws/lambda/$PROJECT-redrive` says why: docs/runbooks/redrive-age.md";
            CheckLine::warning(REDRIVE, evidence, place.same_advice(advice))
        } else {
            CheckLine::ok(REDRIVE, evidence)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::check_line::CheckState::{Failed, NotSeen, Ok as Fine, Warning};
    use super::super::tests::{aws, check};
    use super::*;

    #[test]
    fn an_alarm_that_is_on_or_missing_is_found() {
        let names = || vec!["prices-redrive-dlq".to_owned()];
        let all = || AlarmStates {
            watched: 44,
            ..AlarmStates::default()
        };
        let line = |states| super::alarms(&aws(), &Ok(states));
        check(&line(all()), Fine, "all 44 are off", "");
        let on = AlarmStates {
            on: names(),
            ..all()
        };
        check(
            &line(on),
            Failed,
            "1 on: prices-redrive-dlq",
            "--alarm-names prices-redrive-dlq",
        );
        let missing = AlarmStates {
            missing: names(),
            ..all()
        };
        check(
            &line(missing),
            Failed,
            "missing: prices-redrive-dlq",
            "`PROJECT=prices just deploy infra`",
        );
        check(
            &line(AlarmStates::default()),
            Failed,
            "0 exist",
            "check project, account and region",
        );
        let undecided = AlarmStates {
            undecided: names(),
            ..all()
        };
        check(&line(undecided), Warning, "43 off; 1 without data", "again");
        let unseen = AlarmStates {
            unseen: names(),
            ..all()
        };
        check(
            &line(unseen),
            NotSeen,
            "an emulator evaluates none",
            "on AWS",
        );
    }

    #[test]
    fn a_bill_above_the_budget_is_found() {
        let line = |budget_usd| {
            super::cost(&Ok(Cost {
                month_usd: 300.0,
                ticks_per_day: 1e7,
                budget_usd,
            }))
        };
        check(
            &line(500.0),
            Fine,
            "about $300 a month by list prices at 10000000 ticks a day, 60 %",
            "",
        );
        check(&line(350.0), Warning, "86 %", "--ticks-per-day 10000000");
        check(
            &line(250.0),
            Failed,
            "120 % of the budget of $250",
            "tickctl cost",
        );
    }

    #[test]
    fn a_quota_that_refuses_is_found() {
        let line = |invocations, writes, records| {
            let throttles = Throttles {
                invocations,
                writes,
                records,
            };
            super::throttles(&aws(), &Ok(throttles))
        };
        check(&line(0, 0, 0), Fine, "0 invocations", "");
        check(
            &line(1, 0, 0),
            Warning,
            "1 invocation,",
            "webhook-throttles",
        );
        check(
            &line(0, 2, 0),
            Warning,
            "2 writes",
            "--table-name prices-ticks",
        );
        check(
            &line(0, 0, 3),
            Warning,
            "3 records",
            "stream-write-throttles",
        );
    }

    #[test]
    fn what_waits_or_was_given_up_is_found() {
        let line = |redrive, redrive_dlq, analytics_failed| {
            let queues = Queues {
                redrive,
                redrive_dlq,
                analytics_failed,
            };
            super::queues(&aws(), &Ok(queues))
        };
        check(&line(0, 0, 0), Fine, "0 ticks in the redrive queue", "");
        check(&line(5, 0, 0), Warning, "5 ticks in", "prices-redrive");
        check(
            &line(0, 1, 0),
            Failed,
            "1 given up",
            "`tickctl requeue redrive --aws --project prices`",
        );
        check(
            &line(0, 0, 2),
            Failed,
            "2 batches",
            "`tickctl requeue analytics --aws --project prices`",
        );
    }
}
