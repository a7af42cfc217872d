//! The alarms with metric math: shares, the load of the stream, its shards, and the composite alarm.

use serde_json::{Value, json};

use crate::stack::{Resource, Stack, stack};

fn provisioned() -> Stack {
    stack("alarms-math.yaml", &[("StreamMode", "PROVISIONED")])
}

/// A metric of an alarm by its id. Asserts that exactly one metric is the alarm's value.
#[track_caller]
fn metric(alarm: &Resource, id: &str) -> Value {
    let metrics = alarm.at("/Metrics").as_array().unwrap();
    let shown = metrics
        .iter()
        .filter(|metric| metric["ReturnData"] != false);
    assert_eq!(shown.count(), 1, "{}", alarm.id);
    let found = metrics.iter().find(|metric| metric["Id"] == id);
    found
        .unwrap_or_else(|| panic!("{} has no {id}", alarm.id))
        .clone()
}

/// Asserts that each name in an expression is the id of a metric, and that each metric is used.
#[track_caller]
fn uses_existing_metrics(alarm: &Resource) {
    const FUNCTIONS: [&str; 6] = ["ABS", "IF", "MAX", "FILL", "DIFF", "REPEAT"];
    let metrics = alarm.at("/Metrics").as_array().unwrap();
    let ids: Vec<&str> = metrics
        .iter()
        .map(|metric| metric["Id"].as_str().unwrap())
        .collect();
    let mut used = Vec::new();
    for expression in metrics
        .iter()
        .filter_map(|metric| metric["Expression"].as_str())
    {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())) {
            let known = FUNCTIONS.contains(&word) || ids.contains(&word);
            assert!(known, "{}: {word} in {expression}", alarm.id);
            used.push(word);
        }
    }
    for metric in metrics {
        let id = metric["Id"].as_str().unwrap();
        let shown = metric["ReturnData"] != false;
        assert!(
            shown || used.contains(&id),
            "{}: {id} is not used",
            alarm.id
        );
    }
}

#[test]
fn expressions_use_existing_metrics() {
    for mode in ["ON_DEMAND", "PROVISIONED"] {
        let alarms =
            stack("alarms-math.yaml", &[("StreamMode", mode)]).all("AWS::CloudWatch::Alarm");
        assert!(alarms.len() >= 9, "{mode}: {}", alarms.len());
        for alarm in &alarms {
            uses_existing_metrics(alarm);
        }
    }
}

#[test]
fn more_than_five_percent_malformed_raises_an_alarm() {
    let alarm = provisioned().one("MalformedShare");
    assert_eq!(alarm.number("/Threshold"), 5);
    assert_eq!(alarm.text("/ComparisonOperator"), "GreaterThanThreshold");
    for (id, name) in [("received", "Received"), ("rejected", "Rejected")] {
        let metric = metric(&alarm, id);
        assert_eq!(
            metric["MetricStat"]["Metric"],
            json!({
                "Namespace": "Tickstream",
                "MetricName": name,
                "Dimensions": [{"Name": "FunctionName", "Value": "prices-webhook"}],
            })
        );
    }
}

#[test]
fn the_load_is_relative_to_the_streams_capacity() {
    let alarm = provisioned().one("StreamWriteThroughput");
    assert_eq!(alarm.number("/Threshold"), 80);
    // The capacity of a shard per minute: 1 MiB and 1,000 records a second.
    assert_eq!(
        metric(&alarm, "by_bytes")["Expression"],
        "FILL(bytes, 0) / (1048576 * 60)"
    );
    assert_eq!(
        metric(&alarm, "by_records")["Expression"],
        "FILL(records, 0) / (1000 * 60)"
    );
    for id in ["bytes", "records"] {
        assert_eq!(metric(&alarm, id)["MetricStat"]["Period"], 60, "{id}");
        assert_eq!(metric(&alarm, id)["MetricStat"]["Stat"], "Sum", "{id}");
    }
    assert_eq!(
        metric(&alarm, "load")["Expression"],
        "100 * MAX([by_bytes, by_records]) / FILL(shards, REPEAT)"
    );
    let on_demand = stack("alarms-math.yaml", &[("OnDemandWriteMiBps", "16")]);
    assert_eq!(
        metric(&on_demand.one("StreamWriteThroughput"), "load")["Expression"],
        "100 * MAX([by_bytes, by_records]) / 16"
    );
}

const SCALER: &str = "arn:aws:lambda:eu-central-1:111122223333:function:prices-scaler";

#[test]
fn shards_are_adjusted_above_80_and_below_30_percent_for_15_minutes() {
    let stack = provisioned();
    for (id, name, operator, threshold, minutes) in [
        ("ShardsUp", "shards-up", "GreaterThanThreshold", 80, 2),
        ("ShardsDown", "shards-down", "LessThanThreshold", 30, 15),
    ] {
        let alarm = stack.one(id);
        // The check before a rollout stage ignores these two, since they must not block it on an empty
        // stream.
        assert_eq!(alarm.text("/AlarmName"), format!("scaling-prices-{name}"));
        assert_eq!(alarm.text("/ComparisonOperator"), operator);
        assert_eq!(alarm.number("/Threshold"), threshold);
        assert_eq!(alarm.number("/EvaluationPeriods"), minutes);
        assert_eq!(metric(&alarm, "bytes")["MetricStat"]["Period"], 60);
        assert_eq!(alarm.at("/AlarmActions"), &json!([SCALER]));
        let permission = stack.one(&format!("{id}Permission"));
        assert_eq!(
            permission.text("/Principal"),
            "lambda.alarms.cloudwatch.amazonaws.com"
        );
        assert_eq!(permission.text("/SourceArn"), format!("att:{id}.Arn"));
        assert_eq!(permission.text("/FunctionName"), "prices-scaler");
    }
}

/// A minute with late metrics is not empty: with FILL, the alarm would end and start again. For scaling
/// down, an empty minute must count, and fifteen consecutive late ones do not occur.
#[test]
fn a_late_metric_does_not_end_a_high_load() {
    let stack = provisioned();
    let expression = |id: &str, of: &str| metric(&stack.one(id), of)["Expression"].clone();
    assert_eq!(expression("ShardsUp", "by_bytes"), "bytes / (1048576 * 60)");
    assert_eq!(
        expression("ShardsUp", "by_records"),
        "records / (1000 * 60)"
    );
    assert_eq!(
        expression("ShardsDown", "by_bytes"),
        "FILL(bytes, 0) / (1048576 * 60)"
    );
    assert!(
        stack.one("ShardsUp").find("/DatapointsToAlarm").is_none(),
        "M of N would ignore the minute that rearms the alarm"
    );
}

/// An alarm only invokes a function when its state changes, so without this there would be no second
/// step.
#[test]
fn a_change_of_the_shard_count_rearms_the_alarms() {
    let given = [("StreamMode", "PROVISIONED"), ("ShardsMin", "3")];
    let stack = stack("alarms-math.yaml", &given);
    assert_eq!(
        metric(&stack.one("ShardsUp"), "armed")["Expression"],
        "IF(DIFF(FILL(shards, REPEAT)) != 0, 50, load)"
    );
    assert_eq!(
        metric(&stack.one("ShardsDown"), "armed")["Expression"],
        "IF(DIFF(FILL(shards, REPEAT)) != 0, 50, IF(FILL(shards, REPEAT) <= 3, 50, load))"
    );
}

#[test]
fn an_on_demand_stream_has_no_scaling_alarms() {
    let stack = stack("alarms-math.yaml", &[]);
    for id in ["ShardsUp", "ShardsDown", "ShardCountSchedule"] {
        assert!(!stack.has(id), "{id}");
    }
}

/// The scheduled event looks like an alarm that has ended, so the scaler only writes the metric.
#[test]
fn the_scaler_accepts_the_scheduled_event() {
    let schedule = provisioned().one("ShardCountSchedule");
    assert_eq!(schedule.text("/ScheduleExpression"), "rate(1 minute)");
    assert_eq!(schedule.text("/Target/Arn"), SCALER);
    let event: scaler::wire::AlarmEvent =
        serde_json::from_str(schedule.text("/Target/Input")).unwrap();
    assert_eq!(event.load(), Ok(None));
}

/// The check before a rollout stage covers all alarms of the templates, except those that adjust shards.
#[test]
fn the_check_before_a_stage_covers_every_alarm() {
    let url = ("WebhookFunctionUrl", "true");
    let mut declared: Vec<String> = Vec::new();
    for (file, given) in [
        ("alarms.yaml", vec![url]),
        ("alarms-math.yaml", vec![url, ("StreamMode", "PROVISIONED")]),
    ] {
        let all = stack(file, &given).resources();
        let names = all
            .iter()
            .filter_map(|resource| resource.find("/AlarmName"));
        declared.extend(names.map(|name| name.as_str().unwrap().to_owned()));
    }
    // Small files in the archive are no reason to keep ticks out of the stream.
    declared.retain(|name| !name.starts_with("scaling-") && !name.contains("-compaction-"));
    declared.sort();
    assert_eq!(declared, aws::alarms::names("prices"));
}
