//! `tickctl server` against a stub that wants the operators' token.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{Run, tickctl_with};

const TOKEN: &str = "operator-0123456789-0123456789-0";

fn is_operator(headers: &HeaderMap) -> bool {
    let expected = format!("Bearer {TOKEN}");
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value == expected.as_str())
}

fn refused() -> Response {
    let problem = json!({"detail": "only operators may do this"});
    (StatusCode::UNAUTHORIZED, Json(problem)).into_response()
}

fn rollout(change: &Value) -> Response {
    let percentage: f64 = change["percentage"]
        .as_str()
        .unwrap_or("5")
        .parse()
        .unwrap();
    let mut state = json!({"use_kinesis": change["use_kinesis"] != false, "percentage": percentage, "key": "tick"});
    let mut past = state.clone();
    past["who"] = change["who"].clone();
    past["why"] = change["why"].clone();
    state["history"] = if change["who"].is_null() {
        json!([])
    } else {
        json!([past])
    };
    Json(state).into_response()
}

/// The address of a stub.
fn start() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .route(
            "/api/rollout",
            get(async || rollout(&json!({}))).put(
                async |headers: HeaderMap, Json(change): Json<Value>| {
                    if is_operator(&headers) {
                        rollout(&change)
                    } else {
                        refused()
                    }
                },
            ),
        )
        .route(
            "/api/archive/flush",
            post(async |headers: HeaderMap| {
                if is_operator(&headers) {
                    Json(json!({"ticks": 12, "files": 2})).into_response()
                } else {
                    refused()
                }
            }),
        );
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    format!("http://{address}")
}

fn server(arguments: &[&str], token: Option<&str>) -> Run {
    let url = start();
    let arguments = [&["server"], arguments, &["--to", &url]].concat();
    let mut environment = vec![("USER", "ann")];
    environment.extend(token.map(|token| ("OPERATOR_TOKEN", token)));
    tickctl_with(&arguments, &environment, b"")
}

#[test]
fn the_token_is_sent_with_a_change() {
    let run = server(&["rollout", "10.5", "--why", "second stage"], Some(TOKEN));
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        run.stdout,
        "rollout   10.5 %, selected by tick\n\
         change    10.5 %, selected by tick: ann: second stage\n"
    );
    let run = server(&["flush"], Some(TOKEN));
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.stdout, "archive   wrote 12 ticks in 2 files\n");
    let run = server(
        &["rollout", "--use-kinesis", "false", "--why", "x"],
        Some(TOKEN),
    );
    assert!(
        run.stdout.starts_with("rollout   off (set to 5 %"),
        "{run:?}"
    );
}

#[test]
fn without_a_change_the_rollout_is_shown() {
    let run = server(&["rollout"], None);
    assert_eq!(run.stdout, "rollout   5 %, selected by tick\n", "{run:?}");
}

#[test]
fn a_missing_or_wrong_token_is_reported() {
    let change = ["rollout", "10", "--why", "x"];
    let run = server(&change, None);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("set OPERATOR_TOKEN"), "{run:?}");
    assert!(run.stderr.contains("only operators"), "{run:?}");
    let wrong = TOKEN.replace('0', "1");
    let run = server(&change, Some(&wrong));
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("is not that of the server"), "{run:?}");
    assert!(!run.stderr.contains(&wrong), "{run:?}");
    let run = server(&change, Some("\"quoted-operators-token-of-32-chars\""));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("in quotes"), "{run:?}");
    assert!(!run.stderr.contains("operators-token"), "{run:?}");
    let run = server(&["rollout", "10"], Some(TOKEN));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("--why"), "{run:?}");
}

/// Whatever a command does, it shows none of its secrets.
#[test]
fn marked_secrets_are_in_no_output() {
    let url = start();
    let marked = "marked-c0ffee-token-of-the-operators";
    let environment = [
        ("OPERATOR_TOKEN", marked),
        ("TICKCTL_SECRET", marked),
        ("RUST_LOG", "trace"),
        ("RUST_BACKTRACE", "1"),
        ("USER", "ann"),
    ];
    let nowhere = "http://127.0.0.1:1";
    let mut codes = Vec::new();
    for to in [url.as_str(), nowhere] {
        for command in [
            &["server", "rollout"][..],
            &["server", "rollout", "10", "--why", "x"],
            &["server", "flush"],
            &["backup"],
            &["doctor"],
            &["status"],
            &["load", "--rate", "5", "--seconds", "1"],
            &["replay", "-", "--format", "ticks-csv"],
        ] {
            let address = if command[0] == "replay" {
                "--into"
            } else {
                "--to"
            };
            let arguments = [command, &[address, to, "--timeout", "2"]].concat();
            let run = tickctl_with(&arguments, &environment, b"");
            assert!(
                !format!("{}{}", run.stdout, run.stderr).contains("c0ffee"),
                "{arguments:?}"
            );
            codes.push(run.code);
        }
        for command in [["server", "--help"], ["load", "--help"]] {
            let run = tickctl_with(&command, &environment, b"");
            assert!(!run.stdout.contains("c0ffee"), "{command:?}");
        }
    }
    assert!(codes.contains(&0) && codes.contains(&1), "{codes:?}");
}
