//! `tickctl doctor` and `tickctl status`: of a store that no process has open, and of a server.

use std::sync::Arc;

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

/// What a stub of a server says.
struct Script {
    /// The response of `/healthz`, if it is a 503.
    unhealthy: Option<Value>,
    in_cohort: u64,
    archive_problem: Option<&'static str>,
}

const HEALTHY: Script = Script {
    unhealthy: None,
    in_cohort: 1_000,
    archive_problem: None,
};

/// A server at a share of 100 %; returns its address.
fn server(script: Script) -> String {
    let in_cohort = script.in_cohort;
    let traffic = json!({
        "seconds": 300, "received": 1_000, "stored": 900, "completed": 1_000, "stored_before_max": 100,
        "in_cohort": in_cohort, "streamed": in_cohort, "redriven": 0, "stream_records": in_cohort,
        "rejected_by_reason": {}, "server_errors": 0,
    });
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"), "pid": 7, "uptime_seconds": 60, "ticks_per_second": 2.5,
        "traffic": {"recent": traffic, "before": traffic}, "pending_min": 0, "pending_seconds": 3, "event_ahead_ms": -20,
        "consumers": [
            {"name": "analytics", "lag_records": 0, "lag_ms": 0, "set_aside": 0},
            {"name": "archive", "lag_records": 0, "lag_ms": 0, "set_aside": 0},
        ],
        "health": [],
        "archive": {"last_file_at": null, "folder": {"problem": script.archive_problem}},
        "disk": {"free_bytes": 90_000_000_000_u64, "min_free_bytes": 256_000_000, "store_bytes": 1},
        "backups": {"folder": "/d/backups", "count": 0, "newest_at": null},
        "readers": 5, "feed_waiting_ms": 40,
    });
    let ledger = json!({
        "received": 10, "stored": 10, "duplicate": 0, "rejected": 0, "ignored": 0, "pending": 0,
        "difference": 0, "quarantined": 1,
    });
    let rollout = json!({"use_kinesis": true, "percentage": 100.0, "key": "tick", "history": [
        {"at": 1_772_878_440_000_i64, "who": "ann", "why": "last stage", "use_kinesis": true, "percentage": 100.0,
         "key": "tick"},
    ]});
    let health = async move || match script.unhealthy {
        None => Json(json!({"status": "ok"})).into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response(),
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
    let url = server(HEALTHY);
    let run = tickctl(&["doctor", "--server", &url]);
    assert_eq!(run.code, 3, "{run:?}");
    has(
        &run,
        &[
            "ok        stream      in 5 min: 1000 stored (100 of them earlier), 1000 of them in the cohort (share 100 %)",
            "ok        outbox      0 ticks of unfinished deliveries, at least 0 at any time of the last 3 s",
            "ok        archive     no file since the start",
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
            "rollout   100 %; seen: 100.00 % of 1000 new ticks in 300 s",
            "change    2026-03-07T10:14:00Z  100 %  ann: last stage",
        ],
    );
}

#[test]
fn a_broken_thing_of_a_server_is_a_failure_that_its_advice_fits() {
    let refused = json!({"detail": "the store does not accept writes"});
    let down = json!({"detail": "writes work, but these consumers are down: live", "reason": "consumer_down"});
    for (script, code, line, advice) in [
        (
            Script {
                unhealthy: Some(refused),
                ..HEALTHY
            },
            1,
            "failed    writes      the store does not accept writes",
            "deliveries get a 503 meanwhile",
        ),
        (
            Script {
                unhealthy: Some(down),
                ..HEALTHY
            },
            // SQL and the clocks of the stub are not seen.
            3,
            "warning   writes      writes work, but these consumers are down: live",
            "deliveries are accepted",
        ),
        (
            Script {
                in_cohort: 0,
                ..HEALTHY
            },
            1,
            "failed    stream      in 5 min: 1000 stored (100 of them earlier), 0 of them in the cohort (share 100 %)",
            "--use-kinesis false",
        ),
        (
            Script {
                archive_problem: Some("/d/price-archive does not exist"),
                ..HEALTHY
            },
            1,
            "failed    archive     /d/price-archive does not exist",
            "--from 24h --repair",
        ),
    ] {
        let run = tickctl(&["doctor", "--server", &server(script)]);
        assert_eq!(run.code, code, "{run:?}");
        has(&run, &[line, advice]);
        assert!(
            advice.starts_with("deliveries get") || !run.stdout.contains("deliveries get a 503"),
            "{run:?}"
        );
    }
}

/// A clock that stands still.
struct Noon;

impl app::ports::Clock for Noon {
    fn now_ms(&self) -> i64 {
        testkit::ticks::START_MS
    }
}

#[test]
fn an_archive_whose_files_are_gone_is_found_in_a_folder() {
    use testkit::ticks::{in_cohort, ticks};
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let config = EmbeddedConfig::new(folder.path().join(STORE_FOLDER));
    let store = EmbeddedStore::open(&config).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        use app::ports::{TickStore as _, TickStream as _};
        let made = ticks(&["BTC"], 5);
        let stored = store.put(&in_cohort(&made)).await.unwrap();
        let appended: Vec<_> = made.iter().collect();
        let refused = store.append(&appended, stored.outbox_id).await;
        assert!(refused.unwrap().is_empty());
        let archive = archive::Archive::open(folder.path()).unwrap();
        let clock = Arc::new(Noon);
        let archiver = store::Archiver::new(store.clone(), Arc::new(archive), clock);
        assert_eq!(archiver.flush().await.unwrap().ticks, 5);
    });
    store.close();
    let program = ticksql(&folder);
    let arguments = ["doctor", "--data-dir", data_dir, "--ticksql", &program];
    has(&tickctl(&arguments), &["ok        archive     newest file"]);
    let table = archive::table_folder(folder.path());
    std::fs::remove_dir_all(&table).unwrap();
    has(
        &tickctl(&arguments),
        &["failed    archive     ", "price-archive does not exist"],
    );
    // The next start makes the folder.
    std::fs::create_dir(&table).unwrap();
    let run = tickctl(&arguments);
    has(
        &run,
        &["failed    archive     ", "price-archive has no file"],
    );
    has(
        &run,
        &["--from 24h --repair` writes what the archive lacks"],
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
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_program_for_sql_that_hangs_is_ended() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let config = EmbeddedConfig::new(folder.path().join(STORE_FOLDER));
    EmbeddedStore::open(&config).unwrap().close();
    let program = folder.path().join("hanging-ticksql");
    let pid = folder.path().join("pid");
    let script = format!("#!/bin/sh\necho $$ > {}\nexec sleep 1000\n", pid.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let (program, limit) = (program.to_str().unwrap(), "1");
    let run = tickctl(&[
        "doctor",
        "--data-dir",
        data_dir,
        "--ticksql",
        program,
        "--timeout",
        limit,
    ]);
    has(
        &run,
        &[
            "failed    sql         ticksql failed: no answer",
            "within 1 s (--timeout), so it was ended",
        ],
    );
    let pid = std::fs::read_to_string(pid).unwrap();
    // A process that has ended has no command line, even if nobody has waited for it yet.
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim()));
    assert_eq!(command.unwrap_or_default(), "", "it still runs");
}
