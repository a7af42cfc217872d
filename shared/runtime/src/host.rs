//! The socket host: serves a router until it is asked to stop, and then lets requests in progress
//! finish within a limit.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long a connection may take to send the head of its next request. A connection that stands
/// idle between requests is closed after the same time.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How long to pause after the system refused to accept a connection (no file descriptors left), so
/// that other connections can end and free some.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The exit status of a process that a signal ended: 128 plus the signal's number.
const INTERRUPTED: i32 = 128 + 2;
/// The same for a termination.
const TERMINATED: i32 = 128 + 15;

/// The signals that end a process.
struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one; returns its exit status.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
        }
    }
}

/// Waits for Ctrl-C or a termination signal. A second one ends the process at once,
/// with status 130 or 143.
///
/// # Errors
/// If the process cannot listen for signals.
pub async fn stop_signal() -> std::io::Result<()> {
    let mut signals = StopSignals::listen()?;
    signals.next().await;
    tokio::spawn(async move {
        let status = signals.next().await;
        tracing::warn!("asked to stop a second time: exiting at once");
        std::process::exit(status);
    });
    Ok(())
}

/// How long connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To finish requests in progress, once asked to stop.
    pub drain: Duration,
    /// To send the head of the next request, the idle time before it included.
    pub head: Duration,
}

impl Timeouts {
    /// A time for requests in progress at the end; 30 s for the head of a request.
    #[must_use]
    pub fn draining(drain: Duration) -> Self {
        let head = HEAD_WITHIN;
        Self { drain, head }
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

/// Serves until `stop` is done, then drains within a limit. Connections that were upgraded
/// (WebSockets) are their handlers' own, and are not waited for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    timeouts: Timeouts,
) -> Ended {
    // Each connection holds a receiver until it has ended.
    let (stopping, stopped) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener) => if let Some(stream) = accepted {
                let router = router.clone();
                tokio::spawn(connection(stream, router, timeouts.head, stopped.clone()));
            },
        }
    }
    // New connections are refused from now on.
    drop((listener, stopped));
    stopping.send_replace(true);
    let ended = tokio::time::timeout(timeouts.drain, stopping.closed()).await;
    ended.map_or(Ended::Aborted, |()| Ended::Drained)
}

/// Serves one connection until its end: the caller's, the limit's, or, once asked to stop, that of
/// the request in progress.
async fn connection(
    stream: TcpStream,
    router: Router,
    head_within: Duration,
    mut stopping: watch::Receiver<bool>,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        _ = stopping.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
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

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;

    /// How long something that must happen may take on a busy machine.
    const TEST_WITHIN: Duration = Duration::from_secs(20);

    struct Served {
        address: std::net::SocketAddr,
        stop: oneshot::Sender<()>,
        ended: JoinHandle<Ended>,
    }

    async fn serving(router: Router, timeouts: Timeouts) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { drop(stopped.await) };
        let ended = tokio::spawn(serve(listener, router, stopped, timeouts));
        Served {
            address,
            stop,
            ended,
        }
    }

    fn short() -> Timeouts {
        Timeouts {
            drain: TEST_WITHIN,
            head: Duration::from_millis(100),
        }
    }

    /// What comes until the server closes the connection.
    async fn rest(socket: &mut TcpStream) -> String {
        let mut text = String::new();
        let reading = socket.read_to_string(&mut text);
        tokio::time::timeout(TEST_WITHIN, reading)
            .await
            .expect("the server closes the connection")
            .unwrap();
        text
    }

    #[tokio::test]
    async fn a_head_that_never_ends_is_timed_out() {
        let served = serving(Router::new(), short()).await;
        for head in ["", "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "] {
            let mut socket = TcpStream::connect(served.address).await.unwrap();
            socket.write_all(head.as_bytes()).await.unwrap();
            rest(&mut socket).await;
        }
    }

    #[tokio::test]
    async fn a_connection_that_stands_idle_is_closed() {
        let router = Router::new().route("/", get(async || "here"));
        let served = serving(router, short()).await;
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        socket.write_all(request).await.unwrap();
        assert!(rest(&mut socket).await.ends_with("here"));
    }

    #[tokio::test]
    async fn what_is_under_way_is_answered_before_the_end() {
        let router = Router::new().route("/", post(async |body: String| body));
        let timeouts = Timeouts::draining(TEST_WITHIN);
        let served = serving(router, timeouts).await;
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        let head =
            b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
        socket.write_all(head).await.unwrap();
        // The server asks for the body: the request is in progress.
        let mut going_on = [0; 25];
        socket.read_exact(&mut going_on).await.unwrap();
        served.stop.send(()).unwrap();
        while TcpStream::connect(served.address).await.is_ok() {}
        socket.write_all(b"late").await.unwrap();
        assert!(rest(&mut socket).await.ends_with("late"));
        assert_eq!(served.ended.await.unwrap(), Ended::Drained);
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_aborted() {
        let router = Router::new().route("/", post(async |body: String| body));
        let timeouts = Timeouts::draining(Duration::from_millis(50));
        let served = serving(router, timeouts).await;
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        let head =
            b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
        socket.write_all(head).await.unwrap();
        let mut going_on = [0; 25];
        socket.read_exact(&mut going_on).await.unwrap();
        served.stop.send(()).unwrap();
        assert_eq!(served.ended.await.unwrap(), Ended::Aborted);
    }
}
