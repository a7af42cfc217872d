//! A service that does not answer: the invocation ends by itself, long before Lambda would end it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use analytics::handler::{ANALYSE_WITHIN, Analytics};
use app::ports::{PortError, SequenceNumber};
use app::replay::{Checkpoints, Head};
use async_trait::async_trait;
use testkit::replay::MemoryShards;
use testkit::ticks::ticks;
use tokio::time::Instant;

use super::{NONE, SHARD, Scene, data_of_all, event, failed, sequence};

/// Checkpoints of which one call never returns.
struct Hanging {
    inner: Arc<MemoryShards>,
    /// How many calls return before it.
    calls_left: AtomicI64,
}

impl Hanging {
    async fn call(&self) {
        if self.calls_left.fetch_sub(1, Ordering::Relaxed) == 0 {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Checkpoints for Hanging {
    async fn head(&self, shard: &str) -> Result<Option<Head>, PortError> {
        self.call().await;
        self.inner.head(shard).await
    }

    async fn advance(
        &self,
        shard: &str,
        base: Option<SequenceNumber>,
        to: SequenceNumber,
    ) -> Result<bool, PortError> {
        self.call().await;
        self.inner.advance(shard, base, to).await
    }

    async fn forget(&self, shard: &str, name: &str) -> Result<(), PortError> {
        self.call().await;
        self.inner.forget(shard, name).await
    }

    async fn load(&self, name: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.call().await;
        self.inner.load(name).await
    }

    async fn save(
        &self,
        shard: &str,
        position: SequenceNumber,
        bytes: Vec<u8>,
    ) -> Result<(), PortError> {
        self.call().await;
        self.inner.save(shard, position, bytes).await
    }
}

fn instance(scene: &Scene, calls_left: i64) -> (Analytics, Arc<Hanging>) {
    let checkpoints = Arc::new(Hanging {
        inner: Arc::clone(&scene.shards),
        calls_left: AtomicI64::new(calls_left),
    });
    let analytics = scene.instance_with(Arc::clone(&checkpoints) as _);
    (analytics, checkpoints)
}

/// On tokio's clock, which runs ahead to the next timer.
#[tokio::test(start_paused = true)]
async fn a_call_that_never_returns_ends_the_invocation_and_loses_nothing() {
    let made = ticks(&["A"], 10);
    let data = data_of_all(&made);
    // The head, the commit, and the snapshot.
    for calls in 0..3 {
        let scene = Scene::new();
        for (at, tick) in made.iter().enumerate() {
            let position = sequence(1 + at).parse().unwrap();
            scene.shards.append_as(SHARD, position, tick);
        }
        let (analytics, checkpoints) = instance(&scene, calls);
        let began = Instant::now();
        let error = analytics.handle(event(1, &data)).await.unwrap_err();
        let cause = runtime::causes::joined(&error);
        assert!(cause.contains("within 40 s"), "call {calls}: {cause}");
        assert_eq!(began.elapsed().as_secs(), ANALYSE_WITHIN.as_secs());
        // The same instance, once the service answers, and another one.
        assert_eq!(failed(&analytics, event(1, &data)).await, NONE);
        assert_eq!(failed(&scene.instance(), event(1, &data)).await, NONE);
        scene.instance().settle().await.unwrap();
        assert_eq!(scene.counts("A"), [10], "call {calls}");
        assert!(checkpoints.calls_left.load(Ordering::Relaxed) < 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_hourly_schedule_ends_too() {
    let scene = Scene::new();
    let data = data_of_all(&ticks(&["A"], 10));
    assert_eq!(failed(&scene.instance(), event(1, &data)).await, NONE);
    let (analytics, _) = instance(&scene, 0);
    let began = Instant::now();
    let error = analytics.settle().await.unwrap_err();
    assert!(error.retryable);
    assert_eq!(began.elapsed(), Duration::from_secs(40));
}
