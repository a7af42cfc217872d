//! How fast a day is compacted, and in how much memory: `cargo bench -p archive`, or with other
//! sizes `cargo bench -p archive -- TICKS FILES`. Uses generated ticks of 1,000 tokens on one day.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a program that measures: it prints, rounds, and stops at the first surprise"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use archive::compaction::{Compaction, Memory, Settings, TARGET_BYTES, Watch, day_folders};
use archive::{Archive, Folder};
use domain::{Method, Price, SourceName, Tick, TickId, Token, Volume};

/// 2026-03-07T00:00:00Z.
const DAY_MS: i64 = 1_772_841_600_000;

const DAY_LENGTH_MS: u64 = 86_400_000;

const TICKS: u64 = 5_000_000;

const FILES: u64 = 1_000;

struct Silent;

impl Watch for Silent {
    fn stopped(&self) -> bool {
        false
    }
    fn progress(&self, _: &'static str, _: u64, _: u64) {}
}

fn tick(n: u64, of: u64, tokens: &[Token]) -> Tick {
    // Tokens do not trade in the order of their names.
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let at_ms = DAY_MS + i64::try_from(n * DAY_LENGTH_MS / of).unwrap();
    let cents = 10_000 + mixed % 500;
    Tick {
        tick_id: TickId::derive("bench", &[&n.to_string()]),
        token: tokens[usize::try_from(mixed).unwrap() % tokens.len()].clone(),
        quote: Token::new("USDC").unwrap(),
        price: Price::parse(&format!("{}.{:02}", cents / 100, cents % 100)).unwrap(),
        volume: (!n.is_multiple_of(4))
            .then(|| Volume::parse(&format!("{}.5", mixed % 90)).unwrap()),
        timestamp_ms: at_ms,
        ingested_at_ms: at_ms + 40 + i64::try_from(mixed % 300).unwrap(),
        source: SourceName::new("bench:market").unwrap(),
        slot: n.is_multiple_of(2).then_some(400_000_000 + n / 100),
        method: Method::Trade,
        sequence: None,
        quality: None,
    }
}

fn write(data: &Path, ticks: u64, files: u64) {
    let names = (0..1_000).map(|n| Token::new(&format!("Token{n:04}{:030}", n * 7_919)));
    let tokens: Vec<Token> = names.map(Result::unwrap).collect();
    let archive = Archive::open(data).unwrap();
    let each = ticks.div_ceil(files);
    for first in (0..ticks).step_by(usize::try_from(each).unwrap()) {
        let last = (first + each).min(ticks);
        let part: Vec<Tick> = (first..last).map(|n| tick(n, ticks, &tokens)).collect();
        archive.write_range(0, first, last - 1, &part).unwrap();
    }
}

/// The peak memory of this process in MiB, if the system reports it.
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1_024)
}

fn main() {
    let mut numbers = std::env::args().filter_map(|arg| arg.parse::<u64>().ok());
    let ticks = numbers.next().unwrap_or(TICKS);
    let files = numbers.next().unwrap_or(FILES).max(1);
    let data = tempfile::tempdir().unwrap();
    let started = Instant::now();
    write(data.path(), ticks, files);
    println!(
        "{ticks} ticks in {files} files written in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    let before_mib = peak_mib();

    let objects = Arc::new(Folder::new(data.path()));
    let (_lock, work) = objects.lock().unwrap();
    let compaction = Compaction {
        objects: Arc::clone(&objects) as _,
        clock: Arc::new(|| DAY_MS),
        settings: Settings {
            target_bytes: TARGET_BYTES,
            grace_ms: 0,
            memory: Memory::default(),
        },
        work,
        watch: Arc::new(Silent),
        lease: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let started = Instant::now();
    let report = runtime.block_on(async {
        let days = day_folders(objects.as_ref(), None, None).await.unwrap();
        compaction.compact(days.first().unwrap()).await.unwrap()
    });
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(report.rows, ticks);
    println!(
        "{} files, {} bytes -> {} files, {} bytes ({:.1} a tick): {seconds:.1} s, {:.0} ticks/s, \
         peak memory {:?} MiB (after writing: {:?})",
        report.before.count,
        report.before.bytes,
        report.after.count,
        report.after.bytes,
        report.after.bytes as f64 / ticks as f64,
        ticks as f64 / seconds,
        peak_mib(),
        before_mib,
    );
}
