//! The alarms with metric math: shares, the load of the stream, and the composite alarm; and what calls the scaler.

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
    const FUNCTIONS: [&str; 5] = ["ABS", "IF", "MAX", "FILL", "REPEAT"];
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

/// The two thresholds and their minutes are the scaler's own; the template only has it called.
#[test]
fn the_scaler_of_a_provisioned_stream_is_called_each_minute() {
    let service = stack("service.yaml", &[("StreamMode", "PROVISIONED")]);
    let schedule = service.one("ScalerSchedule");
    assert_eq!(schedule.text("/ScheduleExpression"), "rate(1 minute)");
    assert_eq!(schedule.text("/Target/Arn"), "ref:ScalerAlias");
    let role = schedule.text("/Target/RoleArn");
    assert_eq!(role, "att:ScalerScheduleRole.Arn");
    // A failed call is not repeated, neither by the schedule nor by Lambda, since the next one reads all metrics again.
    assert_eq!(
        schedule.number("/Target/RetryPolicy/MaximumRetryAttempts"),
        0
    );
    let invoked = service.one("ScalerInvoked");
    assert_eq!(invoked.text("/FunctionName"), "ref:ScalerFunction");
    assert_eq!(invoked.number("/MaximumRetryAttempts"), 0);
}

#[test]
fn an_on_demand_stream_and_an_emulator_have_no_schedule_of_the_scaler() {
    let emulator = ("EmulatorEndpoint", "http://127.0.0.1:4566");
    for given in [&[][..], &[("StreamMode", "PROVISIONED"), emulator]] {
        let service = stack("service.yaml", given);
        for id in ["ScalerSchedule", "ScalerScheduleRole", "ScalerInvoked"] {
            assert!(!service.has(id), "{id}");
        }
    }
}

/// Nobody else changes the number of shards: no alarm calls a function.
#[test]
fn no_alarm_calls_a_function() {
    for stack in [stack("alarms.yaml", &[]), provisioned()] {
        for alarm in stack.all("AWS::CloudWatch::Alarm") {
            let actions = alarm.at("/AlarmActions").to_string();
            assert!(!actions.contains(":function:"), "{}: {actions}", alarm.id);
        }
    }
}

/// The check before a rollout stage covers all alarms of the templates, except those about compaction.
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
    declared.retain(|name| !name.contains("-compaction-"));
    declared.sort();
    assert_eq!(declared, aws::alarms::names("prices"));
}
