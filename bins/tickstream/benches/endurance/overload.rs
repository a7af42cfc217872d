//! Twice the load that the process can take.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::load::{Clients, End, open_loop};
use crate::process::Process;
use crate::{Outcome, say};

/// Ticks of a delivery.
const TICKS: u64 = 1;
/// How long the capacity is measured.
const CAPACITY_FOR: Duration = Duration::from_secs(20);
/// How long one part of the load is.
const PART: Duration = Duration::from_secs(60);

pub(crate) async fn run(seconds: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let process = Process::start(&data, &[])?;
    let next = Arc::new(AtomicU64::new(0));
    let clients = Clients::start(&process.url, 64, TICKS, &next)?;
    tokio::time::sleep(CAPACITY_FOR).await;
    let ended = clients.stop().await?;
    let answered = ended
        .iter()
        .filter(|(_, end)| *end == End::Answered)
        .count();
    let capacity = u32::try_from(answered)? / u32::try_from(CAPACITY_FOR.as_secs())?;
    let rate = (2 * capacity).max(1);
    say(&format!(
        "capacity: {capacity} deliveries of {TICKS} ticks a second; sending {rate} for {seconds} s"
    ));
    let (mut answered, mut refused, mut failed, mut not_sent) = (0_u64, 0_u64, 0_u64, 0_u64);
    let started = Instant::now();
    while started.elapsed().as_secs() < seconds {
        let (latencies, ended) = open_loop(&process.url, (rate, TICKS), PART, &next).await?;
        not_sent += latencies.not_sent;
        for (_, end) in &ended {
            match end {
                End::Answered => answered += 1,
                End::Refused(503) => refused += 1,
                End::Refused(_) | End::Failed => failed += 1,
            }
        }
        let (memory, most) = process.memory_mb()?;
        say(&format!(
            "  after {:>5.0} s: answered {answered}, 503 {refused}, failed {failed}, not sent {not_sent}; p99 {:?}; memory {memory} MB, at most {most} MB",
            started.elapsed().as_secs_f64(),
            latencies.percentile(99),
        ));
    }
    process
        .until("/api/ledger", |ledger| ledger["pending"] == 0)
        .await?;
    let (_, ledger) = process.get("/api/ledger").await?;
    let stored = ledger["stored"].as_u64().unwrap_or(0);
    if ledger["difference"] != 0 || stored < answered * TICKS {
        return Err(format!("{answered} deliveries were answered; the ledger: {ledger}").into());
    }
    say(&format!(
        "  {} ticks were answered in the overload, {stored} are stored; the ledger reconciles",
        answered * TICKS
    ));
    Ok(())
}
