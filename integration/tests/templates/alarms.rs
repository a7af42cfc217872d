//! The texts of the alarms, whom they notify, and that what they watch exists. Whether they rise: `alarm_pairs.rs`.

use std::collections::BTreeSet;

use aws::emf;
use serde_json::Value;

use crate::dashboard::widgets;
use crate::stack::{PROJECT, Resource, stack, text};

/// CloudWatch's limit for a description.
const DESCRIPTION_LENGTH_MAX: usize = 1_024;

/// The longest name that the templates allow for a project.
const LONGEST_PROJECT: &str = "prices-of-all-the-world2";

/// Regions and accounts with longer names than those of the tests need so many characters more.
const LONGER_REGION: usize = 40;

/// The alarms that can be deployed, and the composite one.
pub(crate) fn alarms(project: &str) -> Vec<Resource> {
    let given = [("Project", project), ("WebhookFunctionUrl", "true")];
    let provisioned = given.into_iter().chain([("StreamMode", "PROVISIONED")]);
    let mut all = stack("alarms.yaml", &given).resources();
    all.extend(stack("alarms-math.yaml", &provisioned.collect::<Vec<_>>()).resources());
    all.retain(|it| it.find("/AlarmName").is_some());
    all
}

/// Asserts that the alarm notifies people.
#[track_caller]
fn notifies(alarm: &Resource) {
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
fn each_alarm_notifies_people_once() {
    for alarm in alarms(PROJECT) {
        match alarm.kind.as_str() {
            "AWS::CloudWatch::CompositeAlarm" => {
                assert!(
                    alarm.find("/AlarmActions").is_none(),
                    "each alarm under it notifies people"
                );
            }
            _ => notifies(&alarm),
        }
    }
}

/// What to do, the page with more, and the way back, which needs nothing but the AWS CLI.
#[test]
fn each_text_says_what_to_do_and_the_way_back() {
    assert_eq!(LONGEST_PROJECT.len(), 24);
    for alarm in alarms(LONGEST_PROJECT) {
        let description = alarm.text("/AlarmDescription");
        let about = format!("{}: {description}", alarm.id);
        assert!(
            description.contains("Do: ")
                || description.contains("Do, for")
                || description.contains("Do now: "),
            "{about}"
        );
        let name = alarm
            .text("/AlarmName")
            .strip_prefix(LONGEST_PROJECT)
            .unwrap()
            .trim_start_matches('-');
        let end = format!(
            " Runbook: docs/runbooks/{name}.md. Way back: `aws ssm put-parameter --name /{LONGEST_PROJECT}/rollout --value 0 --overwrite`"
        );
        assert!(description.ends_with(&end), "{about}");
        assert!(
            description.chars().count() + LONGER_REGION <= DESCRIPTION_LENGTH_MAX,
            "{about}"
        );
        assert!(!description.contains("${"), "{about}");
    }
    let service = stack("service.yaml", &[("Project", LONGEST_PROJECT)]);
    let read = service.one("WebhookFunction");
    assert_eq!(
        read.text("/Environment/Variables/ROLLOUT_PARAMETER"),
        format!("/{LONGEST_PROJECT}/rollout")
    );
}

/// Missing data is normal: these services send nothing if there is nothing to count. Where silence is the failure, it is one.
#[test]
fn silence_is_a_failure_where_it_should_not_be() {
    let breaching: BTreeSet<String> = alarms(PROJECT)
        .iter()
        .filter(|alarm| alarm.kind == "AWS::CloudWatch::Alarm")
        .filter(|alarm| match alarm.text("/TreatMissingData") {
            "breaching" => true,
            other => {
                assert_eq!(other, "notBreaching", "{}", alarm.id);
                false
            }
        })
        .map(|alarm| alarm.text("/AlarmName").to_owned())
        .collect();
    let expected = [
        "analytics-source",
        "broadcast-source",
        "compaction-silent",
        "redrive-source",
        "stream-write-throughput",
        "webhook-silent",
    ];
    assert_eq!(
        breaching,
        expected.map(|name| format!("prices-{name}")).into()
    );
}

#[test]
fn the_alarm_for_given_up_batches_describes_the_consequences() {
    let all = alarms(PROJECT);
    let alarm = all.iter().find(|it| it.id == "AnalyticsFailed").unwrap();
    let description = alarm.text("/AlarmDescription");
    for truth in ["No tick is lost", "changes nothing", "from the archive"] {
        assert!(description.contains(truth), "{description}");
    }
}

/// The names of the other stacks' resources, by the dimension that contains them in metrics.
pub(crate) fn existing(dimension: &str) -> BTreeSet<String> {
    let (kind, property) = match dimension {
        "FunctionName" => ("AWS::Lambda::Function", "/FunctionName"),
        "QueueName" => ("AWS::SQS::Queue", "/QueueName"),
        "TableName" => ("AWS::DynamoDB::Table", "/TableName"),
        "StreamName" => ("AWS::Kinesis::Stream", "/Name"),
        "LogGroupName" => ("AWS::Logs::LogGroup", "/LogGroupName"),
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
    for alarm in alarms(PROJECT) {
        let single = std::iter::once(&alarm.properties);
        let stats = alarm.find("/Metrics").and_then(Value::as_array);
        let stats = stats
            .into_iter()
            .flatten()
            .filter_map(|query| query.pointer("/MetricStat/Metric"));
        for dimension in single
            .chain(stats)
            .filter_map(|metric| metric["Dimensions"].as_array())
            .flatten()
        {
            let (name, value) = (text(&dimension["Name"]), text(&dimension["Value"]));
            match name.as_str() {
                "ApiId" => assert_eq!(value, "import:prices-webhook-api"),
                "EventSourceMappingUUID" => {
                    let function = alarm.text("/AlarmName").strip_suffix("-source").unwrap();
                    assert_eq!(value, format!("import:{function}-source"));
                }
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

/// The metrics of a mapping that the alarms watch are switched on, and its id is exported.
#[test]
fn mappings_write_the_metrics_that_alarms_watch() {
    let service = stack("service.yaml", &[]);
    for mapping in service.all("AWS::Lambda::EventSourceMapping") {
        assert_eq!(
            mapping.at("/MetricsConfig/Metrics"),
            &serde_json::json!(["EventCount"]),
            "{}",
            mapping.id
        );
        assert_eq!(
            service.output(&format!("{}Id", mapping.id)),
            format!("ref:{}", mapping.id)
        );
    }
}

/// The metrics that the functions write, by their function.
fn written() -> BTreeSet<(String, String)> {
    let of = |function: &str, metric: &str| (format!("prices-{function}"), metric.to_owned());
    let of_webhook = emf::METRICS.iter().map(|metric| of("webhook", metric));
    let others = [
        of("webhook", emf::STALE_SECRETS),
        of("analytics", emf::FAILED_ITEMS),
        of("analytics", emf::STATES_SET_ASIDE),
        of("redrive", emf::FAILED_ITEMS),
        of("scaler", emf::OPEN_SHARDS),
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
            }
        }
    }
    for widget in widgets(&[]) {
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
