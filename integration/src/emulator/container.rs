//! The emulator as a container, with testcontainers' LocalStack module: any image that listens on
//! LocalStack's port and responds on its health path.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use testcontainers::core::client::docker_client_instance;
use testcontainers::core::{Host, IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, ImageExt as _};
use testcontainers_modules::localstack::LocalStack;

use super::options::EmulatorOptions;
use super::{HostOfTests, health};
use crate::build_folder;

/// How long an engine may take to respond.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an image may take to be pulled and start.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// The name by which a container reaches the machine that it runs on.
const HOST_FROM_CONTAINER: &str = "host.docker.internal";

/// Whether Docker can be used.
pub(super) enum Docker {
    /// An engine responds, and the image exists or can be pulled.
    Usable,
    /// Not usable, for this reason.
    Unusable(String),
}

/// Checks whether an engine responds and the image exists; builds our own image if it is missing.
pub(super) async fn probe(options: &EmulatorOptions) -> Docker {
    let engine = async { docker_client_instance().await.ok()?.ping().await.ok() };
    if !matches!(
        tokio::time::timeout(PING_TIMEOUT, engine).await,
        Ok(Some(_))
    ) {
        return Docker::Unusable("no Docker engine responds".to_owned());
    }
    let image = format!("{}:{}", options.image, options.tag);
    if !options.image.starts_with("local/") {
        // The engine pulls it at the start.
        return Docker::Usable;
    }
    let built = tokio::task::spawn_blocking(move || build(&image)).await;
    match built.context("the build was cancelled").flatten() {
        Ok(()) => Docker::Usable,
        Err(error) => Docker::Unusable(format!("{error:#}")),
    }
}

/// Builds our own image if it is missing.
fn build(image: &str) -> anyhow::Result<()> {
    let _lock = build_folder::lock("image")?;
    let is_there = Command::new("docker")
        .args(["image", "inspect", image])
        .output();
    if is_there.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    let script = build_folder::checkout().join("tools/emulator/build-image.sh");
    tracing::info!("building the image {image}: about two minutes");
    let output = Command::new("bash").arg(&script).arg(image).output();
    let output = output.with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(
        output.status.success(),
        "the image {image} is missing and could not be built by {}: {}",
        script.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Starts it and waits until it is ready.
pub(super) async fn start(
    options: &EmulatorOptions,
    port: u16,
) -> anyhow::Result<(ContainerAsync<LocalStack>, HostOfTests)> {
    let port_text = port.to_string();
    // The port is the same inside and outside, so URLs in the emulator's responses are valid in
    // both.
    let container = LocalStack::default()
        .with_name(&options.image)
        .with_tag(&options.tag)
        // The module would wait for a word in the log and three more seconds; instead, the health
        // path is polled below.
        .with_ready_conditions(vec![WaitFor::Nothing])
        .with_startup_timeout(START_TIMEOUT)
        .with_mapped_port(port, port.tcp())
        .with_host(HOST_FROM_CONTAINER, Host::HostGateway)
        // MiniStack's names, then LocalStack's; each ignores the other's.
        .with_env_var("GATEWAY_PORT", &port_text)
        .with_env_var("BIND_HOST", "0.0.0.0")
        .with_env_var("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .with_env_var("IOT_MTLS_ENABLED", "0")
        .with_env_var("LAMBDA_EXECUTOR", "local")
        .with_env_var("GATEWAY_LISTEN", format!("0.0.0.0:{port}"))
        .with_env_var("LOCALSTACK_HOST", format!("localhost:{port}"))
        .start()
        .await
        .with_context(|| {
            format!(
                "the container {}:{} did not start",
                options.image, options.tag
            )
        })?;
    let ready = health::wait(&format!("http://127.0.0.1:{port}"), START_TIMEOUT).await;
    if let Err(error) = ready {
        let log = container.stderr_to_vec().await.unwrap_or_default();
        let log = health::last_lines(&String::from_utf8_lossy(&log));
        return Err(error.context(format!(
            "the container did not become ready; the end of its \
            log:{log}"
        )));
    }
    Ok((container, HostOfTests(HOST_FROM_CONTAINER.to_owned())))
}
