//! A socket whose other side must accept what is written within a limit.

use std::future::Future as _;
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::connections::Connection;

/// A socket of a connection. Writing fails if what is buffered is not accepted within the limit,
/// however many small parts of it are.
#[derive(Debug)]
pub(super) struct PacedStream {
    socket: TcpStream,
    send_within: Duration,
    /// Set while something that was written is not accepted yet.
    limit: Option<Pin<Box<Sleep>>>,
    /// Open until the socket is dropped, also by a handler that has taken it over.
    _connection: Arc<Connection>,
}

impl PacedStream {
    pub(super) fn new(
        socket: TcpStream,
        send_within: Duration,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            socket,
            send_within,
            limit: None,
            _connection: connection,
        }
    }

    /// What `poll` returns; an error if it has been pending for too long.
    fn paced<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        let polled = poll(Pin::new(&mut self.socket), context);
        if polled.is_ready() {
            return polled;
        }
        let send_within = self.send_within;
        let limit = self
            .limit
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(send_within)));
        match limit.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(Error::new(
                ErrorKind::TimedOut,
                "the other side does not accept what is sent",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.paced(context, |socket, context| socket.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.paced(context, |socket, context| {
            socket.poll_write_vectored(context, parts)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = self.paced(context, |socket, context| socket.poll_flush(context));
        if flushed.is_ready() {
            // Everything that was written is accepted.
            self.limit = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
