//! A function in AWS's Lambda Runtime Interface Emulator, which runs a bootstrap with Lambda's own Runtime API: it
//! enforces the time limit, and starts the bootstrap again after a crash.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::NamedTempFile;

use crate::aws_parts::{self, NOT_HERE};
use crate::build_folder;
use crate::not_shown::not_shown;

/// How long it may take to be built and started; a new machine needs about two minutes.
const START_TIMEOUT: Duration = Duration::from_secs(480);
/// How long it may take to end after a signal.
const END_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running emulator, which is killed when this is dropped. The bootstrap ends with it.
pub struct LambdaEmulator {
    address: SocketAddr,
    http: reqwest::Client,
    process: Child,
    log: NamedTempFile,
}

impl LambdaEmulator {
    /// Starts a bootstrap with these variables and this time limit. `None` if this machine cannot run the emulator,
    /// which is printed together with what is not shown because of that.
    ///
    /// # Errors
    ///
    /// It does not start, for another reason.
    pub async fn start(
        bootstrap: &Path,
        environment: &[(&'static str, String)],
        timeout_seconds: u32,
        unshown: &str,
    ) -> anyhow::Result<Option<Self>> {
        let (api, address) = (free_address()?, free_address()?);
        let mut command = Command::new(aws_parts::program());
        command
            .arg("lambda")
            .args(["--runtime-api-address", &api.to_string()])
            .args(["--runtime-interface-emulator-address", &address.to_string()])
            .arg(bootstrap)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_FUNCTION_TIMEOUT", timeout_seconds.to_string())
            .stdin(Stdio::null());
        match tokio::task::spawn_blocking(move || spawn(command, address)).await?? {
            Ok((process, log)) => Ok(Some(Self {
                address,
                http: reqwest::Client::builder().no_proxy().build()?,
                process,
                log,
            })),
            Err(why) => {
                not_shown(unshown, &why);
                Ok(None)
            }
        }
    }

    /// Invokes the function, and returns the body of the response: its answer, its error, or that it timed out.
    ///
    /// # Errors
    ///
    /// The emulator does not answer.
    pub async fn invoke(&self, event: impl Into<reqwest::Body>) -> anyhow::Result<String> {
        let path = "2015-03-31/functions/function/invocations";
        let url = format!("http://{}/{path}", self.address);
        let answer = self.http.post(url).body(event).send().await;
        Ok(answer.context(self.log())?.text().await?)
    }

    /// Sends it a SIGTERM, and waits for its end.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub async fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        let id = self.process.id().to_string();
        Command::new("kill").args(["-s", "TERM", &id]).status()?;
        let deadline = Instant::now() + END_TIMEOUT;
        loop {
            if let Some(ended) = self.process.try_wait()? {
                return Ok(ended);
            }
            if Instant::now() >= deadline {
                bail!("the emulator did not end after a SIGTERM:{}", self.log());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// What the emulator and the function logged.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log)
    }
}

impl Drop for LambdaEmulator {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Starts the process; the inner error is why this machine cannot run it.
fn spawn(
    mut command: Command,
    address: SocketAddr,
) -> anyhow::Result<Result<(Child, NamedTempFile), String>> {
    // Only one process builds it.
    let _lock = build_folder::lock("aws-parts")?;
    let log = NamedTempFile::new()?;
    let to_log = || File::options().append(true).open(log.path());
    let mut process = command.stdout(to_log()?).stderr(to_log()?).spawn()?;
    let deadline = Instant::now() + START_TIMEOUT;
    while TcpStream::connect(address).is_err() {
        if let Some(ended) = process.try_wait()? {
            let said = read(&log);
            if ended.code() == Some(NOT_HERE) {
                return Ok(Err(said.lines().last().unwrap_or_default().to_owned()));
            }
            bail!("the Lambda emulator ended with {ended}: {said}");
        }
        if Instant::now() >= deadline {
            drop(process.kill());
            bail!("the Lambda emulator does not listen: {}", read(&log));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(Ok((process, log)))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?)
}

fn read(log: &NamedTempFile) -> String {
    match fs::read(log.path()) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => error.to_string(),
    }
}
