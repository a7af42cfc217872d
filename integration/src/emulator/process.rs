//! The emulator as a local process, from the Python environment.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{account, health};
use crate::build_folder;
use crate::python::Tools;

/// How long it may take to be ready (it takes about a second).
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// Variables that would lead the emulator, or functions that it runs, to a real account.
const NOT_INHERITED: [&str; 7] = [
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// A running emulator. Its functions run in its process group, and end with it.
pub(super) struct Process {
    child: Child,
    group: Option<u32>,
    // Its temporary files; removed when this is dropped.
    _folder: TempDir,
}

/// Starts it and waits until it is ready.
pub(super) async fn start(tools: &Tools, port: u16) -> anyhow::Result<Process> {
    let folder = tempfile::Builder::new()
        .prefix("emulator-")
        .tempdir_in(build_folder::kept()?)
        .context("cannot create a folder for the emulator")?;
    let log_path = folder.path().join("log");
    let log = File::create(&log_path)?;
    let mut command = Command::new(&tools.ministack);
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    let child = command
        .env("TMPDIR", folder.path())
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ACCESS_KEY_ID", account::ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", account::ACCESS_KEY)
        .env("AWS_REGION", account::REGION)
        .env("AWS_DEFAULT_REGION", account::REGION)
        .env("IOT_MTLS_ENABLED", "0")
        .env("LAMBDA_EXECUTOR", "local")
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", tools.ministack.display()))?;
    let mut process = Process {
        group: child.id(),
        child,
        _folder: folder,
    };
    let endpoint = format!("http://127.0.0.1:{port}");
    let ready = tokio::select! {
        ready = health::wait(&endpoint, READY_TIMEOUT) => ready,
        ended = process.child.wait() => Err(match ended {
            Ok(status) => anyhow!("the emulator ended with {status}"),
            Err(error) => anyhow!(error).context("the state of the emulator is unknown"),
        }),
    };
    if let Err(error) = ready {
        let log = health::last_lines(&fs::read_to_string(&log_path).unwrap_or_default());
        process.stop().await;
        return Err(error.context(format!(
            "the emulator did not start; the end of its log:{log}"
        )));
    }
    Ok(process)
}

impl Process {
    /// Stops the emulator and all functions that it runs.
    pub(super) async fn stop(mut self) {
        self.signal("TERM").await;
        let ended = tokio::time::timeout(END_TIMEOUT, self.child.wait()).await;
        // Functions that outlive it, or the emulator itself.
        self.signal("KILL").await;
        if ended.is_err() {
            drop(self.child.wait().await);
        }
    }

    async fn signal(&self, name: &str) {
        if let Some(group) = self.group {
            let sent = Command::new("kill")
                .args(["-s", name, "--", &format!("-{group}")])
                .stderr(Stdio::null())
                .status()
                .await;
            if let Err(error) = sent {
                tracing::warn!(%error, "cannot run kill");
            }
        }
    }
}
