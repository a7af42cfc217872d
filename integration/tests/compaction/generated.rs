//! A generated archive, and the programs that use it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use archive::Archive;
use domain::Tick;
use integration::build_folder;
use testkit::ticks::tick;

/// The tokens of the generated archive.
const TOKENS: [&str; 3] = ["gen-a", "gen-b", "gen-c"];

/// Seconds between the ticks of a token: half of them are on the second day.
const STEP_S: u32 = 40;

/// Tick number `n` of the archive, which determines its token, time and id.
fn generated_tick(n: u32) -> Tick {
    let token = TOKENS.get(n as usize % TOKENS.len()).unwrap();
    tick(token, n * STEP_S / 3)
}

/// Writes ticks `first..last` in files of `each` ticks, under the given shard.
pub(crate) fn write(data: &Path, shard: u8, first: u32, last: u32, each: u32) {
    let archive = Archive::open(data).unwrap();
    let mut from = first;
    while from < last {
        let to = (from + each).min(last);
        let ticks: Vec<Tick> = (from..to).map(generated_tick).collect();
        let (from_sequence, to_sequence) = (u64::from(from), u64::from(to) - 1);
        archive
            .write_range(shard, from_sequence, to_sequence, &ticks)
            .unwrap();
        from = to;
    }
}

pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(build_folder::profile().unwrap().join(name));
    command.stdin(Stdio::null());
    command
}

/// Starts `tickctl compact` with options.
pub(crate) fn compaction(data: &Path, options: &[&str]) -> Child {
    let mut tickctl = program("tickctl");
    tickctl.arg("compact").arg("--data-dir").arg(data);
    tickctl.args(options).stdout(Stdio::null());
    tickctl.spawn().unwrap()
}

/// The number of rows and of distinct ids, counted by `ticksql`.
pub(crate) fn counted(data: &Path) -> (u64, u64) {
    let query = "SELECT count(*) AS n, count(DISTINCT tick_id) AS ids FROM price_archive \
                 WHERE year = 2026 AND month = 1";
    let mut ticksql = program("ticksql");
    let ticksql = ticksql.arg("--data-dir").arg(data);
    let output = ticksql.args(["--format", "csv", query]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let (rows, ids) = text.lines().nth(1).unwrap().split_once(',').unwrap();
    (rows.parse().unwrap(), ids.parse().unwrap())
}
