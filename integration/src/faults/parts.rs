//! Batches that partially succeed: which entries are forwarded, and how refused ones appear in the
//! response. Without I/O.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::answers::bad_gateway;

/// Which entries of a batch are refused; positions start at 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All of them.
    All,
    /// The first entries, this many.
    First(usize),
    /// Every n-th entry: with 3, the positions 2, 5, 8, …
    Every(usize),
    /// Those with this partition key (PutRecords only).
    PartitionKey(String),
}

impl Choice {
    pub(super) fn refuses(&self, position: usize, entry: &Value) -> bool {
        match self {
            Self::All => true,
            Self::First(count) => position < *count,
            Self::Every(step) => *step > 0 && (position + 1).is_multiple_of(*step),
            Self::PartitionKey(key) => {
                entry.get("PartitionKey").and_then(Value::as_str) == Some(key)
            }
        }
    }
}

/// The operation's response cannot refuse entries in this way.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{operation} cannot refuse {choice:?}: only PutRecords, BatchWriteItem and SendMessageBatch \
     refuse parts, and only PutRecords has partition keys"
)]
pub struct NotPartiallyRefusable {
    operation: String,
    choice: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    Records,
    Items,
    Messages,
}

fn batch(operation: &str) -> Option<Batch> {
    match operation {
        "PutRecords" => Some(Batch::Records),
        "BatchWriteItem" => Some(Batch::Items),
        "SendMessageBatch" => Some(Batch::Messages),
        _ => None,
    }
}

/// Whether the operation can refuse such entries.
pub(super) fn check(operation: &str, choice: &Choice) -> Result<(), NotPartiallyRefusable> {
    let fits = match batch(operation) {
        Some(Batch::Records) => true,
        Some(Batch::Items | Batch::Messages) => !matches!(choice, Choice::PartitionKey(_)),
        None => false,
    };
    if fits {
        return Ok(());
    }
    Err(NotPartiallyRefusable {
        operation: operation.to_owned(),
        choice: choice.clone(),
    })
}

/// A request in two parts.
#[derive(Debug, PartialEq)]
pub(super) struct Split {
    batch: Batch,
    /// The request without the refused entries; `None` if all are refused.
    pub(super) through: Option<Value>,
    /// The refused entries with their positions among all.
    refused: Vec<(usize, Value)>,
    /// The table of each refused entry, for BatchWriteItem.
    tables: Vec<String>,
}

/// Splits a request's body. `refuses` gets each entry with its position and, for BatchWriteItem, its table.
pub(super) fn split(
    operation: &str,
    body: &[u8],
    mut refuses: impl FnMut(usize, &Value, Option<&str>) -> bool,
) -> Result<Split, serde_json::Error> {
    let mut request: Map<String, Value> = serde_json::from_slice(body)?;
    let batch = batch(operation).unwrap_or(Batch::Records);
    let mut split = Split {
        batch,
        through: None,
        refused: Vec::new(),
        tables: Vec::new(),
    };
    let mut position = 0;
    let mut is_any_through = false;
    let mut keep = |entries: &mut Value, table: Option<&str>| {
        let Value::Array(all) = entries.take() else {
            return;
        };
        let mut through = Vec::new();
        for entry in all {
            if refuses(position, &entry, table) {
                split.refused.push((position, entry));
                split.tables.extend(table.map(ToOwned::to_owned));
            } else {
                through.push(entry);
            }
            position += 1;
        }
        is_any_through |= !through.is_empty();
        *entries = Value::Array(through);
    };
    match batch {
        Batch::Records => keep(request.entry("Records").or_insert(Value::Null), None),
        Batch::Messages => keep(request.entry("Entries").or_insert(Value::Null), None),
        Batch::Items => {
            if let Some(Value::Object(tables)) = request.get_mut("RequestItems") {
                for (table, entries) in tables.iter_mut() {
                    keep(entries, Some(table));
                }
                tables.retain(|_, entries| entries.as_array().is_some_and(|all| !all.is_empty()));
            }
        }
    }
    // An empty batch is also forwarded; the service refuses it itself.
    if is_any_through || split.refused.is_empty() {
        split.through = Some(Value::Object(request));
    }
    Ok(split)
}

impl Split {
    /// Whether an entry is refused.
    pub(super) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// The service's response, with the refused entries in their positions.
    pub(super) fn merge(&self, answer: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
        let mut answer: Map<String, Value> = serde_json::from_slice(answer)?;
        match self.batch {
            Batch::Records => {
                let entry = answer.entry("Records").or_insert_with(|| json!([]));
                if let Value::Array(records) = entry {
                    // In ascending order, so each position is right when its turn comes.
                    for (position, _) in &self.refused {
                        records.insert((*position).min(records.len()), refused_record());
                    }
                }
                let refused = answer
                    .get("FailedRecordCount")
                    .and_then(Value::as_u64)
                    .unwrap_or(0);
                let refused = refused + self.refused.len() as u64;
                answer.insert("FailedRecordCount".to_owned(), json!(refused));
            }
            Batch::Messages => {
                let entry = answer.entry("Failed").or_insert_with(|| json!([]));
                if let Value::Array(failed) = entry {
                    failed.extend(self.refused.iter().map(|(_, entry)| {
                        json!({
                            "Id": entry.get("Id"),
                            "SenderFault": false,
                            "Code": "InternalError",
                            "Message": "a fault of the test",
                        })
                    }));
                }
            }
            Batch::Items => {
                let entry = answer
                    .entry("UnprocessedItems")
                    .or_insert_with(|| json!({}));
                if let Value::Object(unprocessed) = entry {
                    for (table, (_, item)) in self.tables.iter().zip(&self.refused) {
                        let items = unprocessed
                            .entry(table.clone())
                            .or_insert_with(|| json!([]));
                        if let Value::Array(items) = items {
                            items.push(item.clone());
                        }
                    }
                }
            }
        }
        serde_json::to_vec(&answer)
    }

    /// The response if all entries are refused.
    pub(super) fn answer_without_service(&self, request: &HeaderMap) -> Response {
        let default = HeaderValue::from_static("application/x-amz-json-1.1");
        let kind = request
            .get(header::CONTENT_TYPE)
            .cloned()
            .unwrap_or(default);
        match self.merge(b"{}") {
            Ok(body) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
            Err(error) => bad_gateway(&error),
        }
    }
}

fn refused_record() -> Value {
    json!({
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": "Rate exceeded for shard (a fault of the test)",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_by(operation: &str, choice: &Choice, body: &[u8]) -> Split {
        let refuses = |position, entry: &Value, _: Option<&str>| choice.refuses(position, entry);
        split(operation, body, refuses).unwrap()
    }

    fn records(keys: &[&str]) -> String {
        let records: Vec<_> = keys
            .iter()
            .map(|key| json!({ "PartitionKey": key, "Data": "AA==" }))
            .collect();
        json!({ "StreamName": "s", "Records": records }).to_string()
    }

    /// The keys that are forwarded, and for each position of the response whether it was refused.
    fn check_records(choice: &Choice, through: &[&str], refused: &[bool]) {
        let split = split_by(
            "PutRecords",
            choice,
            records(&["a", "b", "c", "d"]).as_bytes(),
        );
        let sent: Vec<String> = split.through.as_ref().map_or_else(Vec::new, |request| {
            let records = request["Records"].as_array().unwrap();
            records
                .iter()
                .map(|r| r["PartitionKey"].as_str().unwrap().to_owned())
                .collect()
        });
        assert_eq!(sent, through);
        let accepted: Vec<_> = through
            .iter()
            .map(|key| json!({ "SequenceNumber": key }))
            .collect();
        let service = json!({ "FailedRecordCount": 0, "Records": accepted }).to_string();
        let answer: Value =
            serde_json::from_slice(&split.merge(service.as_bytes()).unwrap()).unwrap();
        let records = answer["Records"].as_array().unwrap();
        let codes: Vec<bool> = records
            .iter()
            .map(|r| r.get("ErrorCode").is_some())
            .collect();
        assert_eq!(codes, refused);
        let count = refused.iter().filter(|refused| **refused).count();
        assert_eq!(answer["FailedRecordCount"], json!(count));
        let mut numbers = records.iter().filter_map(|r| r["SequenceNumber"].as_str());
        assert!(
            through.iter().all(|key| numbers.next() == Some(key)),
            "order is kept"
        );
    }

    #[test]
    fn refused_records_are_in_their_positions() {
        check_records(
            &Choice::First(1),
            &["b", "c", "d"],
            &[true, false, false, false],
        );
        check_records(&Choice::Every(2), &["a", "c"], &[false, true, false, true]);
        check_records(&Choice::All, &[], &[true, true, true, true]);
        check_records(&Choice::First(0), &["a", "b", "c", "d"], &[false; 4]);
        let key = Choice::PartitionKey("c".to_owned());
        check_records(&key, &["a", "b", "d"], &[false, false, true, false]);
    }

    #[test]
    fn unprocessed_items_are_named_by_table() {
        let put = |id: u32| json!({ "PutRequest": { "Item": { "pk": { "S": id.to_string() } } } });
        let request = json!({ "RequestItems": { "t": [put(1), put(2)], "u": [put(3)] } });
        let split = split_by(
            "BatchWriteItem",
            &Choice::Every(2),
            request.to_string().as_bytes(),
        );
        let through = split.through.as_ref().unwrap();
        assert_eq!(
            through["RequestItems"],
            json!({ "t": [put(1)], "u": [put(3)] })
        );
        let answer = split.merge(br#"{"UnprocessedItems":{}}"#).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer, json!({ "UnprocessedItems": { "t": [put(2)] } }));
    }

    #[test]
    fn a_table_with_only_refused_entries_is_not_called() {
        let request = json!({ "RequestItems": { "t": [{ "PutRequest": {} }], "u": [{}, {}] } });
        let split = split_by(
            "BatchWriteItem",
            &Choice::First(1),
            request.to_string().as_bytes(),
        );
        let through = split.through.as_ref().unwrap();
        assert_eq!(through["RequestItems"], json!({ "u": [{}, {}] }));
    }

    #[test]
    fn refused_messages_are_named_by_id() {
        let request = json!({ "Entries": [{ "Id": "x" }, { "Id": "y" }] });
        let split = split_by(
            "SendMessageBatch",
            &Choice::First(1),
            request.to_string().as_bytes(),
        );
        let answer = split.merge(br#"{"Successful":[{"Id":"y"}]}"#).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["Failed"][0]["Id"], "x");
        assert_eq!(answer["Successful"][0]["Id"], "y");
    }

    #[test]
    fn only_batches_can_be_refused_partially() {
        assert!(check("PutRecords", &Choice::PartitionKey("a".to_owned())).is_ok());
        assert!(check("SendMessageBatch", &Choice::All).is_ok());
        let error = check("PutItem", &Choice::All).unwrap_err();
        assert!(
            error.to_string().starts_with("PutItem cannot refuse All"),
            "{error}"
        );
        assert!(check("BatchWriteItem", &Choice::PartitionKey("a".to_owned())).is_err());
    }
}
