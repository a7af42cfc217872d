//! The analysis with a store that fails for some ticks.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use app::analyse::{AnalysisFeed, AnalysisUpdate};
use app::isolate::SettingAside;
use app::ports::{
    AnalysisCommit, AnalyticsStore, PortError, Quarantined, StoredState, StreamRecord,
    TickStore as _, TickStream as _,
};
use async_trait::async_trait;
use domain::analytics::{AnalysisConfig, Anomaly, Candle};
use domain::detection::AnomalyKind;
use domain::{Pair, Price, Reason, Tick, cohort_bucket};
use rust_decimal::Decimal;
use store::{EmbeddedConfig, SHARDS};
use tempfile::TempDir;
use testkit::ticks::{START_MS, in_cohort, tick, ticks};

use super::*;
use crate::supervisor::Supervisor;

/// The price for which the store panics.
const PANIC: i64 = 666;

/// The price for which the store returns an error that a retry does not cure.
const ERROR: i64 = 667;

/// Fails when it stores candles with certain prices.
struct Fragile {
    store: EmbeddedStore,
    is_full: AtomicBool,
}

impl Fragile {
    fn check(&self, commit: &AnalysisCommit) -> Result<(), PortError> {
        let failed = |retryable, why: &str| PortError {
            operation: "store the analysis",
            retryable,
            source: why.into(),
        };
        if self.is_full.load(Ordering::Relaxed) {
            return Err(failed(true, "the disk is full"));
        }
        let has = |price| {
            let price = Price::new(Decimal::from(price)).unwrap();
            let candles = commit.candles.iter().chain(&commit.corrections);
            candles
                .flat_map(|it| &it.series)
                .any(|it| it.values.high == price || it.values.low == price)
        };
        assert!(!has(PANIC), "a panic of the test");
        if has(ERROR) {
            return Err(failed(false, "an error of the test"));
        }
        Ok(())
    }
}

#[async_trait]
impl AnalyticsStore for Fragile {
    async fn load(&self, shard: u8, pairs: &[Pair]) -> Result<Vec<Option<StoredState>>, PortError> {
        self.store.load(shard, pairs).await
    }

    async fn commit(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
    ) -> Result<Vec<Candle>, PortError> {
        self.check(&commit)?;
        AnalyticsStore::commit(&self.store, shard, last, commit).await
    }
}

#[async_trait]
impl SettingAside for Fragile {
    async fn commit_setting_aside(
        &self,
        shard: u8,
        last: SequenceNumber,
        commit: AnalysisCommit,
        set_aside: Vec<Quarantined>,
    ) -> Result<Vec<Candle>, PortError> {
        self.check(&commit)?;
        self.store
            .commit_setting_aside(shard, last, commit, set_aside)
            .await
    }
}

/// Keeps the anomalies.
#[derive(Default)]
struct Published(Mutex<Vec<Anomaly>>);

#[async_trait]
impl AnalysisFeed for Published {
    async fn publish(&self, update: AnalysisUpdate) {
        self.0.lock().unwrap().extend(update.anomalies);
    }
}

/// The analysis of the shard of BTC.
struct Harness {
    _folder: TempDir,
    store: EmbeddedStore,
    fragile: Arc<Fragile>,
    published: Arc<Published>,
    clock_ms: Arc<AtomicI64>,
    /// How often the clock was read: each turn of the analysis does.
    clock_reads: Arc<AtomicU64>,
    shard: u8,
    supervisor: Supervisor,
    stopping: CancellationToken,
}

impl Harness {
    async fn start(ticks: &[Tick]) -> Self {
        let folder = TempDir::new().unwrap();
        let store = EmbeddedStore::open(&EmbeddedConfig::new(folder.path().to_owned())).unwrap();
        append(&store, ticks).await;
        let ends = store.end_offsets();
        let shard = ends.iter().position(|end| end.count() > 0).unwrap();
        let fragile = Fragile {
            store: store.clone(),
            is_full: AtomicBool::new(false),
        };
        let harness = Self {
            _folder: folder,
            store,
            fragile: Arc::new(fragile),
            published: Arc::default(),
            clock_ms: Arc::new(AtomicI64::new(START_MS)),
            clock_reads: Arc::default(),
            shard: u8::try_from(shard).unwrap(),
            supervisor: Supervisor::default(),
            stopping: CancellationToken::new(),
        };
        harness.spawn();
        harness
    }

    fn spawn(&self) {
        let clock_ms = Arc::clone(&self.clock_ms);
        let reads = Arc::clone(&self.clock_reads);
        let analysis = Arc::new(Analysis {
            stream: self.store.clone(),
            isolation: Isolation {
                shard: self.shard,
                store: Arc::clone(&self.fragile) as _,
                feed: Arc::clone(&self.published) as _,
                clock: Arc::new(move || {
                    reads.fetch_add(1, Ordering::Relaxed);
                    clock_ms.load(Ordering::Relaxed)
                }),
                config: AnalysisConfig::default(),
            },
        });
        self.supervisor
            .spawn("analytics", &self.stopping, move |progress, stopping| {
                let analysis = Arc::clone(&analysis);
                async move { analysis.run(&progress, &stopping).await }
            });
    }

    /// Waits until the whole stream is analysed.
    async fn analysed(&self) {
        let end = self.store.end_offsets()[usize::from(self.shard)];
        self.until(|| self.store.checkpoint("analytics", self.shard).unwrap() == end)
            .await;
        self.until(|| self.supervisor.down().is_empty()).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        assert!(waited.is_ok(), "{:?}", self.supervisor.health());
    }

    fn restarts(&self) -> u64 {
        self.supervisor.health()[0].restarts
    }

    /// How many ticks are in the candles of an hour.
    async fn in_candles(&self) -> u64 {
        let everything = store::TickRange {
            from_ms: 0,
            to_ms: i64::MAX,
            limit: 10_000,
        };
        let hour = domain::analytics::Interval::OneHour;
        let found = self.store.candles("BTC", None, hour, everything).await;
        let candles = found.unwrap().unwrap_or_default();
        candles.iter().map(Candle::tick_count).sum()
    }

    /// The messages of the quarantine.
    async fn set_aside(&self) -> Vec<String> {
        let kept = self.store.quarantined(10_000).await.unwrap();
        let messages = kept.into_iter().map(|kept| {
            assert_eq!(kept.entry.reason, Reason::Unprocessable);
            assert_eq!(kept.source, "analytics");
            assert!(kept.entry.raw.contains(r#""token":"BTC""#), "{kept:?}");
            kept.entry.message
        });
        messages.collect()
    }

    async fn end(self) {
        self.stopping.cancel();
        self.supervisor.ended().await;
    }
}

async fn append(store: &EmbeddedStore, ticks: &[Tick]) {
    store.put(&in_cohort(ticks)).await.unwrap();
    let refs: Vec<&Tick> = ticks.iter().collect();
    store.append(&refs, None).await.unwrap();
}

/// A tick that is received when it happens, so long after the start.
fn after_ms(ms: i64, tick: Tick) -> Tick {
    Tick {
        timestamp_ms: START_MS + ms,
        ingested_at_ms: START_MS + ms,
        ..tick
    }
}

/// A tick of BTC with a price of its own, as late as the first ones.
fn priced(n: u32, price: i64) -> Tick {
    Tick {
        price: Price::new(Decimal::from(price)).unwrap(),
        timestamp_ms: START_MS,
        ..tick("BTC", n)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_set_aside_and_its_shard_goes_on() {
    let mut made = ticks(&["BTC"], 1_000);
    made.insert(0, priced(2_000, PANIC));
    made.insert(700, priced(2_001, ERROR));
    made.push(priced(2_002, PANIC));
    let harness = Harness::start(&made).await;
    harness.analysed().await;
    assert_eq!(harness.in_candles().await, 1_000);
    let messages = harness.set_aside().await;
    assert_eq!(messages.len(), 3);
    for record in ["record 1)", "record 701)", "record 1003)"] {
        let mut found = messages.iter();
        assert!(found.any(|it| it.contains(record)), "{messages:?}");
    }
    let with = |text| messages.iter().filter(|it| it.contains(text)).count();
    assert_eq!(with("panic: a panic of the test"), 2, "{messages:?}");
    assert_eq!(with("an error of the test"), 1, "{messages:?}");
    assert_eq!(harness.store.set_aside("analytics"), 3);
    assert!(harness.restarts() >= 1);
    // Later ticks of the shard are analysed, and later poison is set aside, too.
    let mut later: Vec<Tick> = (1_000..1_100).map(|n| tick("BTC", n)).collect();
    later.insert(50, priced(2_003, PANIC));
    append(&harness.store, &later).await;
    harness.analysed().await;
    assert_eq!(harness.in_candles().await, 1_100);
    assert_eq!(harness.set_aside().await.len(), 4);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_writes_is_waited_for() {
    let harness = Harness::start(&ticks(&["BTC"], 100)).await;
    harness.analysed().await;
    harness.fragile.is_full.store(true, Ordering::Relaxed);
    append(&harness.store, &[priced(2_000, PANIC), tick("BTC", 100)]).await;
    harness.until(|| harness.restarts() >= 3).await;
    assert_eq!(harness.supervisor.down(), ["analytics"]);
    assert_eq!(harness.set_aside().await, [""; 0]);
    harness.fragile.is_full.store(false, Ordering::Relaxed);
    harness.analysed().await;
    assert_eq!(harness.in_candles().await, 101);
    assert_eq!(harness.set_aside().await.len(), 1);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_set_aside_while_everything_fails() {
    let poison: Vec<Tick> = (0..5).map(|n| priced(n, PANIC)).collect();
    let harness = Harness::start(&poison).await;
    harness.until(|| harness.restarts() >= 3).await;
    assert_eq!(harness.supervisor.down(), ["analytics"]);
    assert_eq!(harness.set_aside().await, [""; 0]);
    // One that succeeds shows that the others are at fault.
    append(&harness.store, &[tick("BTC", 100)]).await;
    harness.analysed().await;
    assert_eq!(harness.in_candles().await, 1);
    assert_eq!(harness.set_aside().await.len(), 5);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_feed_is_found_by_the_clock() {
    let each_second = |n: u32| after_ms(i64::from(n) * 1_000, tick("BTC", n));
    let made: Vec<Tick> = (0..300).map(each_second).collect();
    let harness = Harness::start(&made).await;
    harness.analysed().await;
    let found = || harness.published.0.lock().unwrap().len();
    // The clock advances as a process sees it.
    let advance = || harness.clock_ms.fetch_add(10_000, Ordering::Relaxed);
    harness.clock_ms.fetch_add(300_000, Ordering::Relaxed);
    for _ in 0..6 {
        assert_eq!(found(), 0);
        advance();
        tokio::time::sleep(SILENCES_EVERY).await;
        if found() > 0 {
            break;
        }
    }
    harness.until(|| found() == 1).await;
    let silence = harness.published.0.lock().unwrap()[0].clone();
    assert_eq!(silence.detection.kind, AnomalyKind::Silence);
    assert_eq!(silence.tick_id, made[299].tick_id);
    let stored = harness.store.anomalies(None, 10).await.unwrap();
    assert_eq!(stored, [silence]);
    harness.end().await;
}

/// A token whose ticks are in another shard shows that this process goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_dies_while_another_shard_has_ticks_is_found_within_a_second() {
    let ten_a_second = |n: u32| after_ms(i64::from(n) * 100, tick("BTC", n));
    let made: Vec<Tick> = (0..1_000).map(ten_a_second).collect();
    let harness = Harness::start(&made).await;
    harness.analysed().await;
    let shard_of = |token: &&str| cohort_bucket(token) % u16::from(SHARDS);
    let mut others = ["ETH", "SOL", "ADA", "XRP"].into_iter();
    let other = others.find(|it| shard_of(it) != u16::from(harness.shard));
    let found = || harness.published.0.lock().unwrap().len();
    let reads = || harness.clock_reads.load(Ordering::Relaxed);
    for n in 999..1_010 {
        let ms = i64::from(n) * 100;
        harness.clock_ms.store(START_MS + ms, Ordering::Relaxed);
        let elsewhere = after_ms(ms, tick(other.unwrap(), n));
        append(&harness.store, &[elsewhere]).await;
        // In the first of two turns, the tick may have come too late.
        let before = reads();
        harness.until(|| reads() >= before + 2).await;
    }
    harness.until(|| found() == 1).await;
    let silence = harness.published.0.lock().unwrap()[0].clone();
    assert_eq!(silence.detection.kind, AnomalyKind::Silence);
    assert_eq!(silence.tick_id, made[999].tick_id);
    let after_last_ms = silence.timestamp_ms - made[999].timestamp_ms;
    assert!((500..=1_000).contains(&after_last_ms), "{after_last_ms}");
    harness.end().await;
}

#[tokio::test]
async fn an_anomaly_is_committed_sooner_than_other_results() {
    let folder = TempDir::new().unwrap();
    let store = EmbeddedStore::open(&EmbeddedConfig::new(folder.path().to_owned())).unwrap();
    let feed = Arc::new(Published::default());
    let mut analyser = Analyser::new(0, Arc::new(store), feed, AnalysisConfig::default());
    let records = (0..301).map(|n| {
        let jumped = if n == 300 {
            priced(n, 9_000_000)
        } else {
            tick("BTC", n)
        };
        StreamRecord {
            sequence: SequenceNumber::from(u64::from(n) + 1),
            tick: after_ms(i64::from(n) * 1_000, jumped),
        }
    });
    let records: Vec<StreamRecord> = records.collect();
    analyser.fold(&records[..300]).await.unwrap();
    let usual = commit_every(&analyser);
    analyser.fold(&records[300..]).await.unwrap();
    assert!(commit_every(&analyser) < usual);
}
