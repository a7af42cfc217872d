//! A start that fails says what to do, in one line.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// What a process that cannot start writes to standard error; asked for a backtrace, as many
/// environments are.
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
fn a_folder_that_cannot_be_used_is_named_with_a_remedy() {
    let folder = TempDir::new().unwrap();
    // A file where a folder should be: refused to everybody, the superuser included.
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let occupied = folder.path().join("occupied");
    std::fs::create_dir(&occupied).unwrap();
    std::fs::write(occupied.join("store"), "no folder").unwrap();
    for data_dir in [&file, &occupied] {
        let told = refusal(data_dir);
        assert_eq!(told.lines().count(), 1, "no stack: {told}");
        assert!(told.contains(data_dir.to_str().unwrap()), "{told}");
        assert!(told.contains("--data-dir"), "{told}");
        assert!(!told.contains("FjallError"), "{told}");
    }
}
