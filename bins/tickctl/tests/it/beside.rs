//! `tickctl` beside a running tickstream: it finds the process by the data folder, and asks it.

use std::thread::JoinHandle;

use clap::Parser as _;
use serde_json::Value;
use tempfile::TempDir;
use tickstream::Server;
use tickstream::config::Config;
use tokio::sync::oneshot;

use crate::process::{Run, tickctl};
use crate::ranges;

/// A tickstream in this process, with a runtime of its own.
struct Tickstream {
    url: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Tickstream {
    fn start(folder: &TempDir) -> Self {
        let data = folder.path().to_str().unwrap();
        // The ticks of the tests are of a day in the past.
        let arguments = [
            "tickstream",
            "--listen",
            "127.0.0.1:0",
            "--data-dir",
            data,
            "--retention-days",
            "3650",
        ];
        let config = Config::try_parse_from(arguments).unwrap();
        let (started, urls) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let server = Server::start(config).await.unwrap();
                started
                    .send(format!("http://{}", server.address()))
                    .unwrap();
                let stop = async {
                    stopped.await.ok();
                    Ok(())
                };
                server.run(stop).await.unwrap();
            });
        });
        Self {
            url: urls.recv().unwrap(),
            stop,
            thread,
        }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn on(folder: &TempDir, arguments: &[&str]) -> Run {
    let data = folder.path().to_str().unwrap();
    tickctl(&[arguments, &["--data-dir", data]].concat())
}

const DAY: [&str; 5] = [
    "rebuild",
    "--from",
    "2026-03-07",
    "--to",
    "2026-03-07T01:00:00Z",
];

#[test]
fn candles_are_compared_by_the_process_as_in_a_folder() {
    let folder = ranges::folder();
    let in_folder = on(&folder, &DAY);
    assert_eq!(in_folder.code, 0, "{in_folder:?}");
    let tickstream = Tickstream::start(&folder);
    let run = on(&folder, &DAY);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert_eq!(run.stdout, in_folder.stdout);
    let url = tickstream.url.clone();
    let run = tickctl(&[&DAY[..], &["--server", &url, "--json"]].concat());
    let report: Value = serde_json::from_str(run.stdout.trim()).unwrap();
    assert_eq!(
        (run.code, &report["rebuild"]["same"]),
        (0, &124.into()),
        "{run:?}"
    );
    let run = on(&folder, &[&DAY[..], &["--tokens", "BTC,NOPE"]].concat());
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.stderr.contains("no stored stream tick of NOPE"),
        "{run:?}"
    );
    tickstream.stop();
}

#[test]
fn a_replay_into_the_stream_is_done_by_the_process() {
    let folder = ranges::folder();
    let tickstream = Tickstream::start(&folder);
    let replay = ["replay", "--store", "--from", "2026-03-07", "--to"];
    let into = ["2026-03-08", "--into", "stream", "--tokens", "BTC"];
    let run = on(&folder, &[&replay[..], &into].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert_eq!(
        run.stdout,
        "appended  0 of 120 ticks to the stream; 120 already in the stream, in the archive, or in the outbox\n"
    );
    tickstream.stop();
}

#[test]
fn a_replay_ends_with_its_process_and_can_be_repeated() {
    let folder = ranges::folder();
    ranges::lose(&folder, 5);
    let replay = ["replay", "--store", "--from", "2026-03-07", "--to"];
    let into = ["2026-03-08", "--into", "stream", "--tokens", "BTC"];
    let replay = [&replay[..], &into].concat();
    let tickstream = Tickstream::start(&folder);
    let is_refused = |run: &Run| run.stderr.contains("already running");
    let stopped = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            loop {
                let run = on(&folder, &[&replay[..], &["--rate", "1"]].concat());
                if !is_refused(&run) {
                    return run;
                }
            }
        });
        // While it runs, another one is refused.
        loop {
            let other = on(&folder, &[&replay[..], &["--dry-run"]].concat());
            if is_refused(&other) {
                break;
            }
            assert_eq!(other.code, 0, "{other:?}");
        }
        tickstream.stop();
        run.join().unwrap()
    });
    assert_eq!(stopped.code, 1, "{stopped:?}");
    assert!(stopped.stderr.contains("stopped"), "{stopped:?}");
    let run = on(&folder, &replay);
    assert_eq!(run.code, 0, "{run:?}");
    let again = on(&folder, &replay);
    assert!(
        again.stdout.starts_with("appended  0 of 125 ticks"),
        "{again:?}"
    );
}

#[test]
fn a_range_of_which_ticks_were_removed_is_not_seen_with_or_without_a_process() {
    let folder = ranges::folder();
    ranges::sweep(&folder, "2026-03-07");
    let before = [
        "rebuild",
        "--from",
        "2026-03-06",
        "--to",
        "2026-03-07T01:00:00Z",
    ];
    let removed = |run: Run| {
        assert_eq!(run.code, 3, "{run:?}");
        let why = "ticks with event times before 2026-03-07T00:05:00Z";
        assert!(run.stderr.contains(why), "{run:?}");
    };
    removed(on(&folder, &before));
    let tickstream = Tickstream::start(&folder);
    removed(on(&folder, &before));
    let run = on(
        &folder,
        &[
            "replay",
            "--store",
            "--from",
            "2026-03-06",
            "--into",
            "http://h",
            "--dry-run",
        ],
    );
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.stdout.contains("unseen    the store has ticks"),
        "{run:?}"
    );
    tickstream.stop();
}

#[test]
fn what_is_checked_of_a_process_is_its_own_and_the_advice_names_it() {
    let folder = ranges::folder();
    let tickstream = Tickstream::start(&folder);
    let run = on(&folder, &["doctor", "--ticksql", "/no/such/ticksql"]);
    let line = format!("`tickctl backup --to {}`", tickstream.url);
    assert!(run.stdout.contains(&line), "{run:?}");
    assert!(
        run.stdout.contains("ticks are refused below 256 MB"),
        "{run:?}"
    );
    assert!(!run.stdout.contains(":8080"), "{run:?}");
    tickstream.stop();
}
