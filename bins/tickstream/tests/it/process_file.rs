//! What the operators' tool relies on: the file in the data folder that says where the process can be reached,
//! and what the status says of it.

use std::process::Stdio;

use serde_json::Value;
use store::ProcessFile;
use tempfile::TempDir;

use crate::crash::{Killable, spawn, spawn_logging};
use crate::process::{start, ticks_body};

fn file(folder: &TempDir) -> Option<ProcessFile> {
    ProcessFile::read(folder.path()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_says_where_it_is_while_it_runs() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let (_, status) = process.get("/api/status").await;
    let file_of = file(&folder).unwrap();
    assert_eq!(file_of.url, process.url);
    assert_eq!(status["pid"], file_of.pid);
    assert_eq!(status["started_at"], file_of.started_at_ms);
    assert_eq!(status["version"], file_of.version);
    process.stop().await;
    assert_eq!(file(&folder), None);
}

/// `tickctl doctor` compares the last minutes with those before.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_has_what_came_lately() {
    let folder = TempDir::new().unwrap();
    let process = start(&folder, &[]).await;
    let is_sampled = |status: &Value| status["traffic"]["recent"]["seconds"].as_u64() >= Some(1);
    process.until("/api/status", is_sampled).await;
    process.deliver("ticks", ticks_body("BTC", 3)).await;
    let malformed = r#"[{"token":"BTC","quote":"USD","price":"-1","timestamp":1767225600000}]"#;
    process.deliver("ticks", malformed).await;
    process.flush_archive().await;
    // A disk that is busy may not be looked at in time.
    let has_all = |status: &Value| {
        let looked = !status["disk"].is_null() && !status["backups"].is_null();
        looked && status["traffic"]["recent"]["received"] == 4
    };
    let status = process.until("/api/status", has_all).await;
    let recent = &status["traffic"]["recent"];
    assert_eq!(recent["stored"], 3, "{status}");
    assert_eq!(recent["streamed"], 3, "{status}");
    assert_eq!(recent["stream_records"], 3, "{status}");
    assert_eq!(recent["rejected_by_reason"]["invalid_price"], 1, "{status}");
    assert_eq!(recent["server_errors"], 0, "{status}");
    assert_eq!(status["traffic"]["before"]["received"], 0, "{status}");
    assert!(status["archive"]["last_file_at"].is_i64(), "{status}");
    assert!(status["event_ahead_ms"].as_i64() < Some(0), "{status}");
    assert_eq!(status["backups"]["count"], 0, "{status}");
    assert_eq!(status["disk"]["min_free_bytes"], 256_000_000, "{status}");
    process.stop().await;
}

#[test]
fn a_killed_process_leaves_it_and_the_next_one_replaces_it() {
    let folder = TempDir::new().unwrap();
    let Killable { mut child, .. } = spawn(&folder);
    let left = await_file(&folder, |_| true);
    assert_eq!(left.pid, child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(file(&folder), Some(left.clone()));

    let secret = "a-secret-of-16-characters";
    let mut next = spawn_logging(
        folder.path(),
        "0.0.0.0:0",
        &["--webhook-secrets", secret],
        Stdio::null(),
    );
    let written = await_file(&folder, |file| *file != left);
    assert_eq!(written.pid, next.child.id());
    assert!(written.url.starts_with("http://127.0.0.1:"), "{written:?}");

    // One that cannot open the store does not touch the file.
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_tickstream"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert_eq!(file(&folder), Some(written));
    next.child.kill().unwrap();
    next.child.wait().unwrap();
}

/// Waits for the file: it is written just after the greeting.
fn await_file(folder: &TempDir, wanted: impl Fn(&ProcessFile) -> bool) -> ProcessFile {
    loop {
        if let Some(found) = file(folder).filter(&wanted) {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
