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
use super::parts::{self, Split};
use super::upstream::{BODY_BYTES_MAX, Upstream};

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

/// What became of a call.
enum Charged {
    /// It is within the limits.
    Within,
    /// So it is, and it returns an iterator of a shard.
    Read(ShardName),
    /// So are the entries that are forwarded.
    InPart(Split),
    /// It is not.
    Refused,
}

/// Units of scopes.
type Wanted = Vec<(Scope, u64)>;

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            buckets: Mutex::new(Buckets::new(limits)),
            keys: Mutex::default(),
            iterators: Mutex::default(),
        }
    }

    /// Forwards a call, or what of it is within the limits. Returns whether something was refused.
    pub(super) async fn forward(
        &self,
        upstream: &Upstream,
        (protocol, operation): (&Protocol, &str),
        request: &Parts,
        body: Bytes,
    ) -> (Response, bool) {
        let charged = match serde_json::from_slice(&body) {
            Ok(fields) => {
                let call = (operation, &fields, &body[..]);
                self.charge(upstream, request, call).await
            }
            // Not a call with a limit, or one that the service refuses.
            Err(_) => Charged::Within,
        };
        match charged {
            Charged::Within => (upstream.forward(request, body).await, false),
            Charged::Read(shard) => {
                let answer = self.forward_read(upstream, shard, request, body).await;
                (answer, false)
            }
            Charged::InPart(split) => {
                let answer = upstream.forward_split(&split, request).await;
                (answer, split.has_refused())
            }
            Charged::Refused if operation == "TransactWriteItems" => {
                (transaction_throttled(), true)
            }
            Charged::Refused => (throttled(protocol), true),
        }
    }

    /// Takes the units of a call.
    async fn charge(
        &self,
        upstream: &Upstream,
        request: &Parts,
        (operation, fields, body): (&str, &Value, &[u8]),
    ) -> Charged {
        match operation {
            "BatchWriteItem" => {
                let tables = fields["RequestItems"].as_object();
                for table in tables.into_iter().flat_map(|it| it.keys()) {
                    self.learn_key(upstream, request, table).await;
                }
                let of_entry = |entry: &Value, table: &str| self.of_write(table, entry, 1);
                let charged = self.charge_each(operation, body, of_entry);
                // "If none of the items can be processed …, then BatchWriteItem returns a
                // ProvisionedThroughputExceededException" (API reference of BatchWriteItem).
                if matches!(&charged, Charged::InPart(split) if split.through.is_none()) {
                    return Charged::Refused;
                }
                charged
            }
            "PutRecords" => {
                let shards = shards_of(upstream, request, fields).await;
                self.charge_each(operation, body, |record, _| of_record(&shards, record))
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let table = text(&fields["TableName"]);
                self.learn_key(upstream, request, table).await;
                self.take(&self.of_write(table, fields, 1))
            }
            "TransactWriteItems" => {
                let mut wanted = Wanted::new();
                for action in fields["TransactItems"].as_array().into_iter().flatten() {
                    for write in action.as_object().into_iter().flat_map(|it| it.values()) {
                        let table = text(&write["TableName"]);
                        self.learn_key(upstream, request, table).await;
                        wanted.extend(self.of_write(table, write, 2));
                    }
                }
                self.take(&summed(wanted))
            }
            "PutRecord" => {
                let shards = shards_of(upstream, request, fields).await;
                self.take(&of_record(&shards, fields))
            }
            "GetShardIterator" => {
                let shard = (stream_of(fields), text(&fields["ShardId"]).to_owned());
                let wanted = [(Scope::Shard(shard.clone(), Use::Iterators), 1)];
                if self.buckets().take(Instant::now(), &wanted) {
                    Charged::Read(shard)
                } else {
                    Charged::Refused
                }
            }
            "GetRecords" => {
                let iterator = text(&fields["ShardIterator"]);
                match lock(&self.iterators).get(iterator).cloned() {
                    Some(shard) if self.buckets().take_read(Instant::now(), &shard) => {
                        Charged::Read(shard)
                    }
                    Some(_) => Charged::Refused,
                    // Of a reader that began without the proxy.
                    None => Charged::Within,
                }
            }
            _ => Charged::Within,
        }
    }

    fn take(&self, wanted: &[(Scope, u64)]) -> Charged {
        if self.buckets().take(Instant::now(), wanted) {
            Charged::Within
        } else {
            Charged::Refused
        }
    }

    /// Takes the units of each entry of a batch, in their order.
    fn charge_each(
        &self,
        operation: &str,
        body: &[u8],
        wanted: impl Fn(&Value, &str) -> Wanted,
    ) -> Charged {
        let now = Instant::now();
        let split = parts::split(operation, body, |_, entry, table| {
            let wanted = wanted(entry, table.unwrap_or_default());
            !self.buckets().take(now, &wanted)
        });
        split.map_or(Charged::Within, Charged::InPart)
    }

    /// Forwards a call that returns an iterator of a shard, and charges the bytes of its records.
    async fn forward_read(
        &self,
        upstream: &Upstream,
        shard: ShardName,
        request: &Parts,
        body: Bytes,
    ) -> Response {
        let (head, body) = upstream.forward(request, body).await.into_parts();
        let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        if let Ok(answer) = serde_json::from_slice::<Value>(&body) {
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

    async fn learn_key(&self, upstream: &Upstream, request: &Parts, table: &str) {
        if lock(&self.keys).contains_key(table) {
            return;
        }
        let fields = serde_json::json!({ "TableName": table });
        let Some(answer) = ask(upstream, request, "DescribeTable", &fields).await else {
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
async fn shards_of(upstream: &Upstream, request: &Parts, fields: &Value) -> Vec<HashRange> {
    let stream = stream_of(fields);
    // Asked each time, since a split or a merge changes them.
    let named = match fields.get("StreamName") {
        Some(name) => serde_json::json!({ "StreamName": name }),
        None => serde_json::json!({ "StreamARN": fields["StreamARN"] }),
    };
    let answer = ask(upstream, request, "ListShards", &named).await;
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
async fn ask(
    upstream: &Upstream,
    request: &Parts,
    operation: &str,
    fields: &Value,
) -> Option<Value> {
    let mut request = request.clone();
    let target = request.headers.get(TARGET)?.to_str().ok()?;
    let (service, _) = target.rsplit_once('.')?;
    let target = HeaderValue::from_str(&format!("{service}.{operation}")).ok()?;
    request.headers.insert(TARGET, target);
    let answer = upstream
        .forward(&request, Bytes::from(fields.to_string()))
        .await;
    let body = to_bytes(answer.into_body(), BODY_BYTES_MAX).await.ok()?;
    serde_json::from_slice(&body).ok()
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
