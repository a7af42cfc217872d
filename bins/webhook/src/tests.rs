//! Overload: if the store is slower than its senders, deliveries are refused and do not accumulate.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use app::ingest::Ingest;
use app::ledger::LedgerEntry;
use app::ports::{
    CohortTick, LedgerWriter, OutboxId, PortError, PutOutcome, PutReceipt, Quarantine, Quarantined,
    Refused, RolloutFlag, TickQueue, TickStore, TickStream,
};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use domain::{Percentage, Rollout, RolloutKey, Tick};
use flate2::Compression;
use flate2::write::GzEncoder;
use testkit::ticks::START_MS;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::auth::{ActiveSecrets, FixedSecrets, Secrets, SecretsTooOld};
use crate::body::BodyLimits;
use crate::{Webhook, router};

/// A store that only stores when it is allowed to; the other ports accept everything.
struct Slow {
    allowed: Semaphore,
    /// Deliveries that reached the store, and those that it completed.
    begun: AtomicUsize,
    done: AtomicUsize,
}

#[async_trait]
impl TickStore for Slow {
    async fn put(&self, ticks: &[CohortTick]) -> Result<PutReceipt, PortError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.allowed.acquire().await.unwrap().forget();
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(PutReceipt {
            outcomes: vec![PutOutcome::Stored; ticks.len()],
            outbox_id: None,
            offer_again: Vec::new(),
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

/// A webhook with memory for this many bytes of deliveries.
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
        new_ids_from_ms: 0,
        settings: Arc::default(),
        recent_offers: Arc::default(),
    };
    let webhook = Arc::new(Webhook {
        ingest,
        secrets: Arc::new(FixedSecrets::new(Secrets::default())),
        body: BodyLimits::new(1_024 * 1_024, 1_024 * 1_024, working_bytes_max),
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

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_a_compressed_delivery_is_that_of_its_decoded_body() {
    let scene = scene(BYTES_FOR_FOUR);
    scene.slow.allowed.add_permits(100);
    let tick = format!(r#"{{"token":"BTC","price":"1","timestamp":{START_MS}}}"#);
    let spaces = " ".repeat(BYTES_FOR_FOUR);
    for (body, status) in [
        (gzip(tick.as_bytes()), StatusCode::OK),
        (
            gzip(format!("{tick}{spaces}").as_bytes()),
            StatusCode::SERVICE_UNAVAILABLE,
        ),
        // It is kept in the quarantine as it was sent.
        (tick.into_bytes(), StatusCode::BAD_REQUEST),
    ] {
        let request = Request::post("/webhooks/ticks")
            .header(header::CONTENT_ENCODING, "gzip")
            .header(header::CONTENT_LENGTH, body.len())
            .body(Body::from(body))
            .unwrap();
        let router = router(Arc::clone(&scene.webhook));
        assert_eq!(router.oneshot(request).await.unwrap().status(), status);
    }
    assert_eq!(scene.begun(), 1);
}

/// Memory for four deliveries of one tick, which need a little over 8 KiB each.
const BYTES_FOR_FOUR: usize = 40 * 1_024;

#[tokio::test(start_paused = true)]
async fn memory_is_not_released_when_senders_hang_up() {
    let scene = scene(BYTES_FOR_FOUR);
    for _ in 0..100 {
        // The paused clock advances once nothing else can run: the sender has hung up.
        let hung_up = tokio::time::timeout(Duration::from_millis(10), scene.deliver());
        drop(hung_up.await);
    }
    assert_eq!(scene.begun(), 4, "deliveries in progress keep their memory");
    let refused = scene.deliver().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    assert_eq!(scene.begun(), 4, "a refused delivery does not start");

    scene.slow.allowed.add_permits(100);
    assert_eq!(scene.deliver().await.status(), StatusCode::OK);
    assert_eq!(
        scene.slow.done.load(Ordering::Relaxed),
        5,
        "deliveries in progress are completed"
    );
}

#[tokio::test(start_paused = true)]
async fn memory_is_not_released_when_senders_are_asked_to_retry() {
    let scene = scene(BYTES_FOR_FOUR);
    for n in 0..10 {
        let answer = scene.deliver().await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        assert_eq!(scene.begun(), 4.min(n + 1));
    }
    scene.slow.allowed.add_permits(100);
    assert_eq!(scene.deliver().await.status(), StatusCode::OK);
}

/// Secrets that SSM has not returned for too long.
struct TooOld;

#[async_trait]
impl ActiveSecrets for TooOld {
    async fn current(&self) -> Result<Arc<Secrets>, SecretsTooOld> {
        Err(SecretsTooOld {
            seconds: 901,
            max: 900,
        })
    }
}

#[tokio::test]
async fn a_delivery_is_refused_for_a_retry_while_the_secrets_are_too_old() {
    let mut scene = scene(1_024 * 1_024);
    let webhook = Arc::get_mut(&mut scene.webhook).unwrap();
    webhook.secrets = Arc::new(TooOld);
    let response = scene.deliver().await;
    // A 401 would make senders give up.
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(scene.begun(), 0);
}
