//! The services of an outage on tokio's clock: DynamoDB, Kinesis and the redrive queue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use app::ports::{OutboxId, PortError, Refused, TickQueue, TickStream};
use async_trait::async_trait;
use aws_client::scripted_http::{Answer as Response, Wire};
use aws_sdk_dynamodb::Client;
use domain::Tick;
use serde_json::Value;
use testkit::throttled_table::{OF_PARTITION, ThrottledTable, UNLIMITED};
use tokio::time::Instant;

use crate::cloud::{Stream, data_of};

/// The start of the clock, epoch ms.
pub(crate) const START_MS: i64 = 1_767_225_600_000;

/// When the services go, and come back, in seconds after the start.
pub(crate) const KINESIS_AWAY_FROM: u64 = 540;
pub(crate) const DYNAMODB_AWAY_FROM: u64 = 600;
pub(crate) const BACK_AT: u64 = DYNAMODB_AWAY_FROM + 3_600;

/// The world on tokio's clock.
pub(crate) struct World {
    pub(crate) start: Instant,
    pub(crate) ticks: ThrottledTable,
    pub(crate) analytics: ThrottledTable,
    pub(crate) stream: Arc<Stream>,
    /// Whether the stream refused something.
    pub(crate) has_refused: AtomicBool,
    pub(crate) redrive: Mutex<BTreeMap<usize, Message>>,
}

/// A message of the redrive queue.
pub(crate) struct Message {
    pub(crate) body: String,
    pub(crate) visible_at: u64,
    pub(crate) receives: u32,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            ticks: ThrottledTable::new(UNLIMITED, OF_PARTITION, 1),
            analytics: ThrottledTable::new(UNLIMITED, OF_PARTITION, 2),
            stream: Arc::default(),
            has_refused: AtomicBool::new(false),
            redrive: Mutex::default(),
        })
    }

    /// Seconds since the start.
    pub(crate) fn seconds(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn is_away(&self, from: u64) -> bool {
        (from..BACK_AT).contains(&self.seconds())
    }

    /// DynamoDB's answer. Away, it is silent at first, and refuses later.
    fn respond(&self, table: &ThrottledTable, operation: &str, body: &Value) -> Response {
        let second = self.seconds();
        if self.is_away(DYNAMODB_AWAY_FROM) {
            return match (second - DYNAMODB_AWAY_FROM) / 1_200 {
                0 => Response::Silence,
                1 => Response::Refusal(500, "InternalServerError"),
                _ => Response::Refusal(503, "ServiceUnavailable"),
            };
        }
        match table.respond(operation, body, second) {
            Ok(answer) => Response::Good(answer),
            Err(refusal) => Response::Refused(400, refusal.body()),
        }
    }
}

/// Kinesis' producer side, and the redrive queue.
pub(crate) struct Ports(pub(crate) Arc<World>);

#[async_trait]
impl TickStream for Ports {
    async fn append(
        &self,
        ticks: &[&Tick],
        outbox_id: Option<OutboxId>,
    ) -> Result<Vec<Refused>, PortError> {
        if self.0.is_away(KINESIS_AWAY_FROM) {
            self.0.has_refused.store(true, Ordering::Relaxed);
            return Err(PortError {
                operation: "append to the stream",
                retryable: true,
                source: "ServiceUnavailable".into(),
            });
        }
        self.0.stream.append(ticks, outbox_id).await
    }
}

#[async_trait]
impl TickQueue for Ports {
    async fn send(&self, ticks: &[&Tick]) -> Result<Vec<Refused>, PortError> {
        let mut queue = self.0.redrive.lock().unwrap();
        for tick in ticks {
            let message = Message {
                body: String::from_utf8(data_of(tick)).unwrap(),
                visible_at: self.0.seconds(),
                receives: 0,
            };
            let id = queue.keys().next_back().map_or(0, |last| last + 1);
            queue.insert(id, message);
        }
        Ok(Vec::new())
    }
}

/// A client of one of the tables.
pub(crate) fn client(world: &Arc<World>, table: fn(&World) -> &ThrottledTable) -> Client {
    let world = Arc::clone(world);
    let wire = Wire::new(move |_, call| world.respond(table(&world), &call.operation, &call.body));
    Client::new(&wire.config())
}
