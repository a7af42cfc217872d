//! `kill -9` under load.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::load::Clients;
use crate::process::Process;
use crate::verify::verify;
use crate::{Outcome, say};

/// Clients that send at the same time.
const CLIENTS: u64 = 8;
/// Ticks of a delivery.
const TICKS: u64 = 20;

pub(crate) async fn run(kills: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let next = Arc::new(AtomicU64::new(0));
    let mut ended = Vec::new();
    let mut starts = Vec::new();
    for kill in 0..kills {
        let process = Process::start(&data, &[])?;
        starts.push(process.start);
        let clients = Clients::start(&process.url, CLIENTS, TICKS, &next)?;
        // At another moment each time: during the first deliveries, and after seconds.
        tokio::time::sleep(Duration::from_millis(100 + kill * 137 % 1_500)).await;
        process.kill()?;
        ended.extend(clients.stop().await?);
    }
    starts.sort_unstable();
    let (half, most) = (starts.get(starts.len() / 2), starts.last());
    say(&format!(
        "{kills} kills; start after one: {half:?} in the middle, {most:?} at most"
    ));
    let process = Process::start(&data, &[])?;
    verify(&process, &data, &ended).await?;
    process.kill()?;
    say("  the same after another kill:");
    let process = Process::start(&data, &[])?;
    verify(&process, &data, &ended).await?;
    Ok(())
}
