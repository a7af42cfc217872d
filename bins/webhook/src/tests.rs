//! Overload: a store that is slower than its senders refuses deliveries, and does not gather them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use app::ingest::Ingest;
use app::ledger::LedgerEntry;
use app::ports::{
    LedgerWriter, OutboxId, PortError, PutOutcome, PutReceipt, Quarantine, Quarantined, Refused,
    RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use domain::{Percentage, Rollout, RolloutKey, Tick};
use testkit::ticks::START_MS;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::auth::Secrets;
use crate::body::BodyLimits;
use crate::{Webhook, router};

/// A store that stores as often as it is allowed to; the other ports take everything.
struct Slow {
    allowed: Semaphore,
    /// Deliveries that reached the store, and those that were done there.
    begun: AtomicUsize,
    done: AtomicUsize,
}

#[async_trait]
impl TickStore for Slow {
    async fn put(&self, ticks: &[&Tick]) -> Result<PutReceipt, PortError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.allowed.acquire().await.unwrap().forget();
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(PutReceipt {
            outcomes: vec![PutOutcome::Stored; ticks.len()],
            outbox_id: None,
            retimed: Vec::new(),
        })
    }
}

#[async_trait]
impl TickStream for Slow {
    async fn append(&self, _: &[&Tick], _: Option<OutboxId>) -> Result<Vec<Refused>, PortError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl TickQueue for Slow {
    async fn send(&self, _: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Quarantine for Slow {
    async fn keep(&self, _: &[Quarantined]) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl LedgerWriter for Slow {
    async fn commit(&self, _: Option<OutboxId>, _: LedgerEntry) -> Result<(), PortError> {
        Ok(())
    }
}

#[async_trait]
impl RolloutFlag for Slow {
    async fn current(&self) -> Rollout {
        Rollout {
            use_kinesis: true,
            percentage: Percentage::FULL,
            key: RolloutKey::Tick,
        }
    }
}

struct Scene {
    slow: Arc<Slow>,
    webhook: Arc<Webhook>,
}

/// A webhook with room for this many bytes of deliveries.
fn scene(working_bytes_max: usize) -> Scene {
    let slow = Arc::new(Slow {
        allowed: Semaphore::new(0),
        begun: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
    });
    let ingest = Ingest {
        store: Arc::clone(&slow) as _,
        stream: Arc::clone(&slow) as _,
        broadcast: Arc::clone(&slow) as _,
        redrive: Some(Arc::clone(&slow) as _),
        quarantine: Arc::clone(&slow) as _,
        ledger: Arc::clone(&slow) as _,
        flag: Arc::clone(&slow) as _,
        clock: Arc::new(|| START_MS),
    };
    let webhook = Arc::new(Webhook {
        ingest,
        secrets: Secrets::default(),
        body: BodyLimits::new(1_024 * 1_024, working_bytes_max),
        answer_within: Duration::from_secs(5),
    });
    Scene { slow, webhook }
}

impl Scene {
    fn deliver(&self) -> impl Future<Output = Response> + use<> {
        let body = format!(r#"[{{"token":"BTC","price":"1","timestamp":{START_MS}}}]"#);
        let request = Request::post("/webhooks/ticks")
            .header(header::CONTENT_LENGTH, body.len())
            .body(Body::from(body))
            .unwrap();
        let router = router(Arc::clone(&self.webhook));
        async move { router.oneshot(request).await.unwrap() }
    }

    fn begun(&self) -> usize {
        self.slow.begun.load(Ordering::Relaxed)
    }
}

/// Room for four deliveries of one tick: each takes a little over 8 KiB.
const ROOM_FOR_FOUR: usize = 40 * 1_024;

#[tokio::test(start_paused = true)]
async fn senders_that_hang_up_do_not_make_room_for_more() {
    let scene = scene(ROOM_FOR_FOUR);
    for _ in 0..100 {
        // The clock jumps as soon as nothing else can go on: the sender has hung up.
        let hung_up = tokio::time::timeout(Duration::from_millis(10), scene.deliver());
        drop(hung_up.await);
    }
    assert_eq!(scene.begun(), 4, "what is begun is held by its delivery");
    let refused = scene.deliver().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert_eq!(scene.begun(), 4, "a refused delivery takes nothing");

    scene.slow.allowed.add_permits(100);
    assert_eq!(scene.deliver().await.status(), StatusCode::OK);
    assert_eq!(
        scene.slow.done.load(Ordering::Relaxed),
        5,
        "what was begun is seen through"
    );
}

#[tokio::test(start_paused = true)]
async fn senders_that_were_told_to_come_again_do_not_make_room_for_more() {
    let scene = scene(ROOM_FOR_FOUR);
    for n in 0..10 {
        let answer = scene.deliver().await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        assert_eq!(scene.begun(), 4.min(n + 1));
    }
    scene.slow.allowed.add_permits(100);
    assert_eq!(scene.deliver().await.status(), StatusCode::OK);
}
