//! `tickctl backup` against a server: the report, its JSON, its errors.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::process::{tickctl, tickctl_with};

const MADE: &str = r#"{"path":"/d/backups/backup-20260102T000000.000Z","ticks":12,"files":40,
    "bytes":5000,"elapsed_ms":1250,"writes_paused_ms":30}"#;

/// A server that makes a backup if it gets the token; returns its address.
fn server(answer: fn() -> Response) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let backup = async move |headers: HeaderMap| match headers
                .get("authorization")
                .map(|value| value.to_str())
            {
                Some(Ok("Bearer s3cret")) => answer(),
                _ => StatusCode::UNAUTHORIZED.into_response(),
            };
            let router = Router::new().route("/stage/api/backup", post(backup));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    format!("http://{}/stage/", receiver.recv().unwrap())
}

#[test]
fn the_report_names_the_backup_and_what_it_has() {
    let url = server(|| MADE.into_response());
    let args = ["backup", "--to", &url, "--token", "s3cret"];
    let run = tickctl(&args);
    assert_eq!(run.code, 0, "{run:?}");
    for part in [
        "backup    /d/backups/backup-20260102T000000.000Z\n",
        "12 ticks; 40 files, 5000 bytes\n",
        "1.2 s; writes waited for 30 ms",
    ] {
        assert!(run.stdout.contains(part), "{part}: {run:?}");
    }
    let args = ["backup", "--to", &url, "--json"];
    let run = tickctl_with(&args, &[("OPERATOR_TOKEN", "s3cret")], b"");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report, serde_json::from_str::<Value>(MADE).unwrap());
}

#[test]
fn an_error_says_what_to_do() {
    let running = || {
        let problem = json!({"detail": "another backup into /d is running: wait until it ends"});
        (StatusCode::CONFLICT, problem.to_string()).into_response()
    };
    let url = server(running);
    let elsewhere = url.replace("/stage", "");
    for (url, token, messages) in [
        (&url, "s3cret", ["there is no backup", "wait until it ends"]),
        (&url, "wr0ng", ["is not that of the server", "401"]),
        (&elsewhere, "s3cret", ["--to", "404"]),
    ] {
        let run = tickctl(&["backup", "--to", url, "--token", token]);
        assert_eq!(run.code, 1, "{run:?}");
        for message in messages {
            assert!(run.stderr.contains(message), "{message}: {run:?}");
        }
    }
}
