//! The host with clients that misbehave.

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

async fn serving(router: Router, limits: Limits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let stopped = async move { drop(stopped.await) };
    let ended = tokio::spawn(serve(listener, router, stopped, limits));
    Served {
        address,
        stop,
        ended,
    }
}

fn short() -> Limits {
    Limits {
        head: Duration::from_millis(100),
        ..Limits::new(TEST_WITHIN, CONNECTIONS_MAX)
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
    let limits = Limits::new(TEST_WITHIN, CONNECTIONS_MAX);
    let served = serving(router, limits).await;
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
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
    let limits = Limits::new(Duration::from_millis(50), CONNECTIONS_MAX);
    let served = serving(router, limits).await;
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    socket.write_all(head).await.unwrap();
    let mut going_on = [0; 25];
    socket.read_exact(&mut going_on).await.unwrap();
    served.stop.send(()).unwrap();
    assert_eq!(served.ended.await.unwrap(), Ended::Aborted);
}

/// Sends one request, and reads until the response has this ending.
async fn ask(socket: &mut TcpStream, request: &[u8], ending: &str) -> String {
    socket.write_all(request).await.unwrap();
    let mut text = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&text).ends_with(ending) {
            assert_ne!(socket.read_buf(&mut text).await.unwrap(), 0, "closed");
        }
    };
    let read = tokio::time::timeout(TEST_WITHIN, reading).await;
    read.expect("the server responds");
    String::from_utf8(text).unwrap()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let router = Router::new().route("/", get(async || "here"));
    let limits = Limits::new(TEST_WITHIN, CONNECTIONS_MAX);
    let served = serving(router, limits).await;
    // One of the headers is `host`.
    let head = |headers: usize, value: &str| {
        let more: String = (1..headers)
            .map(|n| format!("x-{n}: {value}\r\n"))
            .collect();
        format!("GET / HTTP/1.1\r\nhost: a\r\n{more}\r\n")
    };
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let most = head(HEADERS_MAX, "");
    ask(&mut socket, most.as_bytes(), "here").await;
    let endless = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(HEAD_BYTES_MAX));
    for flood in [head(HEADERS_MAX + 1, ""), endless] {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        socket.write_all(flood.as_bytes()).await.unwrap();
        let answer = rest(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn connections_that_send_nothing_shut_nobody_out() {
    let router = Router::new().route("/", get(async || "here"));
    let served = serving(router, Limits::new(TEST_WITHIN, 3)).await;
    let mut regular = TcpStream::connect(served.address).await.unwrap();
    ask(&mut regular, GET, "here").await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut idle = TcpStream::connect(served.address).await.unwrap();
        // A head that does not end.
        idle.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        // One that sends requests keeps its connection, and a new one gets one.
        ask(&mut regular, GET, "here").await;
        let mut new = TcpStream::connect(served.address).await.unwrap();
        ask(&mut new, GET, "here").await;
        held.extend([idle, new]);
    }
}

#[tokio::test]
async fn without_a_connection_that_waits_a_new_one_is_closed() {
    let router = Router::new().route("/", post(async |body: String| body));
    let served = serving(router, Limits::new(TEST_WITHIN, 1)).await;
    let mut busy = TcpStream::connect(served.address).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    ask(&mut busy, head, "100 Continue\r\n\r\n").await;
    let mut new = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(rest(&mut new).await, "");
    ask(&mut busy, b"late", "late").await;
    let mut new = TcpStream::connect(served.address).await.unwrap();
    ask(&mut new, head, "100 Continue\r\n\r\n").await;
}

/// More than the system buffers for a connection.
const LARGE: usize = 32 * 1_024 * 1_024;

fn large() -> Router {
    Router::new()
        .route("/", get(async || "here"))
        .route("/large", get(async || vec![b'x'; LARGE]))
}

const GET_LARGE: &[u8] = b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn a_reader_that_accepts_nothing_is_cut_off() {
    let limits = Limits {
        send: Duration::from_millis(100),
        ..Limits::new(TEST_WITHIN, CONNECTIONS_MAX)
    };
    let served = serving(large(), limits).await;
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    socket.write_all(GET_LARGE).await.unwrap();
    // Once the server has ended the connection, nothing holds its memory.
    served.stop.send(()).unwrap();
    let ended = tokio::time::timeout(TEST_WITHIN, served.ended).await;
    assert_eq!(ended.unwrap().unwrap(), Ended::Drained);
    let mut read = Vec::new();
    drop(socket.read_to_end(&mut read).await);
    assert!(read.len() < LARGE, "the response is not complete");
}

#[tokio::test]
async fn slow_readers_share_a_limit_of_their_own() {
    let limits = Limits {
        responses_bytes: 2 * LARGE,
        ..Limits::new(TEST_WITHIN, CONNECTIONS_MAX)
    };
    let served = serving(large(), limits).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        socket.write_all(GET_LARGE).await.unwrap();
        let mut head = [0; 15];
        socket.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        slow.push(socket);
    }
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let refused = ask(&mut socket, GET_LARGE, "}").await;
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("retry-after: 5"), "{refused}");
    ask(&mut socket, GET, "here").await;
    // The place of one that hangs up is free again.
    drop(slow);
    let again = async {
        loop {
            let mut socket = TcpStream::connect(served.address).await.unwrap();
            socket.write_all(GET_LARGE).await.unwrap();
            let mut head = [0; 15];
            socket.read_exact(&mut head).await.unwrap();
            if &head == b"HTTP/1.1 200 OK" {
                return;
            }
        }
    };
    tokio::time::timeout(TEST_WITHIN, again).await.unwrap();
}
