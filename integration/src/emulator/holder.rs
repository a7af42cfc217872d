//! Starts and holds an emulator: the job of the program `emulator`, which each test binary runs as
//! a child. A separate process can clean up however the tests end.

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
use super::options::{EmulatorOptions, Way};
use super::process::{self, Process};
use super::{HostOfTests, health};
use crate::python;

/// How many ports are tried if a free one is taken before the emulator uses it.
const PORT_TRIES: u32 = 3;
/// How long an already running emulator may take to respond.
const GIVEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the program `emulator` prints to stdout when it is ready, as one line of JSON.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Ready {
    /// Its endpoint.
    pub endpoint: String,
    /// The kind of emulator: `container`, `process`, or `given`.
    pub way: String,
    /// The host by which its functions reach this machine.
    pub host_for_functions: String,
}

/// What must be stopped at the end.
enum Running {
    Container(Box<ContainerAsync<LocalStack>>),
    Process(Box<Process>),
    Given,
}

/// Starts an emulator, reports that on stdout, and stops it on request.
///
/// # Errors
///
/// None could be started: the error says what to install.
pub async fn hold(options: &EmulatorOptions) -> anyhow::Result<()> {
    let (ready, running) = start(options).await?;
    let line = serde_json::to_string(&ready)?;
    writeln!(std::io::stdout().lock(), "{line}").context("cannot write to stdout")?;
    wait_for_the_end(options.until_stdin_closes).await?;
    match running {
        Running::Container(container) => container
            .rm()
            .await
            .context("cannot remove the container")?,
        Running::Process(process) => process.stop().await,
        Running::Given => {}
    }
    Ok(())
}

async fn start(options: &EmulatorOptions) -> anyhow::Result<(Ready, Running)> {
    if let Some(endpoint) = &options.endpoint {
        health::wait(endpoint, GIVEN_TIMEOUT)
            .await
            .context("the emulator in TICKSTREAM_EMULATOR_ENDPOINT does not run")?;
        let host = options.host_for_functions.clone();
        let ready = ready(
            endpoint.clone(),
            "given",
            host.unwrap_or_else(|| "127.0.0.1".to_owned()),
        );
        return Ok((ready, Running::Given));
    }
    let docker = match options.way {
        Way::Process => Docker::Unusable("a process was requested".to_owned()),
        Way::Auto | Way::Container => container::probe(options).await,
    };
    let why_not = match docker {
        Docker::Usable => {
            let port = free_port(options)?;
            let (container, HostOfTests(host)) = container::start(options, port).await?;
            let ready = ready(format!("http://127.0.0.1:{port}"), "container", host);
            return Ok((ready, Running::Container(Box::new(container))));
        }
        Docker::Unusable(reason) => reason,
    };
    if options.way == Way::Container {
        bail!(
            "a container was requested, but {why_not}. Start a Docker engine; if images cannot be \
             pulled, build one with tools/emulator/build-image.sh"
        );
    }
    let tools = tokio::task::spawn_blocking(python::tools)
        .await?
        .with_context(|| {
            format!(
                "no emulator is available: {why_not}, and a process needs Python. Install one of \
                 the two"
            )
        })?;
    let mut tries = 1;
    loop {
        let port = free_port(options)?;
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

fn free_port(options: &EmulatorOptions) -> anyhow::Result<u16> {
    if let Some(port) = options.port {
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
