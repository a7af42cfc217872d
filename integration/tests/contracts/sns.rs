//! Notifications: what a subscriber receives.

use app::ports::Notifier;
use aws::sns::SnsTopic;
use integration::emulator;
use serde_json::Value;

#[tokio::test]
async fn a_subscriber_gets_subject_and_text() {
    let emulator = emulator::start().await.unwrap();
    let config = emulator.sdk_config();
    let (sns, sqs) = (
        aws_sdk_sns::Client::new(&config),
        aws_sdk_sqs::Client::new(&config),
    );
    let project = emulator.unique_project();
    let topic = sns
        .create_topic()
        .name(format!("{project}-anomalies"))
        .send()
        .await
        .unwrap();
    let arn = topic.topic_arn().unwrap();
    let queue = sqs
        .create_queue()
        .queue_name(format!("{project}-people"))
        .send()
        .await
        .unwrap();
    let url = queue.queue_url().unwrap();
    let queue_arn = arn
        .replace(":sns:", ":sqs:")
        .replace("-anomalies", "-people");
    let subscribe = sns.subscribe().topic_arn(arn).protocol("sqs");
    subscribe.endpoint(queue_arn).send().await.unwrap();

    let text = "SOL/USD rose 5.1 %\nBTC/USD fell 3.0 % — ünd more";
    let notifier = SnsTopic::new(&sns, arn);
    notifier
        .notify("2 anomalies\nfound: ü", text)
        .await
        .unwrap();

    let received = sqs
        .receive_message()
        .queue_url(url)
        .wait_time_seconds(5)
        .send()
        .await
        .unwrap();
    let body = received
        .messages()
        .first()
        .and_then(|message| message.body())
        .unwrap();
    let envelope: Value = serde_json::from_str(body).unwrap();
    assert_eq!(envelope["Subject"], "2 anomalies found: ?");
    assert_eq!(envelope["Message"], text);

    let long = "ü".repeat(200_000);
    notifier.notify("long", &long).await.unwrap();
    let received = sqs
        .receive_message()
        .queue_url(url)
        .wait_time_seconds(5)
        .send()
        .await
        .unwrap();
    let mut bodies = received
        .messages()
        .iter()
        .filter_map(|message| message.body());
    assert!(bodies.any(|body| {
        let envelope: Value = serde_json::from_str(body).unwrap();
        envelope["Message"]
            .as_str()
            .is_some_and(|text| text.len() == 256 * 1_024)
    }));
}

#[tokio::test]
async fn a_missing_topic_is_a_permanent_error() {
    let emulator = emulator::start().await.unwrap();
    let client = aws_sdk_sns::Client::new(&emulator.sdk_config());
    let arn = format!(
        "arn:aws:sns:us-east-1:000000000000:{}",
        emulator.unique_project()
    );
    let error = SnsTopic::new(&client, arn)
        .notify("subject", "text")
        .await
        .unwrap_err();
    assert!(!error.retryable, "{}", error.source);
}
