//! Many items by their keys, read consistently.

use std::collections::HashMap;

use app::ports::PortError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::attributes::{Item, PK, SK, text_of};
use crate::error::CallError;
use crate::retry::{Backoff, within};

/// The most keys per call; `BatchGetItem` accepts 100. It returns at most 16 MB, which 100 states
/// of about 6 KB never reach; keys beyond that are unprocessed, and requested again.
pub(crate) const KEYS_PER_CALL_MAX: usize = 100;

/// The most concurrent calls.
const CALLS_AT_ONCE_MAX: usize = 8;

/// Whether a read sees all writes that have returned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Consistency {
    /// It does, for one unit per 4 KB.
    Strong,
    /// It may miss writes of the last moments, for half of that.
    Eventual,
}

/// The items found, by partition and sort key.
pub(crate) type Found = HashMap<(String, String), Item>;

/// Reads the items with these keys, of which no two may be the same.
pub(crate) async fn read_all(
    client: &Client,
    table: &str,
    operation: &'static str,
    keys: Vec<Item>,
    deadline: Instant,
) -> Result<Found, PortError> {
    let chunks: Vec<Vec<Item>> = keys
        .chunks(KEYS_PER_CALL_MAX)
        .map(<[Item]>::to_vec)
        .collect();
    let calls = chunks
        .into_iter()
        .map(|chunk| read_chunk(client, table, chunk, deadline));
    let items: Vec<Vec<Item>> = stream::iter(calls)
        .buffer_unordered(CALLS_AT_ONCE_MAX)
        .try_collect()
        .await
        .map_err(|error: CallError| error.at(operation))?;
    let mut found = Found::new();
    for item in items.into_iter().flatten() {
        let place = |name| text_of(&item, name).map(str::to_owned);
        let (pk, sk) = place(PK)
            .and_then(|pk| Ok((pk, place(SK)?)))
            .map_err(|error| error.at(operation))?;
        found.insert((pk, sk), item);
    }
    Ok(found)
}

async fn read_chunk(
    client: &Client,
    table: &str,
    mut keys: Vec<Item>,
    deadline: Instant,
) -> Result<Vec<Item>, CallError> {
    let mut backoff = Backoff::until(deadline);
    let mut items = Vec::with_capacity(keys.len());
    loop {
        let late = || CallError::Unanswered("the read timed out".to_owned());
        let call = read_once(client, table, keys.clone(), Consistency::Strong);
        match within(deadline, call).await.ok_or_else(late)? {
            Ok((found, left)) => {
                items.extend(found);
                if left.is_empty() {
                    return Ok(items);
                }
                keys = left;
            }
            Err(error) if error.is_transient() => {
                if !backoff.wait().await {
                    return Err(error);
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        if !backoff.wait().await {
            return Err(late());
        }
    }
}

/// One call with at most [`KEYS_PER_CALL_MAX`] keys. Returns the items found, and the unprocessed
/// keys; there is no item with any other key.
pub(crate) async fn read_once(
    client: &Client,
    table: &str,
    keys: Vec<Item>,
    consistency: Consistency,
) -> Result<(Vec<Item>, Vec<Item>), CallError> {
    let wanted = KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .consistent_read(matches!(consistency, Consistency::Strong))
        .build()
        .map_err(|error| CallError::Unsent(error.to_string()))?;
    let answer = client
        .batch_get_item()
        .request_items(table, wanted)
        .send()
        .await
        .map_err(|error| CallError::of(&error))?;
    let found = answer.responses.unwrap_or_default();
    let left = answer.unprocessed_keys.unwrap_or_default();
    Ok((
        found.into_values().flatten().collect(),
        left.into_values().flat_map(|left| left.keys).collect(),
    ))
}
