//! Screens that are drawn again and again until the user stops them.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use crate::process::{ProcessContext, print_line};

/// Clears a terminal, and puts the cursor to its top.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Draws once, or every so often until the user stops it; returns the last result. While it repeats, an error is
/// shown instead of a screen.
///
/// # Errors
/// That of the only drawing, or of the output.
pub(crate) async fn draw<T>(
    every: Option<Duration>,
    process: &ProcessContext,
    mut look: impl AsyncFnMut() -> anyhow::Result<(String, T)>,
) -> anyhow::Result<T> {
    let stopped = || anyhow::anyhow!("stopped before the first look was complete");
    let Some(every) = every else {
        let seen = process.stop.run_until_cancelled(look()).await;
        let (screen, result) = seen.ok_or_else(stopped)??;
        print_line(&screen)?;
        return Ok(result);
    };
    let is_terminal = std::io::stdout().is_terminal();
    let mut last = Err(stopped());
    loop {
        let Some(seen) = process.stop.run_until_cancelled(look()).await else {
            return last;
        };
        let screen = match &seen {
            Ok((screen, _)) => screen.clone(),
            Err(error) => format!("{error:#}"),
        };
        if is_terminal {
            let mut out = std::io::stdout().lock();
            write!(out, "{CLEAR}")?;
        }
        print_line(&screen)?;
        let wait = tokio::time::sleep(every);
        if process.stop.run_until_cancelled(wait).await.is_none() {
            return seen.map(|(_, result)| result);
        }
        last = seen.map(|(_, result)| result);
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_looks_again_until_it_is_stopped_and_survives_errors() {
        let stop = CancellationToken::new();
        let process = ProcessContext {
            now_ms: || 0,
            stop: stop.clone(),
        };
        let mut looks = 0;
        let every = Some(Duration::from_secs(5));
        let last = draw(every, &process, async || {
            looks += 1;
            if looks == 2 {
                anyhow::bail!("away for a moment");
            }
            if looks == 4 {
                stop.cancel();
                // A look that is under way is not completed; nothing of it is shown.
                std::future::pending::<()>().await;
            }
            Ok((format!("screen {looks}"), looks))
        })
        .await;
        assert_eq!(last.unwrap(), 3, "that of the last complete look");
        assert_eq!(looks, 4);
        // It stops the only look, too.
        let stopped = draw(None, &process, async || std::future::pending().await);
        let stopped: anyhow::Result<u8> = stopped.await;
        assert!(stopped.unwrap_err().to_string().contains("stopped"));
        let process = ProcessContext {
            stop: CancellationToken::new(),
            ..process
        };
        let once = draw(None, &process, async || Ok((String::new(), 7))).await;
        assert_eq!(once.unwrap(), 7);
    }
}
