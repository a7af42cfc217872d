//! `tickctl quarantine` and `tickctl requeue` against a stub of a tickstream.

use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::net::TcpListener;

use crate::process::{Run, tickctl};

fn entry(number: u32, replayed: Value) -> Value {
    let mut entry = json!({
        "id": format!("1767312000000-{number}"), "received_at": 1_767_312_000_000_i64, "source": "pyth",
        "reason": "invalid_token", "severity": "error", "message": "feed ab is not known",
        "raw": "{\"id\":\"ab\"}", "raw_bytes": 11, "index": 0,
    });
    if !replayed.is_null() {
        entry["replayed"] = replayed;
    }
    entry
}

fn entries() -> Vec<Value> {
    let done = json!({"at": 1_767_312_000_500_i64, "who": "ann", "outcome": "stored", "ticks": 1});
    let mut cut = entry(3, Value::Null);
    cut["raw_bytes"] = 5_000.into();
    vec![cut, entry(2, done), entry(1, Value::Null)]
}

/// 32 entries, newest first, of which the newest 20 are done.
fn many() -> Vec<Value> {
    let done = json!({"at": 1_767_312_000_500_i64, "who": "ann", "outcome": "stored", "ticks": 1});
    let one = |number| match number > 112 {
        true => entry(number, done.clone()),
        false => entry(number, Value::Null),
    };
    (101..=132).rev().map(one).collect()
}

/// The most entries that a tickstream lists at once.
const LISTED_MAX: i64 = 10_000;

/// More entries than are listed at once, newest first, a millisecond apart or all in one: only the oldest two and the
/// newest one are not done.
fn pages(apart_ms: i64, to_ms: i64) -> Vec<Value> {
    let last = LISTED_MAX + 50;
    let done = json!({"at": 1_767_312_000_500_i64, "who": "ann", "outcome": "stored", "ticks": 1});
    let one = |number: i64| {
        let is_open = number < 2 || number == last;
        let replayed = if is_open { Value::Null } else { done.clone() };
        let mut entry = entry(7, replayed);
        entry["received_at"] = (1_767_312_000_000 + number * apart_ms).into();
        entry["id"] = format!("1767312000000-{number}").into();
        entry
    };
    let all = (0..=last).rev().map(one);
    all.filter(|entry| entry["received_at"].as_i64().unwrap() < to_ms)
        .collect()
}

/// The address of a stub: of entries 1 to 3, the first becomes a tick, and the others do not.
fn start() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let list = async |Query(query): Query<HashMap<String, String>>| {
        assert_eq!(query["reason"], "invalid_token");
        assert_eq!(query["from"], "1767312000000");
        let to_ms = query["to"].parse().unwrap();
        let mut found = match query.get("source").map(String::as_str) {
            Some("many") => many(),
            Some("pages") => pages(1, to_ms),
            Some("one-millisecond") => pages(0, to_ms),
            Some(other) => panic!("{other}"),
            None => entries(),
        };
        found.truncate(query["limit"].parse().unwrap());
        Json(json!({"quarantine": found}))
    };
    let show = async |Path(id): Path<String>| {
        let found = entries()
            .into_iter()
            .find(|entry| entry["id"] == id.as_str());
        match found {
            Some(entry) => Json(entry).into_response(),
            None => (
                StatusCode::NOT_FOUND,
                Json(json!({"detail": "no such entry"})),
            )
                .into_response(),
        }
    };
    let replay = async |Json(body): Json<Value>| {
        assert_eq!(body["who"], "bob");
        let outcome = |id: &Value| match id.as_str().unwrap().ends_with("-1") {
            true => json!({"at": 1, "who": "bob", "outcome": "stored", "ticks": 2}),
            false => {
                json!({"at": 1, "who": "bob", "outcome": "not_replayable", "why": "it was cut"})
            }
        };
        let ids = body["ids"].as_array().unwrap();
        let outcomes = ids
            .iter()
            .map(|id| json!({"id": id, "replayed": outcome(id)}));
        Json(json!({"outcomes": outcomes.collect::<Vec<_>>()}))
    };
    let router = Router::new()
        .route("/api/quarantine", get(list))
        .route("/api/quarantine/{id}", get(show))
        .route("/api/quarantine/replay", post(replay));
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

const SELECTED: [&str; 4] = ["--from", "2026-01-02", "--reason", "invalid_token"];

fn quarantine(action: &[&str], options: &[&str]) -> Run {
    let url = start();
    let arguments = [&["quarantine"], action, options, &["--server", &url]].concat();
    tickctl(&arguments)
}

#[test]
fn a_list_shows_what_became_of_entries() {
    let run = quarantine(&["list"], &SELECTED);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.stdout
            .contains("replayed 2026-01-02T00:00:00.500Z by ann: stored (1)"),
        "{run:?}"
    );
    assert!(
        run.stdout
            .ends_with("3 entries\n       3  pyth  invalid_token\n"),
        "{run:?}"
    );
    let run = quarantine(&["show"], &["1767312000000-1"]);
    assert!(
        run.stdout.ends_with("11 bytes:\n{\"id\":\"ab\"}\n"),
        "{run:?}"
    );
    let run = quarantine(&["show"], &["1767312000000-9"]);
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn entries_are_replayed_after_a_dry_run_except_those_that_are_done() {
    let run = quarantine(&["replay"], &SELECTED);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(!run.stdout.contains("1767312000000-2"), "{run:?}");
    assert!(
        run.stdout.contains("only 11 of its 5000 bytes were kept"),
        "{run:?}"
    );
    assert!(
        run.stdout.contains("would replay 1 entry; add --apply"),
        "{run:?}"
    );

    let run = quarantine(&["replay", "--apply", "--who", "bob"], &SELECTED);
    assert_eq!(run.code, 1, "{run:?}");
    let summary = "replayed 2 entries: 1 stored, 0 stored before, 0 without a price, 1 left";
    assert!(run.stdout.contains(summary), "{run:?}");
    assert!(
        run.stderr
            .contains("still malformed or not replayable: 1 entry"),
        "{run:?}"
    );
    let run = quarantine(
        &[
            "replay",
            "1767312000000-1",
            "--apply",
            "--who",
            "bob",
            "--json",
        ],
        &[],
    );
    assert_eq!(run.code, 0, "{run:?}");
    let line: Value = serde_json::from_str(run.stdout.trim()).unwrap();
    assert_eq!(line["replayed"], json!({"outcome": "stored", "ticks": 2}));
}

/// The numbers, within their millisecond, of the entries that the output lists.
fn numbers_listed(run: &Run) -> Vec<&str> {
    let lines = run.stdout.lines();
    let numbers = lines.filter_map(|line| line.split_once("  ")?.0.strip_prefix("1767312000000-"));
    numbers.collect()
}

/// Those that are done do not count for the limit, and the output says how many are left.
#[test]
fn entries_behind_those_that_are_done_are_found() {
    let options = [&SELECTED[..], &["--source", "many", "--limit", "10"]].concat();
    let run = quarantine(&["replay"], &options);
    assert_eq!(run.code, 0, "{run:?}");
    let oldest: Vec<String> = (101..=110).map(|number| number.to_string()).collect();
    assert_eq!(numbers_listed(&run), oldest);
    assert!(
        run.stdout
            .contains("would replay 10 entries; add --apply to replay them\n2 more are open"),
        "{run:?}"
    );
    let run = quarantine(
        &["replay", "--apply", "--who", "bob"],
        &[&options[..], &["--rate", "1000"]].concat(),
    );
    assert!(run.stdout.contains("replayed 10 entries"), "{run:?}");
    assert!(run.stdout.contains("2 more are open"), "{run:?}");
}

/// A tickstream lists so many at once; the others are on further pages.
#[test]
fn entries_of_every_page_are_found() {
    let options = [&SELECTED[..], &["--source", "pages"]].concat();
    let run = quarantine(&["replay"], &options);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(numbers_listed(&run), ["0", "1", "10050"], "{run:?}");
    assert!(run.stdout.contains("would replay 3 entries"), "{run:?}");
    // A page of a single millisecond says nothing of the next one.
    let options = [&SELECTED[..], &["--source", "one-millisecond"]].concat();
    let run = quarantine(&["replay"], &options);
    assert_eq!(run.code, 1, "{run:?}");
    let advice = "in the millisecond 1767312000000: use --to 1767312000000 for those before, or pass the ids of entries";
    assert!(run.stderr.contains(advice), "{run:?}");
}

#[test]
fn wrong_options_say_what_to_do() {
    for (options, rule) in [
        (&["list", "--reason", "odd"][..], "invalid_price"),
        (
            &["list", "--from", "1h", "--to", "2h"],
            "--from is not before --to",
        ),
        (&["list", "--from", "yesterday"], "how long ago"),
        (
            &[
                "replay",
                "--apply",
                "--into",
                "http://127.0.0.1:1",
                "1767312000000-1",
            ],
            "--into is for --bucket",
        ),
    ] {
        let run = quarantine(options, &[]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(rule), "{run:?}");
    }
}

#[test]
fn one_machine_has_no_dlqs_which_is_not_taken_for_a_requeue() {
    for options in [
        &[][..],
        &["redrive", "--apply"],
        &["--json"],
        &["--data-dir", "./data"],
        &["redrive", "--server", "http://127.0.0.1:9", "--apply"],
    ] {
        let run = tickctl(&[&["requeue"], options].concat());
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (2, ""),
            "{options:?}: {run:?}"
        );
        assert!(
            run.stderr.contains("only a project on AWS has DLQs"),
            "{options:?}: {run:?}"
        );
    }
}
