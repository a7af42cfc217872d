//! What the templates deploy is what `tickctl cost` charges for.

use std::collections::BTreeSet;

use aws::emf;
use ops::bill::units;
use serde_json::Value;

use crate::stack::{Resource, stack};

fn alarms(mode: &str) -> Vec<Resource> {
    let math = stack("alarms-math.yaml", &[("StreamMode", mode)]);
    let mut alarms = math.all("AWS::CloudWatch::Alarm");
    alarms.extend(stack("alarms.yaml", &[]).all("AWS::CloudWatch::Alarm"));
    alarms
}

/// CloudWatch bills an alarm for each metric in it.
fn metrics(alarm: &Resource) -> usize {
    let Some(Value::Array(queries)) = alarm.find("/Metrics") else {
        return 1;
    };
    let metrics = queries.iter().filter(|it| it.get("MetricStat").is_some());
    metrics.count()
}

#[track_caller]
fn same(what: &str, deployed: usize, in_the_bill: f64) {
    assert!(
        (deployed as f64 - in_the_bill).abs() < 1e-6,
        "{what}: the templates have {deployed}, but ops::bill::units has {in_the_bill}"
    );
}

#[test]
fn alarms_and_dashboards_are_those_of_the_bill() {
    for (mode, in_the_bill) in [
        ("ON_DEMAND", units::ALARM_METRICS),
        ("PROVISIONED", units::ALARM_METRICS_PROVISIONED),
    ] {
        let deployed = alarms(mode).iter().map(metrics).sum();
        same("metrics of alarms", deployed, in_the_bill);
    }
    let composite = stack("alarms-math.yaml", &[]).all("AWS::CloudWatch::CompositeAlarm");
    same("composite alarms", composite.len(), units::COMPOSITE_ALARMS);
    let dashboards = stack("alarms-math.yaml", &[]).all("AWS::CloudWatch::Dashboard");
    same("dashboards", dashboards.len(), units::DASHBOARDS);
}

#[test]
fn the_scaler_is_called_as_often_as_in_the_bill() {
    let provisioned = [("StreamMode", "PROVISIONED")];
    let schedule = stack("service.yaml", &provisioned).one("ScalerSchedule");
    assert_eq!(schedule.text("/ScheduleExpression"), "rate(1 minute)");
    same("calls of the scaler", 60, units::SCALER_CALLS_PER_HOUR);
    let read = aws::stream_metrics::METRICS_READ;
    same("metrics that it reads", read, units::SCALER_METRICS_READ);
}

#[test]
fn the_archive_of_anomalies_is_called_as_in_the_bill() {
    let schedule = stack("service.yaml", &[]).one("CompactionSchedule");
    assert_eq!(schedule.text("/ScheduleExpression"), "cron(0 * * * ? *)");
    let in_the_bill = units::ANOMALIES_ARCHIVED_PER_HOUR;
    same("calls for anomalies", 1, in_the_bill);
}

#[test]
fn metrics_of_the_functions_are_those_of_the_bill() {
    let analytics = [
        emf::FAILED_ITEMS,
        emf::LATE_TICKS,
        emf::REPEATED_TICKS,
        emf::REPLAYED_RECORDS,
        emf::STATES_SET_ASIDE,
        emf::TOO_LATE_TICKS,
    ];
    let others = [emf::FAILED_ITEMS, emf::STALE_SECRETS, emf::OPEN_SHARDS];
    let all = emf::METRICS.len() + analytics.len() + others.len();
    same("metrics", all, units::METRICS);
}

#[test]
fn nothing_that_the_bill_does_not_have_is_deployed() {
    let mut kinds = BTreeSet::new();
    for file in [
        "data.yaml",
        "service.yaml",
        "alarms.yaml",
        "alarms-math.yaml",
    ] {
        let provisioned = match file {
            "service.yaml" => &[("StreamMode", "PROVISIONED")][..],
            _ => &[],
        };
        let resources = stack(file, provisioned).resources();
        kinds.extend(resources.into_iter().map(|it| it.kind));
    }
    // These have no price of their own, or one that is in the bill.
    const KNOWN: [&str; 27] = [
        "AWS::ApiGatewayV2::Api",
        "AWS::ApiGatewayV2::Integration",
        "AWS::ApiGatewayV2::Route",
        "AWS::ApiGatewayV2::Stage",
        "AWS::Athena::WorkGroup",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard",
        "AWS::DynamoDB::Table",
        "AWS::Glue::Database",
        "AWS::Glue::Table",
        "AWS::IAM::Role",
        "AWS::Kinesis::Stream",
        "AWS::KinesisFirehose::DeliveryStream",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::EventSourceMapping",
        "AWS::Lambda::Function",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Permission",
        "AWS::Logs::LogGroup",
        "AWS::Logs::LogStream",
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
        "AWS::Scheduler::Schedule",
    ];
    let unknown: Vec<&String> = kinds
        .iter()
        .filter(|it| !KNOWN.contains(&it.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "add {unknown:?} to ops::bill, or here if they cost nothing"
    );
}

/// The bill's constants of batches and memory are the templates' defaults.
#[test]
fn batches_and_memory_are_those_of_the_bill() {
    let service = stack("service.yaml", &[]);
    for mapping in service.all("AWS::Lambda::EventSourceMapping") {
        assert_eq!(
            mapping.number("/MaximumBatchingWindowInSeconds"),
            1,
            "{}",
            mapping.id
        );
        if mapping.id != "RedriveSource" {
            assert_eq!(mapping.number("/BatchSize"), 500, "{}", mapping.id);
        }
    }
    for function in service.all("AWS::Lambda::Function") {
        let in_the_bill = match function.id.as_str() {
            "AnalyticsFunction" => units::ANALYTICS_MEMORY_MB,
            "BroadcastFunction" => units::BROADCAST_MEMORY_MB,
            "CompactionFunction" => units::COMPACTION_MEMORY_MB,
            "ScalerFunction" => units::SCALER_MEMORY_MB,
            "WebhookFunction" => 512.0,
            _ => continue,
        };
        let memory = usize::try_from(function.number("/MemorySize")).unwrap();
        same(&function.id, memory, in_the_bill);
        assert!(
            function.find("/TracingConfig").is_none(),
            "the bill has no traces"
        );
        assert!(
            function.find("/VpcConfig").is_none(),
            "the bill has no network"
        );
    }
}
