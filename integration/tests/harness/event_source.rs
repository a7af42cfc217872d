//! The model of the event source, with a stream and a queue of the emulator.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use integration::emulator::{self, Emulator};
use integration::event_source::{
    Answer, EventSource, FailureDestination, Function, MappingSettings, StartingPosition,
};
use serde_json::{Value, json};

/// Records what it receives, and fails for a batch that contains `poison`.
#[derive(Default)]
struct RecordingFunction {
    kept: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl Function for RecordingFunction {
    fn arn(&self) -> &'static str {
        "arn:aws:lambda:us-east-1:000000000000:function:recorder"
    }

    async fn invoke(&self, event: Value) -> Answer {
        let records: Vec<(String, String)> = event["Records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| {
                let kinesis = &record["kinesis"];
                let data = base64::Engine::decode(
                    &base64::engine::general_purpose::STANDARD,
                    kinesis["data"].as_str().unwrap(),
                );
                let key = kinesis["partitionKey"].as_str().unwrap().to_owned();
                (key, String::from_utf8(data.unwrap()).unwrap())
            })
            .collect();
        if records.iter().any(|(_, data)| data == "poison") {
            return Answer::Raised("poison".to_owned());
        }
        self.kept.lock().unwrap().extend(records);
        Answer::Returned(json!({ "batchItemFailures": [] }))
    }
}

struct Stream {
    config: SdkConfig,
    kinesis: aws_sdk_kinesis::Client,
    name: String,
}

async fn stream(emulator: &Emulator, shards: i32) -> Stream {
    let config = emulator.sdk_config();
    let kinesis = aws_sdk_kinesis::Client::new(&config);
    let name = emulator.unique_project();
    kinesis
        .create_stream()
        .stream_name(&name)
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    let stream = Stream {
        config,
        kinesis,
        name,
    };
    stream.wait_until_active().await;
    stream
}

impl Stream {
    async fn wait_until_active(&self) {
        loop {
            let summary = self
                .kinesis
                .describe_stream_summary()
                .stream_name(&self.name)
                .send()
                .await;
            let summary = summary.unwrap().stream_description_summary.unwrap();
            if summary.stream_status().as_str() == "ACTIVE" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn put(&self, records: &[(String, String)]) {
        for chunk in records.chunks(500) {
            let entries = chunk.iter().map(|(key, data)| {
                PutRecordsRequestEntry::builder()
                    .partition_key(key)
                    .data(Blob::new(data.as_bytes()))
                    .build()
                    .unwrap()
            });
            let request = self.kinesis.put_records().stream_name(&self.name);
            let answer = request
                .set_records(Some(entries.collect()))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.failed_record_count().unwrap_or(0), 0);
        }
    }

    async fn source(
        &self,
        function: &Arc<RecordingFunction>,
        queue_url: Option<String>,
    ) -> EventSource {
        let settings = MappingSettings {
            batch_records_max: 50,
            bisect: true,
            retries_max: Some(1),
            partial_failures: true,
            retry_delay_ms: 1,
            ..MappingSettings::default()
        };
        let destination = queue_url.map(|queue_url| FailureDestination { queue_url });
        let function = Arc::clone(function) as Arc<dyn Function>;
        let from = StartingPosition::TrimHorizon;
        EventSource::open(
            &self.config,
            &self.name,
            function,
            settings,
            from,
            destination,
        )
        .await
        .unwrap()
    }
}

fn of_key(kept: &[(String, String)], key: &str) -> Vec<String> {
    let of_key = kept.iter().filter(|(found, _)| found == key);
    of_key.map(|(_, data)| data.clone()).collect()
}

fn records(keys: u32, of_each: u32) -> Vec<(String, String)> {
    (0..of_each)
        .flat_map(|number| (0..keys).map(move |key| (format!("key-{key}"), number.to_string())))
        .collect()
}

fn texts(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn poison_goes_to_the_failure_destination_and_all_else_arrives_in_order() {
    let emulator = emulator::start().await.unwrap();
    let stream = stream(emulator, 2).await;
    let sqs = aws_sdk_sqs::Client::new(&stream.config);
    let queue = sqs
        .create_queue()
        .queue_name(&stream.name)
        .send()
        .await
        .unwrap();
    let queue_url = queue.queue_url().unwrap().to_owned();
    let mut all = records(6, 40);
    all.insert(100, ("key-1".to_owned(), "poison".to_owned()));
    stream.put(&all).await;

    let function = Arc::new(RecordingFunction::default());
    let mut source = stream.source(&function, Some(queue_url.clone())).await;
    let report = source.drain().await.unwrap().clone();

    assert_eq!(report.records_processed, 240);
    let [given_up] = &report.given_up[..] else {
        panic!("{:?}", report.given_up)
    };
    assert_eq!(given_up.records, 1);
    let kept = function.kept.lock().unwrap().clone();
    for key in 0..6 {
        assert_eq!(of_key(&kept, &format!("key-{key}")), texts(0..40));
    }
    let received = sqs
        .receive_message()
        .queue_url(&queue_url)
        .max_number_of_messages(10);
    let received = received.send().await.unwrap();
    let [message] = received.messages() else {
        panic!("{received:?}")
    };
    let body: Value = serde_json::from_str(message.body().unwrap()).unwrap();
    assert_eq!(
        body["requestContext"]["condition"],
        "RetryAttemptsExhausted"
    );
    assert_eq!(body["KinesisBatchInfo"]["batchSize"], 1);
    assert_eq!(
        body["KinesisBatchInfo"]["shardId"],
        given_up.shard_id.as_str()
    );
    assert_eq!(
        body["KinesisBatchInfo"]["startSequenceNumber"],
        given_up.first.to_string()
    );
}

#[tokio::test]
async fn a_source_resumes_at_its_checkpoint() {
    let emulator = emulator::start().await.unwrap();
    let stream = stream(emulator, 1).await;
    let function = Arc::new(RecordingFunction::default());
    let mut source = stream.source(&function, None).await;
    stream.put(&records(1, 10)).await;
    assert_eq!(source.drain().await.unwrap().records_processed, 10);
    stream.put(&records(1, 5)).await;
    assert_eq!(source.drain().await.unwrap().records_processed, 15);
    let kept = function.kept.lock().unwrap().clone();
    assert_eq!(of_key(&kept, "key-0"), [texts(0..10), texts(0..5)].concat());
}

#[tokio::test]
async fn a_running_source_can_be_stopped() {
    let emulator = emulator::start().await.unwrap();
    let stream = stream(emulator, 1).await;
    let function = Arc::new(RecordingFunction::default());
    let mut source = stream.source(&function, None).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let work = tokio::spawn(async move {
        source
            .run_until(async { drop(stopped.await) })
            .await
            .cloned()
    });
    stream.put(&records(1, 10)).await;
    while function.kept.lock().unwrap().len() < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.send(()).unwrap();
    let report = work.await.unwrap().unwrap();
    assert_eq!(report.records_processed, 10);
}
