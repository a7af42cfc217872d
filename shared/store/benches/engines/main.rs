//! Compares embedded engines under the product's load; `docs/storage.md` has the results. Each phase
//! runs in a separate process, so memory, time and bytes written are measured separately.
//!
//! `cargo bench -p store --bench engines -- [ticks=N] [dir=PATH] [engine[:name=value[,..]]]..`

mod fjall_store;
mod load;
mod meter;
mod probe;
mod redb_store;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fjall_store::FjallStore;
use load::{Commit, Load, TOKENS};
use meter::Meter;
use probe::Usage;
use redb_store::RedbStore;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Ticks stored before anything is measured, unless `ticks=` says otherwise.
const TICKS_STORED: u64 = 10_000_000;
/// Ticks in one commit while the store is filled.
const FILL_COMMIT_TICKS: u64 = 4_000;
/// Sizes of commits that are measured on the filled store.
const COMMIT_TICKS: [u64; 4] = [1, 20, 500, 4_000];
/// How long each size of commit is measured.
const COMMITS_FOR: Duration = Duration::from_secs(10);
/// How long a writer lives before it is killed.
const VICTIM_LIVES: Duration = Duration::from_secs(4);
/// Kills, each followed by a measured start.
const KILLS: u64 = 3;
/// The default engines.
const DEFAULT_ENGINES: [&str; 3] = ["fjall", "redb", "redb:quick=1"];

/// The operations of an engine.
trait Store {
    /// Makes a commit durable; returns how many of its ticks were already stored.
    fn commit(&mut self, commit: Commit) -> Outcome<u64>;
    /// Ticks written, by the counter that is part of every commit.
    fn counter(&self) -> Outcome<u64>;
    /// Whether a tick is stored.
    fn holds(&self, key: &[u8]) -> Outcome<bool>;
    /// Reads a token's last rows, newest first; returns their bytes.
    fn last(&self, prefix: &[u8], limit: usize) -> Outcome<u64>;
    /// Reads the rows between two keys; returns their number.
    fn range(&self, from: &[u8], until: &[u8]) -> Outcome<u64>;
    /// Waits until background work is done.
    fn finish_compaction(&self);
    /// Closes the store cleanly.
    fn close(self: Box<Self>) -> Outcome;
}

/// An engine's name and its settings, written `fjall:memtable=16,cache=64`.
struct Tuning {
    engine: String,
    values: BTreeMap<String, u64>,
}

impl Tuning {
    fn parse(text: &str) -> Outcome<Self> {
        let (engine, settings) = text.split_once(':').unwrap_or((text, ""));
        let mut values = BTreeMap::new();
        for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').ok_or("a setting is name=value")?;
            values.insert(name.to_owned(), value.parse()?);
        }
        Ok(Self {
            engine: engine.to_owned(),
            values,
        })
    }

    fn get(&self, name: &str, default: u64) -> u64 {
        self.values.get(name).copied().unwrap_or(default)
    }

    fn open(&self, folder: &Path) -> Outcome<Box<dyn Store>> {
        match self.engine.as_str() {
            "fjall" => Ok(Box::new(FjallStore::open(folder, self)?)),
            "redb" => Ok(Box::new(RedbStore::open(folder, self)?)),
            other => Err(format!("no engine {other}: name fjall or redb").into()),
        }
    }
}

fn main() -> Outcome {
    // Cargo adds `--bench`; phases come as `phase NAME ENGINE FOLDER NUMBER`.
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    if let [first, name, engine, folder, number] = words.as_slice()
        && first == "phase"
    {
        return phase(
            name,
            &Tuning::parse(engine)?,
            Path::new(folder),
            number.parse()?,
        );
    }
    let mut ticks = TICKS_STORED;
    let mut parent = env::temp_dir();
    let mut engines = Vec::new();
    for word in &words {
        match word.split_once('=') {
            Some(("ticks", number)) => ticks = number.parse()?,
            Some(("dir", path)) => parent = PathBuf::from(path),
            _ => engines.push(word.as_str()),
        }
    }
    if engines.is_empty() {
        engines.extend(DEFAULT_ENGINES);
    }
    say(&disk_line(&parent)?)?;
    for engine in engines {
        let folder = tempfile::Builder::new()
            .prefix("engines-")
            .tempdir_in(&parent)?;
        let result = measure(engine, folder.path(), ticks);
        folder.close()?;
        result?;
    }
    Ok(())
}

/// Runs all phases of an engine, each in a child process.
fn measure(engine: &str, folder: &Path, ticks: u64) -> Outcome {
    say(&format!("\n{engine}"))?;
    run("fill", engine, folder, ticks)?;
    run("open", engine, folder, 0)?;
    for size in COMMIT_TICKS {
        run("commits", engine, folder, size)?;
    }
    run("read", engine, folder, 0)?;
    run("open", engine, folder, 0)?;
    for _ in 0..KILLS {
        let acknowledged = kill(engine, folder)?;
        run("open", engine, folder, acknowledged)?;
    }
    Ok(())
}

fn child(name: &str, engine: &str, folder: &Path, number: u64) -> Outcome<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["phase", name, engine])
        .arg(folder)
        .arg(number.to_string());
    Ok(command)
}

fn run(name: &str, engine: &str, folder: &Path, number: u64) -> Outcome {
    let status = child(name, engine, folder, number)?.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name} of {engine} ended with {status}").into())
    }
}

/// Kills a writer while it writes; returns the number of ticks whose commits had returned.
fn kill(engine: &str, folder: &Path) -> Outcome<u64> {
    let mut victim = child("victim", engine, folder, 0)?
        .stdout(Stdio::piped())
        .spawn()?;
    let output = victim.stdout.take().ok_or("the victim has no output")?;
    let started = Instant::now();
    let mut acknowledged = 0;
    for line in BufReader::new(output).lines() {
        // The last line may be truncated.
        acknowledged = line?.parse().unwrap_or(acknowledged);
        if started.elapsed() > VICTIM_LIVES {
            victim.kill()?;
        }
    }
    victim.wait()?;
    Ok(acknowledged)
}

fn phase(name: &str, tuning: &Tuning, folder: &Path, number: u64) -> Outcome {
    match name {
        "fill" => fill(tuning, folder, number),
        "commits" => commits(tuning, folder, number),
        "read" => read(tuning, folder),
        "open" => open(tuning, folder, number),
        "victim" => victim(tuning, folder),
        other => Err(format!("no phase {other}").into()),
    }
}

/// Fills the store; the last million shows how it writes when full.
fn fill(tuning: &Tuning, folder: &Path, ticks: u64) -> Outcome {
    let mut store = tuning.open(folder)?;
    let mut load = Load::from(0);
    let fill = Meter::start()?;
    let mut part = Meter::start()?;
    while load.ticks_written() < ticks {
        part.commit(store.as_mut(), load.commit(FILL_COMMIT_TICKS))?;
        if load.ticks_written().is_multiple_of(ticks / 5) {
            let million = load.ticks_written() / 1_000_000;
            let done = std::mem::replace(&mut part, Meter::start()?);
            done.report(&format!("fill, {million} M"), FILL_COMMIT_TICKS)?;
        }
    }
    fill.whole("fill, whole", ticks, folder)?;
    close(store)
}

fn commits(tuning: &Tuning, folder: &Path, size: u64) -> Outcome {
    let mut store = tuning.open(folder)?;
    let mut load = Load::from(store.counter()?);
    store.finish_compaction();
    let mut meter = Meter::start()?;
    while meter.started.elapsed() < COMMITS_FOR {
        meter.commit(store.as_mut(), load.commit(size))?;
    }
    meter.report(&format!("commits of {size}"), size)?;
    close(store)
}

fn close(store: Box<dyn Store>) -> Outcome {
    let started = Instant::now();
    store.close()?;
    say(&format!(
        "  close               {:>9.3} s",
        started.elapsed().as_secs_f64()
    ))
}

/// Measures a start, up to the first read of a tick. After a kill, it also checks that no acknowledged
/// tick is lost.
fn open(tuning: &Tuning, folder: &Path, acknowledged: u64) -> Outcome {
    let started = Instant::now();
    let store = tuning.open(folder)?;
    let ticks = store.counter()?;
    let opened = started.elapsed();
    let load = Load::from(ticks);
    if ticks < acknowledged {
        return Err(format!("lost ticks: {acknowledged} acknowledged, {ticks} found").into());
    }
    let found = store.last(&load.prefix(0), 1)?;
    let usage = Usage::now()?;
    let name = if acknowledged == 0 {
        "open, clean"
    } else {
        "open, killed"
    };
    say(&format!(
        "  {name:<20}{:>9.3} s   {ticks} ticks, last row {found} B, rss {} MB, cpu {:.2} s",
        opened.as_secs_f64(),
        usage.rss_bytes / 1_000_000,
        usage.cpu_s,
    ))?;
    // Waits for background work after a crash, which would otherwise affect the next phase.
    store.finish_compaction();
    if acknowledged == 0 {
        close(store)
    } else {
        store.close()
    }
}

/// Writes until it is killed, and prints each commit that has returned.
fn victim(tuning: &Tuning, folder: &Path) -> Outcome {
    let mut store = tuning.open(folder)?;
    let mut load = Load::from(store.counter()?);
    loop {
        let commit = load.commit(FILL_COMMIT_TICKS);
        store.commit(commit)?;
        say(&load.ticks_written().to_string())?;
    }
}

fn read(tuning: &Tuning, folder: &Path) -> Outcome {
    let store = tuning.open(folder)?;
    let ticks = store.counter()?;
    let load = Load::from(ticks);
    let timed = |name: &str, times: u64, work: &dyn Fn(u64) -> Outcome<u64>| -> Outcome {
        let before = Usage::now()?;
        let started = Instant::now();
        let mut result = 0;
        for turn in 0..times {
            result += work(turn)?;
        }
        let each_us = started.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(times)?);
        let after = Usage::now()?;
        say(&format!(
            "  {name:<20}{each_us:>9.1} us each of {times}, sum {result}, cpu {:.2} s, rss {} MB",
            after.cpu_s - before.cpu_s,
            after.rss_bytes / 1_000_000,
        ))
    };
    timed("latest of each", TOKENS, &|token| {
        store.last(&load.prefix(token), 1)
    })?;
    timed("latest again", TOKENS, &|token| {
        store.last(&load.prefix(token), 1)
    })?;
    timed("last 100", TOKENS, &|token| {
        store.last(&load.prefix(token), 100)
    })?;
    let rows = 10_000.min(ticks / TOKENS);
    let first = (ticks / TOKENS - rows) / 2;
    timed("range of 10,000", 100, &|token| {
        let from = load.seek(token * 7, first * TOKENS);
        store.range(&from, &load.seek(token * 7, (first + rows) * TOKENS))
    })?;
    timed("look-up, miss", 100_000, &|turn| {
        let absent = load.seek(turn * 13, ticks + TOKENS - (turn * 37) % ticks);
        Ok(u64::from(store.holds(&absent)?))
    })?;
    close(store)
}

/// Measures the disk itself: appended blocks, each followed by a sync.
fn disk_line(parent: &Path) -> Outcome<String> {
    let folder = tempfile::tempdir_in(parent)?;
    let mut line = String::from("disk:");
    for kib in [4, 64, 256] {
        let mut file = fs::File::create(folder.path().join(format!("{kib}")))?;
        let block = vec![7_u8; kib * 1_024];
        let started = Instant::now();
        let mut syncs = 0_u32;
        while started.elapsed() < Duration::from_secs(2) {
            file.write_all(&block)?;
            file.sync_data()?;
            syncs += 1;
        }
        let per_s = f64::from(syncs) / started.elapsed().as_secs_f64();
        line.push_str(&format!("  {kib} KiB + fdatasync {per_s:.0}/s"));
    }
    Ok(line)
}

fn say(line: &str) -> Outcome {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
