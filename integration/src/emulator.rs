//! The emulated AWS of a test binary: one for all of its tests.
//!
//! In this order: the one in `TICKSTREAM_EMULATOR_ENDPOINT`; a container, if a Docker engine
//! responds; a process from a Python environment that is created for it. Without any of them, the
//! tests fail with a message that says what to install. It ends with the test binary, however that
//! ends: the program `emulator` holds it and waits for its stdin to be closed.
//!
//! Tests share it, so each uses its own project name ([`Emulator::unique_project`]).

mod account;
mod container;
mod health;
pub mod holder;
pub mod options;
mod process;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, anyhow};
use aws_config::SdkConfig;
use tokio::sync::OnceCell;

pub use account::{ACCESS_KEY, ACCOUNT, REGION, sdk_config};

use crate::build_folder;
use crate::python::{self, Tools};
use holder::Ready;

/// The host name by which the emulator's functions reach this machine.
struct HostOfTests(String);

/// A running emulator.
#[derive(Debug, Clone)]
pub struct Emulator {
    ready: Ready,
}

/// Keeps the emulator running: the holder's stdin is open as long as this process lives.
struct SharedEmulator {
    emulator: Emulator,
    _holder: Option<Child>,
}

/// The emulator of this test binary; the first call starts it.
///
/// # Errors
///
/// None is running and none could be started; the error says what to install. All tests of the
/// binary get the same error, since a failed start is not retried.
pub async fn start() -> anyhow::Result<&'static Emulator> {
    static SHARED: OnceCell<Result<SharedEmulator, String>> = OnceCell::const_new();
    let shared = SHARED
        .get_or_init(|| async {
            // On a separate thread, since the runtime of one test ends before the other tests.
            let shared = tokio::task::spawn_blocking(start_holder).await;
            let shared = shared.map_err(|error| anyhow!(error)).flatten();
            shared.map_err(|error| format!("{error:#}"))
        })
        .await;
    match shared {
        Ok(shared) => Ok(&shared.emulator),
        Err(error) => Err(anyhow!("{error}")),
    }
}

/// The tools that come with the emulator: the AWS CLI, cfn-lint, and a Python with DuckDB and sqlglot.
///
/// # Errors
///
/// As [`python::tools`].
pub async fn tools() -> anyhow::Result<Tools> {
    tokio::task::spawn_blocking(python::tools).await?
}

fn start_holder() -> anyhow::Result<SharedEmulator> {
    let program = build_folder::profile()?.join("emulator");
    let mut holder = Command::new(&program)
        .arg("--until-stdin-closes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // In its own process group, since a Ctrl-C or a signal to the tests must not reach it: it
        // ends after them.
        .process_group(0)
        .spawn()
        .with_context(|| {
            format!(
                "cannot run {}: `cargo test --workspace` builds it",
                program.display()
            )
        })?;
    let stdout = holder
        .stdout
        .take()
        .context("the emulator's program has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() {
        let mut stderr_text = String::new();
        if let Some(stderr) = &mut holder.stderr {
            stderr.read_to_string(&mut stderr_text)?;
        }
        holder.wait()?;
        return Err(anyhow!("{}", stderr_text.trim()));
    }
    let ready: Ready = serde_json::from_str(&line)
        .with_context(|| format!("unexpected output of the emulator's program: {line}"))?;
    Ok(SharedEmulator {
        emulator: Emulator { ready },
        _holder: Some(holder),
    })
}

impl Emulator {
    /// Its endpoint, the value of `AWS_ENDPOINT_URL` for this machine and for functions.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.ready.endpoint
    }

    /// The kind of emulator: `container`, `process`, or `given`.
    #[must_use]
    pub fn way(&self) -> &str {
        &self.ready.way
    }

    /// The host by which its functions reach this machine, for servers of a test.
    #[must_use]
    pub fn host_for_functions(&self) -> &str {
        &self.ready.host_for_functions
    }

    /// The configuration of clients for it.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        self.sdk_config_at(self.endpoint())
    }

    /// The configuration of clients that call it through another endpoint, such as a faulty one.
    #[must_use]
    pub fn sdk_config_at(&self, endpoint: &str) -> SdkConfig {
        account::sdk_config(endpoint)
    }

    /// An S3 client; buckets are in the path, since bucket host names do not resolve to the
    /// emulator.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.sdk_config())
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// The environment of programs that call it, such as the AWS CLI or one of our bootstraps.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint().to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_PAGER", String::new()),
        ]
    }

    /// The URL of an HTTP or WebSocket API of the emulator, without resolving its host name; for a
    /// WebSocket client, `http` becomes `ws`.
    #[must_use]
    pub fn api_url(&self, api_id: &str, stage: &str) -> String {
        format!("{}/_aws/execute-api/{api_id}/{stage}", self.endpoint())
    }

    /// See [`unique_project`].
    #[must_use]
    pub fn unique_project(&self) -> String {
        unique_project()
    }
}

/// A project name that is unique across tests and runs: `t` and 11 characters.
#[must_use]
pub fn unique_project() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let ms = u64::try_from(runtime::clock::now_ms()).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // 26 bits of the time, 10 of the process, 8 of the count: 44 bits are 11 hex digits.
    let seed = ((ms & 0x3ff_ffff) << 18)
        | ((u64::from(std::process::id()) & 0x3ff) << 8)
        | (number & 0xff);
    format!("t{seed:011x}")
}
