//! Compares store, stream and archive of a folder with many ticks: the time and the memory of `tickctl verify` on this
//! machine. `docs/operations.md` has the results.
//!
//! The comparison runs in a process of its own, so that its memory is not that of the generator. The folder is kept
//! for the next run.
//!
//! `cargo bench -p store --bench verify -- [ticks=10000000] [tokens=5000] [dir=PATH]`

use std::env;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use app::ledger::LedgerEntry;
use app::ports::{Clock, CohortTick, LedgerWriter, TickStore, TickStream};
use archive::Archive;
use domain::{Tick, TickId, Token};
use ops::verify::{DueAfter, Progress, VerifyRequest, Watch};
use store::{Archiver, EmbeddedConfig, EmbeddedStore, LocalVerify, STORE_FOLDER};
use testkit::ticks::tick;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// 2026-01-01.
const FIRST_MS: i64 = 20_454 * DAY_MS;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Ticks of a delivery.
const DELIVERY_TICKS: u64 = 500;
/// Ticks between two flushes of the archive.
const FLUSH_TICKS: u64 = 200_000;

struct FixedClock(i64);

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        self.0
    }
}

struct Quiet;

impl Watch for Quiet {
    fn progress(&self, _: Progress) {}
    fn stopped(&self) -> bool {
        false
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let (mut ticks, mut tokens) = (10_000_000, 5_000);
    let mut folder = env::temp_dir().join("tickstream-verify");
    let mut compares = false;
    for argument in env::args().skip(1) {
        match argument.split_once('=') {
            Some(("ticks", value)) => ticks = value.parse()?,
            Some(("tokens", value)) => tokens = value.parse()?,
            Some(("dir", value)) => folder = value.into(),
            Some(("compare", value)) => (folder, compares) = (value.into(), true),
            // Cargo passes `--bench`.
            _ => {}
        }
    }
    if compares {
        return compare(&folder).await;
    }
    if !folder.exists() {
        make(&folder, ticks, tokens).await?;
    }
    let argument = format!("compare={}", folder.display());
    let done = Command::new(env::current_exe()?).arg(argument).status()?;
    if done.success() {
        Ok(())
    } else {
        Err("the comparison failed".into())
    }
}

/// A day of ticks, nine of ten in the cohort, all stored, streamed and archived.
async fn make(folder: &Path, ticks: u64, tokens: u64) -> Outcome {
    let started = Instant::now();
    let store = open(folder)?;
    let archive = Arc::new(Archive::open(folder)?);
    let archiver = Archiver::new(store.clone(), archive, Arc::new(FixedClock(FIRST_MS)));
    for first in (0..ticks).step_by(usize::try_from(DELIVERY_TICKS)?) {
        let made: Vec<Tick> = (first..first + DELIVERY_TICKS)
            .map(|number| made(number, ticks, tokens))
            .collect::<Outcome<_>>()?;
        let decided: Vec<CohortTick> = (made.iter().enumerate())
            .map(|(n, tick)| CohortTick {
                tick: tick.clone(),
                in_cohort: n % 10 != 0,
                arrival_stamped: false,
            })
            .collect();
        let cohort: Vec<&Tick> = decided
            .iter()
            .filter(|it| it.in_cohort)
            .map(|it| &it.tick)
            .collect();
        let stored = store.put(&decided).await?;
        store.append(&cohort, stored.outbox_id).await?;
        LedgerWriter::commit(&store, stored.outbox_id, LedgerEntry::default()).await?;
        if first % FLUSH_TICKS == 0 {
            archiver.flush().await?;
        }
    }
    archiver.flush().await?;
    drop(archiver);
    store.close();
    say(&format!(
        "{ticks} ticks made in {:.0} s",
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn made(number: u64, ticks: u64, tokens: u64) -> Outcome<Tick> {
    let mut made = tick("BTC", u32::try_from(number)?);
    made.token = Token::new(&format!(
        "So1111111111111111111111111111111111{:06}",
        number % tokens
    ))?;
    made.ingested_at_ms = FIRST_MS + i64::try_from(number)? * DAY_MS / i64::try_from(ticks)?;
    made.timestamp_ms = made.ingested_at_ms - 200;
    made.tick_id = TickId::derive("verify", &[&number.to_string()]);
    Ok(made)
}

fn open(folder: &Path) -> Outcome<EmbeddedStore> {
    Ok(EmbeddedStore::open(&EmbeddedConfig::new(
        folder.join(STORE_FOLDER),
    ))?)
}

async fn compare(folder: &Path) -> Outcome {
    let store = open(folder)?;
    let opened_mb = memory_mb()?;
    let started = Instant::now();
    let request = VerifyRequest {
        from_ms: FIRST_MS,
        to_ms: FIRST_MS + DAY_MS,
        one_in: 1,
        repeats_max: 0,
        due_after: Some(DueAfter {
            stored_ms: 0,
            streamed_ms: 0,
            archived_ms: 0,
        }),
        repair: false,
    };
    let verify = LocalVerify::new(store.clone(), folder, DueAfter::HERE);
    let proof = verify.run(&request, FIRST_MS + 2 * DAY_MS, &Quiet).await?;
    say(&format!(
        "{} ticks stored, {} in the cohort, {} matched: {:?}; {:.1} s; at most {} MB of memory ({opened_mb} MB before)",
        proof.counts.stored,
        proof.counts.cohort,
        proof.counts.matched,
        proof.verdict(),
        started.elapsed().as_secs_f64(),
        memory_mb()?,
    ));
    Ok(())
}

/// The most memory of the process so far, in MB.
fn memory_mb() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kb.ok_or("no VmHWM")?.parse::<u64>()? / 1_000)
}

fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
