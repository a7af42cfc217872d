//! Items: their keys, their attributes, and their size as DynamoDB counts it.

use std::collections::HashMap;

use app::ports::PortError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::DateTime;

/// An item, or the key of one.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The partition key of the tables of ticks and of the analysis.
pub(crate) const PK: &str = "pk";
/// The sort key of the tables of ticks and of the analysis.
pub(crate) const SK: &str = "sk";
/// When the service may remove an item, epoch seconds: the TTL attribute of every table.
pub(crate) const EXPIRES_AT: &str = "expires_at";

/// The largest item that DynamoDB accepts: 400 KB, including attribute names.
pub(crate) const ITEM_BYTES_MAX: usize = 400 * 1_024;

/// The most bytes of a number, according to DynamoDB.
const NUMBER_BYTES_MAX: usize = 21;

const MS_PER_SECOND: i64 = 1_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Why an item cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// The item lacks an attribute, or the attribute has another type.
    #[error("the item has no attribute `{0}` of the expected type")]
    Attribute(&'static str),
    /// An attribute cannot be read.
    #[error("the item's attribute `{name}` cannot be read: {cause}")]
    Unreadable {
        /// The attribute.
        name: &'static str,
        /// Why.
        cause: String,
    },
    /// The item is too large for DynamoDB.
    #[error("the item `{key}` has {bytes} bytes, but DynamoDB accepts at most {ITEM_BYTES_MAX}")]
    TooLarge {
        /// Its partition key.
        key: String,
        /// Its size.
        bytes: usize,
    },
    /// The time is outside the calendar.
    #[error("the time {0} ms is outside the calendar")]
    Time(i64),
    /// A value cannot be encoded.
    #[error("the value cannot be stored: {0}")]
    Encode(String),
}

impl ItemError {
    /// The error of a port's operation. A retry with the same item does not help.
    pub(crate) fn at(self, operation: &'static str) -> PortError {
        PortError {
            operation,
            retryable: false,
            source: Box::new(self),
        }
    }
}

/// A text.
pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number, from any decimal or integer.
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Bytes.
pub(crate) fn bytes(value: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// The key of an item in the tables of ticks and of the analysis.
pub(crate) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    Item::from([(PK.to_owned(), text(pk)), (SK.to_owned(), text(sk))])
}

/// The UTC day of a time, as `YYYY-MM-DD`.
pub(crate) fn day_of(timestamp_ms: i64) -> Result<String, ItemError> {
    DateTime::from_timestamp_millis(timestamp_ms)
        .map(|time| time.format("%Y-%m-%d").to_string())
        .ok_or(ItemError::Time(timestamp_ms))
}

/// A time as part of a sort key: 13 digits, so texts sort like times until the year 2286.
pub(crate) fn sortable(timestamp_ms: i64) -> String {
    format!("{timestamp_ms:013}")
}

/// The attribute that lets the service remove an item some days after `from_ms`.
pub(crate) fn expires_at(from_ms: i64, retention_days: u32) -> AttributeValue {
    let lifetime_s = i64::from(retention_days) * SECONDS_PER_DAY;
    number((from_ms.div_euclid(MS_PER_SECOND)).saturating_add(lifetime_s))
}

/// A text of an item.
pub(crate) fn text_of<'a>(item: &'a Item, name: &'static str) -> Result<&'a str, ItemError> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or(ItemError::Attribute(name))
}

/// A whole number of an item.
pub(crate) fn integer_of(item: &Item, name: &'static str) -> Result<i64, ItemError> {
    let digits = item
        .get(name)
        .and_then(|value| value.as_n().ok())
        .ok_or(ItemError::Attribute(name))?;
    digits
        .parse()
        .map_err(|error: std::num::ParseIntError| ItemError::Unreadable {
            name,
            cause: error.to_string(),
        })
}

/// Bytes of an item.
pub(crate) fn bytes_of<'a>(item: &'a Item, name: &'static str) -> Result<&'a [u8], ItemError> {
    item.get(name)
        .and_then(|value| value.as_b().ok())
        .map(AsRef::as_ref)
        .ok_or(ItemError::Attribute(name))
}

/// A value in a compact binary form that can be restored without loss.
pub(crate) fn packed<T: serde::Serialize>(value: &T) -> Result<AttributeValue, ItemError> {
    postcard::to_stdvec(value)
        .map(bytes)
        .map_err(|error| ItemError::Encode(error.to_string()))
}

/// Restores a [`packed`] value.
pub(crate) fn unpacked<T: serde::de::DeserializeOwned>(
    item: &Item,
    name: &'static str,
) -> Result<T, ItemError> {
    postcard::from_bytes(bytes_of(item, name)?).map_err(|error| ItemError::Unreadable {
        name,
        cause: error.to_string(),
    })
}

/// An upper bound of an item's size as DynamoDB counts it.
pub(crate) fn size_bytes(item: &Item) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

/// Refuses an item that DynamoDB would refuse.
pub(crate) fn fits(item: Item) -> Result<Item, ItemError> {
    let bytes = size_bytes(&item);
    if bytes > ITEM_BYTES_MAX {
        let key = text_of(&item, PK).unwrap_or("without a key").to_owned();
        return Err(ItemError::TooLarge { key, bytes });
    }
    Ok(item)
}

fn value_bytes(value: &AttributeValue) -> usize {
    if let AttributeValue::S(text) = value {
        text.len()
    } else if let AttributeValue::B(blob) = value {
        blob.as_ref().len()
    } else if let AttributeValue::Ss(texts) = value {
        texts.iter().map(String::len).sum()
    } else if value.is_n() {
        NUMBER_BYTES_MAX
    } else if value.is_bool() {
        1
    } else {
        // No other types are written here. An unknown type must not count as small.
        ITEM_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_sort_keys_are_those_of_utc() {
        assert_eq!(day_of(1_767_225_599_999).unwrap(), "2025-12-31");
        assert_eq!(day_of(1_767_225_600_000).unwrap(), "2026-01-01");
        assert_eq!(day_of(i64::MAX), Err(ItemError::Time(i64::MAX)));
        assert_eq!(sortable(999_999_999_999), "0999999999999");
        assert!(sortable(999_999_999_999) < sortable(1_767_225_600_000));
    }

    #[test]
    fn an_item_expires_its_days_after_the_time() {
        assert_eq!(
            expires_at(1_767_225_600_999, 30),
            AttributeValue::N("1769817600".to_owned())
        );
    }

    #[test]
    fn an_item_beyond_the_limit_is_refused_by_name() {
        let mut item = key("state#A#B", "state");
        item.insert("state".to_owned(), bytes(vec![0; ITEM_BYTES_MAX - 60]));
        assert!(fits(item.clone()).is_ok());
        item.insert("state".to_owned(), bytes(vec![0; ITEM_BYTES_MAX]));
        let refused = fits(item).unwrap_err().to_string();
        assert!(
            refused.starts_with("the item `state#A#B` has 4096"),
            "{refused}"
        );
    }
}
