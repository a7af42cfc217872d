//! Implementations of AWS's services that others wrote, as processes of `tools/aws-parts`. Each is stricter than the
//! emulator in what it has. Tests print what they do not show on a machine that cannot run one.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use aws_config::SdkConfig;
use tokio::sync::OnceCell;

use crate::build_folder;
use crate::emulator::sdk_config;
use crate::not_shown::not_shown;

/// The exit code of `tools/aws-parts/start` if this machine cannot run the part.
pub(crate) const NOT_HERE: i32 = 3;

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Kinesis: shards are split and merged, and closed ones are kept.
    Kinesalite,
    /// DynamoDB, without transactions.
    Dynalite,
}

/// A running service. It ends with the test binary, since its standard input ends then.
struct Running {
    endpoint: String,
    _process: Child,
}

/// The service, or why this machine cannot run it.
type Started = Result<Running, String>;

impl Part {
    /// The configuration of clients for the service; the first call of a test binary starts it. `None` if this
    /// machine cannot run it, which is printed together with what is not shown because of that.
    ///
    /// # Errors
    ///
    /// It does not start, for another reason.
    pub async fn start(self, unshown: &str) -> anyhow::Result<Option<SdkConfig>> {
        static KINESALITE: OnceCell<Started> = OnceCell::const_new();
        static DYNALITE: OnceCell<Started> = OnceCell::const_new();
        let (shared, name) = match self {
            Self::Kinesalite => (&KINESALITE, "kinesalite"),
            Self::Dynalite => (&DYNALITE, "dynalite"),
        };
        let started = shared.get_or_try_init(async || {
            // On a separate thread, since the runtime of one test ends before the other tests.
            let started = tokio::task::spawn_blocking(move || spawn(name)).await;
            started.context("a panic").flatten()
        });
        match started
            .await
            .with_context(|| format!("cannot start {name}"))?
        {
            Ok(running) => Ok(Some(sdk_config(&running.endpoint))),
            Err(why) => {
                not_shown(unshown, why);
                Ok(None)
            }
        }
    }
}

/// The program that starts a part.
#[must_use]
pub fn program() -> PathBuf {
    build_folder::checkout().join("tools/aws-parts/start")
}

fn spawn(name: &str) -> anyhow::Result<Started> {
    // Only one process installs it.
    let _lock = build_folder::lock("aws-parts")?;
    let mut log = tempfile::tempfile()?;
    let mut process = Command::new(program())
        .arg(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        // A Ctrl-C must not reach it before the tests have ended.
        .process_group(0)
        .spawn()?;
    let mut line = String::new();
    let stdout = process.stdout.take().context("no standard output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    if let Some(endpoint) = line.trim().strip_prefix("listening ") {
        return Ok(Ok(Running {
            endpoint: endpoint.to_owned(),
            _process: process,
        }));
    }
    let code = process.wait()?.code();
    let mut said = String::new();
    log.rewind()?;
    log.read_to_string(&mut said)?;
    let said = said.trim();
    match code {
        Some(NOT_HERE) => Ok(Err(said.lines().last().unwrap_or_default().to_owned())),
        _ => bail!("{said}"),
    }
}
