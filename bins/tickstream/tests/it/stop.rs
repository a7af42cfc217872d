//! Stopping by signals.

use std::io::Read;
use std::process::{Command, Stdio};

use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::crash::{Killable, spawn, spawn_with_log};
use crate::process::WAIT_TIMEOUT;

fn interrupt(process: &Killable) {
    let id = process.child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.unwrap().success());
}

/// A request that does not end, since the server waits for its body.
async fn unfinished(process: &Killable) -> TcpStream {
    let address = process.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /webhooks/ticks HTTP/1.1\r\nhost: {address}\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut going_on = [0; 25];
    socket.read_exact(&mut going_on).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_ends_the_process_at_once() {
    let folder = TempDir::new().unwrap();
    let mut process = spawn(&folder);
    let request = unfinished(&process).await;
    interrupt(&process);
    let address = process.url.trim_start_matches("http://").to_owned();
    while TcpStream::connect(&address).await.is_ok() {}
    interrupt(&process);
    assert_eq!(process.child.wait().unwrap().code(), Some(130));
    drop(request);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_interrupt_stops_it_gracefully() {
    let folder = TempDir::new().unwrap();
    let mut process = spawn(&folder);
    let mut request = unfinished(&process).await;
    interrupt(&process);
    request.write_all(b"[1,2,3,4]").await.unwrap();
    let mut answer = String::new();
    request.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn live_readers_get_a_close_frame_before_the_store_closes() {
    let folder = TempDir::new().unwrap();
    let mut process = spawn_with_log(&folder, &[], Stdio::piped());
    let url = format!("{}/ws", process.url.replace("http://", "ws://"));
    let (mut reader, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    // A reader that accepts nothing must not delay the stop.
    let (deaf, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    interrupt(&process);
    let goodbye = async {
        loop {
            if let Message::Close(close) = reader.next().await.unwrap().unwrap() {
                return close.unwrap().code;
            }
        }
    };
    let code = tokio::time::timeout(WAIT_TIMEOUT, goodbye).await.unwrap();
    assert_eq!(code, CloseCode::Away);
    // The client also sends a close frame, as browsers do.
    while reader.next().await.is_some() {}
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    let mut stderr = process.child.stderr.take().unwrap();
    stderr.read_to_string(&mut log).unwrap();
    assert!(log.contains("stopped"), "{log}");
    assert!(!log.contains("still in use"), "{log}");
    drop(deaf);
}
