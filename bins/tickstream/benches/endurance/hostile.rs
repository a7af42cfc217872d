//! Hostile clients beside honest ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::open_loop;
use crate::process::Process;
use crate::{Outcome, say};

/// Honest requests a second, of one tick each.
const HONEST_RATE: u32 = 1_000;
/// Connections that a hostile client holds.
const CONNECTIONS: usize = 50;

/// What hostile clients do; two of each.
#[derive(Debug, Clone, Copy)]
enum Hostility {
    /// Announces a large body and sends a byte a second.
    StalledUpload,
    /// Sends headers without end.
    HeaderFlood,
    /// Opens connections and says nothing.
    IdleConnections,
    /// Sends large bodies with a wrong secret, as fast as it can.
    WrongSecret,
    /// Asks for large answers and does not read them.
    SlowReader,
}

const HOSTILITIES: [Hostility; 5] = [
    Hostility::StalledUpload,
    Hostility::HeaderFlood,
    Hostility::IdleConnections,
    Hostility::WrongSecret,
    Hostility::SlowReader,
];

pub(crate) async fn run(seconds: u64) -> Outcome {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let process = Process::start(&data, &[])?;
    let next = Arc::new(AtomicU64::new(0));
    let time = Duration::from_secs(seconds);
    let (alone, _) = open_loop(&process.url, (HONEST_RATE, 1), time, &next).await?;
    report("alone", &alone);
    let address = process.url.trim_start_matches("http://").to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for hostility in HOSTILITIES.into_iter().cycle().take(10) {
        for _ in 0..CONNECTIONS {
            let (address, stop) = (address.clone(), Arc::clone(&stop));
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // Whatever the server does to it, it comes again.
                    drop(tokio::time::timeout(time, attack(&address, hostility)).await);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    }
    let (beside, _) = open_loop(&process.url, (HONEST_RATE, 1), time, &next).await?;
    stop.store(true, Ordering::Relaxed);
    clients.abort_all();
    report("beside ten hostile clients", &beside);
    let (memory, most) = process.memory_mb()?;
    say(&format!("  memory {memory} MB, at most {most} MB"));
    if beside.errors > 0 {
        return Err(format!("{} honest requests failed", beside.errors).into());
    }
    Ok(())
}

fn report(name: &str, latencies: &crate::load::Latencies) {
    say(&format!(
        "{name}: {} requests, {} errors, p50 {:?}, p99 {:?}",
        latencies.count(),
        latencies.errors,
        latencies.percentile(50),
        latencies.percentile(99),
    ));
}

async fn attack(address: &str, hostility: Hostility) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    let head =
        |path: &str, more: &str| format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{more}");
    match hostility {
        Hostility::StalledUpload => {
            let more = "content-type: application/json\r\ncontent-length: 4000000\r\n\r\n[";
            socket
                .write_all(head("/webhooks/ticks", more).as_bytes())
                .await?;
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                socket.write_all(b" ").await?;
            }
        }
        Hostility::HeaderFlood => {
            socket
                .write_all(head("/webhooks/ticks", "").as_bytes())
                .await?;
            for number in 0_u64.. {
                socket
                    .write_all(format!("x-{number}: {}\r\n", "a".repeat(1_000)).as_bytes())
                    .await?;
            }
        }
        Hostility::IdleConnections => {
            let mut byte = [0];
            socket.read_exact(&mut byte).await?;
        }
        Hostility::WrongSecret => {
            let body = "x".repeat(1_000_000);
            let more = format!(
                "authorization: Bearer wrong-secret-of-a-stranger\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            socket
                .write_all(head("/webhooks/ticks", &more).as_bytes())
                .await?;
            socket.write_all(body.as_bytes()).await?;
            let mut answer = vec![0; 1_000];
            socket.read_exact(&mut answer).await?;
        }
        Hostility::SlowReader => {
            for _ in 0..100 {
                let request =
                    format!("GET /api/ticks/T1?limit=10000 HTTP/1.1\r\nhost: {address}\r\n\r\n");
                socket.write_all(request.as_bytes()).await?;
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
    }
    Ok(())
}
