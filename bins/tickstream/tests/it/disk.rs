//! A disk that is full, and one that fails.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ticks::START_MS;

use crate::crash::{Killable, spawn_on, spawn_with_log};
use crate::process::{WAIT_TIMEOUT, start};

fn trade(number: u64) -> String {
    json!([{
        "token": "BTC", "quote": "USD", "price": "5.25", "id": format!("trade-{number}"),
        "timestamp": START_MS + i64::try_from(number).unwrap(),
    }])
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_reserve_deliveries_are_refused_and_reading_goes_on() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    assert_eq!(process.deliver("ticks", trade(1)).await.0, 200);
    process.stop().await;
    // No disk has so much room.
    let process = start(&folder, &["--min-free-disk-mb", "1000000000"]).await;
    for body in [trade(2), "[{}]".to_owned(), "not JSON".to_owned()] {
        let request = process.http.post(format!("{}/webhooks/ticks", process.url));
        let request = request.header("content-type", "application/json");
        let refused = request.body(body.clone()).send().await.unwrap();
        assert_eq!(refused.status(), 503, "{body}");
        assert!(refused.headers().contains_key("retry-after"), "{body}");
    }
    let (status, health) = process.get("/healthz").await;
    assert_eq!(status, 503);
    let detail = health["detail"].as_str().unwrap();
    assert!(detail.contains("--min-free-disk-mb"), "{health}");
    assert_eq!(process.list("/api/ticks/BTC", "ticks").await.len(), 1);
    process.flush_archive().await;
    process.stop().await;
    let process = start(&folder, &["--min-free-disk-mb", "0"]).await;
    assert_eq!(process.get("/healthz").await.0, 200);
    assert_eq!(process.deliver("ticks", trade(2)).await.0, 200);
    assert_eq!(process.list("/api/ticks/BTC", "ticks").await.len(), 2);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_whose_folder_is_gone_is_reported_and_written_once_it_is_back() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let problem = async || {
        let (_, status) = process.get("/api/status").await;
        status["archive"]["folder"]["problem"].clone()
    };
    assert_eq!(problem().await, Value::Null, "nothing is archived yet");
    assert_eq!(process.deliver("ticks", trade(1)).await.0, 200);
    process.flush_archive().await;
    assert_eq!(problem().await, Value::Null);
    let table = archive::table_folder(folder.path());
    let away = folder.path().join("away");
    std::fs::rename(&table, &away).unwrap();
    let gone = problem().await;
    assert!(gone.as_str().unwrap().contains("does not exist"), "{gone}");
    std::fs::create_dir(&table).unwrap();
    let empty = problem().await;
    assert!(empty.as_str().unwrap().contains("has no file"), "{empty}");
    std::fs::remove_dir(&table).unwrap();
    std::fs::rename(&away, &table).unwrap();
    assert_eq!(problem().await, Value::Null);
    process.stop().await;
}

/// The log may be on the full disk, too.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_stops_nothing() {
    let folder = TempDir::new().unwrap();
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let Killable { mut child, url } = spawn_with_log(&folder, &[], full.into());
    deliver_until(&url, &mut 0, 200).await;
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.unwrap().success());
    // It logs that it stops.
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_on_a_full_disk_is_logged_once_a_second() {
    const DELIVERIES: u64 = 300;
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let to_log = std::fs::File::create(&log).unwrap();
    // No disk has so much room.
    let full = ["--min-free-disk-mb", "1000000000"];
    let started = std::time::Instant::now();
    let Killable { mut child, url } = spawn_with_log(&folder, &full, to_log.into());
    let http = reqwest::Client::new();
    for number in 0..DELIVERIES {
        let request = http.post(format!("{url}/webhooks/ticks"));
        let request = request.header("content-type", "application/json");
        let refused = request.body(trade(number)).send().await.unwrap();
        assert_eq!(refused.status(), 503);
    }
    let seconds = started.elapsed().as_secs() + 1;
    child.kill().unwrap();
    child.wait().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("a delivery was not stored"))
        .count();
    let lines = u64::try_from(lines).unwrap();
    assert!(
        (1..=seconds).contains(&lines),
        "{lines} lines in {seconds} s:\n{log}"
    );
}

/// A small file system, until it is dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=96m", "tickstream-test"]);
        let why = match mount.arg(folder).output() {
            Ok(output) if output.status.success() => return Some(Self(folder)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        // Not with `eprintln`, which a passing test hides.
        let mut stderr = std::io::stderr();
        writeln!(
            stderr,
            "== NOT SHOWN HERE: a disk that fails, since no small one can be mounted: {why}"
        )
        .unwrap();
        None
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0).status());
    }
}

/// Delivers one tick after the other until a response has a status; returns the numbers answered with 200.
pub(crate) async fn deliver_until(url: &str, next: &mut u64, wanted: u16) -> Vec<u64> {
    let http = reqwest::Client::new();
    let (mut answered, started) = (Vec::new(), std::time::Instant::now());
    loop {
        *next += 1;
        let request = http
            .post(format!("{url}/webhooks/ticks"))
            .header("content-type", "application/json")
            .body(trade(*next));
        // While the process starts again, nobody listens.
        let status = request
            .send()
            .await
            .map_or(0, |response| response.status().as_u16());
        if status == 200 {
            answered.push(*next);
        }
        if status == wanted {
            return answered;
        }
        assert!(
            started.elapsed() < WAIT_TIMEOUT,
            "the last response was {status}"
        );
        if status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

pub(crate) async fn get(url: &str, path: &str) -> (u16, Value) {
    let request = reqwest::Client::new().get(format!("{url}{path}"));
    let response = request.timeout(WAIT_TIMEOUT).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Each tick that was answered with 200 is there, and no tick is there twice.
pub(crate) async fn assert_none_lost(url: &str, answered: &[u64]) {
    let mut found = std::collections::HashSet::new();
    let (_, ticks) = get(url, "/api/ticks/BTC?limit=10000").await;
    for tick in ticks["ticks"].as_array().unwrap() {
        let at_ms = tick["timestamp"].as_i64().unwrap();
        assert!(
            found.insert(u64::try_from(at_ms - START_MS).unwrap()),
            "twice: {tick}"
        );
    }
    let lost: Vec<_> = answered
        .iter()
        .filter(|number| !found.contains(number))
        .collect();
    assert!(
        lost.is_empty(),
        "{} answered, lost: {lost:?}",
        answered.len()
    );
}

/// Without a reserve, writes fail in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_disk_failed_recovers_by_itself() {
    let folder = TempDir::new().unwrap();
    let Some(_disk) = SmallDisk::mount(folder.path()) else {
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("127.0.0.1:{port}");
    let data = folder.path().join("data");
    let Killable { mut child, url } = spawn_on(&data, &listen, &["--min-free-disk-mb", "0"]);
    let (mut next, mut answered) = (0, Vec::new());
    answered.extend(deliver_until(&url, &mut next, 200).await);
    let filler = folder.path().join("filler");
    for round in 1..=2 {
        let mut file = std::fs::File::create(&filler).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
        // An open file would keep its room when it is removed.
        drop(file);
        answered.extend(deliver_until(&url, &mut next, 503).await);
        assert_eq!(get(&url, "/healthz").await.0, 503, "{round}");
        let (status, ticks) = get(&url, "/api/ticks/BTC?limit=1").await;
        let read = ticks["ticks"].as_array().map(Vec::len);
        assert_eq!((status, read), (200, Some(1)), "{round}");
        assert_eq!(get(&url, "/api/ledger").await.0, 200, "{round}");
        std::fs::remove_file(&filler).unwrap();
        answered.extend(deliver_until(&url, &mut next, 200).await);
        assert!(
            child.try_wait().unwrap().is_none(),
            "it is the same process"
        );
    }
    assert_none_lost(&url, &answered).await;
    child.kill().unwrap();
    child.wait().unwrap();
}
