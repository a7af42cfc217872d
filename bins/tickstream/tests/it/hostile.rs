//! Clients that misbehave, next to honest ones.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::RequestBuilder;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use webhook::{BODY_BYTES_MAX, READING_BYTES_MAX, UNAUTHENTICATED_BYTES_MAX};

use crate::access::TOKEN;
use crate::process::{Process, WAIT_TIMEOUT, start, ticks_body};

const SECRET: &str = "open-sesame-1234";

/// The bytes 07 07 … 07 as a signing key of Standard Webhooks.
const SIGNING_KEY: [u8; 32] = [7; 32];

/// A process with an echoed secret, a signing key and a token.
async fn secured(folder: &TempDir) -> Process {
    let key = BASE64_STANDARD.encode(SIGNING_KEY);
    let secrets = format!("{SECRET},whsec_{key}");
    let arguments = ["--webhook-secrets", &secrets, "--operator-token", TOKEN];
    start(folder, &arguments).await
}

/// The headers of a signed message, and its signature.
fn signature(body: &[u8]) -> [(&'static str, String); 3] {
    let seconds = runtime::clock::now_ms() / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(&SIGNING_KEY).unwrap();
    mac.update(format!("msg_1.{seconds}.").as_bytes());
    mac.update(body);
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    [
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{signature}")),
    ]
}

fn echoed(process: &Process, token: &str) -> RequestBuilder {
    let request = process.post("/webhooks/ticks", ticks_body(token, 1));
    request.header("authorization", SECRET)
}

fn signed(process: &Process, token: &str) -> RequestBuilder {
    let body = ticks_body(token, 1);
    let headers = signature(body.as_bytes());
    let mut request = process.post("/webhooks/ticks", body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request
}

/// Begins a request whose body is announced as large, and of which this much is sent.
async fn stall(process: &Process, line: &str, headers: &str, sent: usize) -> TcpStream {
    let address = process.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {BODY_BYTES_MAX}\r\n{headers}\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // The server may have closed the connection already.
    drop(socket.write_all(&vec![b' '; sent]).await);
    socket
}

/// What comes until there is a response.
async fn first_line(socket: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !read.contains(&b'\n') {
            assert_ne!(socket.read_buf(&mut read).await.unwrap(), 0, "no response");
        }
    };
    let in_time = tokio::time::timeout(WAIT_TIMEOUT, reading).await;
    in_time.unwrap();
    let line = String::from_utf8_lossy(&read);
    line.lines().next().unwrap().to_owned()
}

/// Headers of a signed message whose signature is of nothing.
fn forged() -> String {
    let headers = signature(b"another body");
    headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_before_its_body_is_read() {
    let folder = TempDir::new().unwrap();
    let process = secured(&folder).await;
    let old = forged().replace("webhook-timestamp: ", "webhook-timestamp: 1");
    for headers in [
        "",
        "authorization: Bearer wrong-secret-text\r\n",
        "webhook-id: msg_1\r\n",
        &old,
    ] {
        let mut socket = stall(&process, "POST /webhooks/ticks", headers, 0).await;
        let line = first_line(&mut socket).await;
        assert!(line.contains(" 401 "), "{headers}: {line}");
    }
    for (headers, status) in [
        ("", "401"),
        ("authorization: Bearer open-sesame-1234\r\n", "401"),
        (
            "authorization: Bearer operator-0123456789-0123456789-0\r\n",
            "413",
        ),
    ] {
        let mut socket = stall(&process, "PUT /api/rollout", headers, 0).await;
        let line = first_line(&mut socket).await;
        assert!(line.contains(status), "{headers}: {line}");
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stalled_uploads_shut_nobody_out() {
    let folder = TempDir::new().unwrap();
    let process = secured(&folder).await;
    let known = format!("authorization: {SECRET}\r\n");
    // Each holds all but the end of a largest body: more than there is memory for.
    for (headers, memory) in [
        (forged(), UNAUTHENTICATED_BYTES_MAX),
        (known, READING_BYTES_MAX),
    ] {
        let mut stalled = Vec::new();
        for _ in 0..=memory / BODY_BYTES_MAX {
            let line = "POST /webhooks/ticks";
            stalled.push(stall(&process, line, &headers, BODY_BYTES_MAX - 1).await);
        }
        // And what is left is held by small ones.
        for _ in 0..64 {
            stalled.push(stall(&process, "POST /webhooks/ticks", &headers, 1).await);
        }
        for n in 0..20 {
            for request in [
                echoed(&process, &format!("ECHO{n}")),
                signed(&process, &format!("SIGNED{n}")),
            ] {
                let (status, answer) = process.send(request).await;
                assert_eq!(status, 200, "{answer}");
            }
        }
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirteen_stalled_uploads_shut_nobody_out_of_a_process_without_secrets() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let mut stalled = Vec::new();
    for _ in 0..READING_BYTES_MAX / BODY_BYTES_MAX + 13 {
        stalled.push(stall(&process, "POST /webhooks/ticks", "", 1).await);
    }
    for n in 0..20 {
        let body = ticks_body(&format!("BTC{n}"), 1);
        let (status, answer) = process.deliver("ticks", body).await;
        assert_eq!(status, 200, "{answer}");
    }
    drop(stalled);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_feed_that_sends_too_much_is_cut_off() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let url = format!("{}/ws", process.url.replace("http://", "ws://"));
    let (mut honest, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let (mut flood, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let small = Message::binary(vec![0; 4_000]);
    flood.send(small).await.unwrap();
    let large = Message::binary(vec![0; 1_024 * 1_024]);
    // It may be cut off while it sends.
    drop(flood.send(large).await);
    let cut_off = async { while let Some(Ok(_)) = flood.next().await {} };
    tokio::time::timeout(WAIT_TIMEOUT, cut_off).await.unwrap();
    process.deliver("ticks", ticks_body("BTC", 1)).await;
    let reading = async {
        loop {
            let message = honest.next().await.unwrap().unwrap();
            if message.is_text() && message.to_text().unwrap().contains("BTC") {
                return;
            }
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, reading).await.unwrap();
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_the_feed_leave_room_for_deliveries() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let url = format!("{}/ws", process.url.replace("http://", "ws://"));
    let readers_max = 1_000.min(runtime::host::connections_max() / 2);
    let mut readers = Vec::new();
    let refused = loop {
        match tokio_tungstenite::connect_async(&url).await {
            Ok((reader, _)) => readers.push(reader),
            Err(Error::Http(response)) => break response,
            Err(error) => panic!("{} readers: {error}", readers.len()),
        }
        assert!(readers.len() <= readers_max);
    };
    assert_eq!(readers.len(), readers_max);
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    let (status, answer) = process.deliver("ticks", ticks_body("BTC", 1)).await;
    assert_eq!(status, 200, "{answer}");
    drop(readers);
    // The places of those that left are free again.
    let again = async {
        while tokio_tungstenite::connect_async(&url).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WAIT_TIMEOUT, again).await.unwrap();
    process.stop().await;
}

/// All at once, for a moment: the ticks of the honest are stored, and the ledger reconciles.
#[tokio::test(flavor = "multi_thread")]
async fn honest_senders_are_served_beside_a_crowd_of_hostile_ones() {
    let folder = TempDir::new().unwrap();
    let process = secured(&folder).await;
    let hostile: Vec<_> = (0..10)
        .map(|n| {
            let address = process.url.trim_start_matches("http://").to_owned();
            let forged = forged();
            tokio::spawn(async move {
                let mut open = Vec::new();
                for turn in 0.. {
                    let Ok(mut socket) = TcpStream::connect(&address).await else {
                        continue;
                    };
                    let sent = match (n + turn) % 5 {
                        0 => String::new(),
                        1 => "GET / HTTP/1.1\r\nx: ".to_owned(),
                        2 => format!("GET /api/tokens HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(500)),
                        3 => format!("POST /webhooks/ticks HTTP/1.1\r\nhost: {address}\r\n{forged}content-length: 2000000\r\n\r\n{}", " ".repeat(1_000_000)),
                        _ => format!("GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"),
                    };
                    drop(socket.write_all(sent.as_bytes()).await);
                    open.push(socket);
                    if open.len() > 100 {
                        open.clear();
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    for n in 0..100 {
        for request in [
            echoed(&process, &format!("ECHO{n}")),
            signed(&process, &format!("SIGNED{n}")),
        ] {
            let (status, answer) = process.send(request).await;
            assert_eq!(status, 200, "{answer}");
        }
    }
    for task in hostile {
        task.abort();
    }
    let (_, ledger) = process.get("/api/ledger").await;
    assert_eq!(ledger["stored"], 200, "{ledger}");
    assert_eq!(ledger["difference"], 0, "{ledger}");
    process.stop().await;
}
