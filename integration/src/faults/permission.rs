//! What IAM must allow for a request: an action, and the resource that the request names.

use std::fmt;

use axum::http::request;
use serde_json::Value;

use super::answers::Protocol;

/// A permission that a request needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The action, such as `dynamodb:Query`.
    pub action: String,
    /// The resource, as the end of its ARN: `table/NAME`, `stream/NAME`, `queue/NAME`, `topic/NAME`, `parameter/NAME`,
    /// `BUCKET` or `BUCKET/FOLDER/*`, or `*` if the action has none.
    pub resource: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.resource)
    }
}

/// The permissions of a request. One of several tables or parameters needs several.
pub(super) fn needed(
    protocol: &Protocol,
    operation: &str,
    parts: &request::Parts,
    body: &[u8],
) -> Vec<Permission> {
    let (action, resources) = match protocol {
        Protocol::Json { service } => of_json(service, operation, body),
        // CloudWatch's metrics; no other service of ours has this protocol.
        Protocol::Cbor => (format!("cloudwatch:{operation}"), vec!["*".to_owned()]),
        Protocol::Query => {
            let form = String::from_utf8_lossy(body);
            let arn = form.split('&').find_map(|it| it.strip_prefix("TopicArn="));
            let topic = arn.and_then(|arn| arn.rsplit("%3A").next()).unwrap_or("?");
            (format!("sns:{operation}"), vec![format!("topic/{topic}")])
        }
        Protocol::Rest => of_path(parts, body),
    };
    let permission = |resource| Permission {
        action: action.clone(),
        resource,
    };
    resources.into_iter().map(permission).collect()
}

fn of_json(service: &str, operation: &str, body: &[u8]) -> (String, Vec<String>) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name)?.as_str().map(ToOwned::to_owned);
    let last = |text: String, by: char| text.rsplit(by).next().unwrap_or_default().to_owned();
    match service {
        name if name.starts_with("DynamoDB") => {
            let of_batch = body.get("RequestItems").and_then(Value::as_object);
            let of_batch = of_batch.into_iter().flatten();
            let of_batch = of_batch.map(|(name, _)| name.clone());
            let tables = text("TableName").into_iter().chain(of_batch);
            let tables = tables.map(|name| format!("table/{name}"));
            (format!("dynamodb:{operation}"), tables.collect())
        }
        name if name.starts_with("Kinesis") => {
            // An iterator and a token name their stream in a way of the service's own.
            let stream = text("StreamName").unwrap_or_else(|| "?".to_owned());
            (
                format!("kinesis:{operation}"),
                vec![format!("stream/{stream}")],
            )
        }
        "AmazonSQS" => {
            let queue = last(text("QueueUrl").unwrap_or_default(), '/');
            // The action of a batch is that of its entries.
            let action = operation.trim_end_matches("Batch");
            (format!("sqs:{action}"), vec![format!("queue/{queue}")])
        }
        "AmazonSSM" => {
            let several = body.get("Names").and_then(Value::as_array);
            let several = several.into_iter().flatten();
            let several = several.filter_map(|name| name.as_str().map(ToOwned::to_owned));
            let names = text("Name").into_iter().chain(several);
            let names = names.map(|name| format!("parameter{name}"));
            (format!("ssm:{operation}"), names.collect())
        }
        other => (format!("{other}:{operation}"), vec!["?".to_owned()]),
    }
}

/// S3 by method, path and query, and the messages to connections of a WebSocket API.
fn of_path(parts: &request::Parts, body: &[u8]) -> (String, Vec<String>) {
    let path = parts.uri.path().trim_start_matches('/');
    if path.contains("/@connections/") {
        let connections = "live/POST/@connections/*".to_owned();
        return (
            "execute-api:ManageConnections".to_owned(),
            vec![connections],
        );
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = parts.uri.query().unwrap_or_default();
    let body = String::from_utf8_lossy(body);
    let of_body = body
        .split("<Key>")
        .nth(1)
        .and_then(|it| it.split("</Key>").next());
    let deletes_several = query.split('&').any(|it| it == "delete" || it == "delete=");
    let key = if deletes_several {
        of_body.unwrap_or(key)
    } else {
        key
    };
    let action = match parts.method.as_str() {
        _ if deletes_several => "s3:DeleteObject",
        "DELETE" => "s3:DeleteObject",
        "PUT" | "POST" => "s3:PutObject",
        _ if key.is_empty() => "s3:ListBucket",
        _ => "s3:GetObject",
    };
    let resource = match key.split_once('/') {
        Some((folder, _)) => format!("{bucket}/{folder}/*"),
        None => bucket.to_owned(),
    };
    (action.to_owned(), vec![resource])
}
