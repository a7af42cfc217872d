//! A disk that fills up and gets room again.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use runtime::clock::now_ms;

use crate::load::{Clients, Delivery, End, Ended, send};
use crate::process::Process;
use crate::verify::verify;
use crate::{Outcome, say};

/// The size of the disk.
const DISK_MB: u64 = 1_000;
/// How much of it each round leaves to the process.
const LEFT_MB: u64 = 40;
/// How long a round waits for a refusal, and for the recovery.
const WITHIN: Duration = Duration::from_secs(120);

/// A small file system, until it is dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(folder: &'a Path) -> Outcome<Option<Self>> {
        let size = format!("size={DISK_MB}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tickstream-endurance"])
            .arg(folder)
            .output();
        match mount {
            Ok(output) if output.status.success() => Ok(Some(Self(folder))),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                say(&format!(
                    "NOT SHOWN HERE: no small file system can be mounted: {}",
                    why.trim()
                ));
                Ok(None)
            }
            Err(error) => {
                say(&format!(
                    "NOT SHOWN HERE: no small file system can be mounted: {error}"
                ));
                Ok(None)
            }
        }
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.0).output());
    }
}

pub(crate) async fn run(rounds: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let Some(_disk) = Disk::mount(folder.path())? else {
        return Ok(());
    };
    let data = folder.path().join("data");
    let process = Process::start(&data, &["--min-free-disk-mb", "100"])?;
    let next = Arc::new(AtomicU64::new(0));
    let mut ended: Ended = Vec::new();
    for round in 1..=rounds {
        let clients = Clients::start(&process.url, 4, 100, &next)?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let filler = folder.path().join("filler");
        fill(&filler)?;
        let refused = until(&process, |status| status == 503).await?;
        let (reading, _) = process.get("/api/ticks/T1?limit=10").await?;
        ended.extend(clients.stop().await?);
        std::fs::remove_file(&filler)?;
        let recovered = until(&process, |status| status == 200).await?;
        say(&format!(
            "round {round}: refused {:.1} s after the disk was filled, reading answered {reading}, accepted again {:.1} s after there was room",
            refused.as_secs_f64(),
            recovered.as_secs_f64(),
        ));
        if reading != 200 {
            return Err("reading stopped".into());
        }
    }
    let statuses = ended
        .iter()
        .filter(|(_, end)| !matches!(end, End::Answered | End::Refused(503)))
        .count();
    if statuses > 0 {
        return Err(format!("{statuses} deliveries ended neither with 200 nor with 503").into());
    }
    // What the probes sent is stored, too.
    verify(&process, &data, &ended).await?;
    process.kill()?;
    let process = Process::start(&data, &["--min-free-disk-mb", "100"])?;
    verify(&process, &data, &ended).await?;
    Ok(())
}

/// Fills the disk up to what is left to the process.
fn fill(filler: &Path) -> Outcome {
    use std::io::Write as _;
    let mut file = std::fs::File::create(filler)?;
    let block = vec![0; 1_000_000];
    loop {
        if let Err(error) = file.write_all(&block) {
            say(&format!("  the disk is full: {error}"));
            break;
        }
    }
    let length = file.metadata()?.len();
    file.set_len(length.saturating_sub(LEFT_MB * 1_000_000))?;
    Ok(())
}

/// Sends single ticks until a response has a wanted status; returns how long that took.
async fn until(process: &Process, is_wanted: impl Fn(u16) -> bool) -> Outcome<Duration> {
    let started = Instant::now();
    loop {
        let number = u64::try_from(now_ms())?;
        let delivery = Delivery {
            number,
            ticks: 1,
            at_ms: now_ms(),
        };
        let status = match send(&process.http, &process.url, delivery).await {
            End::Answered => 200,
            End::Refused(status) => status,
            End::Failed => 0,
        };
        if is_wanted(status) {
            return Ok(started.elapsed());
        }
        if started.elapsed() > WITHIN {
            return Err(format!("the last response had status {status}").into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
