//! The dashboard.

use std::collections::BTreeSet;

use ops::bill::prices::{Price, PriceTable};
use serde_json::Value;

use crate::alarms::existing;
use crate::stack::{stack, text};

pub(crate) fn widgets(given: &[(&str, &str)]) -> Vec<Value> {
    let dashboard = stack("alarms-math.yaml", given).one("Dashboard");
    let body: Value = serde_json::from_str(dashboard.text("/DashboardBody")).unwrap();
    body["widgets"].as_array().unwrap().clone()
}

#[test]
fn the_dashboard_shows_the_flow_from_left_to_right() {
    let widgets = widgets(&[]);
    let titles: Vec<&str> = widgets
        .iter()
        .filter(|widget| widget["type"] == "text")
        .map(|widget| widget["properties"]["markdown"].as_str().unwrap())
        .collect();
    let order = [
        "1 Webhook",
        "2 Store",
        "3 Stream",
        "4 Analytics",
        "5 Archive",
        "6 Broadcast",
    ];
    assert_eq!(titles.len(), order.len());
    for (title, step) in titles.iter().zip(order) {
        assert!(title.contains(step), "{title}");
    }
    let columns: Vec<u64> = widgets
        .iter()
        .filter(|widget| widget["type"] == "text")
        .map(|widget| widget["x"].as_u64().unwrap())
        .collect();
    assert!(columns.is_sorted(), "{columns:?}");
}

#[test]
fn widgets_do_not_overlap() {
    let mut taken = BTreeSet::new();
    for widget in widgets(&[]) {
        let side = |name: &str| widget[name].as_u64().unwrap();
        for x in side("x")..side("x") + side("width") {
            assert!(x < 24, "{widget} is wider than the page");
            for y in side("y")..side("y") + side("height") {
                assert!(taken.insert((x, y)), "{widget} covers another");
            }
        }
    }
}

fn alarm_names(given: &[(&str, &str)]) -> BTreeSet<String> {
    let all = ["alarms.yaml", "alarms-math.yaml"]
        .into_iter()
        .flat_map(|file| stack(file, given).resources());
    all.filter_map(|resource| Some(resource.find("/AlarmName")?.as_str()?.to_owned()))
        .collect()
}

#[test]
fn the_dashboard_lists_all_alarms() {
    for url in ["false", "true"] {
        let given = [("WebhookFunctionUrl", url)];
        let widgets = widgets(&given);
        let list = widgets
            .iter()
            .find(|widget| widget["type"] == "alarm")
            .unwrap();
        let listed = list["properties"]["alarms"].as_array().unwrap();
        let listed: BTreeSet<String> = listed.iter().map(text).collect();
        let prefix = "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:";
        let expected = alarm_names(&given)
            .into_iter()
            .map(|name| format!("{prefix}{name}"));
        assert_eq!(listed, expected.collect());
    }
}

/// The metrics of the widget whose title begins so.
#[track_caller]
fn metrics_of(widgets: &[Value], title: &str) -> Vec<Value> {
    let titled = |widget: &&Value| {
        widget["properties"]["title"]
            .as_str()
            .is_some_and(|it| it.starts_with(title))
    };
    let widget = widgets
        .iter()
        .find(titled)
        .unwrap_or_else(|| panic!("no widget {title}"));
    widget["properties"]["metrics"].as_array().unwrap().clone()
}

/// The first expression of a widget.
#[track_caller]
fn expression_of(widgets: &[Value], title: &str) -> String {
    text(&metrics_of(widgets, title)[0][0]["expression"])
}

#[test]
fn the_dashboard_computes_what_the_alarms_watch() {
    for (mode, capacity) in [("ON_DEMAND", "4"), ("PROVISIONED", "FILL(shards, REPEAT)")] {
        let widgets = widgets(&[("StreamMode", mode)]);
        let load = expression_of(&widgets, "Load of the stream");
        assert_eq!(
            load,
            format!("100 * MAX([by_bytes, by_records]) / {capacity}")
        );
        let shards = metrics_of(&widgets, "Load of the stream");
        assert!(shards.iter().any(|metric| metric[1] == "OpenShards"));
    }
    let widgets = widgets(&[]);
    assert_eq!(
        expression_of(&widgets, "Malformed"),
        "100 * rejected / received"
    );
    let difference = expression_of(&widgets, "Difference of the ledger");
    assert_eq!(
        difference,
        "received - stored - duplicate - rejected - ignored"
    );
}

#[test]
fn the_dashboards_prices_are_those_of_the_bill() {
    let prices = PriceTable::us_east_1().unwrap().prices;
    let million = |price: &Price| price.usd * 1_000_000.0 / price.per;
    let expected = format!(
        "({} * requests + {} * (c0 + c1 + c2) + {} * (w0 + w1 + w2) + {} * (r0 + r1 + r2)) / 1000000 + {} * 0.5 * (d0 + d1 + d2) / 1000",
        million(&prices.http_api_requests),
        million(&prices.lambda_requests),
        million(&prices.dynamodb_writes),
        million(&prices.dynamodb_reads),
        prices.lambda_gb_seconds.usd / prices.lambda_gb_seconds.per,
    );
    let widgets = widgets(&[]);
    assert_eq!(expression_of(&widgets, "USD an hour"), expected);
    // Sums of an hour, and each name in the expression is a metric.
    let ids: BTreeSet<String> = metrics_of(&widgets, "USD an hour")
        .iter()
        .filter_map(|metric| metric.as_array()?.last()?["id"].as_str().map(str::to_owned))
        .collect();
    let names = expected.split(|c: char| !c.is_ascii_alphanumeric());
    let names = names.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
    let mut names: BTreeSet<String> = names.map(str::to_owned).collect();
    names.insert("usd".to_owned());
    assert_eq!(ids, names);
    let widget = widgets
        .iter()
        .find(|widget| widget.to_string().contains("USD an hour"))
        .unwrap();
    assert_eq!(widget["properties"]["period"], 3_600);
}

#[test]
fn the_dashboard_shows_resources_that_exist() {
    for widget in widgets(&[]) {
        let mut dimension = String::new();
        for metric in widget["properties"]["metrics"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let parts: Vec<&str> = metric
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            // `[namespace, metric, dimension, value]`, where a dot repeats the value above.
            let value = match parts.as_slice() {
                [_, _, name, value] => {
                    if *name != "." {
                        dimension = (*name).to_owned();
                    }
                    *value
                }
                ["...", value] => *value,
                _ => continue,
            };
            if value == "." || dimension == "ApiId" {
                continue;
            }
            assert!(existing(&dimension).contains(value), "{metric}");
        }
    }
}
