//! Queues and event sources: retries are limited, and what is given up is not lost.

use clap::Parser as _;
use integration::event_source::MappingSettings;
use integration::event_source::queue::{
    REDRIVE_MESSAGES_MAX, REDRIVE_RECEIVES_MAX, REDRIVE_VISIBILITY_SECONDS,
};
use serde_json::{Value, json};

use crate::stack::{Resource, Stack, stack};

/// SQS's limit for the retention of a message, 14 days.
const RETENTION_SECONDS_MAX: u64 = 14 * 24 * 3600;

fn service() -> Stack {
    stack("service.yaml", &[])
}

fn sources(service: &Stack) -> Vec<Resource> {
    service.all("AWS::Lambda::EventSourceMapping")
}

/// The queue that `att:Queue.Arn` refers to.
fn queue_of(service: &Stack, arn: &Value) -> Resource {
    let arn = arn.as_str().unwrap();
    let id = arn.strip_prefix("att:").unwrap().strip_suffix(".Arn");
    service.one(id.unwrap())
}

#[test]
fn each_consumed_queue_has_its_own_dlq() {
    let service = service();
    let mut read = Vec::new();
    for source in sources(&service) {
        if !source.text("/EventSourceArn").starts_with("att:") {
            continue;
        }
        let queue = queue_of(&service, source.at("/EventSourceArn"));
        let letters = queue_of(&service, queue.at("/RedrivePolicy/deadLetterTargetArn"));
        let name = queue.text("/QueueName");
        assert_eq!(letters.text("/QueueName"), format!("{name}-dlq"));
        assert!(queue.number("/RedrivePolicy/maxReceiveCount") >= 3);
        assert_eq!(
            letters.at("/RedriveAllowPolicy"),
            &json!({
                "redrivePermission": "byQueue",
                "sourceQueueArns": [format!("arn:aws:sqs:eu-central-1:111122223333:{name}")],
            })
        );
        assert_eq!(
            letters.number("/MessageRetentionPeriod"),
            RETENTION_SECONDS_MAX
        );
        read.extend([queue.id, letters.id]);
    }
    let others: Vec<_> = service
        .all("AWS::SQS::Queue")
        .into_iter()
        .filter(|queue| !read.contains(&queue.id))
        .collect();
    // People read the failure destination.
    assert_eq!(others.len(), 1);
    assert_eq!(others[0].text("/QueueName"), "prices-analytics-failed");
    assert_eq!(
        others[0].number("/MessageRetentionPeriod"),
        RETENTION_SECONDS_MAX
    );
}

#[test]
fn queues_are_encrypted() {
    for queue in service().all("AWS::SQS::Queue") {
        assert_eq!(queue.at("/SqsManagedSseEnabled"), true, "{}", queue.id);
    }
}

/// Otherwise a second call would receive a message while the first one still processes it. AWS
/// recommends six timeouts plus the window.
#[test]
fn a_message_is_hidden_for_six_timeouts_of_its_function() {
    let service = service();
    let mut seen = 0;
    for source in sources(&service) {
        if !source.text("/EventSourceArn").starts_with("att:") {
            continue;
        }
        seen += 1;
        let queue = queue_of(&service, source.at("/EventSourceArn"));
        let function = service.one(
            &source
                .text("/FunctionName")
                .replace("ref:", "")
                .replace("Alias", "Function"),
        );
        let window = source.number("/MaximumBatchingWindowInSeconds");
        let needed = 6 * function.number("/Timeout") + window;
        assert!(queue.number("/VisibilityTimeout") >= needed, "{}", queue.id);
    }
    assert_eq!(seen, 2);
}

#[test]
fn only_a_function_that_can_do_a_part_of_a_batch_reports_failures_per_message() {
    let service = service();
    let by_message = json!(["ReportBatchItemFailures"]);
    // With it, Lambda does not poll a queue less while its function fails: "Handling errors for an SQS
    // event source in Lambda", section "Implementing partial batch responses".
    for (id, concurrency, reports) in [
        ("BroadcastSource", 10, None),
        ("RedriveSource", 2, Some(&by_message)),
    ] {
        let source = service.one(id);
        assert_eq!(source.find("/FunctionResponseTypes"), reports, "{id}");
        // SQS only allows batches above 10 with a window.
        assert!(source.number("/BatchSize") > 10);
        assert!(source.number("/MaximumBatchingWindowInSeconds") >= 1);
        assert_eq!(
            source.number("/ScalingConfig/MaximumConcurrency"),
            concurrency
        );
    }
    let wider = stack("service.yaml", &[("BroadcastConcurrency", "40")]);
    let limit = "/ScalingConfig/MaximumConcurrency";
    assert_eq!(wider.one("BroadcastSource").number(limit), 40);
}

#[test]
fn an_outage_of_hours_does_not_give_up_a_batch() {
    let source = stack("service.yaml", &[]).one("AnalyticsSource");
    // Lambda's maximum: the record age ends the retries, an hour before the stream's retention. -1, the
    // default for both, is forever.
    assert_eq!(source.number("/MaximumRetryAttempts"), 10_000);
    let kept_s = stack("data.yaml", &[])
        .one("TicksStream")
        .number("/RetentionPeriodHours")
        * 3_600;
    assert_eq!(source.number("/MaximumRecordAgeInSeconds"), kept_s - 3_600);
}

#[test]
fn a_bad_record_cannot_block_its_shard() {
    let given = [
        ("AnalyticsRetries", "3"),
        ("AnalyticsRecordAgeSeconds", "600"),
        ("AnalyticsBatchSize", "200"),
    ];
    let source = stack("service.yaml", &given).one("AnalyticsSource");
    assert_eq!(
        source.properties,
        json!({
            "FunctionName": "ref:AnalyticsAlias",
            "EventSourceArn": "arn:aws:kinesis:eu-central-1:111122223333:stream/prices-ticks",
            // LATEST would skip records that arrive while a mapping is recreated.
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 200,
            "MaximumBatchingWindowInSeconds": 1,
            // With more, a shard would have no position up to which it is analysed.
            "ParallelizationFactor": 1,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "BisectBatchOnFunctionError": true,
            "MaximumRetryAttempts": 3,
            "MaximumRecordAgeInSeconds": 600,
            "DestinationConfig": {"OnFailure": {"Destination": "att:AnalyticsFailedQueue.Arn"}},
            // A mapping that stops is visible in nothing else.
            "MetricsConfig": {"Metrics": ["EventCount"]},
        })
    );
}

/// Each hour, also in shards without new records.
#[test]
fn the_analysis_accepts_the_scheduled_event() {
    let schedule = service().one("SettleSchedule");
    assert_eq!(schedule.text("/ScheduleExpression"), "rate(1 hour)");
    assert_eq!(schedule.text("/Target/Arn"), "ref:AnalyticsAlias");
    let event: analytics::event::Event =
        serde_json::from_str(schedule.text("/Target/Input")).unwrap();
    assert!(event.settles());
    // The emulator has no such service.
    let local = [("EmulatorEndpoint", "http://127.0.0.1:4566")];
    assert!(!stack("service.yaml", &local).has("SettleSchedule"));
}

/// Anomalies each hour, closed days each night, and never twice at once: a failed run is not repeated before the next one.
#[test]
fn closed_days_are_compacted_each_night_and_anomalies_archived_each_hour() {
    let service = service();
    let schedule = service.one("CompactionSchedule");
    assert_eq!(schedule.text("/ScheduleExpression"), "cron(0 * * * ? *)");
    assert_eq!(schedule.text("/ScheduleExpressionTimezone"), "UTC");
    assert_eq!(schedule.text("/Target/Arn"), "ref:CompactionAlias");
    let at = |hour: u32| -> compaction::event::Event {
        let time = format!("2026-03-07T{hour:02}:00:00Z");
        let input = schedule.text("/Target/Input");
        let input = input.replace("<aws.scheduler.scheduled-time>", &time);
        assert!(input.contains(&time), "{input}");
        serde_json::from_str(&input).unwrap()
    };
    assert!((0..24).all(|hour| at(hour).archives_anomalies()));
    let compacts: Vec<u32> = (0..24).filter(|hour| at(*hour).compacts()).collect();
    assert_eq!(compacts, [3]);
    let by_hand: compaction::event::Event = serde_json::from_str("{}").unwrap();
    assert!(by_hand.compacts() && !by_hand.archives_anomalies());
    let invoked = service.one("CompactionInvoked");
    assert_eq!(invoked.number("/MaximumRetryAttempts"), 0);
    // The function stops before Lambda would end it, with time for what is under way.
    let config = compaction::config::Config::try_parse_from([
        "compaction",
        "--archive-url=s3://a/b/",
        "--anomalies-url=s3://a/c/",
        "--analytics-table=t",
    ]);
    let stops_after = config.unwrap().compaction_seconds;
    let timeout = service.one("CompactionFunction").number("/Timeout");
    assert!(u64::from(stops_after) + 60 <= timeout);
}

#[test]
fn connections_expire() {
    let table = service().one("ConnectionsTable");
    assert_eq!(
        table.at("/TimeToLiveSpecification"),
        &json!({"AttributeName": "expires_at", "Enabled": true})
    );
    assert_eq!(
        table.at("/KeySchema"),
        &json!([
            {"AttributeName": "topic", "KeyType": "HASH"},
            {"AttributeName": "connection_id", "KeyType": "RANGE"},
        ])
    );
}

#[test]
fn alarms_are_mailed_if_there_is_an_address() {
    assert!(!service().has("AlarmsEmail"));
    let mailed = stack("service.yaml", &[("AlertEmail", "ops@example.com")]);
    for (subscription, topic) in [
        ("AlarmsEmail", "ref:AlarmsTopic"),
        ("MalformedEmail", "ref:MalformedTopic"),
    ] {
        let subscription = mailed.one(subscription);
        assert_eq!(subscription.text("/TopicArn"), topic);
        assert_eq!(subscription.text("/Endpoint"), "ops@example.com");
    }
}

/// What tests play on our models is what is deployed.
#[test]
fn the_models_of_the_event_sources_have_the_settings_of_the_template() {
    let service = service();
    let analytics = service.one("AnalyticsSource");
    let mapping = MappingSettings::from_mapping(&analytics.properties);
    assert_eq!(mapping.unwrap(), MappingSettings::deployed());
    let queue = service.one("RedriveQueue");
    let hidden = queue.number("/VisibilityTimeout");
    assert_eq!(hidden, REDRIVE_VISIBILITY_SECONDS);
    let receives = queue.number("/RedrivePolicy/maxReceiveCount");
    assert_eq!(receives, u64::from(REDRIVE_RECEIVES_MAX));
    let messages = service.one("RedriveSource").number("/BatchSize");
    assert_eq!(messages, REDRIVE_MESSAGES_MAX as u64);
}
