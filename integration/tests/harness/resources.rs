//! What the functions need, on the emulator, without a deployed stack: no mapping and no delivery stream reads along.

use std::time::Duration;

use integration::bootstraps;
use integration::emulator::{ACCOUNT, REGION};
use integration::event_source::function::BootstrapFunction;
use serde_json::{Value, json};
use testkit::ticks::START_MS;

use crate::faults::{ProxiedClients, proxied, stream, table};

/// The secret of a sender.
pub(crate) const SECRET: &str = "open-sesame-1234";

/// How long an invocation may take.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(30);

/// A delivery to the webhook, in payload format 2.0 of API Gateway.
pub(crate) fn webhook_event(body: &str) -> Value {
    let path = "/webhooks/ticks";
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": { "authorization": SECRET, "content-type": "application/json" },
        "requestContext": {
            "accountId": ACCOUNT, "apiId": "api", "domainName": "api.example",
            "domainPrefix": "api", "requestId": "r", "routeKey": "$default", "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": START_MS,
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "test",
            },
        },
        "body": body, "isBase64Encoded": false,
    })
}

/// The resources of a test, all with its name.
pub(crate) struct Resources {
    pub(crate) proxied: ProxiedClients,
    pub(crate) sqs: aws_sdk_sqs::Client,
    /// The variables of all functions.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Resources {
    /// One table for ticks and analysis, one for connections, a stream of one shard, a bucket and two queues.
    pub(crate) async fn new() -> Self {
        let proxied = proxied().await;
        let name = proxied.name.clone();
        let connections = format!("{name}-connections");
        table(&proxied, &name, &["pk", "sk"]).await;
        table(&proxied, &connections, &["topic", "connection_id"]).await;
        stream(&proxied).await;
        let s3 = proxied.emulator.s3();
        s3.create_bucket().bucket(&name).send().await.unwrap();
        let sqs = aws_sdk_sqs::Client::new(&proxied.emulator.sdk_config());
        let mut environment = proxied.emulator.environment();
        let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}");
        environment.extend([
            ("TICKS_TABLE", name.clone()),
            ("ANALYTICS_TABLE", name.clone()),
            ("CONNECTIONS_TABLE", connections),
            ("STREAM_NAME", name.clone()),
            ("ARCHIVE_BUCKET", name.clone()),
            ("ARCHIVE_URL", format!("s3://{name}/price-archive/")),
            ("ANOMALIES_URL", format!("s3://{name}/anomalies/")),
            ("MALFORMED_TOPIC_ARN", topic.clone()),
            ("ANOMALIES_TOPIC_ARN", topic),
            ("LIVE_CALLBACK_URL", "http://127.0.0.1:9/live".to_owned()),
            ("WEBHOOK_SECRETS", SECRET.to_owned()),
            ("KINESIS_PERCENTAGE", "100".to_owned()),
        ]);
        for (variable, queue) in [
            ("BROADCAST_QUEUE_URL", "broadcast"),
            ("REDRIVE_QUEUE_URL", "redrive"),
        ] {
            let create = sqs.create_queue().queue_name(format!("{name}-{queue}"));
            let created = create.send().await.unwrap();
            environment.push((variable, created.queue_url.unwrap()));
        }
        Self {
            proxied,
            sqs,
            environment,
        }
    }

    /// Sets a variable of all functions.
    pub(crate) fn set(&mut self, variable: &'static str, value: &str) {
        self.environment.retain(|(name, _)| *name != variable);
        self.environment.push((variable, value.to_owned()));
    }

    /// The value of a variable.
    pub(crate) fn variable(&self, variable: &str) -> &str {
        let mut found = self.environment.iter();
        &found.find(|(name, _)| *name == variable).unwrap().1
    }

    /// A function with a fake Runtime API.
    pub(crate) fn function(&self, name: &str) -> BootstrapFunction {
        let environment: Vec<(&str, &str)> = self
            .environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let program = bootstraps::program(name).unwrap();
        BootstrapFunction::new(name, program, &environment, FUNCTION_TIMEOUT)
    }
}
