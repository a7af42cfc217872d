//! An archive of three ticks on one day and two on the next, and the program to query it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use archive::Archive;
use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};
use tempfile::TempDir;

/// 2026-03-07T00:00:00Z.
const DAY_MS: i64 = 1_772_841_600_000;

/// The condition that keeps the first day.
pub(crate) const FIRST_DAY: &str = "year = 2026 AND month = 3 AND day = 7";

pub(crate) fn tick(token: &str, price: &str, volume: Option<&str>, minute: i64) -> Tick {
    Tick {
        tick_id: TickId::derive("test", &[&minute.to_string()]),
        token: Token::new(token).unwrap(),
        quote: Token::new("USD").unwrap(),
        price: Price::parse(price).unwrap(),
        volume: volume.map(|volume| Volume::parse(volume).unwrap()),
        timestamp_ms: DAY_MS + minute * 60_000,
        ingested_at_ms: DAY_MS + minute * 60_000 + 5,
        source: SourceName::new("test:market").unwrap(),
        slot: None,
        method: Method::Trade,
        sequence: None,
        quality: None,
    }
}

/// A data folder with an archive, and a home for what the program remembers.
pub(crate) struct World {
    pub(crate) data: TempDir,
    pub(crate) home: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(&[
            tick("BTC", "39432.48", Some("0.5"), 0),
            tick("ETH", "2500", None, 1),
            tick("BTC", "39500", Some("1.25"), 2),
            tick("BTC", "39600", Some("1"), 24 * 60),
            tick("ETH", "2600", Some("2"), 24 * 60 + 1),
        ])
    }

    /// The same with other ticks.
    pub(crate) fn of(ticks: &[Tick]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let archive = Archive::open(data.path()).unwrap();
        archive
            .write_range(0, 0, ticks.len() as u64, ticks)
            .unwrap();
        Self {
            data,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// The program on this archive, without any AWS variable.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = bare(self.home.path(), args);
        command.env("DATA_DIR", self.data.path());
        command
    }

    /// Exit code, standard output and standard error.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        outcome_of(&self.command(args).output().unwrap())
    }

    /// The same, with an input.
    pub(crate) fn run_with(&self, args: &[&str], input: &str) -> (i32, String, String) {
        let mut command = self.command(args);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut standard_input = process.stdin.take().unwrap();
        standard_input.write_all(input.as_bytes()).unwrap();
        drop(standard_input);
        outcome_of(&process.wait_with_output().unwrap())
    }

    /// The answer of a run that succeeds.
    pub(crate) fn answer(&self, args: &[&str]) -> String {
        let (code, output, status) = self.run(args);
        assert_eq!(code, 0, "{args:?}: {status}");
        output
    }

    /// The answer as CSV without the header.
    pub(crate) fn rows(&self, args: &[&str]) -> String {
        let output = self.answer(&[args, &["--format", "csv"]].concat());
        output.split_once('\n').unwrap().1.to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }
}

/// A table of the numbers from 0 to below `count`, for FROM: its column is `k`.
pub(crate) fn numbers(count: usize, name: &str) -> String {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let numbers = numbers.join(", ");
    format!("(SELECT CAST(k AS bigint) AS k FROM (VALUES {numbers}) AS v (k)) AS {name}")
}

/// The program, with a home and no other environment that matters to it.
pub(crate) fn bare(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ticksql"));
    command
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .args(args)
        .stdin(Stdio::null());
    command
}

/// The same, receiving SIGHUP however the tests are run: under `nohup` every child ignores it.
pub(crate) fn hearing_hang_up(command: &Command) -> Command {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if mask.is_some_and(|mask| mask & 1 != 0) {
        through(command, "env", &["--default-signal=HUP"])
    } else {
        through(command, "env", &[])
    }
}

/// The same, ignoring SIGHUP, as under `nohup`.
pub(crate) fn ignoring_hang_up(command: &Command) -> Command {
    through(command, "sh", &["-c", "trap '' HUP; exec \"$0\" \"$@\""])
}

/// A command run by another program, which becomes it.
fn through(command: &Command, program: &str, args: &[&str]) -> Command {
    let mut by = Command::new(program);
    by.env_clear()
        .args(args)
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        by.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            by.env(name, value);
        }
    }
    by
}

/// Exit code, standard output and standard error.
pub(crate) fn outcome_of(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}
