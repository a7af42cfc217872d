//! Adapters with a single request each: the request, and how its response is handled.

use app::ports::{Notifier, Posted, Push};
use aws::alarms::{self, State};
use aws::gateway::GatewayPush;
use aws::sns::SnsTopic;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsOutput;
use aws_sdk_cloudwatch::types::{CompositeAlarm, MetricAlarm, StateValue};
use aws_sdk_kinesis::config::Credentials;
use aws_sdk_sns::operation::publish::PublishOutput;
use aws_smithy_mocks::{MockResponseInterceptor, Rule, create_mock_http_client, mock};
use serde_json::json;

use aws_client::scripted_http::{Answer, Wire};

/// A client of any service whose responses follow rules.
macro_rules! client {
    ($sdk:ident, $($rule:expr),+) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("us-east-1"))
                .credentials_provider(Credentials::new("test", "test", None, None, "test"))
                .http_client(create_mock_http_client())
                .interceptor(MockResponseInterceptor::new()$(.with_rule($rule))+)
                .build(),
        )
    };
}

fn publishing(subject: &'static str, text: &'static str) -> Rule {
    mock!(aws_sdk_sns::Client::publish)
        .match_requests(move |request| {
            request.topic_arn() == Some("arn:aws:sns:us-east-1:1:tickstream-anomalies")
                && request.subject() == Some(subject)
                && request.message() == Some(text)
        })
        .then_output(|| PublishOutput::builder().message_id("m").build())
}

#[tokio::test]
async fn notifications_have_a_subject_that_sns_accepts() {
    for (subject, text, sent) in [
        (
            "3 anomalies",
            "one\ntwo",
            publishing("3 anomalies", "one\ntwo"),
        ),
        ("fünf\n", "", publishing("f?nf", "f?nf")),
    ] {
        let client = client!(aws_sdk_sns, &sent);
        let topic = SnsTopic::new(&client, "arn:aws:sns:us-east-1:1:tickstream-anomalies");
        topic.notify(subject, text).await.unwrap();
        assert_eq!(sent.num_calls(), 1);
    }
}

async fn post(answer: Answer, message: &str) -> (Result<Posted, bool>, usize) {
    let wire = Wire::new(move |_, _| answer.clone());
    let push = GatewayPush::new(&wire.config(), "https://api.example.com/live");
    let posted = push
        .post("c1", message)
        .await
        .map_err(|error| error.retryable);
    (posted, wire.calls().len())
}

#[tokio::test]
async fn a_post_is_sent_gone_or_throttled_and_not_retried() {
    for (answer, posted) in [
        (Answer::Good(json!({})), Ok(Posted::Sent)),
        (Answer::Refusal(410, "GoneException"), Ok(Posted::Gone)),
        (
            Answer::Refusal(429, "LimitExceededException"),
            Ok(Posted::Throttled),
        ),
        (
            Answer::Refusal(429, "TooManyRequestsException"),
            Ok(Posted::Throttled),
        ),
        (Answer::Refusal(403, "ForbiddenException"), Err(false)),
        (Answer::Refusal(500, "InternalServerError"), Err(true)),
    ] {
        assert_eq!(post(answer.clone(), "{}").await, (posted, 1), "{answer:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_sent() {
    let most = "x".repeat(128 * 1_024);
    let good = || Answer::Good(json!({}));
    assert_eq!(post(good(), &most).await, (Ok(Posted::Sent), 1));
    assert_eq!(post(good(), &format!("{most}x")).await, (Err(false), 0));
}

#[tokio::test]
async fn a_projects_alarms_are_read_by_name_in_pages_including_composite_ones() {
    let names = alarms::names("tickstream");
    assert!(names.contains(&"tickstream-ramp-blocked".to_owned()));
    let page = |token: Option<&'static str>| {
        let names = names.clone();
        mock!(aws_sdk_cloudwatch::Client::describe_alarms).match_requests(move |request| {
            // A prefix would also match another project's.
            request.alarm_names() == names
                && request.alarm_name_prefix().is_none()
                && request.state_value().is_none()
                && request.alarm_types().len() == 2
                && request.next_token() == token
        })
    };
    let first = page(None).then_output(|| {
        let alarm = MetricAlarm::builder()
            .alarm_name("tickstream-b")
            .state_value(StateValue::Alarm)
            .alarm_description("do this")
            .state_reason("too old");
        DescribeAlarmsOutput::builder()
            .metric_alarms(alarm.build())
            .next_token("more")
            .build()
    });
    let second = page(Some("more")).then_output(|| {
        let alarm = CompositeAlarm::builder()
            .alarm_name("tickstream-a")
            .state_value(StateValue::Ok);
        DescribeAlarmsOutput::builder()
            .composite_alarms(alarm.build())
            .build()
    });
    let client = client!(aws_sdk_cloudwatch, &first, &second);
    let read = alarms::states(&client, &names).await.unwrap();
    let states: Vec<(&str, State)> = read
        .iter()
        .map(|alarm| (alarm.name.as_str(), alarm.state))
        .collect();
    assert_eq!(
        states,
        [("tickstream-a", State::Off), ("tickstream-b", State::On)]
    );
    assert_eq!(
        (read[1].description.as_str(), read[1].state_reason.as_str()),
        ("do this", "too old")
    );
}
