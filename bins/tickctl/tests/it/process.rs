//! Runs the binary and captures its output.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// The result of a run of the binary.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `tickctl` with the arguments and nothing on stdin.
pub(crate) fn tickctl(args: &[&str]) -> Run {
    tickctl_with(args, &[], b"")
}

/// Runs `tickctl` with variables in its environment and bytes on stdin.
pub(crate) fn tickctl_with(args: &[&str], env: &[(&str, &str)], stdin: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tickctl"))
        .args(args)
        .env_remove("TICKCTL_SECRET")
        .env_remove("OPERATOR_TOKEN")
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
