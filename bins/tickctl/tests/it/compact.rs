//! `tickctl compact` on a local archive.

use std::fs;
use std::path::Path;

use archive::{Archive, Folder, day_files};
use domain::{Method, Price, SourceName, Tick, TickId, Token};
use serde_json::Value;

use crate::process::{Run, tickctl, tickctl_with};

/// 2026-03-07T00:00:00Z.
const DAY_MS: i64 = 1_772_841_600_000;

fn tick(at_ms: i64) -> Tick {
    Tick {
        tick_id: TickId::derive("test", &[&at_ms.to_string()]),
        token: Token::new("BTC").unwrap(),
        quote: Token::new("USD").unwrap(),
        price: Price::parse("1.5").unwrap(),
        volume: None,
        timestamp_ms: at_ms,
        ingested_at_ms: at_ms,
        source: SourceName::new("test:market").unwrap(),
        slot: None,
        method: Method::Reported,
        sequence: None,
        quality: None,
    }
}

/// Files of 100 ticks each on a day, from a sequence number on.
fn write(data: &Path, at_ms: i64, files: u64, first: u64) {
    let archive = Archive::open(data).unwrap();
    for file in 0..files {
        let first = first + file * 100;
        let ticks: Vec<Tick> = (first..first + 100)
            .map(|n| tick(at_ms + i64::try_from(n).unwrap()))
            .collect();
        archive.write_range(0, first, first + 99, &ticks).unwrap();
    }
}

fn compact(data: &Path, more: &[&str]) -> Run {
    let data = data.to_str().unwrap();
    tickctl(&[&["compact", "--data-dir", data], more].concat())
}

fn day(data: &Path) -> std::path::PathBuf {
    data.join("price-archive/year=2026/month=03/day=07")
}

#[test]
fn days_are_compacted_and_reported_in_lines() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), DAY_MS, 12, 0);
    write(data.path(), DAY_MS + 86_400_000, 1, 9_000);

    let planned = compact(data.path(), &["--dry-run"]);
    assert_eq!((planned.code, planned.stderr.as_str()), (0, ""));
    assert!(
        planned.stdout.starts_with("2026-03-07  12 files, "),
        "{}",
        planned.stdout
    );
    assert!(
        planned
            .stdout
            .contains("\n1 of 2 days would be compacted: 12 files")
    );
    assert_eq!(day_files(&day(data.path())).unwrap().len(), 12);

    let run = compact(data.path(), &["--grace", "0s"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains(" -> 1 file, "), "{}", run.stdout);
    assert!(run.stdout.contains("1200 ticks written"), "{}", run.stdout);
    assert_eq!(day_files(&day(data.path())).unwrap().len(), 1);

    let again = compact(data.path(), &[]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (0, "nothing to compact in 2 days\n")
    );
}

#[test]
fn scripts_get_an_object_for_each_day() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), DAY_MS, 3, 0);
    write(data.path(), DAY_MS, 1, 0);
    let run = compact(data.path(), &["--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let line: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(line["day"], "2026-03-07");
    assert_eq!(line["outcome"], "compacted");
    assert_eq!(
        (&line["files_before"], &line["files_after"]),
        (&3.into(), &1.into())
    );
    assert_eq!(
        (&line["rows_written"], &line["duplicates"]),
        (&300.into(), &0.into())
    );
    let until_ms = line["waiting_until_ms"].as_i64().unwrap();
    assert!(
        until_ms > runtime::clock::now_ms() + 500_000,
        "ten minutes by itself"
    );

    let again = compact(data.path(), &["--json"]);
    let line: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(
        (line["outcome"].as_str(), line["files_after"].as_i64()),
        (Some("waiting"), Some(1))
    );
    let ended = compact(data.path(), &["--json", "--grace", "0s"]);
    let line: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (&line["outcome"], &line["finished_earlier"]),
        (&"unchanged".into(), &true.into())
    );
    assert_eq!(
        fs::read_dir(day(data.path())).unwrap().count(),
        2,
        "the file and the manifest"
    );
}

/// Tokens that share an id, and an id at two times, are different ticks; repeats are removed and named.
#[test]
fn repeats_are_removed_and_named_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let of = |token: &str, after_ms: i64| Tick {
        token: Token::new(token).unwrap(),
        timestamp_ms: DAY_MS + after_ms,
        ..tick(DAY_MS)
    };
    let ticks = [of("A", 0), of("B", 0), of("C", 0), of("A", 1)];
    let archive = Archive::open(data.path()).unwrap();
    archive.write_range(0, 0, 3, &ticks).unwrap();
    archive.write_range(0, 4, 4, &[of("D", 0)]).unwrap();
    let run = compact(data.path(), &["--grace", "0s"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("5 ticks written, "), "{}", run.stdout);
    assert!(!run.stdout.contains("removed"), "{}", run.stdout);

    archive
        .write_range(0, 5, 6, &[of("A", 0), of("C", 0)])
        .unwrap();
    let run = compact(data.path(), &["--grace", "0s"]);
    let tick_id = tick(DAY_MS).tick_id;
    let count = "5 ticks written, 2 duplicates removed, ";
    assert!(run.stdout.contains(count), "{}", run.stdout);
    for token in ["A", "C"] {
        let line = format!(
            "\n  removed a copy of {token}/USD at 2026-03-07T00:00:00.000Z, tick_id {tick_id}\n"
        );
        assert!(run.stdout.contains(&line), "{}", run.stdout);
    }

    let repeats: Vec<Tick> = (0..12).map(|n| of("E", n)).collect();
    archive.write_range(0, 7, 18, &repeats).unwrap();
    archive.write_range(0, 19, 30, &repeats).unwrap();
    let run = compact(data.path(), &["--json"]);
    let line: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(line["duplicates"], 12);
    // All of them, where the text names ten.
    let removed = line["removed"].as_array().unwrap();
    assert_eq!(removed.len(), 12);
    assert_eq!(
        removed[0],
        serde_json::json!({
            "token": "E", "quote": "USD", "timestamp": DAY_MS, "tick_id": tick_id.to_string(),
        })
    );
}

#[test]
fn days_outside_the_range_and_today_are_skipped() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), DAY_MS, 3, 0);
    let now_ms = runtime::clock::now_ms();
    write(data.path(), now_ms, 3, 9_000);
    for range in [
        ["--from", "2026-03-08", "--to", "2026-03-31"],
        ["--from", "2026-01-01", "--to", "2026-03-06"],
    ] {
        let run = compact(data.path(), &range);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (0, "nothing to compact in 0 days\n")
        );
    }
    let run = compact(data.path(), &["--dry-run"]);
    assert!(
        run.stderr.contains("is today and was skipped; --to today"),
        "{}",
        run.stderr
    );
    assert!(run.stdout.contains("1 of 1 day would"), "{}", run.stdout);
    let run = compact(data.path(), &["--dry-run", "--to", "today"]);
    assert!(run.stdout.contains("2 of 2 days"), "{}", run.stdout);
}

#[test]
fn an_unreadable_file_is_reported_with_exit_code_1() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), DAY_MS, 3, 0);
    write(data.path(), DAY_MS + 86_400_000, 3, 9_000);
    fs::write(day(data.path()).join("cut.parquet"), "PAR1 and no more").unwrap();
    let run = compact(data.path(), &["--grace", "0s"]);
    assert_eq!(run.code, 1);
    let named = "tickctl: year=2026/month=03/day=07/cut.parquet: ";
    assert!(run.stderr.starts_with(named), "{}", run.stderr);
    assert!(
        run.stderr.contains("restore or remove it"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr
            .contains(": 1 file cannot be read; it was left unchanged"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.contains("2 of 2 days compacted"),
        "{}",
        run.stdout
    );
    assert_eq!(
        fs::read(day(data.path()).join("cut.parquet")).unwrap(),
        b"PAR1 and no more"
    );
}

#[test]
fn wrong_options_are_refused_with_the_rule() {
    let data = tempfile::tempdir().unwrap();
    let empty = data.path().to_str().unwrap();
    for (args, rule) in [
        (&["--data-dir", empty][..], "there is no archive in"),
        (&["--from", "7.3.2026"], "2026-03-07"),
        (
            &["--from", "2026-03-02", "--to", "2026-03-01"],
            "--from is after --to",
        ),
        (&["--target", "5"], "from 1KB to 3GiB"),
        (&["--grace", "10"], "90s"),
    ] {
        let run = tickctl(&[&["compact"], args].concat());
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(rule), "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{args:?}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn an_invalid_location_on_s3_is_refused() {
    let env = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let run = tickctl_with(&["compact", "--archive", "my-bucket"], &env, b"");
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(
        run.stderr.contains("use s3://BUCKET/PREFIX"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_second_compaction_reports_the_holder() {
    let data = tempfile::tempdir().unwrap();
    write(data.path(), DAY_MS, 3, 0);
    let (_lock, _) = Folder::new(data.path()).lock().unwrap();
    let run = compact(data.path(), &[]);
    assert_eq!(run.code, 1);
    let holder = format!(
        "process {} is already compacting the archive",
        std::process::id()
    );
    assert!(run.stderr.contains(&holder), "{}", run.stderr);
    assert_eq!(
        compact(data.path(), &["--dry-run"]).code,
        0,
        "which changes nothing"
    );
}
