//! Candles that are stored in blocks of ten minutes with their ticks: a block is replaced as a whole.
//!
//! The new block has the position of the old one: records that the analysis adds later are compared with its ticks, so
//! that one that is in it already is not counted again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use domain::analytics::{Candle, CandleBlock, Interval};
use domain::{Pair, Token};

use crate::candle_rebuild::{CandlePlace, RebuiltCandles, SpanChanges};
use crate::ports::{PortError, SequenceNumber};
use crate::replay::{Blocks, StoredBlock};

/// How long a block is, milliseconds.
const BLOCK_MS: i64 = 600_000;

/// Blocks of candles of one interval.
pub struct RebuiltBlocks {
    blocks: Arc<dyn Blocks>,
    intervals: [Interval; 1],
}

impl RebuiltBlocks {
    /// Blocks whose candles have this interval, of at most ten minutes.
    #[must_use]
    pub fn new(blocks: Arc<dyn Blocks>, interval: Interval) -> Self {
        let intervals = [interval];
        Self { blocks, intervals }
    }

    async fn block(&self, pair: &Pair, start_ms: i64) -> Result<Option<StoredBlock>, PortError> {
        let found = self.blocks.blocks(&[(pair.clone(), start_ms)]).await?;
        Ok(found.into_iter().next().flatten())
    }
}

/// Candles of the interval that was asked for would all be missing there, and could not be stored.
fn other_interval(asked: Interval, stored: Interval) -> PortError {
    PortError {
        operation: "compare candles",
        retryable: false,
        source: format!("the stored candles have the interval {stored}, and not {asked}: use --interval {stored}").into(),
    }
}

#[async_trait]
impl RebuiltCandles for RebuiltBlocks {
    fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    fn span_ms(&self) -> i64 {
        BLOCK_MS
    }

    fn needs_ticks(&self) -> bool {
        true
    }

    async fn stored(
        &self,
        _: &Token,
        with_ticks: &BTreeSet<Pair>,
        from_ms: i64,
        _: i64,
    ) -> Result<Vec<Candle>, PortError> {
        let keys: Vec<(Pair, i64)> = with_ticks
            .iter()
            .map(|pair| (pair.clone(), from_ms))
            .collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.blocks.blocks(&keys).await?;
        let candles = found.into_iter().flatten();
        let candles = candles.flat_map(|it| it.block.candles().cloned().collect::<Vec<_>>());
        let candles: Vec<Candle> = candles.collect();
        let [interval] = self.intervals;
        match candles.iter().find(|candle| candle.interval != interval) {
            None => Ok(candles),
            Some(other) => Err(other_interval(interval, other.interval)),
        }
    }

    /// Always empty: ticks that analytics still has only in memory are recognised by the time of their receipt.
    async fn open(&self, _: &BTreeSet<Pair>) -> Result<BTreeSet<CandlePlace>, PortError> {
        Ok(BTreeSet::new())
    }

    async fn replace(&self, pair: &Pair, span: SpanChanges) -> Result<u64, PortError> {
        let Some(first) = span.changes.first() else {
            return Ok(0);
        };
        let [interval] = self.intervals;
        let start_ms = CandleBlock::start_of(first.after.start_ms);
        let stored = self.block(pair, start_ms).await?;
        let stored_candle = |at_ms: i64| stored.as_ref().and_then(|it| it.block.candle(at_ms));
        let is_as_compared = |at_ms: i64, before: Option<&Candle>| stored_candle(at_ms) == before;
        let mut changes = span.changes.iter();
        if !changes.all(|it| is_as_compared(it.after.start_ms, it.before.as_ref())) {
            return Ok(0);
        }
        let mut block = CandleBlock::new(pair.clone(), interval, start_ms);
        for tick in &span.ticks {
            block.add(tick, false);
        }
        let mut of_stored = stored.iter().flat_map(|it| it.block.candles());
        if of_stored
            .any(|candle| candle.interval != interval || block.candle(candle.start_ms).is_none())
        {
            // It has candles of another interval, or without stored ticks.
            return Ok(0);
        }
        let changed: BTreeMap<i64, Option<u32>> = span
            .changes
            .iter()
            .map(|it| {
                (
                    it.after.start_ms,
                    it.before.as_ref().map(|before| before.revision),
                )
            })
            .collect();
        block.set_revisions(|at_ms| match changed.get(&at_ms) {
            Some(before) => before.map_or(0, |revision| revision + 1),
            None => stored_candle(at_ms).map_or(0, |candle| candle.revision),
        });
        let position = stored
            .as_ref()
            .map_or(SequenceNumber::START, |it| it.position);
        let outcomes = self.blocks.put(&[StoredBlock { block, position }]).await;
        outcomes.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(span.changes.len() as u64)
    }
}
