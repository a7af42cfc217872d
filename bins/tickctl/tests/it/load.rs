//! `tickctl load` against the server: the report, its JSON, its errors.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Run, tickctl};
use crate::stub::{Script, Stub};

fn load(stub: &Stub, more: &[&str]) -> Run {
    tickctl(&[&["load", "--to", &stub.url][..], more].concat())
}

fn json(run: &Run) -> Value {
    assert_eq!(run.stdout.lines().count(), 1, "exactly one object: {run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn the_json_report_has_its_fields_and_every_tick_is_new() {
    let stub = Stub::start(Script::default());
    let args = [
        "--rate",
        "50",
        "--seconds",
        "1",
        "--batch",
        "4",
        "--tokens",
        "3",
        "--json",
    ];
    let run = load(&stub, &args);
    assert_eq!(run.code, 0, "{run:?}");
    let report = json(&run);
    for (field, expected) in [
        ("sent", 50),
        ("errors", 0),
        ("stored", 200),
        ("duplicate", 0),
        ("rejected", 0),
        ("ignored", 0),
    ] {
        assert_eq!(report[field], expected, "{field} in {report}");
    }
    let number = |field: &str| {
        report[field]
            .as_f64()
            .unwrap_or_else(|| panic!("{field} in {report}"))
    };
    assert!(number("p50_ms") <= number("p95_ms") && number("p95_ms") <= number("p99_ms"));
    assert!(number("p99_ms") <= number("max_ms") && number("p50_ms") > 0.0);
    assert!((1.0..=200.0).contains(&number("ticks_per_s")));
    assert!((1.0..=50.0).contains(&number("requests_per_s")));
    assert_eq!(report["errors_by_kind"], serde_json::json!({}));

    let entries = stub.entries();
    let tokens: BTreeSet<_> = entries
        .iter()
        .map(|entry| entry["token"].as_str().unwrap())
        .collect();
    assert_eq!(tokens, BTreeSet::from(["LOAD0001", "LOAD0002", "LOAD0003"]));
    assert!(
        stub.deliveries()
            .iter()
            .all(|delivery| delivery.source == "ticks")
    );

    let again = json(&load(&stub, &args));
    assert_eq!(
        (&again["stored"], &again["duplicate"]),
        (&200.into(), &0.into()),
        "ids differ by run"
    );
}

#[test]
fn the_text_report_has_the_figures() {
    let stub = Stub::start(Script::default());
    let run = load(&stub, &["--rate", "20", "--seconds", "1"]);
    assert_eq!(run.code, 0, "{run:?}");
    for part in [
        "20 requests/s of 1 tick for 1 s",
        "sent        20 requests",
        "p99",
        "20 stored",
    ] {
        assert!(run.stdout.contains(part), "{part}: {run:?}");
    }
}

#[test]
fn errors_are_counted_by_kind_and_fail() {
    for (script, kind, count) in [
        (
            Script {
                secret: Some("s"),
                ..Script::default()
            },
            "401",
            10,
        ),
        (
            Script {
                unavailable: 4,
                ..Script::default()
            },
            "503",
            4,
        ),
        (
            Script {
                reject: Some(0),
                ..Script::default()
            },
            "rejected_ticks",
            10,
        ),
        (
            Script {
                delay: Duration::from_secs(60),
                ..Script::default()
            },
            "timeout",
            10,
        ),
    ] {
        let stub = Stub::start(script);
        let run = load(
            &stub,
            &["--rate", "10", "--seconds", "1", "--timeout", "1", "--json"],
        );
        assert_eq!(run.code, 1, "{run:?}");
        let report = json(&run);
        assert_eq!(
            (&report["sent"], &report["errors"]),
            (&10.into(), &count.into()),
            "{report}"
        );
        assert_eq!(report["errors_by_kind"][kind], count, "{report}");
        assert!(
            run.stderr
                .contains(&format!("{count} of 10 requests failed ({kind}: {count})")),
            "{run:?}"
        );
    }
}

#[test]
fn a_load_without_the_secret_explains_how_to_pass_it() {
    let stub = Stub::start(Script {
        secret: Some("s3cret"),
        ..Script::default()
    });
    let once = ["--rate", "1", "--seconds", "1"];
    for (secret, message) in [
        (&[][..], "set TICKCTL_SECRET"),
        (&["--secret", "wr0ng"], "does not accept the secret"),
    ] {
        let run = load(&stub, &[&once[..], secret].concat());
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.stderr.contains(message), "{message}: {run:?}");
    }
}

#[test]
fn the_latency_of_a_slow_server_counts_from_the_due_time() {
    // With one connection and 100 ms per response, half of 20 requests a second wait for the
    // others.
    let stub = Stub::start(Script {
        delay: Duration::from_millis(100),
        ..Script::default()
    });
    let run = load(
        &stub,
        &[
            "--rate",
            "20",
            "--seconds",
            "1",
            "--connections",
            "1",
            "--json",
        ],
    );
    let report = json(&run);
    assert_eq!((run.code, &report["errors"]), (0, &0.into()), "{report}");
    // The last was due at 0.95 s and completed at 2 s at the earliest; a closed loop would report
    // 100 ms.
    assert!(report["max_ms"].as_f64().unwrap() >= 1_000.0, "{report}");
    assert!(report["seconds"].as_f64().unwrap() >= 2.0, "{report}");
}

#[test]
fn requests_beyond_the_in_flight_limit_are_reported() {
    let stub = Stub::start(Script {
        delay: Duration::from_secs(60),
        ..Script::default()
    });
    let run = load(
        &stub,
        &[
            "--rate",
            "20",
            "--seconds",
            "1",
            "--in-flight",
            "5",
            "--timeout",
            "2",
            "--json",
        ],
    );
    let report = json(&run);
    assert_eq!(
        (&report["sent"], &report["errors"]),
        (&5.into(), &20.into()),
        "{report}"
    );
    assert_eq!(
        report["errors_by_kind"]["not_sent_too_many_in_flight"], 15,
        "{report}"
    );
    assert!(run.stderr.contains("15 requests were not sent"), "{run:?}");
}

#[test]
fn the_help_explains_the_rate_and_the_exit_codes() {
    let help = tickctl(&["load", "--help"]);
    assert_eq!(help.code, 0);
    assert!(
        help.stdout.contains("Requests per second (not ticks"),
        "{help:?}"
    );
    let help = tickctl(&["--help"]);
    assert!(
        help.stdout.contains("Exit codes:") && help.stdout.contains("Examples:"),
        "{help:?}"
    );
    for wrong in [
        &["load", "--rate", "0", "--seconds", "1"][..],
        &["load", "--rate", "1"],
        &["nonsense"],
        &[],
    ] {
        assert_eq!(tickctl(wrong).code, 2, "{wrong:?}");
    }
}
