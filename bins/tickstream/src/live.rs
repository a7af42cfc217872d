//! `GET /ws`: the latest values on connect, then what is new a few times a second.
//!
//! A frame is made once for all readers. A reader that falls behind loses frames, not its
//! connection: it is told how many it missed, and goes on from the latest values.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use app::broadcast::{Coalescer, Frame};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use domain::Tick;
use store::Embedded;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::wire::{self, Messages};

/// How often a frame is sent at most.
const FRAME_EVERY: Duration = Duration::from_millis(50);

/// Frames that a reader may be behind.
const FRAMES_BEHIND_MAX: usize = 16;

/// How long one message may take to be taken by a reader's connection.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// How long a reader may take to take the last message, and to say goodbye in turn.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// How often a quiet connection is asked whether it still stands.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Most readers at once.
pub(crate) const READERS_MAX: usize = 1_000;

/// Most tokens a reader may name.
pub(crate) const TOKENS_MAX: usize = 200;

/// A frame with its messages for those who read everything.
struct Rendered {
    frame: Frame,
    messages: Vec<Utf8Bytes>,
}

/// The live feed.
#[derive(Clone)]
pub(crate) struct Live {
    coalescer: Arc<Coalescer>,
    store: Embedded,
    frames: broadcast::Sender<Arc<Rendered>>,
    ending: CancellationToken,
    connections: TaskTracker,
}

/// The tokens a reader wants.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// Every token.
    All,
    /// These.
    Only(HashSet<String>),
}

impl Wanted {
    fn has(&self, token: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(tokens) => tokens.contains(token),
        }
    }
}

impl Live {
    pub(crate) fn new(coalescer: Arc<Coalescer>, store: Embedded) -> Self {
        let (frames, _) = broadcast::channel(FRAMES_BEHIND_MAX);
        Self {
            coalescer,
            store,
            frames,
            ending: CancellationToken::new(),
            connections: TaskTracker::new(),
        }
    }

    /// A place for one reader, taken before its connection is made: [`Live::end`] waits for it.
    pub(crate) fn place(&self) -> TaskTrackerToken {
        self.connections.token()
    }

    /// Ends every reader's connection with a close frame, and waits until they are gone, so that
    /// none of them holds the store any more.
    pub(crate) async fn end(self) {
        self.ending.cancel();
        self.connections.close();
        self.connections.wait().await;
    }

    /// How many readers there are.
    pub(crate) fn readers(&self) -> usize {
        self.coalescer.readers()
    }

    /// Sends frames until stopped.
    pub(crate) async fn turn_over(self, stopping: CancellationToken) {
        let Self {
            coalescer, frames, ..
        } = self;
        let mut turns = tokio::time::interval(FRAME_EVERY);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(turns.tick()).await.is_some() {
            if let Some(frame) = coalescer.turn_over() {
                let messages = Messages::of(&frame).render();
                // Without a reader there is nobody to miss it.
                drop(frames.send(Arc::new(Rendered { frame, messages })));
            }
        }
    }

    fn snapshot(&self, wanted: &Wanted, missed: u64) -> Utf8Bytes {
        let latest = self.store.latest_ticks();
        let latest = latest.iter().map(Arc::as_ref);
        wire::snapshot(
            latest.filter(|tick| wanted.has(tick.token.as_str())),
            missed,
        )
    }

    /// Serves one reader until it goes away, or until readers are ended.
    pub(crate) async fn serve(self, mut socket: WebSocket, wanted: Wanted) {
        let _reader = self.coalescer.reader();
        let reading = self.read(&mut socket, &wanted);
        // Cut off wherever it stands: a reader that takes nothing must not hold up an end.
        self.ending.run_until_cancelled(reading).await;
        drop(tokio::time::timeout(CLOSE_WITHIN, close(socket)).await);
    }

    /// Sends what is new until the reader goes away.
    async fn read(&self, socket: &mut WebSocket, wanted: &Wanted) {
        let mut frames = self.frames.subscribe();
        let mut pings = tokio::time::interval(PING_EVERY);
        if send(socket, Message::Text(self.snapshot(wanted, 0)))
            .await
            .is_err()
        {
            return;
        }
        loop {
            let sent = tokio::select! {
                frame = frames.recv() => match frame {
                    Ok(rendered) => send_frame(socket, &rendered, wanted).await,
                    Err(RecvError::Lagged(missed)) => {
                        // The frames that are still kept are older than the snapshot.
                        frames = self.frames.subscribe();
                        send(socket, Message::Text(self.snapshot(wanted, missed))).await
                    }
                    Err(RecvError::Closed) => Err(Gone),
                },
                _ = pings.tick() => send(socket, Message::Ping(bytes::Bytes::new())).await,
                said = socket.recv() => match said {
                    // Nothing a reader says is needed; pongs are answered by the library.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone),
                    Some(Ok(_)) => Ok(()),
                },
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

/// Says goodbye, and reads until the other side has done so too: a connection that is dropped with
/// something unread would take the close frame with it.
async fn close(mut socket: WebSocket) {
    let close = CloseFrame {
        code: close_code::AWAY,
        reason: Utf8Bytes::from_static("bye"),
    };
    if socket.send(Message::Close(Some(close))).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

/// The reader is gone, or does not take what it is sent.
struct Gone;

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    let sent = tokio::time::timeout(SEND_WITHIN, socket.send(message)).await;
    sent.map_err(|_| Gone)?.map_err(|_| Gone)
}

async fn send_frame(
    socket: &mut WebSocket,
    rendered: &Rendered,
    wanted: &Wanted,
) -> Result<(), Gone> {
    let messages = match wanted {
        Wanted::All => rendered.messages.clone(),
        Wanted::Only(_) => select(&rendered.frame, wanted).render(),
    };
    for message in messages {
        send(socket, Message::Text(message)).await?;
    }
    Ok(())
}

/// The part of a frame that a reader wants.
fn select<'a>(frame: &'a Frame, wanted: &Wanted) -> Messages<'a> {
    let mut messages = Messages::of(frame);
    messages
        .ticks
        .retain(|tick: &&Tick| wanted.has(tick.token.as_str()));
    messages
        .candles
        .retain(|candle| wanted.has(candle.token.as_str()));
    messages
        .averages
        .retain(|averages| wanted.has(averages.token.as_str()));
    messages
        .anomalies
        .retain(|anomaly| wanted.has(anomaly.token.as_str()));
    messages
}
