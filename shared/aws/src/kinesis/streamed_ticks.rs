//! Reads the ticks of a range of receipt times from the stream.

use std::sync::Arc;
use std::time::Duration;

use app::ports::{Clock, PortError};
use app::read_back::{Page, PageSender, Pages, ReceiptRange, StreamedTicks, UnseenPart, sent_by};
use app::time_text::time_text;
use aws_sdk_kinesis::Client;
use domain::Tick;
use tokio::time::Instant;

use super::shard_reader::Begin;
use super::tail::StreamTail;
use crate::error::port_error;

/// How far the clocks of the webhook and of Kinesis may differ: a tick arrives after it was received, by one clock.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// How long the stream is read before the ticks are passed on: long enough for a read of every shard.
const READ_FOR: Duration = Duration::from_secs(2);

/// How long a shard may refuse to be read.
const STALLED_FOR_MAX: Duration = Duration::from_secs(600);

/// The operation's name in errors.
const READ: &str = "read the stream";

const MS_PER_HOUR: i64 = 60 * 60 * 1_000;

/// A reader of the stream, at one read a second and shard, which leaves room for its consumers.
#[derive(Clone)]
pub struct StreamReader {
    client: Client,
    stream: String,
    clock: Arc<dyn Clock>,
}

impl StreamReader {
    /// A reader of a stream.
    #[must_use]
    pub fn new(client: &Client, stream: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self {
            client: client.clone(),
            stream: stream.into(),
            clock,
        }
    }

    /// Reads from the first record that may have a tick of the range up to what is in the stream now: a tick may be
    /// offered to the stream again long after its receipt.
    async fn send(&self, range: ReceiptRange, sender: &PageSender<Tick>) -> Result<(), PortError> {
        // A time before the oldest record begins with that.
        // <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html>
        let begin = Begin::AtTimestamp((range.from_ms - CLOCKS_DIFFER_MS).max(0));
        let mut tail = StreamTail::open(&self.client, &self.stream, begin).await?;
        let mut other_records = 0_u64;
        loop {
            let (records, caught_up) = tail.catch_up_until(Instant::now() + READ_FOR).await?;
            let mut ticks = Vec::with_capacity(records.len());
            for record in records {
                match record.tick {
                    Ok(tick) => ticks.push(tick),
                    Err(_) => other_records += 1,
                }
            }
            if sender.send(Ok(Page::Ticks(ticks))).await.is_err() {
                return Ok(());
            }
            if caught_up {
                break;
            }
            if tail.stalled_for() >= STALLED_FOR_MAX {
                let source = format!(
                    "a shard could not be read for {} s, as when its reads are throttled: stop other readers of {}, or \
                     try again later",
                    STALLED_FOR_MAX.as_secs(),
                    self.stream
                );
                return Err(PortError {
                    operation: READ,
                    retryable: true,
                    source: source.into(),
                });
            }
        }
        if other_records > 0 {
            let what = format!("{other_records} records of the stream are not ticks");
            unseen(sender, None, what).await;
        }
        // Asked at the end: records are removed while others are read.
        let oldest_ms = self.oldest_ms().await?;
        if range.from_ms < oldest_ms {
            unseen(sender, Some(oldest_ms), self.trimmed(oldest_ms)).await;
        }
        Ok(())
    }

    fn trimmed(&self, oldest_ms: i64) -> String {
        format!(
            "the stream {} has no records from before {}",
            self.stream,
            time_text(oldest_ms)
        )
    }

    /// The time of arrival of the oldest record that the stream may have, epoch milliseconds.
    async fn oldest_ms(&self) -> Result<i64, PortError> {
        const DESCRIBE: &str = "describe the stream";
        let described = self
            .client
            .describe_stream_summary()
            .stream_name(&self.stream)
            .send()
            .await
            .map_err(|error| port_error(DESCRIBE, &error))?;
        let summary = described.stream_description_summary();
        let hours = summary.map_or(24, |summary| summary.retention_period_hours());
        let created =
            summary.map(|summary| crate::epoch::epoch_ms(summary.stream_creation_timestamp()));
        let kept_from_ms = self.clock.now_ms() - i64::from(hours) * MS_PER_HOUR;
        Ok(
            created.map_or(kept_from_ms, |created_ms| match created_ms > kept_from_ms {
                // Nothing was trimmed yet.
                true => i64::MIN / 2,
                false => kept_from_ms,
            }),
        )
    }
}

impl StreamedTicks for StreamReader {
    fn streamed(&self, range: ReceiptRange) -> Pages<'_, Tick> {
        let reader = self.clone();
        sent_by(|sender| async move { reader.send(range, &sender).await })
    }
}

/// The last pages: nothing follows if they are not wanted any more.
async fn unseen(sender: &PageSender<Tick>, before_ms: Option<i64>, what: String) {
    let page = Page::Unseen(UnseenPart { before_ms, what });
    drop(sender.send(Ok(page)).await);
}
