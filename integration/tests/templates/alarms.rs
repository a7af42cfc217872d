//! The alarms on single metrics, and the dashboard.

use std::collections::BTreeSet;

use aws::emf;
use integration::bootstraps::FUNCTIONS;
use serde_json::Value;

use crate::stack::{Resource, stack, text};

/// CloudWatch's limit for a description.
const DESCRIPTION_LENGTH_MAX: usize = 1_024;

/// Every alarm, without the project's name.
const NAMES: [&str; 28] = [
    "analytics-errors",
    "analytics-failed",
    "analytics-iterator-age",
    "analytics-read-throttles",
    "analytics-write-throttles",
    "archive-conversion-failures",
    "archive-freshness",
    "broadcast-age",
    "broadcast-dlq",
    "broadcast-errors",
    "connections-read-throttles",
    "connections-write-throttles",
    "redrive-age",
    "redrive-dlq",
    "redrive-errors",
    "scaler-errors",
    "compaction-errors",
    "compaction-silent",
    "stream-read-throttles",
    "stream-write-throttles",
    "ticks-pending",
    "ticks-read-throttles",
    "ticks-system-errors",
    "ticks-write-throttles",
    "webhook-errors",
    "webhook-latency",
    "webhook-server-errors",
    "webhook-throttles",
];

fn alarms() -> Vec<Resource> {
    stack("alarms.yaml", &[]).all("AWS::CloudWatch::Alarm")
}

#[track_caller]
fn alarm(name: &str) -> Resource {
    alarms()
        .into_iter()
        .find(|alarm| alarm.text("/AlarmName") == format!("prices-{name}"))
        .unwrap_or_else(|| panic!("no alarm {name}"))
}

/// Asserts that the alarm notifies people, and that its description says what to do.
#[track_caller]
pub(crate) fn notifies_with_instructions(alarm: &Resource) {
    let description = alarm.text("/AlarmDescription");
    assert!(
        description.contains("Do: ") || description.contains("Do now: "),
        "{}: {description}",
        alarm.id
    );
    assert!(description.len() <= DESCRIPTION_LENGTH_MAX, "{}", alarm.id);
    assert!(!description.contains("${"), "{}: {description}", alarm.id);
    for state in ["/AlarmActions", "/OKActions"] {
        assert_eq!(
            alarm.at(state),
            &serde_json::json!(["arn:aws:sns:eu-central-1:111122223333:prices-alarms"]),
            "{}",
            alarm.id
        );
    }
}

#[test]
fn the_list_is_complete() {
    let names: BTreeSet<String> = alarms()
        .iter()
        .map(|alarm| alarm.text("/AlarmName").to_owned())
        .collect();
    let expected: BTreeSet<String> = NAMES.iter().map(|name| format!("prices-{name}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn each_alarm_notifies_with_instructions() {
    for alarm in alarms() {
        notifies_with_instructions(&alarm);
        // Missing data is normal: these services send nothing if there is nothing to count. It is a failure of what a
        // schedule should start.
        let missing = match alarm.id.as_str() {
            "CompactionSilent" => "breaching",
            _ => "notBreaching",
        };
        assert_eq!(alarm.text("/TreatMissingData"), missing, "{}", alarm.id);
        assert!(alarm.number("/DatapointsToAlarm") <= alarm.number("/EvaluationPeriods"));
    }
}

#[track_caller]
fn check(name: &str, metric: &str, threshold: u64) {
    let alarm = alarm(name);
    let (namespace, metric) = metric.rsplit_once(' ').unwrap();
    assert_eq!(alarm.text("/Namespace"), namespace, "{name}");
    assert_eq!(alarm.text("/MetricName"), metric, "{name}");
    assert_eq!(alarm.number("/Threshold"), threshold, "{name}");
    assert_eq!(
        alarm.text("/ComparisonOperator"),
        "GreaterThanThreshold",
        "{name}"
    );
}

/// Where silence is the failure, missing data is one.
#[test]
fn a_compaction_that_is_not_started_is_an_alarm() {
    let alarm = alarm("compaction-silent");
    assert_eq!(alarm.text("/MetricName"), "Invocations");
    assert_eq!(alarm.text("/ComparisonOperator"), "LessThanThreshold");
    assert_eq!(
        (alarm.number("/Threshold"), alarm.number("/Period")),
        (1, 86_400)
    );
    assert_eq!(alarm.text("/TreatMissingData"), "breaching");
}

#[test]
fn a_function_url_has_a_separate_alarm() {
    let with = stack("alarms.yaml", &[("WebhookFunctionUrl", "true")]);
    let alarm = with.one("WebhookUrlErrors");
    notifies_with_instructions(&alarm);
    assert_eq!(alarm.text("/AlarmName"), "prices-webhook-url-errors");
    assert_eq!(
        (alarm.text("/Namespace"), alarm.text("/MetricName")),
        ("AWS/Lambda", "Url5xxCount")
    );
    assert_eq!(alarm.number("/Threshold"), 0);
    assert_eq!(
        alarm.at("/Dimensions"),
        &serde_json::json!([{"Name": "FunctionName", "Value": "prices-webhook"}])
    );
    let board = with.one("Dashboard");
    let body: Value = serde_json::from_str(board.text("/DashboardBody")).unwrap();
    assert!(
        body.to_string()
            .contains(":alarm:prices-webhook-url-errors\"")
    );
}

#[test]
fn the_alarm_for_given_up_batches_describes_the_consequences() {
    let alarm = alarm("analytics-failed");
    let description = alarm.text("/AlarmDescription");
    for truth in ["No tick is lost", "changes nothing", "from the archive"] {
        assert!(description.contains(truth), "{description}");
    }
}

#[test]
fn alarms_watch_metrics_that_exist() {
    check("analytics-iterator-age", "AWS/Lambda IteratorAge", 60_000);
    check(
        "stream-write-throttles",
        "AWS/Kinesis WriteProvisionedThroughputExceeded",
        0,
    );
    check(
        "stream-read-throttles",
        "AWS/Kinesis ReadProvisionedThroughputExceeded",
        0,
    );
    for name in ["broadcast-dlq", "redrive-dlq"] {
        check(name, "AWS/SQS ApproximateNumberOfMessagesVisible", 10);
    }
    check(
        "analytics-failed",
        "AWS/SQS ApproximateNumberOfMessagesVisible",
        0,
    );
    for function in FUNCTIONS {
        check(&format!("{function}-errors"), "AWS/Lambda Errors", 0);
    }
    for table in ["ticks", "analytics", "connections"] {
        // Not UserErrors, which is per account and does not include throttling.
        check(
            &format!("{table}-write-throttles"),
            "AWS/DynamoDB WriteThrottleEvents",
            0,
        );
        check(
            &format!("{table}-read-throttles"),
            "AWS/DynamoDB ReadThrottleEvents",
            0,
        );
    }
    check("ticks-system-errors", "AWS/DynamoDB SystemErrors", 0);
    check("webhook-server-errors", "AWS/ApiGateway 5xx", 0);
    check("ticks-pending", "Tickstream Pending", 0);
    check(
        "archive-conversion-failures",
        "AWS/Firehose FailedConversion.Records",
        0,
    );
}

/// The names of the other stacks' resources, by the dimension that contains them in metrics.
fn existing(dimension: &str) -> BTreeSet<String> {
    let (kind, property) = match dimension {
        "FunctionName" => ("AWS::Lambda::Function", "/FunctionName"),
        "QueueName" => ("AWS::SQS::Queue", "/QueueName"),
        "TableName" => ("AWS::DynamoDB::Table", "/TableName"),
        "StreamName" => ("AWS::Kinesis::Stream", "/Name"),
        "DeliveryStreamName" => (
            "AWS::KinesisFirehose::DeliveryStream",
            "/DeliveryStreamName",
        ),
        other => panic!("the tests do not know the dimension {other}"),
    };
    ["data.yaml", "service.yaml"]
        .into_iter()
        .flat_map(|file| stack(file, &[]).resources())
        .filter(|resource| resource.kind == kind)
        .map(|resource| resource.text(property).to_owned())
        .collect()
}

#[test]
fn alarms_watch_resources_that_exist() {
    for alarm in alarms() {
        for dimension in alarm.at("/Dimensions").as_array().unwrap() {
            let (name, value) = (text(&dimension["Name"]), text(&dimension["Value"]));
            match name.as_str() {
                "ApiId" => assert_eq!(value, "import:prices-webhook-api"),
                "Operation" => assert_eq!(value, "BatchWriteItem"),
                _ => assert!(
                    existing(&name).contains(&value),
                    "{}: {name} {value}",
                    alarm.id
                ),
            }
        }
    }
}

/// The metrics that the functions write, by their function.
fn written() -> BTreeSet<(String, String)> {
    let of = |function: &str, metric: &str| (format!("prices-{function}"), metric.to_owned());
    let of_webhook = emf::METRICS.iter().map(|metric| of("webhook", metric));
    let others = [
        of("analytics", emf::FAILED_ITEMS),
        of("redrive", emf::FAILED_ITEMS),
        of("scaler", "OpenShards"),
    ];
    of_webhook.chain(others).collect()
}

#[test]
fn alarms_and_dashboard_read_metrics_that_are_written() {
    let mut read = BTreeSet::new();
    let provisioned = [("StreamMode", "PROVISIONED")];
    for (file, given) in [
        ("alarms.yaml", &[][..]),
        ("alarms-math.yaml", &provisioned[..]),
    ] {
        for alarm in stack(file, given).all("AWS::CloudWatch::Alarm") {
            let single = std::iter::once(&alarm.properties);
            let stats = alarm.find("/Metrics").and_then(Value::as_array);
            let stats = stats.into_iter().flatten();
            let all = single.chain(stats.filter_map(|metric| metric.pointer("/MetricStat/Metric")));
            for metric in all.filter(|metric| metric["Namespace"] == emf::NAMESPACE) {
                assert_eq!(metric["Dimensions"][0]["Name"], emf::DIMENSION);
                let function = text(&metric["Dimensions"][0]["Value"]);
                read.insert((function, text(&metric["MetricName"])));
                // A line has only what is not 0.
                assert_eq!(
                    alarm.text("/TreatMissingData"),
                    "notBreaching",
                    "{}",
                    alarm.id
                );
            }
        }
    }
    for widget in widgets() {
        let metrics = widget["properties"]["metrics"].as_array();
        for metric in metrics.into_iter().flatten() {
            if metric[0] == emf::NAMESPACE {
                assert_eq!(metric[2], emf::DIMENSION);
                read.insert((text(&metric[3]), text(&metric[1])));
            }
        }
    }
    let unwritten: Vec<_> = read.difference(&written()).cloned().collect();
    assert!(unwritten.is_empty(), "{unwritten:?}");
    let unread: Vec<_> = written().difference(&read).cloned().collect();
    assert!(unread.is_empty(), "{unread:?}");
}

fn widgets() -> Vec<Value> {
    let dashboard = stack("alarms.yaml", &[]).one("Dashboard");
    let body: Value = serde_json::from_str(dashboard.text("/DashboardBody")).unwrap();
    body["widgets"].as_array().unwrap().clone()
}

#[test]
fn the_dashboard_shows_the_flow_from_left_to_right() {
    let widgets = widgets();
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
    for widget in widgets() {
        let side = |name: &str| widget[name].as_u64().unwrap();
        for x in side("x")..side("x") + side("width") {
            assert!(x < 24, "{widget} is wider than the page");
            for y in side("y")..side("y") + side("height") {
                assert!(taken.insert((x, y)), "{widget} covers another");
            }
        }
    }
}

#[test]
fn the_dashboard_lists_all_alarms() {
    let widgets = widgets();
    let list = widgets
        .iter()
        .find(|widget| widget["type"] == "alarm")
        .unwrap();
    let listed: BTreeSet<String> = list["properties"]["alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    let prefix = "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:prices-";
    let expected: BTreeSet<String> = NAMES.iter().map(|name| format!("{prefix}{name}")).collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_dashboard_shows_resources_that_exist() {
    for widget in widgets() {
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
