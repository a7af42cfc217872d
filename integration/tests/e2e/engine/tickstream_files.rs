//! The files of a running tickstream, on Athena's engine.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use domain::Tick;
use integration::bootstraps;
use integration::emulator;
use testkit::golden;

use super::athena_engine;
use super::every_column::{Row, agree, day, rows_of_ticks};
use super::{ALL_DAYS, analyst_on, awkward};
use crate::project::body_of;
use crate::sql::files::{Bucket, files_below};

/// The data folder gets what tickstream writes for ticks and for what is not a tick.
async fn run_tickstream(data: &Path, ticks: &[Tick], wrong: &str) {
    let mut tickstream = Command::new(bootstraps::program("tickstream").unwrap())
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let url = url_of(&mut tickstream);
    let http = reqwest::Client::new();
    for (body, status) in [(body_of(ticks), 200), (wrong.to_owned(), 200)] {
        let post = http.post(format!("{url}/webhooks/ticks"));
        let post = post.header("content-type", "application/json").body(body);
        let answer = post.send().await.unwrap();
        assert_eq!(answer.status(), status, "{}", answer.text().await.unwrap());
    }
    // It writes what it has when it is asked to end.
    let kill = Command::new("kill")
        .args(["-TERM", &tickstream.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let ended = tokio::task::spawn_blocking(move || tickstream.wait()).await;
    assert!(ended.unwrap().unwrap().success());
}

fn url_of(tickstream: &mut Child) -> String {
    let lines = BufReader::new(tickstream.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    let line = lines.find(|line| line.contains("dashboard")).unwrap();
    line.split_whitespace()
        .last()
        .unwrap()
        .trim_end_matches('/')
        .to_owned()
}

/// The entries in the files of the quarantine, as they stand there.
fn entries(data: &Path) -> Vec<Row> {
    let files = files_below(&data.join("quarantine"));
    let texts = files
        .into_iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let entry = |line: String| {
        let mut entry: Row = serde_json::from_str(&line).unwrap();
        let day = day(entry["received_at"].as_i64().unwrap());
        entry.extend(day);
        entry
    };
    lines.map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_tickstream_are_read_column_by_column() {
    let emulator = emulator::start().await.unwrap();
    let name = emulator.unique_project();
    let bucket = Bucket::make(emulator, &format!("{name}-archive")).await;
    let data = tempfile::tempdir().unwrap();
    let mut ticks = golden::ranges().swap_remove(0);
    ticks.extend(awkward());
    let wrong = r#"[{"token": "BTC"}, {"price": "\u0000 \"ä\" 日本\n"}, 7]"#;
    run_tickstream(data.path(), &ticks, wrong).await;
    bucket.upload(data.path()).await;
    let entries = entries(data.path());
    assert_eq!(entries.len(), 3, "{entries:?}");
    let mut given = rows_of_ticks(&ticks);
    for row in &mut given {
        // tickstream sets it.
        row.remove("ingested_at").unwrap();
    }

    let Some(engine) =
        athena_engine::start(emulator, "files of tickstream on Athena's engine").await
    else {
        return;
    };
    let analyst = analyst_on(engine, emulator, &bucket).await;
    agree(&analyst, data.path(), "price_archive", ALL_DAYS, &given).await;
    let received = entries[0]["year"].clone();
    let condition = format!("year = {received}");
    agree(&analyst, data.path(), "quarantine", &condition, &entries).await;
}
