//! All AWS services of a bootstrap at one endpoint: every call succeeds, and what AWS bills is counted.

#![expect(
    clippy::unwrap_used,
    reason = "only for tests, which stop at the first surprise"
)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::throttled_table::{ThrottledTable, UNLIMITED, Units};

/// What the calls so far cost, in the units that AWS bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Billed {
    /// Units of DynamoDB, for 1 KB that is written and for 4 KB that are read consistently.
    pub write_units: u64,
    /// See `write_units`.
    pub read_units: u64,
    /// Records of the stream.
    pub stream_records: u64,
    /// Their data.
    pub stream_bytes: u64,
    /// Requests that put messages into a queue, one for each 64 KB that it begins.
    pub queue_requests: u64,
    /// The messages of these requests.
    pub queue_messages: u64,
    /// Other calls.
    pub other_calls: u64,
}

/// A request to a queue is billed for each so many bytes that it begins.
pub const QUEUE_REQUEST_BYTES: usize = 64 * 1_024;

struct Shared {
    table: ThrottledTable,
    billed: Mutex<Billed>,
}

/// The services.
pub struct RecordingService {
    endpoint: String,
    shared: Arc<Shared>,
}

impl RecordingService {
    /// Starts it.
    ///
    /// # Panics
    /// If no socket can be opened.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            table: ThrottledTable::new(UNLIMITED, UNLIMITED, 1),
            billed: Mutex::default(),
        });
        let router = Router::new()
            .fallback(respond)
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            endpoint: format!("http://{address}"),
            shared,
        }
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What the calls so far cost.
    #[must_use]
    pub fn billed(&self) -> Billed {
        let Units { write, read } = self.shared.table.used();
        Billed {
            write_units: write,
            read_units: read,
            ..*self.shared.billed()
        }
    }

    /// The sizes of the items of the table, in bytes.
    #[must_use]
    pub fn item_sizes(&self) -> Vec<u64> {
        self.shared.table.item_sizes("")
    }
}

impl Shared {
    fn billed(&self) -> MutexGuard<'_, Billed> {
        self.billed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The requests that a batch of messages is billed as.
#[must_use]
pub fn queue_requests(message_bytes: usize) -> u64 {
    message_bytes.div_ceil(QUEUE_REQUEST_BYTES).max(1) as u64
}

async fn respond(
    State(shared): State<Arc<Shared>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> String {
    let target = headers.get("x-amz-target").map(|it| it.to_str().unwrap());
    let (service, operation) = target
        .unwrap_or_default()
        .split_once('.')
        .unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if service.starts_with("DynamoDB") {
        let answer = shared.table.respond(operation, &body, 0);
        return answer.unwrap().to_string();
    }
    let mut billed = shared.billed();
    let answer = match operation {
        "PutRecords" => put_records(&mut billed, &body),
        "SendMessageBatch" => send_messages(&mut billed, &body),
        _ => {
            assert!(
                method == Method::PUT || !operation.is_empty(),
                "{method} {body}"
            );
            billed.other_calls += 1;
            json!({})
        }
    };
    answer.to_string()
}

fn put_records(billed: &mut Billed, body: &Value) -> Value {
    let records = body["Records"].as_array().unwrap();
    let base64_bytes = records.iter().map(|it| decoded_bytes(&it["Data"]));
    billed.stream_bytes += base64_bytes.sum::<u64>();
    billed.stream_records += records.len() as u64;
    let accepted = json!({"SequenceNumber": "1", "ShardId": "shardId-000000000000"});
    json!({"FailedRecordCount": 0, "Records": vec![accepted; records.len()]})
}

fn decoded_bytes(base64: &Value) -> u64 {
    let text = base64.as_str().unwrap();
    let unpadded = text.trim_end_matches('=');
    unpadded.len() as u64 * 3 / 4
}

fn send_messages(billed: &mut Billed, body: &Value) -> Value {
    let entries = body["Entries"].as_array().unwrap();
    let bytes = |entry: &Value| entry["MessageBody"].as_str().unwrap().len();
    billed.queue_requests += queue_requests(entries.iter().map(bytes).sum());
    billed.queue_messages += entries.len() as u64;
    let sent =
        |entry: &Value| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "-"});
    json!({"Successful": entries.iter().map(sent).collect::<Vec<_>>(), "Failed": []})
}
