//! Candles are computed again from the stored ticks, and stored in blocks with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use app::candle_rebuild::{
    CandlePlace, EventTicks, RebuildReport, RebuildRequest, RebuiltCandles, SpanChanges, rebuild,
};
use app::ports::{PortError, SequenceNumber};
use app::read_back::StoredTick;
use app::rebuilt_blocks::RebuiltBlocks;
use app::replay::{Blocks as _, StoredBlock};
use app::utc_days::days;
use async_trait::async_trait;
use chrono::NaiveDate;
use domain::analytics::{Candle, CandleBlock, Interval, SeriesKind};
use domain::{Pair, Quality, Tick, Token};
use testkit::replay::MemoryShards;
use testkit::ticks::{START_MS, tick};

struct Ticks(Vec<StoredTick>);

#[async_trait]
impl EventTicks for Ticks {
    async fn tokens(&self, _: i64, _: i64) -> Result<Vec<Token>, PortError> {
        let tokens: BTreeSet<Token> = self.0.iter().map(|row| row.tick.token.clone()).collect();
        Ok(tokens.into_iter().collect())
    }

    async fn days(&self, from_ms: i64, to_ms: i64) -> Result<BTreeSet<NaiveDate>, PortError> {
        Ok(days(from_ms, to_ms))
    }

    async fn of_token(
        &self,
        token: &Token,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<StoredTick>, PortError> {
        let in_range = |row: &&StoredTick| {
            row.tick.token == *token && (from_ms..to_ms).contains(&row.tick.timestamp_ms)
        };
        Ok(self.0.iter().filter(in_range).cloned().collect())
    }
}

/// Ticks of A and B, a second apart, for 15 minutes.
fn stored() -> Vec<StoredTick> {
    let made = (0..900).flat_map(|n| ["A", "B"].map(|token| tick(token, n)));
    let row = |tick| StoredTick {
        tick,
        in_cohort: Some(true),
    };
    made.map(row).collect()
}

fn block(ticks: &[Tick]) -> CandleBlock {
    let start_ms = CandleBlock::start_of(ticks[0].timestamp_ms);
    let mut block = CandleBlock::new(Pair::of(&ticks[0]), Interval::OneMinute, start_ms);
    for tick in ticks {
        block.add(tick, false);
    }
    block
}

/// The first block of A as it should be, and as if the analysis had lost its ticks from 30 on.
fn damaged(rows: &[StoredTick]) -> (CandleBlock, CandleBlock) {
    let of_a: Vec<Tick> = rows
        .iter()
        .map(|row| row.tick.clone())
        .filter(|it| it.token.as_str() == "A")
        .collect();
    (block(&of_a[..600]), block(&of_a[..30]))
}

struct Scene {
    ticks: Ticks,
    shards: Arc<MemoryShards>,
}

impl Scene {
    async fn new(rows: Vec<StoredTick>) -> Self {
        let shards = Arc::new(MemoryShards::default());
        let (_, damaged) = damaged(&rows);
        let position = SequenceNumber::from(7);
        let put = shards
            .put(&[StoredBlock {
                block: damaged,
                position,
            }])
            .await;
        put.into_iter().for_each(|outcome| outcome.unwrap());
        Self {
            ticks: Ticks(rows),
            shards,
        }
    }

    async fn run(&self, apply: bool) -> RebuildReport {
        self.received_before(i64::MAX, apply).await
    }

    fn candles(&self) -> RebuiltBlocks {
        RebuiltBlocks::new(Arc::clone(&self.shards) as _, Interval::OneMinute)
    }

    async fn received_before(&self, received_before_ms: i64, apply: bool) -> RebuildReport {
        self.of(&self.candles(), received_before_ms, apply).await
    }

    async fn of(
        &self,
        candles: &dyn RebuiltCandles,
        received_before_ms: i64,
        apply: bool,
    ) -> RebuildReport {
        let request = RebuildRequest {
            from_ms: START_MS + 1,
            to_ms: START_MS + 600_001,
            tokens: BTreeSet::new(),
            received_before_ms,
            apply,
        };
        let (report, done) = rebuild(&self.ticks, candles, &request, &|| false, &|_| {}).await;
        done.unwrap();
        report
    }

    async fn first_of_a(&self) -> StoredBlock {
        let pair = Pair::of(&self.ticks.0[0].tick);
        let found = self.shards.blocks(&[(pair, START_MS)]).await.unwrap();
        found.into_iter().next().unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_a_second_run_finds_nothing() {
    let scene = Scene::new(stored()).await;
    let before = scene.first_of_a().await;
    let shown = scene.run(false).await;
    // Of A: one candle with half of its ticks, and 14 that are missing; of B: all 15.
    assert_eq!((shown.same, shown.different, shown.missing), (0, 1, 29));
    assert_eq!((shown.tokens, shown.ticks, shown.replaced), (2, 1_800, 0));
    assert_eq!(scene.first_of_a().await, before);
    let example = shown
        .examples
        .iter()
        .find(|it| it.before.is_some())
        .unwrap();
    assert_eq!(
        (
            example.before.as_ref().unwrap().tick_count,
            example.after.tick_count
        ),
        (30, 60)
    );

    let applied = scene.run(true).await;
    assert_eq!(applied.replaced, 30);
    let after = scene.first_of_a().await;
    let (whole, _) = damaged(&scene.ticks.0);
    assert_eq!(after.position, before.position);
    assert_eq!(after.block.ticks(), 600);
    for (after, whole) in after.block.candles().zip(whole.candles()) {
        let is_first = after.start_ms == START_MS;
        assert_eq!(after.revision, u32::from(is_first), "{after:?}");
        let [after, whole] = [after, whole].map(|it| it.of_kind(SeriesKind::Trades).unwrap());
        assert_eq!(
            (after.tick_count, after.close),
            (whole.tick_count, whole.close)
        );
    }
    let again = scene.run(true).await;
    assert_eq!((again.changes(), again.replaced, again.same), (0, 0, 30));
    assert_eq!(scene.first_of_a().await, after);
}

#[tokio::test]
async fn only_ticks_that_count_make_candles() {
    let mut rows = stored();
    // Outside the stream, and too imprecise for candles.
    rows[2].in_cohort = Some(false);
    rows[4].tick.quality = Some(Quality::LowPrecision);
    let scene = Scene::new(rows).await;
    scene.run(true).await;
    let first = scene.first_of_a().await;
    assert_eq!(first.block.candle(START_MS).unwrap().tick_count(), 58);
    assert_eq!(first.block.ticks(), 598);
}

#[tokio::test]
async fn what_is_not_known_completely_is_left_alone() {
    let mut rows = stored();
    rows[0].in_cohort = None;
    let scene = Scene::new(rows).await;
    let before = scene.first_of_a().await;
    let report = scene.run(true).await;
    assert_eq!(report.undecided, 1);
    assert_eq!(
        scene.first_of_a().await,
        before,
        "the block is not replaced without all of its ticks"
    );

    let scene = Scene::new(stored()).await;
    let recent = scene.received_before(START_MS + 100_000, true).await;
    assert!(recent.growing > 0);
    assert_eq!(scene.first_of_a().await, before);

    // The stored block has a candle whose ticks are gone.
    let mut rows = stored();
    rows.retain(|row| row.tick.timestamp_ms >= START_MS + 60_000);
    let scene = Scene {
        ticks: Ticks(rows),
        shards: Scene::new(stored()).await.shards,
    };
    let report = scene.run(true).await;
    assert_eq!(report.without_ticks, 1);
    let kept = scene
        .shards
        .blocks(&[(Pair::of(&tick("A", 0)), START_MS)])
        .await
        .unwrap();
    assert_eq!(kept[0].as_ref().unwrap().block, before.block);
}

/// With another interval, every candle would look missing, and the replacements could not be stored.
#[tokio::test]
async fn stored_candles_of_another_interval_are_not_taken_for_missing_ones() {
    let scene = Scene::new(stored()).await;
    let candles = RebuiltBlocks::new(Arc::clone(&scene.shards) as _, Interval::FiveMinutes);
    let request = RebuildRequest {
        from_ms: START_MS,
        to_ms: START_MS + 600_000,
        tokens: BTreeSet::new(),
        received_before_ms: i64::MAX,
        apply: true,
    };
    let (report, done) = rebuild(&scene.ticks, &candles, &request, &|| false, &|_| {}).await;
    let refused = done.unwrap_err().source.to_string();
    assert!(refused.contains("use --interval 1m"), "{refused}");
    assert_eq!(report.replaced, 0);
}

/// Counts how often the open candles of the analysis are read.
struct CountsReads {
    candles: RebuiltBlocks,
    open: AtomicU64,
}

#[async_trait]
impl RebuiltCandles for CountsReads {
    fn intervals(&self) -> &[Interval] {
        self.candles.intervals()
    }

    fn span_ms(&self) -> i64 {
        self.candles.span_ms()
    }

    fn needs_ticks(&self) -> bool {
        self.candles.needs_ticks()
    }

    async fn stored(
        &self,
        token: &Token,
        with_ticks: &BTreeSet<Pair>,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<Candle>, PortError> {
        self.candles.stored(token, with_ticks, from_ms, to_ms).await
    }

    async fn open(&self, pairs: &BTreeSet<Pair>) -> Result<BTreeSet<CandlePlace>, PortError> {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.candles.open(pairs).await
    }

    async fn replace(&self, pair: &Pair, span: SpanChanges) -> Result<u64, PortError> {
        self.candles.replace(pair, span).await
    }
}

/// They are the states of the analysis, of which a day of matching candles needs none.
#[tokio::test]
async fn open_candles_are_only_read_where_a_candle_differs() {
    let scene = Scene::new(stored()).await;
    let reads = async |apply| {
        let counts = CountsReads {
            candles: scene.candles(),
            open: AtomicU64::new(0),
        };
        let report = scene.of(&counts, i64::MAX, apply).await;
        (report.changes(), counts.open.load(Ordering::Relaxed))
    };
    // Two tokens in two spans.
    assert_eq!(reads(true).await, (30, 4));
    assert_eq!(reads(false).await, (0, 0));
}
