//! Simulates days of a market on one disk: the clock is moved, not waited for. `docs/storage.md` has the results.
//!
//! Each day, 500 pairs are traded all day, 10,000 new pairs appear and are traded that day alone, and old trades
//! are replayed. Everything is stored, appended to the stream, analysed and swept, as the process does it.
//!
//! `cargo bench -p store --bench days -- [days=60] [ticks=500000] [new=10000] [retention=7] [dir=PATH]`

use std::env;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use app::analyse::{Analyser, AnalysisFeed, AnalysisUpdate};
use app::ledger::LedgerEntry;
use app::ports::{LedgerWriter, Quarantine, Quarantined, TickStore, TickStream};
use async_trait::async_trait;
use domain::analytics::AnalysisConfig;
use domain::{Malformed, Reason, Tick, TickId, Token};
use store::{EmbeddedConfig, EmbeddedStore, SHARDS};
use testkit::ticks::{in_cohort, tick};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// 2026-01-01.
const FIRST_DAY_MS: i64 = 20_454 * DAY_MS;
/// Pairs that are traded all the time.
const OLD_PAIRS: u64 = 500;
/// Ticks of a delivery.
const DELIVERY_TICKS: u64 = 500;
/// Deliveries between two steps of the analysis.
const DELIVERIES_PER_STEP: u64 = 20;
/// One tick of this many is a replayed trade of the last 100 days.
const REPLAYED_EVERY: u64 = 50;
/// As in the process.
const STATES_PER_SHARD_BYTES_MAX: usize = 42_500_000;
/// Days between two lines of the report.
const REPORT_EVERY: i64 = 5;

struct Nobody;

#[async_trait]
impl AnalysisFeed for Nobody {
    async fn publish(&self, _: AnalysisUpdate) {}
}

/// Prints how long opening a store takes, in seconds.
fn open_and_close(folder: PathBuf) -> Outcome {
    let started = Instant::now();
    let store = EmbeddedStore::open(&EmbeddedConfig::new(folder))?;
    say(&format!("{:.3}", started.elapsed().as_secs_f64()));
    store.close();
    Ok(())
}

struct Simulation {
    days: i64,
    ticks: u64,
    new: u64,
    retention: i64,
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> Outcome {
    let mut simulation = Simulation {
        days: 60,
        ticks: 500_000,
        new: 10_000,
        retention: 7,
        folder: env::temp_dir().join("tickstream-days"),
    };
    for argument in env::args().skip(1) {
        match argument.split_once('=') {
            Some(("days", value)) => simulation.days = value.parse()?,
            Some(("ticks", value)) => simulation.ticks = value.parse()?,
            Some(("new", value)) => simulation.new = value.parse()?,
            Some(("retention", value)) => simulation.retention = value.parse()?,
            Some(("dir", value)) => simulation.folder = value.into(),
            Some(("open", value)) => return open_and_close(value.into()),
            // Cargo passes `--bench`.
            _ => {}
        }
    }
    if simulation.folder.exists() {
        std::fs::remove_dir_all(&simulation.folder)?;
    }
    simulation.run().await
}

impl Simulation {
    async fn run(&self) -> Outcome {
        say(
            "day |     rows kept | pairs | disk MB | memory MB | most MB | sweep s | start s | after a kill s | ticks/s",
        );
        let store = EmbeddedStore::open(&EmbeddedConfig::new(self.folder.clone()))?;
        let mut analysers = analysers_of(&store);
        let mut expired = 0;
        for day in 0..self.days {
            let started = Instant::now();
            self.simulate(&store, &mut analysers, day).await?;
            let rate = self.ticks as f64 / started.elapsed().as_secs_f64();
            let started = Instant::now();
            let before_ms = FIRST_DAY_MS + (day + 1 - self.retention) * DAY_MS;
            expired += store
                .sweep(before_ms, store::StreamRetention::ALL, &["analytics"])
                .await?
                .ticks;
            let sweep_s = started.elapsed().as_secs_f64();
            if (day + 1) % REPORT_EVERY != 0 && day != 0 {
                continue;
            }
            let (memory, most) = memory_mb()?;
            let (killed_s, start_s) = self.start_times()?;
            let kept = store.ledger().stored_rows - expired;
            let disk = bytes_in(&self.folder)? / 1_000_000;
            say(&format!(
                "{:>3} | {kept:>13} | {:>5} | {disk:>7} | {memory:>9} | {most:>7} | {sweep_s:>7.2} | {start_s:>7} | {killed_s:>14} | {rate:>7.0}",
                day + 1,
                store.pairs_live(),
            ));
        }
        store.close();
        Ok(())
    }

    /// How long other processes need to open a copy of the folder as it is, which is what `kill -9` leaves, and
    /// again after a clean close.
    fn start_times(&self) -> Outcome<(String, String)> {
        let copy = self.folder.with_extension("copy");
        let copied = Command::new("cp")
            .arg("-r")
            .arg(&self.folder)
            .arg(&copy)
            .status()?;
        if !copied.success() {
            return Err("the folder cannot be copied".into());
        }
        let mut times = Vec::new();
        for _ in 0..2 {
            let argument = format!("open={}", copy.display());
            let output = Command::new(env::current_exe()?).arg(argument).output()?;
            times.push(String::from_utf8(output.stdout)?.trim().to_owned());
        }
        std::fs::remove_dir_all(&copy)?;
        let mut times = times.into_iter();
        Ok((
            times.next().unwrap_or_default(),
            times.next().unwrap_or_default(),
        ))
    }

    /// One day of deliveries.
    async fn simulate(
        &self,
        store: &EmbeddedStore,
        analysers: &mut [Analyser],
        day: i64,
    ) -> Outcome {
        for delivery in 0..self.ticks / DELIVERY_TICKS {
            let first = delivery * DELIVERY_TICKS;
            let made: Vec<Tick> = (first..first + DELIVERY_TICKS)
                .map(|number| self.tick(day, number))
                .collect::<Outcome<_>>()?;
            let stored = store.put(&in_cohort(&made)).await?;
            store
                .append(&made.iter().collect::<Vec<_>>(), stored.outbox_id)
                .await?;
            let entry = LedgerEntry {
                received: DELIVERY_TICKS,
                stored: DELIVERY_TICKS,
                ..LedgerEntry::default()
            };
            LedgerWriter::commit(store, stored.outbox_id, entry).await?;
            if delivery % DELIVERIES_PER_STEP == 0 {
                let entry =
                    Malformed::new(0, Reason::InvalidPrice, "no price", b"{\"price\":null}");
                let received_at_ms = made.last().map_or(0, |tick| tick.ingested_at_ms);
                let source = "ticks".to_owned();
                store
                    .keep(&[Quarantined {
                        received_at_ms,
                        source,
                        entry,
                    }])
                    .await?;
                analyse(store, analysers).await?;
            }
        }
        analyse(store, analysers).await
    }

    /// The tick of a number of a day.
    fn tick(&self, day: i64, number: u64) -> Outcome<Tick> {
        let new = number * self.new / self.ticks;
        let token = match number % 4 {
            0 => format!("MINT{day:03}x{new:06}"),
            _ => format!("OLD{:03}", number % OLD_PAIRS),
        };
        let mut made = tick("BTC", u32::try_from(number)?);
        made.token = Token::new(&token)?;
        let passed_ms = i64::try_from(number)? * DAY_MS / i64::try_from(self.ticks)?;
        made.ingested_at_ms = FIRST_DAY_MS + day * DAY_MS + passed_ms;
        made.timestamp_ms = made.ingested_at_ms - 200;
        if number % REPLAYED_EVERY == 1 {
            made.timestamp_ms -= i64::try_from(number % 100)? * DAY_MS;
        }
        made.tick_id = TickId::derive("days", &[&day.to_string(), &number.to_string()]);
        Ok(made)
    }
}

fn analysers_of(store: &EmbeddedStore) -> Vec<Analyser> {
    let analyser = |shard| {
        let (to, feed) = (Arc::new(store.clone()), Arc::new(Nobody));
        let analyser = Analyser::new(shard, to, feed, AnalysisConfig::default());
        analyser.keep_states(STATES_PER_SHARD_BYTES_MAX)
    };
    (0..SHARDS).map(analyser).collect()
}

/// Processes what is new in the stream.
async fn analyse(store: &EmbeddedStore, analysers: &mut [Analyser]) -> Outcome {
    for (shard, analyser) in (0..SHARDS).zip(analysers) {
        loop {
            let after = store.checkpoint("analytics", shard)?;
            let records = store.read_stream(shard, after, 2_000).await?;
            if records.is_empty() {
                break;
            }
            analyser.fold(&records).await?;
            analyser.commit().await?;
        }
    }
    Ok(())
}

/// The process's memory now and at most, in MB.
fn memory_mb() -> Outcome<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kb = line.and_then(|line| line.split_whitespace().nth(1));
        kb.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_000
    };
    Ok((of("VmRSS"), of("VmHWM")))
}

fn bytes_in(folder: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            bytes_in(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}

fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
