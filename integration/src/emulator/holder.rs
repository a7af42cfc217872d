//! Starts an emulator and keeps it: the work of the program `emulator`, which each test binary runs
//! as its child. A process of its own can clean up however the tests end.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use testcontainers::ContainerAsync;
use testcontainers_modules::localstack::LocalStack;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use super::container::{self, Docker};
use super::process::{self, Process};
use super::settings::{Settings, Way};
use super::{HostOfTests, health};

/// How often another port is tried, where a free one was taken before the emulator had it.
const PORT_TRIES: u32 = 3;
/// How long an emulator that runs already may take to answer.
const GIVEN_WITHIN: Duration = Duration::from_secs(5);

/// What the program `emulator` says on stdout, as one line of JSON, when the emulator is ready.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Ready {
    /// Where it is called.
    pub endpoint: String,
    /// What runs: `container`, `process`, or `given`.
    pub way: String,
    /// How functions in it reach this machine.
    pub host_for_functions: String,
}

/// What has to be ended.
enum Running {
    Container(Box<ContainerAsync<LocalStack>>),
    Process(Box<Process>),
    Given,
}

/// Starts an emulator, says so on stdout, and ends it when it is told to.
///
/// # Errors
///
/// None could be started: the error says what to install.
pub async fn hold(settings: &Settings) -> anyhow::Result<()> {
    let (ready, running) = start(settings).await?;
    let line = serde_json::to_string(&ready)?;
    writeln!(std::io::stdout().lock(), "{line}").context("nobody reads what the emulator says")?;
    wait_for_the_end(settings.until_stdin_closes).await?;
    match running {
        Running::Container(container) => container.rm().await.context("the container stays")?,
        Running::Process(process) => process.stop().await,
        Running::Given => {}
    }
    Ok(())
}

async fn start(settings: &Settings) -> anyhow::Result<(Ready, Running)> {
    if let Some(endpoint) = &settings.endpoint {
        health::wait(endpoint, GIVEN_WITHIN)
            .await
            .context("TICKSTREAM_EMULATOR_ENDPOINT names an emulator that does not run")?;
        let host = settings.host_for_functions.clone();
        let ready = ready(
            endpoint.clone(),
            "given",
            host.unwrap_or_else(|| "127.0.0.1".to_owned()),
        );
        return Ok((ready, Running::Given));
    }
    let docker = match settings.way {
        Way::Process => Docker::Unusable("a process was asked for".to_owned()),
        Way::Auto | Way::Container => container::look(settings).await,
    };
    let why_not = match docker {
        Docker::Usable => {
            let port = free_port(settings)?;
            let (container, HostOfTests(host)) = container::start(settings, port).await?;
            let ready = ready(format!("http://127.0.0.1:{port}"), "container", host);
            return Ok((ready, Running::Container(Box::new(container))));
        }
        Docker::Unusable(reason) => reason,
    };
    if settings.way == Way::Container {
        bail!(
            "a container was asked for, but {why_not}. Start a Docker engine; where images cannot \
             be pulled, build one with tools/emulator/build-image.sh"
        );
    }
    let tools = super::tools().await.with_context(|| {
        format!("no emulator: {why_not}, and a process needs Python. Install one of the two")
    })?;
    let mut tries = 1;
    loop {
        let port = free_port(settings)?;
        match process::start(&tools, port).await {
            Ok(process) => {
                let endpoint = format!("http://127.0.0.1:{port}");
                let ready = ready(endpoint, "process", "127.0.0.1".to_owned());
                return Ok((ready, Running::Process(Box::new(process))));
            }
            Err(error) if tries < PORT_TRIES && error.to_string().contains("already in use") => {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn ready(endpoint: String, way: &str, host_for_functions: String) -> Ready {
    Ready {
        endpoint: endpoint.trim_end_matches('/').to_owned(),
        way: way.to_owned(),
        host_for_functions,
    }
}

fn free_port(settings: &Settings) -> anyhow::Result<u16> {
    if let Some(port) = settings.port {
        return Ok(port);
    }
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}

async fn wait_for_the_end(until_stdin_closes: bool) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stdin_closed = async {
        if !until_stdin_closes {
            return std::future::pending().await;
        }
        let mut stdin = tokio::io::stdin();
        let mut bytes = [0_u8; 64];
        while matches!(stdin.read(&mut bytes).await, Ok(count) if count > 0) {}
    };
    tokio::select! {
        () = stdin_closed => {}
        _ = terminate.recv() => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    Ok(())
}
