//! The socket host: serves a router until it is told to stop, and then lets what is under way
//! finish within a limit.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Waits for Ctrl-C or a termination signal.
///
/// # Errors
/// Where the process cannot listen for signals.
pub async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered.
    Drained,
    /// The limit passed with requests under way; they were cut off.
    CutOff,
}

/// Serves until `stop` is done, then drains for at most `drain`.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
    drain: Duration,
) -> std::io::Result<Ended> {
    let (stopping, mut stopped) = watch::channel(());
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        // Dropping the sender tells the limit below to begin.
        drop(stopping);
    });
    let limit = async move {
        while stopped.changed().await.is_ok() {}
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        served = server => served.map(|()| Ended::Drained),
        () = limit => Ok(Ended::CutOff),
    }
}
