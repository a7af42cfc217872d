//! A failed start says what to do, in one line.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The standard error of a process that cannot start, with RUST_BACKTRACE set.
fn refusal(data_dir: &Path) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_tickstream"))
        .args(["--listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    String::from_utf8(run.stderr).unwrap()
}

#[test]
fn an_unusable_folder_is_reported_with_a_remedy() {
    let folder = TempDir::new().unwrap();
    // A file instead of a folder, which fails even for root.
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let occupied = folder.path().join("occupied");
    std::fs::create_dir(&occupied).unwrap();
    std::fs::write(occupied.join("store"), "no folder").unwrap();
    for data_dir in [&file, &occupied] {
        let message = refusal(data_dir);
        assert_eq!(message.lines().count(), 1, "no stack: {message}");
        assert!(message.contains(data_dir.to_str().unwrap()), "{message}");
        assert!(message.contains("--data-dir"), "{message}");
        assert!(!message.contains("FjallError"), "{message}");
    }
}
