//! Continues the analysis of a pair whose state cannot be read, after the pair's stored candles.
//!
//! So a state of another version, or a damaged one, does not stop the other pairs of its shard. Counts
//! and volumes continue where they were, since a step stores its state and its candles together.
//! Averages and the detector start from nothing.

use std::collections::HashSet;

use app::ports::{PortError, SequenceNumber, StoredState};
use domain::analytics::{Candle, Interval, PairState};
use domain::{FUTURE_TOLERANCE_MS, Pair};
use futures_util::StreamExt as _;
use futures_util::{TryStreamExt, stream};
use tokio::time::Instant;

use super::super::attributes::{Item, ItemError, PK, text, text_of};
use super::super::candle_item::{candle_of, candle_partition};
use super::super::pair_step::LAST_SEQUENCE;
use super::{AnalyticsTable, LOAD};
use crate::emf::STATES_SET_ASIDE;
use crate::error::CallError;
use crate::retry::{Backoff, within};

/// How many days back the candles of a pair are searched.
const DAYS_BACK: i64 = 31;

const MS_PER_DAY: i64 = 86_400_000;

impl AnalyticsTable {
    /// The state in place of the one in `item`. Its last record is that of the item, so that the
    /// next step replaces the item.
    pub(super) async fn resume(
        &self,
        pair: &Pair,
        item: &Item,
        cause: &ItemError,
        deadline: Instant,
    ) -> Result<StoredState, PortError> {
        let last_sequence = last_sequence(item).map_err(|error| error.at(LOAD))?;
        let candles = self.newest_candles(pair, deadline).await?;
        self.count(STATES_SET_ASIDE, 1);
        tracing::error!(pair = %pair, cause = %cause, candles = candles.len(), "the analysis of a \
            pair continues after its stored candles, since its state cannot be read");
        Ok(StoredState {
            last_sequence,
            state: PairState::resumed(pair, candles),
        })
    }

    /// The newest stored candle of each interval. The newest tick is in all of them, so only they may
    /// be open, and all are in the partition of the same day.
    async fn newest_candles(
        &self,
        pair: &Pair,
        deadline: Instant,
    ) -> Result<Vec<Candle>, PortError> {
        let now_ms = self.clock.now_ms();
        // A source's clock may be ahead of ours.
        let days = (0..=DAYS_BACK).map(|days| now_ms - days * MS_PER_DAY);
        let mut seen = HashSet::new();
        for at_ms in std::iter::once(now_ms + FUTURE_TOLERANCE_MS).chain(days) {
            if !seen.insert(at_ms.div_euclid(MS_PER_DAY)) {
                continue;
            }
            let newest = async |interval| self.newest_candle(pair, interval, at_ms, deadline).await;
            let Some(hour) = newest(Interval::OneHour).await? else {
                continue;
            };
            let shorter = Interval::ALL
                .into_iter()
                .filter(|it| *it != Interval::OneHour);
            let shorter: Vec<Option<Candle>> = stream::iter(shorter.map(newest))
                .buffered(Interval::ALL.len())
                .try_collect()
                .await?;
            return Ok(shorter.into_iter().flatten().chain([hour]).collect());
        }
        Ok(Vec::new())
    }

    /// The newest readable candle of an interval among those that start on the day of `at_ms`.
    async fn newest_candle(
        &self,
        pair: &Pair,
        interval: Interval,
        at_ms: i64,
        deadline: Instant,
    ) -> Result<Option<Candle>, PortError> {
        let partition = candle_partition(&pair.token, &pair.quote, interval, at_ms)
            .map_err(|error| error.at(LOAD))?;
        let mut backoff = Backoff::until(deadline);
        let items = loop {
            let call = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("#pk = :pk")
                .expression_attribute_names("#pk", PK)
                .expression_attribute_values(":pk", text(partition.as_str()))
                .scan_index_forward(false)
                .limit(1)
                .consistent_read(true)
                .send();
            let late = || CallError::Unanswered("the query timed out".to_owned());
            let answer = within(deadline, call).await.ok_or_else(late);
            match answer.and_then(|answer| answer.map_err(|error| CallError::of(&error))) {
                Ok(answer) => break answer.items.unwrap_or_default(),
                Err(error) if error.is_transient() && backoff.wait().await => {}
                Err(error) => return Err(error.at(LOAD)),
            }
        };
        let read = |item: &Item| match candle_of(item) {
            Ok(candle) => Some(candle),
            Err(error) => {
                tracing::error!(pair = %pair, interval = %interval, cause = %error, "a candle cannot be read");
                None
            }
        };
        Ok(items.first().and_then(read))
    }
}

/// The last record of the state in an item; the start if the item lacks it, as the condition of the
/// next step expects.
fn last_sequence(item: &Item) -> Result<SequenceNumber, ItemError> {
    if !item.contains_key(LAST_SEQUENCE) {
        return Ok(SequenceNumber::START);
    }
    let unreadable = |cause: String| ItemError::Unreadable {
        name: LAST_SEQUENCE,
        cause,
    };
    let text = text_of(item, LAST_SEQUENCE)?;
    text.parse()
        .map_err(|error: app::ports::SequenceNumberError| unreadable(error.to_string()))
}
