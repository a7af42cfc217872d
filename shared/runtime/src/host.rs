//! The socket host: serves a router until it is asked to stop, and then lets requests in progress
//! finish within a limit.

mod connections;
mod open_files;
mod paced_stream;
mod responses;
mod stop_signal;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use connections::{Connection, Connections};
use paced_stream::PacedStream;
use responses::Responses;

pub use open_files::{CONNECTIONS_MAX, connections_max};
pub use responses::{LARGE_RESPONSE_BYTES, RESPONSES_BYTES_MAX};
pub use stop_signal::stop_signal;

/// How long a connection may take to send the head of its next request. A connection that stands
/// idle between requests is closed after the same time.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How long a connection may take to accept what is sent to it.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// The largest head of a request, and what a connection buffers in each direction: several times what
/// proxies and browsers send. A larger one is a 431.
pub const HEAD_BYTES_MAX: usize = 64 * 1_024;

/// The most headers of a request; more are a 431. It is hyper's own limit, which needs no allocation; a
/// test checks it.
pub const HEADERS_MAX: usize = 100;

/// How long to pause after the system refused to accept a connection (no file descriptors left), so
/// that other connections can end and free some.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What connections may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time to finish requests in progress, once asked to stop.
    pub drain: Duration,
    /// Time to send the head of the next request, the idle time before it included.
    pub head: Duration,
    /// Time to accept what is sent.
    pub send: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Memory for large responses that are being sent.
    pub responses_bytes: usize,
}

impl Limits {
    /// The limits for strangers, with a time for requests in progress at the end and a number of
    /// connections.
    #[must_use]
    pub fn new(drain: Duration, connections: usize) -> Self {
        Self {
            drain,
            head: HEAD_WITHIN,
            send: SEND_WITHIN,
            connections,
            responses_bytes: RESPONSES_BYTES_MAX,
        }
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered.
    Drained,
    /// The limit passed with requests in progress; they were aborted.
    Aborted,
}

/// What every connection is served with.
#[derive(Clone)]
struct Serving {
    router: Router,
    limits: Limits,
    responses: Responses,
    stopping: watch::Receiver<bool>,
}

/// Serves until `stop` is done, then drains within a limit. Connections that were upgraded
/// (WebSockets) are their handlers' own, and are not waited for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    limits: Limits,
) -> Ended {
    // Each connection holds a receiver until it has ended.
    let (stopping, stopped) = watch::channel(false);
    let connections = Connections::new(limits.connections);
    let serving = Serving {
        router,
        limits,
        responses: Responses::new(limits.responses_bytes),
        stopping: stopped,
    };
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => if let Some(socket) = accepted {
                // If all others have requests in progress, the new one is closed at once.
                if let Some(connection) = connections.admit() {
                    tokio::spawn(serving.clone().serve(socket, Arc::new(connection)));
                }
            },
        }
    }
    // New connections are refused from now on.
    drop((listener, serving));
    stopping.send_replace(true);
    let ended = tokio::time::timeout(limits.drain, stopping.closed()).await;
    ended.map_or(Ended::Aborted, |()| Ended::Drained)
}

impl Serving {
    /// Serves one connection until its end: the caller's, a limit's, or, once asked to stop, that of
    /// the request in progress.
    async fn serve(self, socket: TcpStream, connection: Arc<Connection>) {
        let Self {
            router,
            limits,
            responses,
            mut stopping,
        } = self;
        let router = TowerToHyperService::new(router);
        let handle = service_fn(|request| {
            connection.begin();
            let responding = router.call(request);
            let (connection, responses) = (Arc::clone(&connection), responses.clone());
            async move {
                let response = responding.await;
                connection.wait();
                response.map(|response| responses.hold(response))
            }
        });
        let stream = PacedStream::new(socket, limits.send, Arc::clone(&connection));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), handle)
            .with_upgrades();
        let mut served = pin!(served);
        let ended = tokio::select! {
            ended = served.as_mut() => ended,
            () = connection.replaced() => {
                tracing::debug!("a connection was closed, since another one needed its place");
                return;
            }
            _ = stopping.changed() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        // An upgraded connection is no longer closed from here.
        connection.begin();
        if let Err(error) = ended {
            tracing::debug!(error = %error, "a connection ended early");
        }
    }
}

/// Waits for the next connection; `None` if it could not be accepted.
async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => {
            // A response is one small packet, which must not wait for another.
            drop(stream.set_nodelay(true));
            Some(stream)
        }
        Err(error) => {
            let gone = matches!(
                error.kind(),
                ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
            );
            if !gone {
                tracing::error!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
            None
        }
    }
}
