//! `GET /ws`: the latest values on connect, then updates a few times a second.
//!
//! A frame is created once for all readers. A reader that falls behind keeps its connection: it gets
//! the latest values and the number of frames that it missed.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use app::live::{Conflator, Update, messages, snapshot};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use store::EmbeddedStore;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::supervisor::Progress;

/// The shortest time between two frames.
const FRAME_EVERY: Duration = Duration::from_millis(50);

/// Frames that a reader may be behind.
const FRAMES_BEHIND_MAX: usize = 16;

/// How long a reader's connection may take to accept one message.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// How long a reader may take to accept the close frame and to respond to it.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How often a quiet connection is pinged.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Most readers at once, and never more than half of the connections, so that readers leave room for
/// deliveries.
const READERS_MAX: usize = 1_000;

/// The largest message of a reader, 4 KiB, in one frame or several: readers have nothing to say, and up to
/// this much is buffered for each.
pub(crate) const RECEIVED_BYTES_MAX: usize = 4 * 1_024;

/// Most tokens a reader may name.
pub(crate) const TOKENS_MAX: usize = 200;

/// Most pairs in the snapshot for a reader of all tokens: those with the most recent ticks.
const SNAPSHOT_PAIRS_MAX: usize = 1_000;

/// The updates of one flush, with the messages for readers of all tokens.
struct Frame {
    updates: Vec<Update>,
    messages: Vec<Utf8Bytes>,
}

/// Our own WebSocket messages have no size limit.
const MESSAGE_BYTES_MAX: usize = usize::MAX;

/// The live feed.
#[derive(Clone)]
pub(crate) struct Live {
    conflator: Arc<Conflator>,
    store: EmbeddedStore,
    frames: broadcast::Sender<Arc<Frame>>,
    ending: CancellationToken,
    connections: TaskTracker,
    readers_max: usize,
    /// When updates were last taken to be sent, in epoch milliseconds; 0 before.
    flushed_at_ms: Arc<AtomicI64>,
}

/// The tokens a reader wants.
#[derive(Debug, Clone)]
pub(crate) enum TokenFilter {
    /// Every token.
    All,
    /// These.
    Only(HashSet<String>),
}

impl TokenFilter {
    fn matches(&self, token: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(tokens) => tokens.contains(token),
        }
    }
}

impl Live {
    /// The feed of a process that accepts this many connections.
    pub(crate) fn new(
        conflator: Arc<Conflator>,
        store: EmbeddedStore,
        connections_max: usize,
    ) -> Self {
        let (frames, _) = broadcast::channel(FRAMES_BEHIND_MAX);
        Self {
            conflator,
            store,
            frames,
            ending: CancellationToken::new(),
            connections: TaskTracker::new(),
            readers_max: READERS_MAX.min(connections_max / 2),
            flushed_at_ms: Arc::default(),
        }
    }

    /// Registers a reader before its connection is established, so [`Live::end`] waits for it; `None` if
    /// there are too many.
    pub(crate) fn track_connection(&self) -> Option<TaskTrackerToken> {
        let token = self.connections.token();
        (self.connections.len() <= self.readers_max).then_some(token)
    }

    /// Most readers at once.
    pub(crate) fn readers_max(&self) -> usize {
        self.readers_max
    }

    /// Closes every reader's connection with a close frame, and waits until they are gone, since each of
    /// them holds the store.
    pub(crate) async fn end(self) {
        self.ending.cancel();
        self.connections.close();
        self.connections.wait().await;
    }

    /// How many readers there are.
    pub(crate) fn readers(&self) -> usize {
        self.conflator.readers()
    }

    /// How old an update can be that was not sent yet: the time since updates were last taken to be sent.
    pub(crate) fn waiting_ms(&self, now_ms: i64) -> i64 {
        match self.flushed_at_ms.load(Ordering::Relaxed) {
            0 => 0,
            at_ms => (now_ms - at_ms).max(0),
        }
    }

    /// Sends frames until stopped.
    pub(crate) async fn send_frames(&self, progress: &Progress, stopping: &CancellationToken) {
        let Self {
            conflator, frames, ..
        } = self;
        let mut turns = tokio::time::interval(FRAME_EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(turns.tick()).await.is_some() {
            let updates = conflator.flush().into_updates();
            self.flushed_at_ms
                .store(runtime::clock::now_ms(), Ordering::Relaxed);
            if !updates.is_empty() {
                let messages = render(&updates, &TokenFilter::All);
                // It fails if there are no readers any more.
                drop(frames.send(Arc::new(Frame { updates, messages })));
            }
            progress.made();
        }
    }

    async fn send_snapshot(
        &self,
        socket: &mut WebSocket,
        filter: &TokenFilter,
        missed: u64,
    ) -> Result<(), Disconnected> {
        let latest = match filter {
            TokenFilter::All => self.store.recent_ticks(SNAPSHOT_PAIRS_MAX),
            TokenFilter::Only(tokens) => {
                let mut latest = Vec::new();
                for token in tokens {
                    match self.store.latest_of(token, None).await {
                        Ok(found) => latest.extend(found),
                        Err(error) => {
                            tracing::error!(error = %error, token, "a token's latest ticks cannot be read; its readers get updates only");
                        }
                    }
                }
                latest
            }
        };
        let messages = snapshot(latest.iter().map(Arc::as_ref), missed, MESSAGE_BYTES_MAX);
        send_all(socket, messages.into_iter().map(Utf8Bytes::from)).await
    }

    /// Serves one reader until it disconnects, or until [`Live::end`].
    pub(crate) async fn serve(self, mut socket: WebSocket, filter: TokenFilter) {
        let _reader = self.conflator.reader();
        let reading = self.read(&mut socket, &filter);
        // It may be aborted at any point: a reader that accepts nothing must not delay the end.
        self.ending.run_until_cancelled(reading).await;
        drop(tokio::time::timeout(CLOSE_WITHIN, close(socket)).await);
    }

    /// Sends updates until the reader disconnects.
    async fn read(&self, socket: &mut WebSocket, filter: &TokenFilter) {
        let mut frames = self.frames.subscribe();
        let mut pings = tokio::time::interval(PING_EVERY);
        if self.send_snapshot(socket, filter, 0).await.is_err() {
            return;
        }
        loop {
            let sent = tokio::select! {
                frame = frames.recv() => match frame {
                    Ok(frame) => send_frame(socket, &frame, filter).await,
                    Err(RecvError::Lagged(missed)) => {
                        // The frames that are still kept are older than the snapshot.
                        frames = self.frames.subscribe();
                        self.send_snapshot(socket, filter, missed).await
                    }
                    Err(RecvError::Closed) => Err(Disconnected),
                },
                _ = pings.tick() => send(socket, Message::Ping(bytes::Bytes::new())).await,
                received = socket.recv() => match received {
                    // Messages of readers are ignored; the library responds to pings.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Disconnected),
                    Some(Ok(_)) => Ok(()),
                },
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

/// Sends the close frame, and reads until the other side responds: dropping a connection with unread
/// data would lose the close frame.
async fn close(mut socket: WebSocket) {
    let close = CloseFrame {
        code: close_code::AWAY,
        reason: Utf8Bytes::from_static("bye"),
    };
    if socket.send(Message::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

/// The reader disconnected, or does not accept messages.
struct Disconnected;

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Disconnected> {
    let sent = tokio::time::timeout(SEND_WITHIN, socket.send(message)).await;
    sent.map_err(|_| Disconnected)?.map_err(|_| Disconnected)
}

async fn send_all(
    socket: &mut WebSocket,
    messages: impl Iterator<Item = Utf8Bytes>,
) -> Result<(), Disconnected> {
    for message in messages {
        send(socket, Message::Text(message)).await?;
    }
    Ok(())
}

async fn send_frame(
    socket: &mut WebSocket,
    frame: &Frame,
    filter: &TokenFilter,
) -> Result<(), Disconnected> {
    match filter {
        TokenFilter::All => send_all(socket, frame.messages.iter().cloned()).await,
        TokenFilter::Only(_) => send_all(socket, render(&frame.updates, filter).into_iter()).await,
    }
}

/// The messages of those updates that a reader wants.
fn render(updates: &[Update], filter: &TokenFilter) -> Vec<Utf8Bytes> {
    let is_wanted = |update: &&Update| filter.matches(update.token.as_str());
    let wanted: Vec<&Update> = updates.iter().filter(is_wanted).collect();
    let messages = messages(&wanted, MESSAGE_BYTES_MAX);
    messages.into_iter().map(Utf8Bytes::from).collect()
}
