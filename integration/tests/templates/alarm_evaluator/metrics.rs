//! Metrics with their data, by minute.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde_json::Value;

use crate::stack::text;

/// A metric: each combination of dimensions is one of its own, so an alarm only sees data with exactly its dimensions
/// ("Metrics concepts", section "Dimensions").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MetricId {
    pub(crate) namespace: String,
    name: String,
    dimensions: BTreeMap<String, String>,
}

impl MetricId {
    pub(crate) fn new(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Self {
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions: dimensions.collect(),
        }
    }

    /// The metric that `Namespace`, `MetricName` and `Dimensions` name.
    pub(super) fn of(properties: &Value) -> Self {
        let dimensions = properties["Dimensions"].as_array().into_iter().flatten();
        Self {
            namespace: text(&properties["Namespace"]),
            name: text(&properties["MetricName"]),
            dimensions: dimensions
                .map(|it| (text(&it["Name"]), text(&it["Value"])))
                .collect(),
        }
    }
}

/// Data of metrics, in minutes since the epoch.
#[derive(Debug, Default)]
pub(crate) struct Metrics(HashMap<MetricId, BTreeMap<i64, Vec<f64>>>);

impl Metrics {
    pub(crate) fn put(&mut self, metric: MetricId, minute: i64, value: f64) {
        self.0
            .entry(metric)
            .or_default()
            .entry(minute)
            .or_default()
            .push(value);
    }

    /// What CloudWatch extracts from a line in the embedded metric format: "Specification: Embedded metric format".
    #[track_caller]
    pub(crate) fn put_emf(&mut self, line: &Value) {
        let minute = line["_aws"]["Timestamp"].as_i64().unwrap() / 60_000;
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            for set in directive["Dimensions"].as_array().unwrap() {
                let names = set
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|name| name.as_str().unwrap());
                let dimensions: Vec<(&str, &str)> = names
                    .map(|name| (name, line[name].as_str().unwrap()))
                    .collect();
                for metric in directive["Metrics"].as_array().unwrap() {
                    let name = metric["Name"].as_str().unwrap();
                    let id =
                        MetricId::new(directive["Namespace"].as_str().unwrap(), name, &dimensions);
                    self.put(id, minute, line[name].as_f64().unwrap());
                }
            }
        }
    }

    /// A statistic of a window; `None` without data.
    #[track_caller]
    pub(crate) fn value(
        &self,
        metric: &MetricId,
        statistic: &str,
        minutes: Range<i64>,
    ) -> Option<f64> {
        if minutes.is_empty() {
            return None;
        }
        let mut values: Vec<f64> = self
            .0
            .get(metric)?
            .range(minutes)
            .flat_map(|(_, values)| values)
            .copied()
            .collect();
        if values.is_empty() {
            return None;
        }
        Some(match statistic {
            "Sum" => values.iter().sum(),
            "Maximum" => values.iter().copied().fold(f64::MIN, f64::max),
            "Minimum" => values.iter().copied().fold(f64::MAX, f64::min),
            "SampleCount" => values.len() as f64,
            percentile => {
                let percent: usize = percentile.strip_prefix('p').unwrap().parse().unwrap();
                values.sort_by(f64::total_cmp);
                let rank = (percent * values.len()).div_ceil(100).max(1);
                values[rank - 1]
            }
        })
    }
}

#[test]
fn dimensions_must_match_exactly() {
    let mut metrics = Metrics::default();
    let of =
        |dimensions: &[(&str, &str)]| MetricId::new("AWS/DynamoDB", "SystemErrors", dimensions);
    metrics.put(of(&[("TableName", "t"), ("Operation", "GetItem")]), 3, 1.0);
    assert_eq!(metrics.value(&of(&[("TableName", "t")]), "Sum", 0..9), None);
    let same = of(&[("Operation", "GetItem"), ("TableName", "t")]);
    assert_eq!(metrics.value(&same, "Sum", 0..9), Some(1.0));
    assert_eq!(metrics.value(&same, "Sum", 4..9), None);
}

#[test]
fn statistics_are_of_all_samples() {
    let mut metrics = Metrics::default();
    let metric = MetricId::new("AWS/Lambda", "Duration", &[]);
    for value in 1..=200 {
        metrics.put(metric.clone(), i64::from(value % 4), f64::from(value));
    }
    for (statistic, expected) in [
        ("Sum", 20_100.0),
        ("Maximum", 200.0),
        ("Minimum", 1.0),
        ("SampleCount", 200.0),
        ("p99", 198.0),
        ("p50", 100.0),
    ] {
        assert_eq!(
            metrics.value(&metric, statistic, 0..4),
            Some(expected),
            "{statistic}"
        );
    }
}
