//! What can be observed of a project on AWS. Each part is observed even if the others cannot be.

use app::ports::PortError;
use hyper::Uri;
use ops::bill::Bill;
use ops::bill::load::Load;
use ops::bill::prices::PriceTable;
use ops::doctor::{
    Clocks, CloudObservations, Cost, Observed, Receiving, SharesInForce, Traffic, Unobserved,
    Versions, WriteProbe,
};
use ops::flag_record::{FlagContent, FlagRecord as _, FlagVersion};
use ops::ports::{AlarmStates, Alarms as _, ProjectMetrics as _};

use super::machine_view::unobserved;
use crate::health::{self, Responded};
use crate::operator_clients::OperatorClients;

/// How many changes of the flag are read.
const CHANGES_READ: usize = 10;

/// How exactly a date of HTTP says the time: it has whole seconds.
const DATE_WITHIN_MS: i64 = 1_000;

/// The most characters of an error that are shown.
const CAUSE_CHARS_MAX: usize = 160;

/// Seconds of a day.
const DAY_SECONDS: f64 = 86_400.0;

/// What the webhook said, and when it was asked.
#[derive(Debug, Clone)]
pub(crate) struct WebhookAnswer {
    pub(crate) responded: Responded,
    pub(crate) asked_ms: i64,
}

/// A project on AWS, as it was observed.
pub(crate) struct CloudView {
    /// The project's name.
    pub(crate) project: String,
    pub(crate) flag: Observed<FlagContent>,
    pub(crate) changes: Observed<Vec<FlagVersion>>,
    pub(crate) alarms: Observed<AlarmStates>,
    pub(crate) observations: Observed<CloudObservations>,
    /// What the webhook said; unseen if its address is not known.
    pub(crate) webhook: Observed<Result<WebhookAnswer, String>>,
}

/// Observes a project, and its webhook if its address is known.
pub(crate) async fn observe(
    clients: &OperatorClients,
    webhook: Option<&Uri>,
    now_ms: fn() -> i64,
) -> CloudView {
    let metrics = clients.metrics.clone().with_api(webhook.and_then(api_id));
    let at_ms = now_ms();
    let (flag, changes, alarms, series, webhook) = tokio::join!(
        clients.flag.read(),
        clients.flag.history(CHANGES_READ),
        clients.alarms.states(),
        metrics.read(CloudObservations::from_ms(at_ms), at_ms),
        ask(&clients.project, webhook, now_ms),
    );
    let observations = series.map_err(refused).and_then(|series| {
        if series.is_empty() {
            let why = "CloudWatch has no metric of the project in the last hour";
            let advice = "check project, account and region; without any traffic there are none, and an emulator \
                          has none";
            return Err(unobserved(why, advice));
        }
        Ok(CloudObservations::new(series, at_ms))
    });
    CloudView {
        project: clients.project.clone(),
        flag: flag.map(|read| read.content).map_err(refused),
        changes: changes.map_err(refused),
        alarms: alarms.map_err(refused),
        observations,
        webhook,
    }
}

/// The id of the API in its own address, `ID.execute-api.REGION.amazonaws.com`.
fn api_id(webhook: &Uri) -> Option<String> {
    let (id, rest) = webhook.host()?.split_once('.')?;
    rest.starts_with("execute-api.").then(|| id.to_owned())
}

/// How the address of a project's webhook is found.
pub(crate) fn webhook_advice(project: &str) -> String {
    format!("pass it with --webhook: `PROJECT={project} just status` shows it")
}

async fn ask(
    project: &str,
    webhook: Option<&Uri>,
    now_ms: fn() -> i64,
) -> Observed<Result<WebhookAnswer, String>> {
    let Some(webhook) = webhook else {
        let why = "the address of the webhook is not known";
        return Err(unobserved(why, webhook_advice(project)));
    };
    let asked_ms = now_ms();
    let responded = health::query(webhook).await;
    Ok(match responded {
        Ok(responded) => Ok(WebhookAnswer {
            responded,
            asked_ms,
        }),
        Err(error) => Err(format!("the webhook did not answer: {error:#}")),
    })
}

fn refused(error: PortError) -> Unobserved {
    let cause: String = error
        .source
        .to_string()
        .chars()
        .take(CAUSE_CHARS_MAX)
        .collect();
    unobserved(
        format!("could not {}: {cause}", error.operation),
        "check the credentials, the region and the rights: infra/operators.yaml has those of an operator",
    )
}

impl CloudView {
    /// What the metrics say.
    pub(crate) fn metrics<T>(&self, of: impl FnOnce(&CloudObservations) -> T) -> Observed<T> {
        self.observations.as_ref().map(of).map_err(Clone::clone)
    }

    /// The answer of the webhook, if there is one.
    fn answer(&self) -> Observed<&WebhookAnswer> {
        let answer = self.webhook.as_ref().map_err(Clone::clone)?;
        answer.as_ref().map_err(|why| {
            let advice = "see the line `writes`, and docs/runbooks/webhook-server-errors.md";
            unobserved(why.clone(), advice)
        })
    }

    /// Which code the webhook runs.
    pub(crate) fn code(&self) -> Observed<String> {
        Ok(self.answer()?.responded.health.summary())
    }

    /// Whether the flag of the project was seen, without which there is no such project in this account and region.
    pub(crate) fn has_flag(&self) -> bool {
        matches!(
            self.flag,
            Ok(FlagContent::Value(_) | FlagContent::Unreadable(_))
        )
    }

    /// What goes to the stream.
    pub(crate) fn receiving(&self) -> Observed<Receiving> {
        let (recent, from_ms) = self.metrics(|it| (it.traffic().recent, it.recent_from_ms()))?;
        let value = match self.flag.as_ref().map_err(Clone::clone)? {
            FlagContent::Value(value) => value,
            FlagContent::Unreadable(what) => {
                let why = format!("the flag is not valid: {what}");
                let back = format!("`tickctl rollout back --project {}`", self.project);
                return Err(unobserved(why, format!("{back} overwrites it")));
            }
            FlagContent::Missing => {
                let why = "there is no flag";
                return Err(unobserved(
                    why,
                    "is the project deployed in this account and region?",
                ));
            }
        };
        Ok(Receiving {
            recent,
            share_percent: f64::from(value.share()),
            // Without the changes, nothing is known of the shares before.
            shares: self
                .changes
                .as_ref()
                .map_or(SharesInForce::UNKNOWN, |changes| {
                    SharesInForce::of_flag(from_ms, *value, changes)
                }),
        })
    }

    /// The clock of the webhook's API against ours.
    pub(crate) fn clocks(&self) -> Observed<Clocks> {
        let WebhookAnswer {
            responded,
            asked_ms,
        } = self.answer()?;
        let Some(date_ms) = responded.date_ms else {
            let why = "the response of the webhook has no date";
            return Err(unobserved(why, "ask the address of the API itself"));
        };
        let half_ms = i64::try_from(responded.took.as_millis() / 2).unwrap_or(i64::MAX);
        Ok(Clocks {
            ahead_ms: date_ms - (asked_ms + half_ms),
            within_ms: half_ms + DATE_WITHIN_MS,
            event_ahead_ms: None,
        })
    }

    /// Whether writes work: the webhook answers, and stores what it gets.
    pub(crate) fn writes(&self) -> Observed<WriteProbe> {
        let answer = self.webhook.as_ref().map_err(Clone::clone)?;
        let responded = match answer {
            Ok(answer) => &answer.responded,
            Err(why) => return Ok(WriteProbe::Failed(why.clone())),
        };
        let recent = self.metrics(|it| it.traffic().recent)?;
        let evidence = format!(
            "the webhook answered in {} ms, and stored {} of {} entries that came lately",
            responded.took.as_millis(),
            recent.stored,
            recent.received
        );
        let kept = recent.stored + recent.rejected();
        // Duplicates and what is ignored need no write, so only errors show that writes fail.
        Ok(match kept == 0 && recent.server_errors.unwrap_or(0) > 0 {
            true => WriteProbe::Failed(evidence),
            false => WriteProbe::Works(evidence),
        })
    }

    /// The versions of this tool and of the webhook.
    pub(crate) fn versions(&self) -> Observed<Versions> {
        let responded = &self.answer()?.responded;
        Ok(Versions {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            running: responded.health.version.clone(),
            code_sha256: responded.health.code_sha256.clone(),
        })
    }

    /// What a month costs at the rate of the last hour.
    pub(crate) fn cost(&self, budget_usd: Option<f64>, tokens: f64) -> Observed<Cost> {
        let periods = self.metrics(CloudObservations::traffic)?;
        let Some(budget_usd) = budget_usd else {
            let why = "the budget is not known";
            return Err(unobserved(why, "pass it with --budget, in USD a month"));
        };
        let stored =
            count(&periods.recent, |it| it.stored) + count(&periods.before, |it| it.stored);
        let seconds =
            count(&periods.recent, |it| it.seconds) + count(&periods.before, |it| it.seconds);
        let ticks_per_day = DAY_SECONDS * stored / seconds.max(1.0);
        let load = Load {
            ticks_per_day,
            tokens,
            percent: self.receiving()?.share_percent,
            ..Load::default()
        };
        let table = PriceTable::us_east_1().map_err(|error| {
            unobserved(format!("the prices cannot be read: {error}"), "report this")
        })?;
        let bill = Bill::of(&load, &table)
            .map_err(|error| unobserved(error.to_string(), "pass --tokens"))?;
        Ok(Cost {
            month_usd: bill.total_usd,
            ticks_per_day,
            budget_usd,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "the bill is an estimate")]
fn count(traffic: &Traffic, of: fn(&Traffic) -> u64) -> f64 {
    of(traffic) as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{Percentage, RolloutKey};
    use ops::doctor::{self, CheckState, Deployment};
    use ops::flag_record::{FlagChange, FlagValue};
    use ops::project_series::{MINUTE_MS, ProjectMetric, ProjectSeries};

    use super::*;
    use crate::health::Health;

    const NOW_MS: i64 = 100 * MINUTE_MS;

    fn view(points: &[(ProjectMetric, f64)]) -> CloudView {
        let mut series = ProjectSeries::default();
        for (metric, value) in points {
            series.insert(*metric, NOW_MS - 5 * MINUTE_MS, *value);
        }
        let responded = Responded {
            health: Health {
                version: "0.1.0".to_owned(),
                code_sha256: None,
            },
            date_ms: Some(NOW_MS + 7_000),
            took: Duration::from_millis(100),
        };
        let away = || unobserved("away", "wait");
        CloudView {
            project: "prices".to_owned(),
            flag: Ok(FlagContent::Value(FlagValue {
                use_kinesis: true,
                percentage: Percentage::FULL,
                key: None,
            })),
            changes: Err(away()),
            alarms: Err(away()),
            observations: Ok(CloudObservations::new(series, NOW_MS)),
            webhook: Ok(Ok(WebhookAnswer {
                responded,
                asked_ms: NOW_MS,
            })),
        }
    }

    fn change((at_ms, percent): (i64, &str)) -> FlagVersion {
        FlagVersion {
            version: 1,
            change: FlagChange {
                at_ms,
                who: "ann".to_owned(),
                why: "stage".to_owned(),
                value: FlagValue {
                    use_kinesis: true,
                    percentage: percent.parse().unwrap(),
                    key: Some(RolloutKey::Tick),
                },
            },
        }
    }

    #[test]
    fn the_api_is_known_by_its_own_address_alone() {
        let id = |uri: &str| api_id(&uri.parse().unwrap());
        let address = "https://abc123.execute-api.eu-central-1.amazonaws.com/webhooks";
        assert_eq!(id(address), Some("abc123".to_owned()));
        assert_eq!(id("https://ticks.example.com"), None);
        assert_eq!(id("http://localhost:4566"), None);
    }

    #[test]
    fn a_project_without_a_flag_is_not_there() {
        let seen = |flag| CloudView { flag, ..view(&[]) }.has_flag();
        assert!(view(&[]).has_flag());
        assert!(seen(Ok(FlagContent::Unreadable("x".to_owned()))));
        assert!(!seen(Ok(FlagContent::Missing)));
        assert!(!seen(Err(unobserved("no rights", "ask"))));
    }

    #[test]
    fn cost_needs_a_budget_and_follows_the_rate() {
        let view = view(&[(ProjectMetric::Stored, 360_000.0)]);
        assert!(
            view.cost(None, 100.0)
                .unwrap_err()
                .advice
                .contains("--budget")
        );
        let cost = view.cost(Some(500.0), 100.0).unwrap();
        // 360,000 an hour.
        assert!((cost.ticks_per_day - 8_640_000.0).abs() < 1.0, "{cost:?}");
        assert!(cost.month_usd > 100.0, "{cost:?}");
    }

    #[test]
    fn a_webhook_that_answers_but_stores_nothing_is_found() {
        use ProjectMetric::{Received, Stored, WebhookErrors};
        let writes = |points: &[_]| view(points).writes().unwrap();
        let works = writes(&[(Received, 9.0), (Stored, 9.0)]);
        assert!(matches!(works, WriteProbe::Works(_)), "{works:?}");
        let failing = writes(&[(Received, 9.0), (WebhookErrors, 3.0)]);
        assert!(matches!(failing, WriteProbe::Failed(_)), "{failing:?}");
        let away = CloudView {
            webhook: Ok(Err("status 502".to_owned())),
            ..view(&[])
        };
        let failed = WriteProbe::Failed("status 502".to_owned());
        assert_eq!(away.writes().unwrap(), failed);
        assert!(away.versions().is_err() && away.clocks().is_err());
    }

    #[test]
    fn a_cohort_that_does_not_fit_the_share_is_found() {
        let state = |streamed: f64, changes: &[(i64, &str)]| {
            let metrics = [
                (ProjectMetric::Received, 10_000.0),
                (ProjectMetric::Stored, 10_000.0),
                (ProjectMetric::Streamed, streamed),
                (ProjectMetric::StreamRecords, streamed),
            ];
            let changes: Vec<_> = changes.iter().map(|it| change(*it)).collect();
            let view = CloudView {
                flag: Ok(FlagContent::Value(changes[0].change.value)),
                changes: Ok(changes),
                ..view(&metrics)
            };
            let project = "prices".to_owned();
            doctor::receiving(&Deployment::Aws { project }, &view.receiving()).state
        };
        assert_eq!(state(10_000.0, &[(0, "100")]), CheckState::Ok);
        assert_eq!(state(0.0, &[(0, "100")]), CheckState::Failed);
        assert_eq!(state(1_000.0, &[(0, "10")]), CheckState::Ok);
        assert_eq!(state(0.0, &[(0, "10")]), CheckState::Failed);
        // The share was changed in the ten minutes.
        let changed = [(NOW_MS - 8 * MINUTE_MS, "100"), (0, "10")];
        assert_eq!(state(4_000.0, &changed), CheckState::Ok);
        assert_eq!(state(0.0, &changed), CheckState::Failed);
    }

    #[test]
    fn the_clock_is_that_of_the_response() {
        let clocks = view(&[]).clocks().unwrap();
        assert_eq!((clocks.ahead_ms, clocks.within_ms), (6_950, 1_050));
    }
}
