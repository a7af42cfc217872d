//! Ports that read ticks back from where they were written: the store, the stream and the archive. The
//! comparison of the three and the replay need them.
//!
//! Ticks are selected by the time of their receipt, which is a field of the tick and the same in all three places.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use domain::{Method, Pair, Quality, SourceName, Tick, TickId};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;

use crate::ports::PortError;

/// Pages that wait for their reader.
const PAGES_WAITING_MAX: usize = 2;

/// The number of ticks at which a page is passed on.
pub const PAGE_TICKS: usize = 8_192;

/// Ticks by the time of their receipt ([`Tick::ingested_at_ms`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptRange {
    /// The start, inclusive, epoch milliseconds.
    pub from_ms: i64,
    /// The end, exclusive, epoch milliseconds.
    pub to_ms: i64,
}

impl ReceiptRange {
    /// Whether a tick that was received at this time belongs to the range.
    #[must_use]
    pub fn contains(&self, received_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&received_ms)
    }
}

/// A part of what was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Page<T> {
    /// Ticks, in no particular order; about [`PAGE_TICKS`] at most.
    Ticks(Vec<T>),
    /// Something could not be seen. The ticks of the rest follow.
    Unseen(UnseenPart),
}

/// A part that could not be seen. If it ends before the range, nothing of the range is affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnseenPart {
    /// Only ticks that were received before this time are affected, epoch milliseconds; `None` if any may be.
    pub before_ms: Option<i64>,
    /// What, and why, for people.
    pub what: String,
}

/// The pages of a range.
pub type Pages<'a, T> = BoxStream<'a, Result<Page<T>, PortError>>;

/// The sending side of [`Pages`].
pub type PageSender<T> = mpsc::Sender<Result<Page<T>, PortError>>;

/// Pages that another task sends. It ends when sending fails: the pages are not wanted any more.
#[must_use]
pub fn channel<T: Send + 'static>() -> (PageSender<T>, Pages<'static, T>) {
    let (sender, receiver) = mpsc::channel(PAGES_WAITING_MAX);
    let pages = stream::unfold(receiver, |mut receiver| async move {
        let page = receiver.recv().await?;
        Some((page, receiver))
    });
    (sender, pages.boxed())
}

/// Pages that a task sends until it ends or they are not wanted any more. Its error follows its last page.
#[must_use]
pub fn sent_by<T, F>(send: impl FnOnce(PageSender<T>) -> F) -> Pages<'static, T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), PortError>> + Send + 'static,
{
    let (sender, pages) = channel();
    let sending = send(sender.clone());
    tokio::spawn(async move {
        if let Err(error) = sending.await {
            drop(sender.send(Err(error)).await);
        }
    });
    pages
}

/// A tick as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTick {
    /// The tick.
    pub tick: Tick,
    /// Whether it belongs to the stream; `None` if a release before 1.1 stored it, which did not keep the decision.
    pub in_cohort: Option<bool>,
}

/// A tick as the archive has it: amounts are doubles.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchivedTick {
    /// Its id.
    pub tick_id: TickId,
    /// Its pair.
    pub pair: Pair,
    /// The price, the double nearest to [`Tick::price`].
    pub price: f64,
    /// The volume, as the price.
    pub volume: Option<f64>,
    /// Event time, epoch milliseconds.
    pub timestamp_ms: i64,
    /// The time of its receipt, epoch milliseconds. `None` if the row has none, which no writer of this project leaves out.
    pub ingested_at_ms: Option<i64>,
    /// The origin of the price.
    pub source: SourceName,
    /// The Solana slot; none if it is 2^63 or more.
    pub slot: Option<u64>,
    /// How the price was derived.
    pub method: Method,
    /// The provider's own number of the trade.
    pub sequence: Option<u64>,
    /// What limits the use of the price.
    pub quality: Option<Quality>,
}

/// Reads the store.
pub trait StoredTicks: Send + Sync {
    /// The ticks of a range, each once.
    fn stored(&self, range: ReceiptRange) -> Pages<'_, StoredTick>;
}

/// Reads the stream.
pub trait StreamedTicks: Send + Sync {
    /// The ticks of a range that the stream still has, each as often as it was appended. Others may be among them, as a
    /// copy with another time of receipt is a copy.
    fn streamed(&self, range: ReceiptRange) -> Pages<'_, Tick>;
}

/// Reads the archive.
pub trait ArchivedTicks: Send + Sync {
    /// The ticks of a range in the folders of these UTC days (of their event times), each as often as the files have it.
    /// Without a range, all ticks of the days.
    fn archived(
        &self,
        range: Option<ReceiptRange>,
        days: BTreeSet<NaiveDate>,
    ) -> Pages<'_, ArchivedTick>;
}
