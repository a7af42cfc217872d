//! The file in the data folder that says where the process can be reached.

use std::process::Stdio;

use store::ProcessFile;
use tempfile::TempDir;

use crate::crash::{Killable, spawn, spawn_logging};
use crate::process::start;

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
