//! Measures commits: time, CPU, bytes written and memory.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::load::Commit;
use crate::probe::{self, Usage};
use crate::{Outcome, Store, say};

/// Times commits one by one.
pub(crate) struct Meter {
    pub(crate) started: Instant,
    before: Usage,
    latencies: Vec<Duration>,
    duplicates: u64,
}

impl Meter {
    pub(crate) fn start() -> Outcome<Self> {
        let before = Usage::now()?;
        Ok(Self {
            started: Instant::now(),
            before,
            latencies: Vec::new(),
            duplicates: 0,
        })
    }

    pub(crate) fn commit(&mut self, store: &mut dyn Store, commit: Commit) -> Outcome {
        let started = Instant::now();
        self.duplicates += store.commit(commit)?;
        self.latencies.push(started.elapsed());
        Ok(())
    }

    pub(crate) fn report(mut self, name: &str, size: u64) -> Outcome {
        let wall_s = self.started.elapsed().as_secs_f64();
        let after = Usage::now()?;
        self.latencies.sort_unstable();
        let commits = u32::try_from(self.latencies.len())?;
        let ticks = f64::from(commits) * f64::from(u32::try_from(size)?);
        let at = |share: usize| {
            let place = self.latencies.len() * share / 1_000;
            self.latencies
                .get(place)
                .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let written = u32::try_from((after.written_bytes - self.before.written_bytes) / 1_000)?;
        say(&format!(
            "  {name:<20}{:>9.0} commits/s {:>9.0} ticks/s  cpu {:>6.1} us/tick {:.2} cores  \
             p50 {:.1} p99 {:.1} max {:.0} ms  written {:.0} B/tick  rss {} MB  duplicates {}",
            f64::from(commits) / wall_s,
            ticks / wall_s,
            (after.cpu_s - self.before.cpu_s) * 1e6 / ticks,
            (after.cpu_s - self.before.cpu_s) / wall_s,
            at(500),
            at(990),
            at(999),
            f64::from(written) * 1e3 / ticks,
            after.rss_bytes / 1_000_000,
            self.duplicates,
        ))
    }

    /// The same for a whole fill, including its size on disk.
    pub(crate) fn whole(&self, name: &str, ticks: u64, folder: &Path) -> Outcome {
        let wall_s = self.started.elapsed().as_secs_f64();
        let after = Usage::now()?;
        let written = after.written_bytes - self.before.written_bytes;
        say(&format!(
            "  {name:<20}{wall_s:>9.1} s {:>9.0} ticks/s  cpu {:.1} s  written {} MB  on disk {} MB  rss max {} MB",
            f64::from(u32::try_from(ticks)?) / wall_s,
            after.cpu_s - self.before.cpu_s,
            written / 1_000_000,
            probe::disk_bytes(folder)? / 1_000_000,
            after.rss_max_bytes / 1_000_000,
        ))
    }
}
