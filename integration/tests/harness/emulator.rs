//! The emulator: it starts, all tests share it, and it ends with the process that started it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use integration::emulator::{self, holder::Ready};

const PROGRAM: &str = env!("CARGO_BIN_EXE_emulator");

#[tokio::test]
async fn clients_reach_the_emulator_and_buckets_are_in_the_path() {
    let emulator = emulator::start().await.unwrap();
    let s3 = emulator.s3();
    let bucket = emulator.unique_project();
    s3.create_bucket().bucket(&bucket).send().await.unwrap();
    let listed = s3.list_buckets().send().await.unwrap();
    assert!(
        listed
            .buckets()
            .iter()
            .any(|found| found.name() == Some(&bucket))
    );
}

#[tokio::test]
async fn all_tests_of_a_binary_have_the_same_emulator() {
    let (first, second) = (
        emulator::start().await.unwrap(),
        emulator::start().await.unwrap(),
    );
    assert_eq!(first.endpoint(), second.endpoint());
    let names = [first.unique_project(), second.unique_project()];
    assert_ne!(names[0], names[1]);
    // A bucket's name has at most 63 characters, with the account and the region in it.
    assert!(
        names
            .iter()
            .all(|name| name.len() == 12 && name.starts_with('t')),
        "{names:?}"
    );
}

#[tokio::test]
async fn the_cli_of_the_tools_calls_the_emulator() {
    let emulator = emulator::start().await.unwrap();
    let tools = emulator::tools().await.unwrap();
    let output = Command::new(&tools.aws)
        .args([
            "sts",
            "get-caller-identity",
            "--query",
            "Account",
            "--output",
            "text",
        ])
        .envs(emulator.environment())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.trim(), emulator::ACCOUNT);
}

/// Starts it like a test binary, which then ends without stopping it.
#[test]
fn the_emulator_ends_with_the_process_that_started_it() {
    let mut holder = Command::new(PROGRAM)
        .args(["--until-stdin-closes", "--way", "process"])
        .env_remove("TICKSTREAM_EMULATOR_ENDPOINT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: Ready = serde_json::from_str(&line).unwrap();
    assert_eq!(ready.way, "process");
    let address = ready.endpoint.strip_prefix("http://").unwrap().to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(
        TcpStream::connect(&address).is_err(),
        "it is still listening at {address}"
    );
}

#[test]
fn an_endpoint_where_nothing_runs_is_an_error_that_names_the_variable() {
    let started = Instant::now();
    let output = Command::new(PROGRAM)
        .env("TICKSTREAM_EMULATOR_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("TICKSTREAM_EMULATOR_ENDPOINT"), "{said}");
    assert!(said.contains("http://127.0.0.1:9"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(60), "it gives up");
}

#[test]
fn without_python_and_docker_the_error_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    // Outside cargo's build folder, where the tools may be installed already.
    let profile = folder.path().join("debug");
    fs::create_dir(&profile).unwrap();
    let program = profile.join("emulator");
    fs::copy(PROGRAM, &program).unwrap();
    let output = Command::new(&program)
        .args(["--way", "auto"])
        .env_remove("TICKSTREAM_EMULATOR_ENDPOINT")
        .env("DOCKER_HOST", "unix:///no/such/socket")
        .env("PATH", folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    for part in [
        "no Docker engine responds",
        "python3 cannot be run",
        "apt-get install python3",
    ] {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}
