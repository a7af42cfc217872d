//! What a call uses of the limits: of which table, partition key and shard it takes how many units, and
//! how the service refuses what has none left.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value without the field gives null"
)]

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use serde_json::Value;
use testkit::throttled_table::item_bytes;

use super::answers::{Protocol, TARGET, throttled, transaction_throttled};
use super::limits::{Buckets, Limits, Scope, Use};
use super::{BODY_BYTES_MAX, Shared, parts};

/// One write unit is for so many bytes.
const UNIT_BYTES: u64 = 1_024;

/// A shard, by stream and id.
type ShardName = (String, String);

/// What is left of the limits, and what the proxy knows about tables and iterators.
#[derive(Debug)]
pub(super) struct Meter {
    buckets: Mutex<Buckets>,
    /// The name of each table's partition key.
    keys: Mutex<HashMap<String, String>>,
    /// The shard of each iterator that was seen.
    iterators: Mutex<HashMap<String, ShardName>>,
}

/// Writes, each with its scopes.
type Wanted = Vec<(Scope, u64)>;

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            buckets: Mutex::new(Buckets::new(limits)),
            keys: Mutex::default(),
            iterators: Mutex::default(),
        }
    }

    /// Forwards a call, or what of it is within the limits.
    pub(super) async fn forward(
        &self,
        shared: &Shared,
        (protocol, operation): (&Protocol, &str),
        request: &Parts,
        body: Bytes,
    ) -> Response {
        let Ok(fields) = serde_json::from_slice::<Value>(&body) else {
            // Not a call with a limit, or one that the service refuses.
            return shared.forward(request, body).await;
        };
        let is_within = match operation {
            "BatchWriteItem" => {
                for table in fields["RequestItems"].as_object().into_iter().flatten() {
                    self.learn_key(shared, request, table.0).await;
                }
                return self
                    .forward_batch(shared, (protocol, operation), request, body)
                    .await;
            }
            "PutRecords" => {
                let shards = shards_of(shared, request, &fields).await;
                return self.forward_records(shared, &shards, request, body).await;
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let table = text(&fields["TableName"]);
                self.learn_key(shared, request, table).await;
                let wanted = self.of_write(table, &fields, 1);
                self.buckets().take(Instant::now(), &wanted)
            }
            "TransactWriteItems" => {
                let mut wanted = Wanted::new();
                for action in fields["TransactItems"].as_array().into_iter().flatten() {
                    for write in action.as_object().into_iter().flat_map(|it| it.values()) {
                        let table = text(&write["TableName"]);
                        self.learn_key(shared, request, table).await;
                        wanted.extend(self.of_write(table, write, 2));
                    }
                }
                if !self.buckets().take(Instant::now(), &summed(wanted)) {
                    shared.count_limited(operation);
                    return transaction_throttled();
                }
                true
            }
            "PutRecord" => {
                let shards = shards_of(shared, request, &fields).await;
                let wanted = of_record(&shards, &fields);
                self.buckets().take(Instant::now(), &wanted)
            }
            "GetShardIterator" => {
                let shard = (stream_of(&fields), text(&fields["ShardId"]).to_owned());
                let wanted = [(Scope::Shard(shard.clone(), Use::Iterators), 1)];
                if self.buckets().take(Instant::now(), &wanted) {
                    return self.forward_read(shared, Some(shard), request, body).await;
                }
                false
            }
            "GetRecords" => {
                let shard = lock(&self.iterators)
                    .get(text(&fields["ShardIterator"]))
                    .cloned();
                let is_within = shard
                    .as_ref()
                    .is_none_or(|it| self.buckets().take_read(Instant::now(), it));
                if is_within {
                    return self.forward_read(shared, shard, request, body).await;
                }
                false
            }
            _ => true,
        };
        if is_within {
            return shared.forward(request, body).await;
        }
        shared.count_limited(operation);
        throttled(protocol)
    }

    /// Charges each item, and forwards those that have units.
    async fn forward_batch(
        &self,
        shared: &Shared,
        (protocol, operation): (&Protocol, &str),
        request: &Parts,
        body: Bytes,
    ) -> Response {
        let now = Instant::now();
        let split = parts::split(operation, &body, |_, entry, table| {
            let wanted = self.of_write(table.unwrap_or_default(), entry, 1);
            !self.buckets().take(now, &wanted)
        });
        let Ok(split) = split else {
            return shared.forward(request, body).await;
        };
        if split.has_refused() {
            shared.count_limited(operation);
        }
        if split.through.is_none() {
            // "If none of the items can be processed …, then BatchWriteItem returns a
            // ProvisionedThroughputExceededException" (API reference of BatchWriteItem).
            return throttled(protocol);
        }
        shared.forward_split(&split, request).await
    }

    /// Charges each record, and forwards those that have units.
    async fn forward_records(
        &self,
        shared: &Shared,
        shards: &[HashRange],
        request: &Parts,
        body: Bytes,
    ) -> Response {
        let now = Instant::now();
        let split = parts::split("PutRecords", &body, |_, record, _| {
            !self.buckets().take(now, &of_record(shards, record))
        });
        let Ok(split) = split else {
            return shared.forward(request, body).await;
        };
        if split.has_refused() {
            shared.count_limited("PutRecords");
        }
        shared.forward_split(&split, request).await
    }

    /// Forwards a call that returns an iterator of a shard, and charges the bytes of its records.
    async fn forward_read(
        &self,
        shared: &Shared,
        shard: Option<ShardName>,
        request: &Parts,
        body: Bytes,
    ) -> Response {
        let (head, body) = shared.forward(request, body).await.into_parts();
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        if let (Some(shard), Ok(answer)) = (shard, serde_json::from_slice::<Value>(&body)) {
            let bytes = answer["Records"].as_array().into_iter().flatten();
            let bytes: u64 = bytes.map(record_bytes).sum();
            let scope = Scope::Shard(shard.clone(), Use::ReadBytes);
            self.buckets().spend(Instant::now(), &scope, bytes);
            let next = answer
                .get("NextShardIterator")
                .or(answer.get("ShardIterator"));
            if let Some(iterator) = next.and_then(Value::as_str) {
                lock(&self.iterators).insert(iterator.to_owned(), shard);
            }
        }
        Response::from_parts(head, Body::from(body))
    }

    /// The units of a write: of its item, or of what it sends if only the service knows the whole item.
    fn of_write(&self, table: &str, write: &Value, factor: u64) -> Wanted {
        let put = write.get("PutRequest").unwrap_or(write);
        let delete = write.get("DeleteRequest").unwrap_or(write);
        let item = put.get("Item").or(delete.get("Key"));
        let values = write.get("ExpressionAttributeValues");
        let sized = [item, values].into_iter().flatten();
        let bytes: u64 = sized.filter_map(Value::as_object).map(item_bytes).sum();
        let units = bytes.div_ceil(UNIT_BYTES).max(1) * factor;
        let key = lock(&self.keys).get(table).cloned().unwrap_or_default();
        let partition = item.and_then(|it| it.get(key)).map(Value::to_string);
        let partition = Scope::Partition(table.to_owned(), partition.unwrap_or_default());
        vec![(Scope::Table(table.to_owned()), units), (partition, units)]
    }

    async fn learn_key(&self, shared: &Shared, request: &Parts, table: &str) {
        if lock(&self.keys).contains_key(table) {
            return;
        }
        let fields = serde_json::json!({ "TableName": table });
        let Some(answer) = ask(shared, request, "DescribeTable", &fields).await else {
            return;
        };
        let schema = answer["Table"]["KeySchema"].as_array();
        let hash = schema.and_then(|all| all.iter().find(|it| it["KeyType"] == "HASH"));
        if let Some(name) = hash.and_then(|it| it["AttributeName"].as_str()) {
            lock(&self.keys).insert(table.to_owned(), name.to_owned());
        }
    }

    fn buckets(&self) -> MutexGuard<'_, Buckets> {
        lock(&self.buckets)
    }
}

/// Adds up what has the same scope: a transaction has units for all of its writes, or fails.
fn summed(wanted: Wanted) -> Wanted {
    let mut sums: HashMap<Scope, u64> = HashMap::new();
    for (scope, units) in wanted {
        *sums.entry(scope).or_default() += units;
    }
    sums.into_iter().collect()
}

/// A shard and its hash keys, both ends included.
struct HashRange {
    shard: ShardName,
    from: u128,
    to: u128,
}

/// The open shards of the stream that a call names.
async fn shards_of(shared: &Shared, request: &Parts, fields: &Value) -> Vec<HashRange> {
    let stream = stream_of(fields);
    // Asked each time, since a split or a merge changes them.
    let named = match fields.get("StreamName") {
        Some(name) => serde_json::json!({ "StreamName": name }),
        None => serde_json::json!({ "StreamARN": fields["StreamARN"] }),
    };
    let answer = ask(shared, request, "ListShards", &named).await;
    let listed = answer.as_ref().and_then(|it| it["Shards"].as_array());
    let is_open = |it: &&Value| it["SequenceNumberRange"]["EndingSequenceNumber"].is_null();
    let open = listed.into_iter().flatten().filter(is_open);
    let range = |it: &Value| {
        let end = |name: &str| it["HashKeyRange"][name].as_str()?.parse().ok();
        Some(HashRange {
            shard: (stream.clone(), it["ShardId"].as_str()?.to_owned()),
            from: end("StartingHashKey")?,
            to: end("EndingHashKey")?,
        })
    };
    open.filter_map(range).collect()
}

/// The units of a record; none if its stream is not known.
fn of_record(shards: &[HashRange], record: &Value) -> Wanted {
    let key = text(&record["PartitionKey"]);
    let explicit = record["ExplicitHashKey"]
        .as_str()
        .and_then(|it| it.parse().ok());
    let hash: u128 = explicit.unwrap_or_else(|| u128::from_be_bytes(Md5::digest(key).into()));
    let shard = shards.iter().find(|it| (it.from..=it.to).contains(&hash));
    let Some(HashRange { shard, .. }) = shard else {
        return Wanted::new();
    };
    let scope = |of| Scope::Shard(shard.clone(), of);
    vec![
        (scope(Use::WrittenRecords), 1),
        (scope(Use::WrittenBytes), record_bytes(record)),
    ]
}

/// Bytes of data and partition key.
fn record_bytes(record: &Value) -> u64 {
    let data = BASE64_STANDARD
        .decode(text(&record["Data"]))
        .unwrap_or_default();
    (data.len() + text(&record["PartitionKey"]).len()) as u64
}

fn stream_of(fields: &Value) -> String {
    let named = fields.get("StreamName").or(fields.get("StreamARN"));
    named.map(text).unwrap_or_default().to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Asks the service with the headers of a request.
async fn ask(shared: &Shared, request: &Parts, operation: &str, fields: &Value) -> Option<Value> {
    let mut request = request.clone();
    let target = request.headers.get(TARGET)?.to_str().ok()?;
    let (service, _) = target.rsplit_once('.')?;
    let target = HeaderValue::from_str(&format!("{service}.{operation}")).ok()?;
    request.headers.insert(TARGET, target);
    let answer = shared
        .forward(&request, Bytes::from(fields.to_string()))
        .await;
    let body = to_bytes(answer.into_body(), BODY_BYTES_MAX).await.ok()?;
    serde_json::from_slice(&body).ok()
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
