//! Waits for an emulator to be ready.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;

/// The health path of LocalStack and its substitutes.
const PATH: &str = "/_localstack/health";
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How many lines of a log an error shows.
const LOG_LINES: usize = 15;

/// Waits until the emulator responds.
pub(super) async fn wait(endpoint: &str, within: Duration) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(RESPONSE_TIMEOUT)
        .build()
        .context("no HTTP client")?;
    let deadline = Instant::now() + within;
    let url = format!("{}{PATH}", endpoint.trim_end_matches('/'));
    loop {
        let last_error = match client.get(&url).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            bail!(
                "{url} was not ready within {} s: {last_error}",
                within.as_secs()
            );
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The end of a log, indented.
pub(super) fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(LOG_LINES).collect();
    lines
        .iter()
        .rev()
        .fold(String::new(), |all, line| all + "\n  " + line)
}
