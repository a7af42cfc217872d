//! Reads bodies, within limits for their size, their time, and the memory of all.
//!
//! Memory is reserved as a body arrives, not as it is announced. If it is used up, bodies that have
//! stalled, or have been arriving for long, are given up: who stalls cannot shut out those that send.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use runtime::problem::Problem;
use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::body_size::{BODY_BYTES_MAX, too_large};
use crate::memory::{RESERVE_WITHIN, busy, memory, permits};

/// How long a sender may take to send a body.
pub(crate) const READ_WITHIN: Duration = Duration::from_secs(10);

/// The memory of even the smallest body: its connection's buffer and its task.
pub(crate) const UPLOAD_BYTES_MIN: usize = 32 * 1_024;

/// A body of which nothing has arrived for this long may be given up for others.
const STALLED_AFTER: Duration = Duration::from_millis(100);

/// From this age on, a body may be given up for others even if a little of it arrives now and then. It is less
/// than [`RESERVE_WITHIN`], so that a body that waits for memory gets it.
const SLOW_AFTER: Duration = Duration::from_millis(500);

/// How often a body that waits for memory looks for one to give up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The bodies that are being read with one budget of memory.
#[derive(Clone)]
pub(crate) struct Uploads {
    memory: Arc<Semaphore>,
    arriving: Arc<Mutex<Arriving>>,
}

#[derive(Default)]
struct Arriving {
    begun: u64,
    /// By the order in which they began.
    bodies: BTreeMap<u64, Arriver>,
}

struct Arriver {
    began: Instant,
    /// When something of it arrived.
    arrived: Instant,
    permits: u32,
    given_up: Arc<Notify>,
}

/// A body while it arrives.
struct Upload {
    uploads: Uploads,
    number: u64,
    held: Option<OwnedSemaphorePermit>,
}

impl Uploads {
    /// Bodies with this much memory in total.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            memory: memory(bytes_max),
            arriving: Arc::default(),
        }
    }

    /// Reads a body within the limits. What is returned with it holds its memory.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
        let announced = announced_bytes(headers)?;
        let given_up = Arc::new(Notify::new());
        let upload = self.begin(Arc::clone(&given_up));
        let reading = tokio::time::timeout(READ_WITHIN, upload.collect(announced, body));
        tokio::select! {
            () = given_up.notified() => Err(busy()),
            read = reading => read.unwrap_or_else(|_| {
                let detail = format!("the body took longer than {} s", READ_WITHIN.as_secs());
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
            }),
        }
    }

    fn begin(&self, given_up: Arc<Notify>) -> Upload {
        let mut arriving = self.arriving();
        arriving.begun += 1;
        let number = arriving.begun;
        let now = Instant::now();
        let arriver = Arriver {
            began: now,
            arrived: now,
            permits: 0,
            given_up,
        };
        arriving.bodies.insert(number, arriver);
        Upload {
            uploads: self.clone(),
            number,
            held: None,
        }
    }

    /// Gives up bodies that stall or are slow, the oldest first, until this many permits are free.
    fn make_room(&self, wanted: u32) {
        let mut freed = 0;
        self.arriving().bodies.retain(|_, body| {
            let is_slow =
                body.arrived.elapsed() >= STALLED_AFTER || body.began.elapsed() >= SLOW_AFTER;
            let is_kept = freed >= wanted || body.permits == 0 || !is_slow;
            if !is_kept {
                freed += body.permits;
                body.given_up.notify_one();
            }
            is_kept
        });
    }

    fn arriving(&self) -> MutexGuard<'_, Arriving> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    async fn collect(
        mut self,
        announced: Option<usize>,
        body: &mut Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
        self.reserve(UPLOAD_BYTES_MIN).await?;
        let mut room = UPLOAD_BYTES_MIN;
        // Small parts that keep a large buffer alive are copied out of it.
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| incomplete())?.into_data() else {
                continue;
            };
            let needed = bytes.len() + data.len();
            if needed > BODY_BYTES_MAX {
                return Err(too_large());
            }
            if needed > room {
                let most = announced.unwrap_or(BODY_BYTES_MAX);
                let grown = (2 * room).min(most).max(needed);
                self.reserve(grown - room).await?;
                room = grown;
                bytes.reserve_exact(room - bytes.len());
            }
            bytes.extend_from_slice(&data);
            self.note(|body| body.arrived = Instant::now());
        }
        let held = self.held.take().ok_or_else(busy)?;
        Ok((Bytes::from(bytes), held))
    }

    /// Waits briefly for more memory.
    async fn reserve(&mut self, bytes: usize) -> Result<(), Problem> {
        let wanted = permits(bytes);
        let memory = Arc::clone(&self.uploads.memory);
        let more = match Arc::clone(&memory).try_acquire_many_owned(wanted) {
            Ok(more) => more,
            Err(_) => {
                let waiting = self.wait(memory.acquire_many_owned(wanted), wanted);
                tokio::time::timeout(RESERVE_WITHIN, waiting)
                    .await
                    .map_err(|_| busy())??
            }
        };
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        self.note(|body| body.permits += wanted);
        Ok(())
    }

    /// Changes what is known of this body, unless it was given up.
    fn note(&self, change: impl FnOnce(&mut Arriver)) {
        if let Some(body) = self.uploads.arriving().bodies.get_mut(&self.number) {
            change(body);
        }
    }

    /// Waits for memory, and gives up other bodies for it, or this one.
    async fn wait(
        &self,
        more: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
        wanted: u32,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        let mut more = pin!(more);
        loop {
            self.uploads.make_room(wanted);
            tokio::select! {
                more = &mut more => return more.map_err(|_| busy()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.uploads.arriving().bodies.remove(&self.number);
    }
}

/// The size that the headers announce, if any.
fn announced_bytes(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let Some(length) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    match length {
        Some(bytes) if bytes <= BODY_BYTES_MAX => Ok(Some(bytes)),
        Some(_) | None => Err(too_large()),
    }
}

fn incomplete() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "the body ended before it was complete",
    )
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use futures_util::stream;

    use super::*;

    /// A body of which this much arrives, and then nothing.
    fn stalled(bytes: usize) -> Body {
        let sent = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b' '; bytes]))]);
        Body::from_stream(sent.chain(stream::pending()))
    }

    /// Reads a body in the background.
    fn reading(
        uploads: &Uploads,
        mut body: Body,
    ) -> tokio::task::JoinHandle<Result<usize, StatusCode>> {
        let uploads = uploads.clone();
        tokio::spawn(async move {
            let read = uploads.read(&HeaderMap::new(), &mut body).await;
            read.map(|(bytes, _)| bytes.len())
                .map_err(|problem| problem.status())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up() {
        let uploads = Uploads::new(BODY_BYTES_MAX);
        let read = reading(&uploads, stalled(1)).await.unwrap();
        assert_eq!(read, Err(StatusCode::REQUEST_TIMEOUT));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused() {
        let uploads = Uploads::new(2 * BODY_BYTES_MAX);
        let most = reading(&uploads, Body::from(vec![b' '; BODY_BYTES_MAX]));
        assert_eq!(most.await.unwrap(), Ok(BODY_BYTES_MAX));
        let more = reading(&uploads, Body::from(vec![b' '; BODY_BYTES_MAX + 1]));
        assert_eq!(more.await.unwrap(), Err(StatusCode::PAYLOAD_TOO_LARGE));
        for announced in ["3000001", "-1", "many"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, announced.parse().unwrap());
            let read = uploads.read(&headers, &mut stalled(0)).await;
            let status = read.unwrap_err().status();
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{announced}");
        }
        assert_eq!(
            u32::try_from(uploads.memory.available_permits()).unwrap(),
            permits(2 * BODY_BYTES_MAX) - 1,
            "nothing holds memory"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_stall_are_given_up_for_those_that_arrive() {
        let uploads = Uploads::new(4 * (BODY_BYTES_MAX + UPLOAD_BYTES_MIN));
        let mut stalling = Vec::new();
        for _ in 0..4 {
            stalling.push(reading(&uploads, stalled(BODY_BYTES_MAX - 1)));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(uploads.memory.available_permits() < BODY_BYTES_MAX / 1_024);
        for _ in 0..20 {
            let arrives = Body::from(vec![b' '; BODY_BYTES_MAX]);
            let read = reading(&uploads, arrives).await.unwrap();
            assert_eq!(read, Ok(BODY_BYTES_MAX));
        }
        let first = stalling.remove(0).await.unwrap();
        assert_eq!(first, Err(StatusCode::SERVICE_UNAVAILABLE));
        for other in stalling {
            let ended = other.await.unwrap();
            assert_eq!(ended, Err(StatusCode::REQUEST_TIMEOUT), "one was enough");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_have_arrived_are_not_given_up() {
        let uploads = Uploads::new(BODY_BYTES_MAX + UPLOAD_BYTES_MIN);
        let mut body = Body::from(vec![b' '; BODY_BYTES_MAX]);
        let read = uploads.read(&HeaderMap::new(), &mut body).await;
        let (_, held) = read.unwrap();
        tokio::time::sleep(2 * STALLED_AFTER).await;
        let mut other = Body::from(vec![b' '; BODY_BYTES_MAX]);
        let refused = uploads.read(&HeaderMap::new(), &mut other).await;
        let status = refused.unwrap_err().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        drop(held);
        let again = reading(&uploads, Body::from(vec![b' '; BODY_BYTES_MAX]));
        assert_eq!(again.await.unwrap(), Ok(BODY_BYTES_MAX));
    }
}
