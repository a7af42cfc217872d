//! `tickctl doctor` and `tickctl status`: of a store that no process has open, and of a server.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use store::{EmbeddedConfig, EmbeddedStore, STORE_FOLDER};
use tempfile::TempDir;

use crate::process::{Run, tickctl};

/// A program in the place of `ticksql` that counts 3 ticks.
fn ticksql(folder: &TempDir) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let program = folder.path().join("ticksql");
    std::fs::write(&program, "#!/bin/sh\nprintf 'ticks\\n3\\n'\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    program.to_str().unwrap().to_owned()
}

/// A server whose writes work or not; returns its address.
fn server(writes: bool) -> String {
    let traffic = json!({
        "seconds": 300, "received": 10, "stored": 10, "in_cohort": 10, "streamed": 10, "redriven": 0,
        "stream_records": 10, "rejected_by_reason": {}, "server_errors": 0,
    });
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"), "pid": 7, "uptime_seconds": 60, "ticks_per_second": 2.5,
        "traffic": {"recent": traffic, "before": traffic}, "pending_min": 0, "event_ahead_ms": -20,
        "consumers": [
            {"name": "analytics", "lag_records": 0, "lag_ms": 0, "set_aside": 0},
            {"name": "archive", "lag_records": 0, "lag_ms": 0, "set_aside": 0},
        ],
        "health": [], "archive": {"last_file_at": null},
        "disk": {"free_bytes": 90_000_000_000_u64, "min_free_bytes": 256_000_000, "store_bytes": 1},
        "backups": {"folder": "/d/backups", "count": 0, "newest_at": null},
        "readers": 5, "feed_waiting_ms": 40,
    });
    let ledger = json!({
        "received": 10, "stored": 10, "duplicate": 0, "rejected": 0, "ignored": 0, "pending": 0,
        "difference": 0, "quarantined": 1,
    });
    let rollout = json!({"use_kinesis": true, "percentage": 10.0, "key": "tick", "history": [
        {"at": 1_772_878_440_000_i64, "who": "ann", "why": "second stage", "use_kinesis": true, "percentage": 10.0,
         "key": "tick"},
    ]});
    let health = move || async move {
        if writes {
            return Json(json!({"status": "ok"})).into_response();
        }
        let problem = json!({"detail": "the store does not accept writes"});
        (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response()
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let answer = |value: Value| get(async move || Json(value));
            let router = Router::new()
                .route("/api/status", answer(status))
                .route("/api/ledger", answer(ledger))
                .route("/api/rollout", answer(rollout))
                .route("/healthz", get(health));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
    });
    format!("http://{}", receiver.recv().unwrap())
}

#[track_caller]
fn has(run: &Run, lines: &[&str]) {
    for line in lines {
        assert!(run.stdout.contains(line), "{line}: {run:?}");
    }
}

#[test]
fn a_store_that_no_process_has_open_is_looked_at() {
    let folder = TempDir::new().unwrap();
    let config = EmbeddedConfig::new(folder.path().join(STORE_FOLDER));
    EmbeddedStore::open(&config).unwrap().close();
    let data_dir = folder.path().to_str().unwrap();
    let program = ticksql(&folder);
    let arguments = ["doctor", "--data-dir", data_dir, "--ticksql", &program];
    let run = tickctl(&arguments);
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(run.stderr, "", "{run:?}");
    has(
        &run,
        &[
            "failed    process     no process has the data folder open",
            "not seen  stream      no process runs",
            "ok        writes      the store committed",
            "ok        sql         local counted 3 ticks",
            "ok        ledger      received 0 = stored 0",
            "warning   backups     there is none",
            "do: start it: `tickstream --data-dir ",
            // The clock and the settings of a process that does not run.
            "not seen  clocks      no process runs",
            "(--min-free-disk-mb) is known only while tickstream runs",
        ],
    );
    let run = tickctl(&[&arguments[..], &["--json"]].concat());
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["state"], "failed");
    assert_eq!(report["checks"][0]["check"], "process");
    assert_eq!(report["checks"][0]["state"], "failed");
    // It keeps nobody out afterwards.
    EmbeddedStore::open(&config).unwrap().close();

    let run = tickctl(&["status", "--data-dir", data_dir]);
    assert_eq!(run.code, 0, "{run:?}");
    has(
        &run,
        &[
            "process   no process",
            "ledger    received 0",
            "malformed lately none; 0 kept",
        ],
    );
}

#[test]
fn a_server_is_asked_and_what_it_cannot_show_is_not_taken_for_good() {
    let url = server(true);
    let run = tickctl(&["doctor", "--server", &url]);
    assert_eq!(run.code, 3, "{run:?}");
    has(
        &run,
        &[
            "ok        stream      in 5 min: 10 stored, 10 of them in the cohort (share 10 %)",
            "ok        writes      a write was confirmed",
            "not seen  sql         the archive is on the server's machine",
            // The stub has no time.
            "not seen  clocks      the running version does not report it",
            "ok        certificate none, on loopback",
        ],
    );
    let run = tickctl(&["status", "--server", &url]);
    assert_eq!(run.code, 0, "{run:?}");
    has(
        &run,
        &[
            "rollout   10 %; seen: 100.00 % of 10 new ticks in 300 s",
            "change    2026-03-07T10:14:00Z  10 %  ann: second stage",
        ],
    );
}

#[test]
fn writes_that_fail_are_a_failure() {
    let run = tickctl(&["doctor", "--server", &server(false)]);
    assert_eq!(run.code, 1, "{run:?}");
    has(
        &run,
        &["failed    writes      the store does not accept writes"],
    );
}

#[test]
fn where_there_is_nothing_to_look_at_it_says_so() {
    let folder = TempDir::new().unwrap();
    for command in ["doctor", "status"] {
        let run = tickctl(&[command, "--data-dir", folder.path().to_str().unwrap()]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("is not a data folder"), "{run:?}");
    }
    let run = tickctl(&["status", "--server", "http://127.0.0.1:9"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("cannot be reached"), "{run:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// The address of a server that refuses everybody, or accepts connections and says nothing.
fn unwilling(status: Option<StatusCode>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let answer = async move || match status {
                Some(status) => status.into_response(),
                None => std::future::pending().await,
            };
            listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = Router::new().fallback(answer);
            axum::serve(listener, router).await.unwrap();
        });
    });
    url
}

#[test]
fn a_process_that_cannot_be_asked_is_a_line() {
    let refusing = unwilling(Some(StatusCode::UNAUTHORIZED));
    let hanging = unwilling(None);
    for (url, code, state, why) in [
        (refusing.as_str(), 3, "not seen", "set OPERATOR_TOKEN"),
        ("http://127.0.0.1:9", 3, "not seen", "cannot be reached"),
        (&hanging, 1, "failed", "does not answer"),
    ] {
        let arguments = ["doctor", "--server", url, "--timeout", "1"];
        let run = tickctl(&arguments);
        assert_eq!((run.code, run.stderr.as_str()), (code, ""), "{run:?}");
        assert!(
            run.stdout.starts_with(&format!("{state:<9} process     ")),
            "{run:?}"
        );
        assert!(run.stdout.contains(why), "{run:?}");
        let run = tickctl(&[&arguments[..], &["--json"]].concat());
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let line = &report["checks"][0];
        assert_eq!(
            (run.code, &report["state"]),
            (code, &line["state"]),
            "{run:?}"
        );
        assert_eq!(line["check"], "process");
        assert_eq!(line["state"], state.replace(' ', "_"));
    }
}
