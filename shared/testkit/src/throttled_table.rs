//! A model of a DynamoDB table with the keys `pk` and `sk` that throttles as AWS documents it: by write
//! and read units per second, for each partition key and for the table as a whole. It accepts and returns
//! the JSON of the service.
//!
//! Units of a second that are not used are lost (AWS may grant bursts). The items of a batch are
//! charged in random order, and those without units are unprocessed; if none was processed, the call
//! is throttled.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only for tests, which stop at the first surprise"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Map, Value, json};

mod condition;

use condition::holds;

/// Units per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units {
    /// One writes up to 1 KB.
    pub write: u64,
    /// One reads up to 4 KB consistently.
    pub read: u64,
}

/// What AWS grants to one partition.
pub const OF_PARTITION: Units = Units {
    write: 1_000,
    read: 3_000,
};

/// No limit.
pub const UNLIMITED: Units = Units {
    write: u64::MAX,
    read: u64::MAX,
};

/// A throttled call; the code of the service's error.
pub const THROTTLED: &str = "ProvisionedThroughputExceededException";

const WRITES_PER_BATCH_MAX: usize = 25;
const READS_PER_BATCH_MAX: usize = 100;

/// An error of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: &'static str,
}

impl Refusal {
    /// The body of the service's response.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "__type": self.code, "message": "by the model" })
    }
}

type Item = Map<String, Value>;
type Key = (String, String);

/// The table.
#[derive(Debug)]
pub struct ThrottledTable {
    of_table: Mutex<Units>,
    of_partition: Units,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    items: BTreeMap<Key, Item>,
    /// How often each item was written.
    writes: HashMap<Key, u32>,
    second: u64,
    /// Write units and halves of read units used in the second, by partition key, and `None` for the
    /// table.
    used: HashMap<Option<String>, (u64, u64)>,
    write_units: u64,
    half_read_units: u64,
    random: StdRng,
}

impl ThrottledTable {
    /// An empty table.
    #[must_use]
    pub fn new(of_table: Units, of_partition: Units, seed: u64) -> Self {
        Self {
            of_table: Mutex::new(of_table),
            of_partition,
            held: Mutex::new(Held {
                items: BTreeMap::new(),
                writes: HashMap::new(),
                second: 0,
                used: HashMap::new(),
                write_units: 0,
                half_read_units: 0,
                random: StdRng::seed_from_u64(seed),
            }),
        }
    }

    /// Changes the capacity of the table.
    pub fn limit(&self, of_table: Units) {
        *self.of_table.lock().unwrap_or_else(PoisonError::into_inner) = of_table;
    }

    /// Responds to a call in a second.
    ///
    /// # Errors
    /// The service's refusal.
    ///
    /// # Panics
    /// If the model does not know the call.
    pub fn respond(&self, operation: &str, body: &Value, second: u64) -> Result<Value, Refusal> {
        let mut held = self.lock();
        if held.second != second {
            held.second = second;
            held.used.clear();
        }
        match operation {
            "BatchGetItem" => self.batch_get(&mut held, body),
            "BatchWriteItem" => self.batch_write(&mut held, body),
            "PutItem" => self.put_item(&mut held, body),
            "UpdateItem" => self.update(&mut held, body),
            "Query" => self.query(&mut held, body),
            other => panic!("the model does not know {other}"),
        }
    }

    /// The items, by key.
    #[must_use]
    pub fn items(&self) -> BTreeMap<Key, Item> {
        self.lock().items.clone()
    }

    /// Replaces an item, as if it had been written before.
    pub fn set(&self, item: Value) {
        let Value::Object(item) = item else {
            panic!("an item is an object")
        };
        let key = key_of(&item);
        self.lock().items.insert(key, item);
    }

    /// How often items were written whose partition key does not begin with `claim#`, and the most
    /// often that one of them was.
    #[must_use]
    pub fn tick_writes(&self) -> (u32, u32) {
        let held = self.lock();
        let of_ticks = held
            .writes
            .iter()
            .filter(|((pk, _), _)| !pk.starts_with("claim#"));
        let counts: Vec<u32> = of_ticks.map(|(_, count)| *count).collect();
        (
            counts.iter().sum(),
            counts.iter().copied().max().unwrap_or(0),
        )
    }

    /// All units used so far.
    #[must_use]
    pub fn used(&self) -> Units {
        let held = self.lock();
        Units {
            write: held.write_units,
            read: held.half_read_units.div_ceil(2),
        }
    }

    /// The sizes of the items whose partition key begins with this, in bytes as DynamoDB counts them.
    #[must_use]
    pub fn item_sizes(&self, partition: &str) -> Vec<u64> {
        let held = self.lock();
        let items = held.items.iter();
        let of_partition = items.filter(|((key, _), _)| key.starts_with(partition));
        of_partition.map(|(_, item)| item_bytes(item)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses write units and halves of read units, if there are as many left in this second.
    fn charge(&self, held: &mut Held, partition: &str, write: u64, half_read: u64) -> bool {
        let of_table = *self.of_table.lock().unwrap_or_else(PoisonError::into_inner);
        let scopes = [
            (None, of_table),
            (Some(partition.to_owned()), self.of_partition),
        ];
        let has_room = scopes.iter().all(|(scope, limit)| {
            let (writes, reads) = held.used.get(scope).copied().unwrap_or_default();
            writes + write <= limit.write && reads + half_read <= limit.read.saturating_mul(2)
        });
        if has_room {
            for (scope, _) in scopes {
                let used = held.used.entry(scope).or_default();
                used.0 += write;
                used.1 += half_read;
            }
            held.write_units += write;
            held.half_read_units += half_read;
        }
        has_room
    }

    fn batch_get(&self, held: &mut Held, body: &Value) -> Result<Value, Refusal> {
        let (table, wanted) = the_table(&body["RequestItems"]);
        let keys = wanted["Keys"].as_array().unwrap();
        let different: HashSet<Key> = keys.iter().map(key_of_value).collect();
        if keys.len() > READS_PER_BATCH_MAX || different.len() < keys.len() {
            return Err(invalid());
        }
        let is_consistent = wanted["ConsistentRead"] == true;
        let (mut found, mut left) = (Vec::new(), Vec::new());
        let mut shuffled: Vec<&Value> = keys.iter().collect();
        shuffled.shuffle(&mut held.random);
        for key in shuffled {
            let place = key_of_value(key);
            let item = held.items.get(&place).cloned();
            let bytes = item.as_ref().map_or(0, item_bytes);
            // An eventually consistent read costs a half.
            let units = bytes.div_ceil(4_096).max(1) * if is_consistent { 2 } else { 1 };
            if self.charge(held, &place.0, 0, units) {
                found.extend(item);
            } else {
                left.push(key.clone());
            }
        }
        if left.len() == keys.len() {
            return Err(throttled());
        }
        let unprocessed = match left.is_empty() {
            true => json!({}),
            false => json!({ table: { "Keys": left, "ConsistentRead": is_consistent } }),
        };
        Ok(json!({ "Responses": { table: found }, "UnprocessedKeys": unprocessed }))
    }

    fn batch_write(&self, held: &mut Held, body: &Value) -> Result<Value, Refusal> {
        let (table, writes) = the_table(&body["RequestItems"]);
        let writes = writes.as_array().unwrap();
        let key = |write: &Value| match write.get("PutRequest") {
            Some(put) => key_of_value(&put["Item"]),
            None => key_of_value(&write["DeleteRequest"]["Key"]),
        };
        let different: HashSet<Key> = writes.iter().map(key).collect();
        if writes.len() > WRITES_PER_BATCH_MAX || different.len() < writes.len() {
            return Err(invalid());
        }
        let mut left = Vec::new();
        let mut shuffled: Vec<&Value> = writes.iter().collect();
        shuffled.shuffle(&mut held.random);
        for write in shuffled {
            let place = key(write);
            let item = write.get("PutRequest").map(|put| object(&put["Item"]));
            let bytes = item.as_ref().map_or(0, item_bytes);
            let units = bytes.div_ceil(1_024).max(1);
            if !self.charge(held, &place.0, units, 0) {
                left.push(write.clone());
                continue;
            }
            match item {
                Some(item) => held.put(place, item),
                None => {
                    held.items.remove(&place);
                }
            }
        }
        if left.len() == writes.len() {
            return Err(throttled());
        }
        let unprocessed = match left.is_empty() {
            true => json!({}),
            false => json!({ table: left }),
        };
        Ok(json!({ "UnprocessedItems": unprocessed }))
    }

    fn put_item(&self, held: &mut Held, body: &Value) -> Result<Value, Refusal> {
        let item = object(&body["Item"]);
        let place = key_of(&item);
        let holds = holds(body, held.items.get(&place));
        if !self.charge(held, &place.0, item_bytes(&item).div_ceil(1_024).max(1), 0) {
            return Err(throttled());
        }
        if !holds {
            return Err(condition_failed());
        }
        held.put(place, item);
        Ok(json!({}))
    }

    /// Knows `SET` of values and of `if_not_exists`, `REMOVE`, and conditions; returns the old or the new attributes.
    fn update(&self, held: &mut Held, body: &Value) -> Result<Value, Refusal> {
        let key = object(&body["Key"]);
        let place = key_of(&key);
        let before = held.items.get(&place).cloned();
        let mut item = before.clone().unwrap_or(key);
        let expression = body["UpdateExpression"].as_str().unwrap();
        let (sets, removes) = expression.split_once("REMOVE ").unwrap_or((expression, ""));
        let named = |name: &str| {
            body["ExpressionAttributeNames"][name]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let valued = |name: &str| body["ExpressionAttributeValues"][name].clone();
        // A comma within parentheses separates arguments.
        let sets = sets.trim().trim_start_matches("SET ").replace("), ", ")\n");
        let sets = sets.lines().flat_map(|line| match line.contains('(') {
            true => vec![line.to_owned()],
            false => line.split(", ").map(str::to_owned).collect(),
        });
        for set in sets.filter(|it| !it.is_empty()) {
            let (name, value) = set.split_once(" = ").unwrap();
            let value = match value.strip_prefix("if_not_exists(") {
                Some(arguments) => {
                    let (of, default) = arguments.trim_end_matches(')').split_once(", ").unwrap();
                    let held = before.as_ref().and_then(|it| it.get(&named(of)));
                    held.cloned().unwrap_or_else(|| valued(default))
                }
                None => valued(value),
            };
            item.insert(named(name), value);
        }
        for name in removes.split(", ").filter(|it| !it.is_empty()) {
            item.remove(&named(name.trim()));
        }
        let holds = holds(body, before.as_ref());
        if !self.charge(held, &place.0, item_bytes(&item).div_ceil(1_024).max(1), 0) {
            return Err(throttled());
        }
        if !holds {
            return Err(condition_failed());
        }
        held.put(place, item.clone());
        Ok(match body["ReturnValues"].as_str() {
            Some("ALL_OLD") => json!({ "Attributes": before.unwrap_or_default() }),
            _ => json!({ "Attributes": item }),
        })
    }

    /// Knows a partition key, and optionally sort keys below one or between two.
    fn query(&self, held: &mut Held, body: &Value) -> Result<Value, Refusal> {
        let value = |name: &str| {
            body["ExpressionAttributeValues"][name]["S"]
                .as_str()
                .unwrap()
        };
        let (from, to, end) = match body["KeyConditionExpression"].as_str().unwrap() {
            "#pk = :pk" => (None, None, None),
            "#pk = :pk AND #sk < :end" => (None, None, Some(value(":end"))),
            "#pk = :pk AND #sk BETWEEN :from AND :to" => {
                (Some(value(":from")), Some(value(":to")), None)
            }
            other => panic!("the model does not know {other}"),
        };
        let pk = value(":pk");
        let in_range = |(partition, sort): &Key| {
            let sort = sort.as_str();
            partition == pk
                && from.is_none_or(|from| from <= sort)
                && to.is_none_or(|to| sort <= to)
                && end.is_none_or(|end| sort < end)
        };
        let items = held.items.iter().filter(|(key, _)| in_range(key));
        let mut items: Vec<Item> = items.map(|(_, item)| item.clone()).collect();
        if body["ScanIndexForward"] == false {
            items.reverse();
        }
        let limit = body["Limit"]
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok());
        items.truncate(limit.unwrap_or(usize::MAX));
        let bytes: u64 = items.iter().map(item_bytes).sum();
        if !self.charge(held, pk, 0, 2 * bytes.div_ceil(4_096).max(1)) {
            return Err(throttled());
        }
        Ok(json!({ "Items": items, "Count": items.len() }))
    }
}

impl Held {
    fn put(&mut self, place: Key, item: Item) {
        *self.writes.entry(place.clone()).or_default() += 1;
        self.items.insert(place, item);
    }
}

fn throttled() -> Refusal {
    Refusal { code: THROTTLED }
}

fn invalid() -> Refusal {
    Refusal {
        code: "ValidationException",
    }
}

fn condition_failed() -> Refusal {
    Refusal {
        code: "ConditionalCheckFailedException",
    }
}

/// The only table of a batch, with what is asked of it.
fn the_table(request: &Value) -> (&String, &Value) {
    let tables = request.as_object().unwrap();
    assert_eq!(tables.len(), 1);
    tables.iter().next().unwrap()
}

fn object(value: &Value) -> Item {
    value.as_object().unwrap().clone()
}

fn key_of_value(value: &Value) -> Key {
    key_of(value.as_object().unwrap())
}

fn key_of(item: &Item) -> Key {
    let part = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
    (part("pk"), part("sk"))
}

/// The size of an item as DynamoDB counts it.
#[must_use]
pub fn item_bytes(item: &Item) -> u64 {
    let bytes = |(name, value): (&String, &Value)| {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        let text = value.as_str().unwrap_or_default();
        name.len()
            + match kind.as_str() {
                "N" => text.len().div_ceil(2) + 1,
                "B" => text.len() * 3 / 4,
                "BOOL" => 1,
                _ => text.len(),
            }
    };
    item.iter().map(bytes).sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(n: u32, pk: &str) -> Value {
        json!({ "PutRequest": { "Item": { "pk": { "S": pk }, "sk": { "S": n.to_string() } } } })
    }

    fn key(n: u32, pk: &str) -> Value {
        json!({ "pk": { "S": pk }, "sk": { "S": n.to_string() } })
    }

    #[test]
    fn units_are_counted_by_second_and_partition() {
        let limit = Units { write: 3, read: 2 };
        let table = ThrottledTable::new(UNLIMITED, limit, 1);
        let writes: Vec<Value> = (0..5).map(|n| put(n, "a")).collect();
        let body = json!({ "RequestItems": { "t": writes } });
        let left = |answer: &Value| answer["UnprocessedItems"]["t"].as_array().unwrap().len();
        let answer = table.respond("BatchWriteItem", &body, 7).unwrap();
        assert_eq!(left(&answer), 2);
        let refused = table.respond("BatchWriteItem", &body, 7).unwrap_err();
        assert_eq!(refused.code, THROTTLED);
        let other = json!({ "RequestItems": { "t": [put(1, "b")] } });
        assert!(table.respond("BatchWriteItem", &other, 7).is_ok());
        table.respond("BatchWriteItem", &body, 8).unwrap();
        assert_eq!(table.used().write, 7);

        let keys: Vec<Value> = (0..3).map(|n| key(n, "c")).collect();
        let body = json!({ "RequestItems": { "t": { "Keys": keys, "ConsistentRead": true } } });
        let answer = table.respond("BatchGetItem", &body, 8).unwrap();
        assert_eq!(
            answer["UnprocessedKeys"]["t"]["Keys"]
                .as_array()
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn an_invalid_batch_is_refused() {
        let table = ThrottledTable::new(UNLIMITED, OF_PARTITION, 1);
        let twice = json!({ "RequestItems": { "t": [put(1, "a"), put(1, "a")] } });
        let refused = table.respond("BatchWriteItem", &twice, 0).unwrap_err();
        assert_eq!(refused.code, "ValidationException");
        let keys: Vec<Value> = (0..101).map(|n| key(n, "a")).collect();
        let many = json!({ "RequestItems": { "t": { "Keys": keys } } });
        assert!(table.respond("BatchGetItem", &many, 0).is_err());
    }

    #[test]
    fn a_condition_is_about_the_item_before() {
        let table = ThrottledTable::new(UNLIMITED, UNLIMITED, 1);
        let put = |n: &str, condition: &str| {
            let body = json!({
                "Item": { "pk": { "S": "a" }, "sk": { "S": "b" }, "n": { "S": n } },
                "ConditionExpression": condition,
                "ExpressionAttributeNames": { "#n": "n" },
                "ExpressionAttributeValues": { ":n": { "S": n } },
            });
            table.respond("PutItem", &body, 0).is_ok()
        };
        assert!(!put("2", "#n = :n"));
        assert!(!put("2", "attribute_exists(#n) AND (#n = :n OR #n <= :n)"));
        assert!(put("2", "attribute_not_exists(#n) OR #n <= :n"));
        assert!(!put("1", "attribute_not_exists(#n) OR #n <= :n"));
        assert!(put("2", "attribute_not_exists(#n) OR #n <= :n"));
        assert!(put("3", "attribute_exists(#n) AND (#n = :n OR #n <= :n)"));
        let update = json!({
            "Key": { "pk": { "S": "a" }, "sk": { "S": "b" } },
            "UpdateExpression": "SET #m = if_not_exists(#n, :n), #n = :n, #o = :n REMOVE #p",
            "ConditionExpression": "#n = :three",
            "ExpressionAttributeNames": { "#m": "m", "#n": "n", "#o": "o", "#p": "p" },
            "ExpressionAttributeValues": { ":n": { "S": "4" }, ":three": { "S": "3" } },
        });
        let after = table.respond("UpdateItem", &update, 0).unwrap();
        for (name, text) in [("m", "3"), ("n", "4"), ("o", "4")] {
            assert_eq!(after["Attributes"][name]["S"], text, "{name}");
        }
        let again = table.respond("UpdateItem", &update, 0).unwrap_err();
        assert_eq!(again.code, "ConditionalCheckFailedException");
    }
}
