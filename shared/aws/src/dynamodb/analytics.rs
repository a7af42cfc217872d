//! The analytics table: states, candles and anomalies.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use app::ports::{AnalysisCommit, AnalyticsStore, Clock, PortError, SequenceNumber, StoredState};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::Pair;
use domain::analytics::{Anomaly, Candle, Interval, Member};
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::attributes::{Item, ItemError, PK, SK, text_of, unpacked};
use super::batch_write::{BatchWriter, without_retries};
use super::candle_item::{
    anomaly_item, anomaly_of, anomaly_partition, candle_key, candle_of, candle_partition,
    second_key,
};
use super::pair_step::{CORRECTED_MAX, PairStep, Retention, STATE, StepError, by_pair, state_key};
use super::reads::{Found, read_all};
use crate::emf::{InvocationMetrics, LATE_TICKS, REPEATED_TICKS, TOO_LATE_TICKS};
use crate::error::CallError;
use crate::retry::{Backoff, within};

mod range;
mod resume;

pub use range::{ReadRange, ReadRangeError};

/// How long a call of the port may take, including retries.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The most pairs that are stored concurrently.
const PAIRS_AT_ONCE_MAX: usize = 16;

const LOAD: &str = "load analysis states";
const STORE: &str = "store the analysis";

/// The analytics store in a DynamoDB table.
///
/// Each pair is stored atomically. A failed commit may have stored some of its pairs; when the step
/// is folded again from the stored states, these are skipped.
///
/// Which ticks are in a candle of one second is stored with the candle, and not in the state: the
/// members of the open ones are read with the state.
///
/// The shard's checkpoint is not stored here: AWS Lambda keeps it for the event source.
#[derive(Clone)]
pub struct AnalyticsTable {
    client: Client,
    table: String,
    retention_days: u32,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    writer: BatchWriter,
    metrics: Option<Arc<InvocationMetrics>>,
}

/// Why a pair's step was not stored.
#[derive(Debug, thiserror::Error)]
enum CommitError {
    /// The state or a corrected candle has changed since the step began: somebody else analyses the
    /// shard too, or this commit succeeded before and its response was lost.
    #[error("the state of {0} has changed since the step began: fold again from the stored state")]
    Outdated(Pair),
    /// Conflicts with other writers, or throttling.
    #[error("the transaction was cancelled: {0}")]
    Cancelled(String),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Item(#[from] ItemError),
    #[error(transparent)]
    Call(#[from] CallError),
}

impl CommitError {
    fn at(self, operation: &'static str) -> PortError {
        let retryable = match &self {
            // It fits with fewer records in a step, which a bisected batch has.
            Self::Outdated(_)
            | Self::Cancelled(_)
            | Self::Step(StepError::TooManyCorrections(..)) => true,
            Self::Step(StepError::Item(_) | StepError::Build(_)) | Self::Item(_) => false,
            Self::Call(error) => error.is_transient(),
        };
        PortError {
            operation,
            retryable,
            source: Box::new(self),
        }
    }

    fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Cancelled(_) => true,
            Self::Call(error) => error.is_transient(),
            Self::Outdated(_) | Self::Step(_) | Self::Item(_) => false,
        }
    }
}

impl AnalyticsTable {
    /// The store in `table`. DynamoDB removes items `retention_days` after they were last written.
    /// A call takes at most `timeout`, see [`TIMEOUT`].
    #[must_use]
    pub fn new(
        client: Client,
        table: impl Into<String>,
        retention_days: u32,
        timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let table = table.into();
        Self {
            writer: BatchWriter::new(&client, table.clone(), [PK, SK]),
            client: without_retries(&client),
            table,
            retention_days,
            timeout,
            clock,
            metrics: None,
        }
    }

    /// Counts late and repeated ticks and unreadable states.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<InvocationMetrics>) -> Self {
        Self {
            metrics: Some(metrics),
            ..self
        }
    }

    fn count(&self, metric: &'static str, count: u64) {
        if let Some(metrics) = &self.metrics {
            metrics.add(metric, count);
        }
    }
}

#[async_trait]
impl AnalyticsStore for AnalyticsTable {
    fn corrections_per_pair_max(&self) -> usize {
        CORRECTED_MAX
    }

    async fn load(
        &self,
        _shard: u8,
        pairs: &[Pair],
    ) -> Result<Vec<Option<StoredState>>, PortError> {
        let deadline = Instant::now() + self.timeout;
        let keys = pairs.iter().map(state_key).collect();
        let found = read_all(&self.client, &self.table, LOAD, keys, deadline).await?;
        let state = async |pair: &Pair| -> Result<Option<StoredState>, PortError> {
            let Some(item) = take(&found, &state_key(pair)) else {
                return Ok(None);
            };
            match unpacked(item, STATE) {
                Ok(stored) => Ok(Some(stored)),
                Err(error) => self.resume(pair, item, &error, deadline).await.map(Some),
            }
        };
        let mut states: Vec<Option<StoredState>> = stream::iter(pairs.iter().map(state))
            .buffered(PAIRS_AT_ONCE_MAX)
            .try_collect()
            .await?;
        self.restore_members(pairs, &mut states, deadline).await?;
        Ok(states)
    }

    async fn members(&self, seconds: &[(Pair, i64)]) -> Result<Vec<Vec<Member>>, PortError> {
        self.members_of(seconds, Instant::now() + self.timeout)
            .await
    }

    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        mut commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        let deadline = Instant::now() + self.timeout;
        let retention = Retention {
            now_ms: self.clock.now_ms(),
            days: self.retention_days,
        };
        if commit.late + commit.too_late + commit.duplicates > 0 {
            let AnalysisCommit {
                late,
                too_late,
                duplicates,
                ..
            } = commit;
            tracing::debug!(shard, %last, late, too_late, duplicates, "ticks out of order");
        }
        let counts = [
            (REPEATED_TICKS, commit.duplicates),
            (LATE_TICKS, commit.late),
            (TOO_LATE_TICKS, commit.too_late),
        ];
        // Before the states: until its state is stored, a step is folded again and finds the same
        // anomalies.
        let anomalies = std::mem::take(&mut commit.anomalies);
        self.store_anomalies(&anomalies, &retention, deadline)
            .await?;
        let steps = by_pair(commit)
            .into_iter()
            .map(|(pair, step)| self.store_pair(pair, step, &retention, deadline));
        let stored: Vec<Result<Vec<Candle>, PortError>> = stream::iter(steps)
            .buffer_unordered(PAIRS_AT_ONCE_MAX)
            .collect()
            .await;
        let mut corrected = Vec::new();
        for pair in stored {
            corrected.extend(pair?);
        }
        for (metric, count) in counts {
            self.count(metric, count);
        }
        corrected.sort_by(|a, b| {
            let order = |it: &Candle| (it.start_ms, it.interval);
            (&a.token, &a.quote, order(a)).cmp(&(&b.token, &b.quote, order(b)))
        });
        Ok(corrected)
    }
}

/// An item by its key.
fn take<'a>(found: &'a Found, key: &Item) -> Option<&'a Item> {
    let part = |name| text_of(key, name).ok().map(str::to_owned);
    found.get(&(part(PK)?, part(SK)?))
}

impl AnalyticsTable {
    /// The members of stored candles of one second; none for one that is not stored.
    async fn members_of(
        &self,
        seconds: &[(Pair, i64)],
        deadline: Instant,
    ) -> Result<Vec<Vec<Member>>, PortError> {
        let keys = seconds
            .iter()
            .map(|(pair, start_ms)| second_key(pair, *start_ms))
            .collect::<Result<Vec<Item>, _>>()
            .map_err(|error| error.at(LOAD))?;
        // A call must not have a key twice.
        let mut seen = HashSet::new();
        let different = seconds
            .iter()
            .zip(&keys)
            .filter(|(second, _)| seen.insert(*second));
        let different = different.map(|(_, key)| key.clone()).collect();
        let found = read_all(&self.client, &self.table, LOAD, different, deadline).await?;
        let members = |key: &Item| match take(&found, key) {
            Some(item) => candle_of(item).map(|candle| candle.members),
            None => Ok(Vec::new()),
        };
        keys.iter()
            .map(members)
            .collect::<Result<_, ItemError>>()
            .map_err(|error| error.at(LOAD))
    }

    /// Restores the members of open candles, which states are stored without.
    async fn restore_members(
        &self,
        pairs: &[Pair],
        states: &mut [Option<StoredState>],
        deadline: Instant,
    ) -> Result<(), PortError> {
        let mut open = Vec::new();
        for (pair, stored) in pairs.iter().zip(states.iter()) {
            let candles = stored.iter().flat_map(|it| it.state.open_candles());
            let seconds = candles.filter(|it| it.interval == Interval::OneSecond);
            open.extend(seconds.map(|candle| (pair.clone(), candle.start_ms)));
        }
        if open.is_empty() {
            return Ok(());
        }
        let members = self.members_of(&open, deadline).await?;
        let mut restored = open.into_iter().zip(members).peekable();
        for (pair, stored) in pairs.iter().zip(states.iter_mut()) {
            while let Some(((_, start_ms), members)) = restored.next_if(|((it, _), _)| it == pair) {
                if let Some(stored) = stored {
                    stored.state.restore_members(start_ms, members);
                }
            }
        }
        Ok(())
    }

    async fn store_anomalies(
        &self,
        anomalies: &[Anomaly],
        retention: &Retention,
        deadline: Instant,
    ) -> Result<(), PortError> {
        let put = |anomaly| anomaly_item(anomaly, retention.now_ms, retention.days);
        let mut writes = Vec::with_capacity(anomalies.len());
        for anomaly in anomalies {
            writes.push(put(anomaly).map_err(|error| error.at(STORE))?);
        }
        self.writer.write_all(STORE, writes, deadline).await
    }

    async fn store_pair(
        &self,
        pair: Pair,
        step: PairStep,
        retention: &Retention,
        deadline: Instant,
    ) -> Result<Vec<Candle>, PortError> {
        let keys = step
            .to_read()
            .map(candle_key)
            .collect::<Result<Vec<Item>, _>>()
            .map_err(|error| error.at(STORE))?;
        let found = read_all(&self.client, &self.table, STORE, keys, deadline).await?;
        let stored = found
            .values()
            .map(candle_of)
            .collect::<Result<Vec<Candle>, _>>()
            .map_err(|error| error.at(STORE))?;
        let (transactions, corrected) = step
            .transactions(&self.table, &pair, &stored, retention)
            .map_err(|error| CommitError::from(error).at(STORE))?;
        for actions in transactions {
            self.transact(&pair, actions, deadline)
                .await
                .map_err(|error| {
                    tracing::warn!(pair = %pair, cause = %error, "the analysis of a pair was not \
                        stored");
                    error.at(STORE)
                })?;
        }
        Ok(corrected)
    }

    /// Runs a transaction, with retries after conflicts.
    async fn transact(
        &self,
        pair: &Pair,
        actions: Vec<TransactWriteItem>,
        deadline: Instant,
    ) -> Result<(), CommitError> {
        let mut backoff = Backoff::until(deadline);
        let token = request_token();
        loop {
            let call = self
                .client
                .transact_write_items()
                .client_request_token(&token)
                .set_transact_items(Some(actions.clone()))
                .send();
            let late = || CallError::Unanswered("the commit timed out".to_owned());
            let error = match within(deadline, call).await.ok_or_else(late)? {
                Ok(_) => return Ok(()),
                Err(error) => why_cancelled(pair, &error),
            };
            if !error.is_worth_retrying() || !backoff.wait().await {
                return Err(error);
            }
        }
    }

    /// Candles of a pair and interval that start in a range, in order of time.
    ///
    /// # Errors
    /// [`PortError`], not retryable if the range is too long.
    pub async fn candles(
        &self,
        pair: &Pair,
        interval: Interval,
        range: ReadRange,
    ) -> Result<Vec<Candle>, PortError> {
        let partition = |at_ms| candle_partition(&pair.token, &pair.quote, interval, at_ms);
        let items = self.read_range(range, partition).await?;
        let candles = items.iter().rev().map(candle_of);
        candles
            .collect::<Result<_, _>>()
            .map_err(|error| error.at(range::READ))
    }

    /// Anomalies of all pairs in a range of event time, newest first.
    ///
    /// # Errors
    /// As [`AnalyticsTable::candles`].
    pub async fn anomalies(&self, range: ReadRange) -> Result<Vec<Anomaly>, PortError> {
        let items = self.read_range(range, anomaly_partition).await?;
        items
            .iter()
            .map(anomaly_of)
            .collect::<Result<_, _>>()
            .map_err(|error| error.at(range::READ))
    }
}

/// Identifies attempts of the same transaction, so an attempt whose response was lost does not
/// count as a conflict. At most 36 characters.
fn request_token() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Why a transaction was cancelled.
fn why_cancelled(
    pair: &Pair,
    error: &SdkError<TransactWriteItemsError, HttpResponse>,
) -> CommitError {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
        error.as_service_error()
    else {
        return CallError::of(error).into();
    };
    // DynamoDB reports `None` for actions that are not the cause.
    let codes = cancelled.cancellation_reasons().iter();
    let codes: Vec<&str> = codes
        .filter_map(|reason| reason.code())
        .filter(|code| *code != "None")
        .collect();
    match codes.first() {
        _ if codes.contains(&"ConditionalCheckFailed") => CommitError::Outdated(pair.clone()),
        Some(&"TransactionConflict" | &"ThrottlingError" | &"ProvisionedThroughputExceeded") => {
            CommitError::Cancelled(codes.join(", "))
        }
        Some(_) | None => CallError::of(error).into(),
    }
}
