//! Evaluates the templates' alarms as CloudWatch documents it, on series of metrics.
//!
//! - Periods are windows that end at the evaluation, which happens each minute: "Alarm evaluation", section "Alarm
//!   evaluation settings" (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html>).
//! - Missing data: `missing_data.rs`, with the tables that CloudWatch publishes as tests.
//! - Metric math: `math.rs`.
//!
//! What the documentation leaves open is in [`Unknowns`], and every test holds for each of its values.

mod math;
mod metrics;
mod missing_data;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stack::{Resource, text};
use math::{Expression, Series};
pub(crate) use metrics::{MetricId, Metrics};
pub(crate) use missing_data::State;
use missing_data::{Treatment, judge};

/// CloudWatch retrieves more data points than it needs, "depending on the length of the alarm period". The
/// documentation's examples retrieve 5 for 3 evaluation periods.
const EXTRA_DATA_POINTS: usize = 2;

/// An alarm that looks at more than a day is evaluated once an hour.
const MINUTES_PER_DAY: i64 = 24 * 60;

/// What the documentation does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unknowns {
    /// How old data is when CloudWatch has it, in minutes.
    pub(crate) delay_minutes: i64,
    /// Whether `FILL` fills a series without any value.
    pub(crate) fills_an_empty_series: bool,
}

/// Every combination that the tests try.
pub(crate) const UNKNOWNS: [Unknowns; 4] = [
    Unknowns {
        delay_minutes: 0,
        fills_an_empty_series: true,
    },
    Unknowns {
        delay_minutes: 0,
        fills_an_empty_series: false,
    },
    Unknowns {
        delay_minutes: 2,
        fills_an_empty_series: true,
    },
    Unknowns {
        delay_minutes: 2,
        fills_an_empty_series: false,
    },
];

/// An alarm on a metric or on an expression.
pub(crate) struct Alarm {
    /// Its full name.
    pub(crate) name: String,
    value: Watched,
    period_minutes: i64,
    evaluation_periods: usize,
    datapoints_to_alarm: usize,
    comparison: Comparison,
    threshold: f64,
    treatment: Treatment,
}

/// A metric with its statistic.
struct MetricStat {
    metric: MetricId,
    statistic: String,
}

enum Watched {
    Metric(MetricStat),
    Math {
        /// The id of the series that is compared with the threshold.
        shown: String,
        metrics: BTreeMap<String, MetricStat>,
        expressions: BTreeMap<String, Expression>,
    },
}

#[derive(Clone, Copy)]
enum Comparison {
    Above,
    Below,
}

impl Alarm {
    /// The alarm of a template's resource.
    #[track_caller]
    pub(crate) fn of(resource: &Resource) -> Self {
        let (value, period_s) = watched(resource);
        assert_eq!(period_s % 60, 0, "{}: whole minutes", resource.id);
        let count = |pointer: &str| usize::try_from(resource.number(pointer)).unwrap();
        let evaluation_periods = count("/EvaluationPeriods");
        // Seven days for periods of an hour or more, a day for others: the reference of PutMetricAlarm.
        let longest_s = if period_s >= 3_600 { 604_800 } else { 86_400 };
        let looks_back_s = period_s * i64::try_from(evaluation_periods).unwrap();
        assert!(
            looks_back_s <= longest_s,
            "{}: CloudWatch refuses {looks_back_s} s",
            resource.id
        );
        let namespace = match &value {
            Watched::Metric(stat) => stat.metric.namespace.as_str(),
            Watched::Math { .. } => "",
        };
        Self {
            name: resource.text("/AlarmName").to_owned(),
            period_minutes: period_s / 60,
            evaluation_periods,
            datapoints_to_alarm: match resource.find("/DatapointsToAlarm") {
                Some(_) => count("/DatapointsToAlarm"),
                None => evaluation_periods,
            },
            comparison: match resource.text("/ComparisonOperator") {
                "GreaterThanThreshold" => Comparison::Above,
                "LessThanThreshold" => Comparison::Below,
                other => panic!("the tests do not support {other}"),
            },
            threshold: resource.at("/Threshold").as_f64().unwrap(),
            treatment: Treatment::of(resource.find("/TreatMissingData"), namespace),
            value,
        }
    }

    /// The unknowns that can matter to it.
    pub(crate) fn unknowns(&self) -> impl Iterator<Item = Unknowns> + use<> {
        let has_no_math = matches!(self.value, Watched::Metric(_));
        let all = UNKNOWNS.into_iter();
        all.filter(move |it| !(has_no_math && it.fills_an_empty_series))
    }

    /// Its states, minute by minute, at the end of each.
    pub(crate) fn states(
        &self,
        metrics: &Metrics,
        minutes: std::ops::Range<i64>,
        unknowns: Unknowns,
    ) -> Vec<State> {
        let mut state = State::InsufficientData;
        let looks_back = self.period_minutes * i64::try_from(self.evaluation_periods).unwrap();
        let mut states = Vec::new();
        for end in minutes {
            if looks_back <= MINUTES_PER_DAY || end % 60 == 0 {
                state = self.state_at(metrics, end, state, unknowns);
            }
            states.push(state);
        }
        states
    }

    fn state_at(&self, metrics: &Metrics, end: i64, before: State, unknowns: Unknowns) -> State {
        let range = self.evaluation_periods + EXTRA_DATA_POINTS;
        let series = |stat: &MetricStat| -> Series {
            let points = (0..range).rev().map(|back| {
                let to = end - self.period_minutes * i64::try_from(back).unwrap();
                let visible = to.min(end - unknowns.delay_minutes);
                metrics.value(
                    &stat.metric,
                    &stat.statistic,
                    to - self.period_minutes..visible,
                )
            });
            points.collect()
        };
        let values = match &self.value {
            Watched::Metric(stat) => series(stat),
            Watched::Math {
                shown,
                metrics,
                expressions,
            } => {
                let known = metrics.iter().map(|(id, stat)| (id.clone(), series(stat)));
                math::evaluate(
                    shown,
                    known.collect(),
                    expressions,
                    unknowns.fills_an_empty_series,
                )
            }
        };
        let breaching = values.iter().map(|value| {
            value.map(|value| match self.comparison {
                Comparison::Above => value > self.threshold,
                Comparison::Below => value < self.threshold,
            })
        });
        let breaching: Vec<Option<bool>> = breaching.collect();
        judge(
            &breaching,
            self.evaluation_periods,
            self.datapoints_to_alarm,
            self.treatment,
            before,
        )
    }
}

/// What an alarm watches, and its period in seconds.
#[track_caller]
fn watched(resource: &Resource) -> (Watched, i64) {
    let Some(queries) = resource.find("/Metrics") else {
        let statistic = resource
            .find("/Statistic")
            .or_else(|| resource.find("/ExtendedStatistic"));
        let stat = MetricStat {
            metric: MetricId::of(&resource.properties),
            statistic: text(statistic.unwrap()),
        };
        // With "ignore", a percentile needs 10 / (1 - p) samples in a period, which a small feed never has:
        // "Percentile-based alarms and low data samples".
        assert!(
            resource.find("/EvaluateLowSampleCountPercentile").is_none(),
            "{}",
            resource.id
        );
        return (Watched::Metric(stat), seconds(resource.at("/Period")));
    };
    let (mut metrics, mut expressions) = (BTreeMap::new(), BTreeMap::new());
    let (mut shown, mut periods) = (Vec::new(), Vec::new());
    for query in queries.as_array().unwrap() {
        let id = text(&query["Id"]);
        if query["ReturnData"] != false {
            shown.push(id.clone());
        }
        match query.get("MetricStat") {
            Some(stat) => {
                periods.push(seconds(&stat["Period"]));
                let stat = MetricStat {
                    metric: MetricId::of(&stat["Metric"]),
                    statistic: text(&stat["Stat"]),
                };
                metrics.insert(id, stat);
            }
            None => drop(expressions.insert(id, Expression::parse(&text(&query["Expression"])))),
        }
    }
    periods.dedup();
    assert_eq!(
        (shown.len(), periods.len()),
        (1, 1),
        "{}: one value and one period",
        resource.id
    );
    let shown = shown.remove(0);
    (
        Watched::Math {
            shown,
            metrics,
            expressions,
        },
        periods[0],
    )
}

fn seconds(value: &Value) -> i64 {
    text(value).parse().unwrap()
}

/// The alarms that a composite alarm's rule names. It is on while one of them is.
#[track_caller]
pub(crate) fn members(composite: &Resource) -> Vec<String> {
    let rule = composite.text("/AlarmRule");
    let members = rule.split(" OR ").map(|term| {
        let name = term
            .trim()
            .strip_prefix("ALARM(\"")
            .and_then(|rest| rest.strip_suffix("\")"));
        name.unwrap_or_else(|| panic!("the tests do not support {term}"))
            .to_owned()
    });
    members.collect()
}
