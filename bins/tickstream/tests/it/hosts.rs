//! The names under which a process is reached, with clients that name others.

use reqwest::RequestBuilder;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::process::{Process, start, ticks_body};

/// The requests that a page could make, by the name of its own host.
fn requests(process: &Process) -> Vec<RequestBuilder> {
    let change = json!({"percentage": 0, "who": "page", "why": "rebound"});
    vec![
        process
            .http
            .put(format!("{}/api/rollout", process.url))
            .json(&change),
        process.post("/webhooks/ticks", ticks_body("EVIL", 1)),
        process.post("/api/archive/flush", String::new()),
        process.http.get(format!("{}/api/quarantine", process.url)),
        process.http.get(format!("{}/metrics", process.url)),
        process.http.get(format!("{}/", process.url)),
    ]
}

/// The status of an attempt to read the feed.
async fn feed(process: &Process, host: &str, origin: Option<&str>) -> u16 {
    let url = format!("{}/ws", process.url.replace("http://", "ws://"));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("host", host.parse().unwrap());
    if let Some(origin) = origin {
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_name_was_rebound_reaches_nothing() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let port = process.url.rsplit_once(':').unwrap().1;
    for host in ["evil.example".to_owned(), format!("evil.example:{port}")] {
        let origin = format!("http://{host}");
        for origin in [Some(&origin), None] {
            for mut request in requests(&process) {
                request = request.header("host", &host);
                if let Some(origin) = origin {
                    request = request.header("origin", origin);
                }
                let (status, answer) = process.send(request).await;
                assert_eq!(status, 421, "{answer}");
                let detail = answer["detail"].as_str().unwrap();
                assert!(detail.contains("--public-host evil.example"), "{detail}");
            }
            assert_eq!(feed(&process, &host, origin.map(String::as_str)).await, 421);
        }
    }
    assert_eq!(process.get("/api/rollout").await.1["percentage"], 100.0);
    assert_eq!(process.get("/api/ledger").await.1["received"], 0);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_commands_of_the_readme_work_under_every_loopback_name() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let port = process.url.rsplit_once(':').unwrap().1;
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "localhost".to_owned(),
        // A port that is forwarded to this one.
        "localhost:9999".to_owned(),
    ] {
        let origin = format!("http://{host}");
        for request in requests(&process) {
            let request = request.header("host", &host).header("origin", &origin);
            let status = request.send().await.unwrap().status();
            assert_eq!(status, 200, "{host}");
        }
        assert_eq!(feed(&process, &host, None).await, 101);
        assert_eq!(feed(&process, &host, Some(&origin)).await, 101);
        assert_eq!(
            feed(&process, &host, Some("http://evil.example")).await,
            403
        );
    }
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn public_hosts_are_served_also_through_a_proxy_that_rewrites_the_host() {
    let folder = TempDir::new().unwrap();
    let arguments = [
        "--public-host",
        "ticks.example",
        "--public-host",
        "forwarded.example",
        "--webhook-secrets",
        "open-sesame-1234",
    ];
    let process = start(&folder, &arguments).await;
    let get = |host: &str, origin: &str| {
        let request = process.http.get(format!("{}/api/tokens", process.url));
        process.send(request.header("host", host).header("origin", origin))
    };
    for (host, origin, status) in [
        ("ticks.example", "https://ticks.example", 200),
        (
            "forwarded.example:8443",
            "https://forwarded.example:8443",
            200,
        ),
        ("127.0.0.1:8080", "https://ticks.example", 200),
        ("127.0.0.1:8080", "https://evil.example", 403),
        ("ticks.example", "https://evil.example", 403),
        ("ticks.example", "null", 403),
        ("evil.example", "https://ticks.example", 421),
    ] {
        assert_eq!(get(host, origin).await.0, status, "{host} {origin}");
    }
    assert_eq!(
        feed(&process, "127.0.0.1:8080", Some("https://ticks.example")).await,
        101
    );
    process.stop().await;
}

/// What is sent to a socket, and the response's first line.
async fn raw(process: &Process, request: &str) -> String {
    let address = process.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_in_unusual_places_count_too() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    for (target, headers, status) in [
        ("/metrics", "host: localhost\r\n", "200"),
        ("http://localhost/metrics", "host: localhost\r\n", "200"),
        ("http://evil.example/metrics", "host: localhost\r\n", "421"),
        (
            "/metrics",
            "host: localhost\r\nhost: evil.example\r\n",
            "400",
        ),
        ("/metrics", "", "400"),
        (
            "/metrics",
            "host: localhost\r\norigin: http://localhost\r\norigin: http://evil.example\r\n",
            "403",
        ),
        (
            "/metrics",
            "host: localhost\r\norigin: http://\u{e9}vil.example\r\n",
            "403",
        ),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        let line = raw(&process, &request).await;
        assert!(
            line.starts_with(&format!("HTTP/1.1 {status}")),
            "{request:?}: {line}"
        );
    }
    process.stop().await;
}
