//! Many unconditional writes: split into calls, retried if DynamoDB leaves some unprocessed, with a
//! result for every position.

use std::collections::HashSet;
use std::sync::Arc;

use app::ports::PortError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::time::Instant;

use super::attributes::{ITEM_BYTES_MAX, Item, size_bytes};
use crate::chunk::{Limits, chunks};
use crate::error::CallError;
use crate::retry::{Backoff, within};

/// The most writes per call; `BatchWriteItem` accepts 25.
pub(crate) const WRITES_PER_CALL_MAX: usize = 25;

/// The most bytes per call; `BatchWriteItem` accepts 16 MB. The difference leaves room for JSON and
/// base64.
const BYTES_PER_CALL_MAX: usize = 8 * 1_024 * 1_024;

/// The most concurrent calls.
const CALLS_AT_ONCE_MAX: usize = 8;

/// Why a write failed, or may have failed.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// DynamoDB left it unprocessed until the timeout.
    Unprocessed,
    /// It is too large.
    TooLarge(usize),
    /// Its call failed.
    Call(Arc<CallError>),
}

impl Failure {
    /// The reason in words.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Unprocessed => "DynamoDB left it unprocessed, so the table is probably \
                                  throttled"
                .to_owned(),
            Self::TooLarge(bytes) => {
                format!("the item has {bytes} bytes, but DynamoDB accepts at most {ITEM_BYTES_MAX}")
            }
            Self::Call(error) => error.to_string(),
        }
    }

    /// The error of a whole call.
    pub(crate) fn at(&self, operation: &'static str) -> PortError {
        let retryable = match self {
            Self::Unprocessed => true,
            Self::TooLarge(_) => false,
            Self::Call(error) => error.is_transient(),
        };
        PortError {
            operation,
            retryable,
            source: self.reason().into(),
        }
    }
}

/// The client for our own retry loops, which know their deadline: the SDK would wait up to a second
/// before it retries a throttled call.
pub(crate) fn without_retries(client: &Client) -> Client {
    let config = client.config().to_builder();
    Client::from_conf(config.retry_config(RetryConfig::disabled()).build())
}

/// Writes to one table.
#[derive(Debug, Clone)]
pub(crate) struct BatchWriter {
    client: Client,
    table: String,
    /// The names of the key attributes.
    key: [&'static str; 2],
}

/// The writes of one call, with their positions.
type Chunk = Vec<(usize, Item)>;

impl BatchWriter {
    pub(crate) fn new(client: &Client, table: String, key: [&'static str; 2]) -> Self {
        let client = without_retries(client);
        Self { client, table, key }
    }

    /// Puts items, of which no two may have the same key, until `deadline`. Returns a result
    /// for every position: `None` if the write succeeded.
    pub(crate) async fn write(&self, writes: Vec<Item>, deadline: Instant) -> Vec<Option<Failure>> {
        let mut answer = vec![None; writes.len()];
        let (chunks, too_large) = chunked(writes);
        for (index, bytes) in too_large {
            if let Some(slot) = answer.get_mut(index) {
                *slot = Some(Failure::TooLarge(bytes));
            }
        }
        let calls = chunks
            .into_iter()
            .map(|chunk| self.write_chunk(chunk, deadline));
        let mut calls = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE_MAX);
        while let Some((indices, failure)) = calls.next().await {
            for index in indices {
                if let Some(slot) = answer.get_mut(index) {
                    *slot = Some(failure.clone());
                }
            }
        }
        answer
    }

    /// Puts items, and fails if one of them fails.
    pub(crate) async fn write_all(
        &self,
        operation: &'static str,
        writes: Vec<Item>,
        deadline: Instant,
    ) -> Result<(), PortError> {
        let answer = self.write(writes, deadline).await;
        let mut failures = answer.iter().flatten();
        let Some(failure) = failures.next() else {
            return Ok(());
        };
        tracing::warn!(
            table = self.table,
            items = failures.count() + 1,
            cause = failure.reason(),
            "items were not written"
        );
        Err(failure.at(operation))
    }

    /// Retries a chunk until nothing is left unprocessed. Returns the positions that failed, and
    /// why.
    async fn write_chunk(&self, mut left: Chunk, deadline: Instant) -> (Vec<usize>, Failure) {
        let mut backoff = Backoff::until(deadline);
        let mut failure;
        loop {
            match within(deadline, self.call(&left)).await {
                Some(Ok(unprocessed)) if unprocessed.is_empty() => {
                    return (Vec::new(), Failure::Unprocessed);
                }
                Some(Ok(unprocessed)) => {
                    self.keep_unprocessed(&mut left, &unprocessed);
                    failure = Failure::Unprocessed;
                }
                Some(Err(error)) => {
                    let passing = error.is_transient();
                    failure = Failure::Call(Arc::new(error));
                    if !passing {
                        break;
                    }
                }
                None => {
                    let late = CallError::Unanswered("the batch timed out".to_owned());
                    failure = Failure::Call(Arc::new(late));
                    break;
                }
            }
            if !backoff.wait().await {
                break;
            }
        }
        let indices = left.into_iter().map(|(index, _)| index).collect();
        (indices, failure)
    }

    async fn call(&self, chunk: &Chunk) -> Result<Vec<WriteRequest>, CallError> {
        let writes = chunk.iter().map(|(_, write)| request(write));
        let writes = writes
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CallError::Unsent(error.to_string()))?;
        let answer = self
            .client
            .batch_write_item()
            .request_items(&self.table, writes)
            .send()
            .await
            .map_err(|error| CallError::of(&error))?;
        let unprocessed = answer.unprocessed_items.unwrap_or_default();
        Ok(unprocessed.into_values().flatten().collect())
    }

    /// Keeps the unprocessed writes of a chunk. If the response names an unknown item, all writes
    /// are kept: writing twice changes nothing, and omitting one would lose it.
    fn keep_unprocessed(&self, left: &mut Chunk, unprocessed: &[WriteRequest]) {
        let keys: HashSet<Option<[&str; 2]>> = unprocessed
            .iter()
            .map(|request| {
                let put = request.put_request();
                put.and_then(|put| self.key_of(put.item()))
            })
            .collect();
        let sent = |(_, item): &(usize, Item)| keys.contains(&self.key_of(item));
        if left.iter().filter(|entry| sent(entry)).count() == unprocessed.len() {
            left.retain(sent);
        }
    }

    fn key_of<'a>(&self, item: &'a Item) -> Option<[&'a str; 2]> {
        let [partition, sort] = self
            .key
            .map(|name| item.get(name).and_then(|value| value.as_s().ok()));
        Some([partition?, sort?])
    }
}

fn request(item: &Item) -> Result<WriteRequest, BuildError> {
    let put = PutRequest::builder().set_item(Some(item.clone())).build()?;
    Ok(WriteRequest::builder().put_request(put).build())
}

/// Splits writes into calls, and separates those that are too large for any call.
fn chunked(writes: Vec<Item>) -> (Vec<Chunk>, Vec<(usize, usize)>) {
    let (mut fitting, mut too_large) = (Vec::new(), Vec::new());
    for (index, write) in writes.into_iter().enumerate() {
        let bytes = size_bytes(&write);
        if bytes > ITEM_BYTES_MAX {
            too_large.push((index, bytes));
        } else {
            fitting.push((index, write));
        }
    }
    let limits = Limits {
        entries_max: WRITES_PER_CALL_MAX,
        bytes_max: BYTES_PER_CALL_MAX,
    };
    let chunks = chunks(fitting, |(_, item)| size_bytes(item), &limits);
    (chunks, too_large)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::attributes::{bytes, key};
    use super::*;

    fn put(n: usize, payload_bytes: usize) -> Item {
        let mut item = key(format!("p{n}"), "s");
        item.insert("payload".to_owned(), bytes(vec![0; payload_bytes]));
        item
    }

    proptest! {
        #[test]
        fn every_write_is_in_one_chunk_within_the_limits_or_refused(
            sizes in proptest::collection::vec(
                prop_oneof![0_usize..2_000, 300_000..ITEM_BYTES_MAX + 5_000],
                0..90,
            )
        ) {
            let writes: Vec<Item> = sizes.iter().enumerate().map(|(n, size)| put(n, *size)).collect();
            let (chunks, too_large) = chunked(writes.clone());
            let mut seen: Vec<usize> = too_large.iter().map(|(index, _)| *index).collect();
            for chunk in &chunks {
                let total: usize = chunk
                    .iter()
                    .map(|(_, item)| size_bytes(item))
                    .sum();
                prop_assert!((1..=25).contains(&chunk.len()));
                prop_assert!(total <= BYTES_PER_CALL_MAX);
                seen.extend(chunk.iter().map(|(index, _)| *index));
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..writes.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sixty_writes_are_three_calls() {
        let writes = (0..60).map(|n| put(n, 10)).collect();
        let (chunks, _) = chunked(writes);
        let counts: Vec<usize> = chunks.iter().map(Vec::len).collect();
        assert_eq!(counts, [25, 25, 10]);
    }
}
