//! The quarantine as objects in a bucket.

use app::ports::{PortError, Quarantine, Quarantined};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use chrono::{DateTime, Datelike};
use sha2::{Digest, Sha256};

use crate::error::port_error;

/// The prefix of the quarantine in the archive's bucket.
pub const QUARANTINE_PREFIX: &str = "quarantine";

/// JSON lines.
const CONTENT_TYPE: &str = "application/x-ndjson";

/// How many bytes of the content's SHA-256 (8 of 32) are in its name: enough to distinguish entries
/// of the same millisecond.
const DIGEST_BYTES: usize = 8;

/// Keeps malformed entries in a bucket: one object of JSON lines per call, by the UTC day of
/// receipt. The name depends only on the content, so a repeated call overwrites the object.
/// Encryption is the bucket's default.
#[derive(Debug, Clone)]
pub struct S3Quarantine {
    client: Client,
    bucket: String,
}

impl S3Quarantine {
    /// The quarantine in a bucket.
    #[must_use]
    pub fn new(client: &Client, bucket: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            bucket: bucket.into(),
        }
    }
}

#[async_trait]
impl Quarantine for S3Quarantine {
    async fn keep(&self, entries: &[Quarantined]) -> Result<(), PortError> {
        const OPERATION: &str = "keep malformed entries";
        let cannot_keep = |source: Box<dyn std::error::Error + Send + Sync>| PortError {
            operation: OPERATION,
            retryable: false,
            source,
        };
        let Some(first) = entries.first() else {
            return Ok(());
        };
        let content = lines(entries).map_err(|error| cannot_keep(error.into()))?;
        let key = key(first.received_at_ms, &content).ok_or_else(|| {
            cannot_keep(format!("{} ms is not a valid time", first.received_at_ms).into())
        })?;
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(CONTENT_TYPE)
            .body(ByteStream::from(content))
            .send()
            .await
            .map_err(|error| port_error(OPERATION, &error))?;
        Ok(())
    }
}

fn lines(entries: &[Quarantined]) -> Result<Vec<u8>, serde_json::Error> {
    let mut content = Vec::new();
    for entry in entries {
        entry.append_line(&mut content)?;
    }
    Ok(content)
}

/// `quarantine/year=2026/month=01/day=02/1767312000000-0123456789abcdef.jsonl`; `None` where the
/// time is outside the calendar.
fn key(received_at_ms: i64, content: &[u8]) -> Option<String> {
    let day = DateTime::from_timestamp_millis(received_at_ms)?;
    let digest = Sha256::digest(content);
    let name: String = digest
        .iter()
        .take(DIGEST_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(format!(
        "{QUARANTINE_PREFIX}/year={:04}/month={:02}/day={:02}/{received_at_ms}-{name}.jsonl",
        day.year(),
        day.month(),
        day.day()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02T00:00:00Z.
    const SECOND_OF_JANUARY_MS: i64 = 1_767_312_000_000;

    #[test]
    fn a_key_follows_from_day_time_and_content() {
        // printf x | sha256sum
        let at = |ms, content: &[u8]| key(ms, content).unwrap();
        assert_eq!(
            at(SECOND_OF_JANUARY_MS, b"x"),
            "quarantine/year=2026/month=01/day=02/1767312000000-2d711642b726b044.jsonl"
        );
        assert!(at(SECOND_OF_JANUARY_MS - 1, b"x").contains("/day=01/1767311999999-"));
        assert_ne!(at(0, b"x"), at(0, b"y"));
        assert_eq!(key(i64::MAX, b"x"), None);
    }
}
