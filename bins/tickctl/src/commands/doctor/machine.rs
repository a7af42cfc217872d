//! The checks of a tickstream on this machine, or at an address.

use std::time::Instant;

use hyper::Uri;
use ops::doctor::{self, CheckLine, Observed, Unobserved, WriteProbe};
use store::StorageError;

use crate::client::PostError;
use crate::data_access::{DataAccess, DataOptions};
use crate::observe::sql_probe::{self, SqlPlace, SqlProgram};
use crate::observe::{self, MachineView, tls_probe};
use crate::process::{BadInput, ProcessContext};

/// Looks once. A process that refuses to be asked, or hangs, is a line.
///
/// # Errors
/// If there is neither a process nor a store that can be looked at.
pub(super) async fn look(
    options: &DataOptions,
    ticksql: SqlProgram<'_>,
    process: &ProcessContext,
) -> anyhow::Result<Vec<CheckLine>> {
    look_at(options, ticksql, process).await.or_else(unanswered)
}

/// The only line of a process that cannot be asked.
fn unanswered(error: anyhow::Error) -> anyhow::Result<Vec<CheckLine>> {
    if error.chain().any(|cause| cause.is::<BadInput>()) {
        return Err(error);
    }
    let fails = error.chain().any(|cause| {
        cause.is::<StorageError>() || matches!(cause.downcast_ref(), Some(PostError::Timeout(_)))
    });
    Ok(vec![doctor::process_unobserved(
        fails,
        &format!("{error:#}"),
    )])
}

async fn look_at(
    options: &DataOptions,
    ticksql: SqlProgram<'_>,
    process: &ProcessContext,
) -> anyhow::Result<Vec<CheckLine>> {
    let access = options.open().await?;
    // With an address, the folder may be anybody's.
    let here = options
        .server
        .is_none()
        .then_some(options.data_dir.as_path());
    let view = match observe::observe(&access, here, process.now_ms).await {
        Ok(view) => Ok((view, writes(&access).await)),
        Err(error) => Err(error),
    };
    // Nobody is kept out of the store while SQL runs.
    if let DataAccess::Store(opened) = access {
        opened.store.close();
    }
    let (view, writes) = view?;
    let sql = match &view.data_dir {
        Some(data_dir) => sql_probe::probe(SqlPlace::Local(data_dir), ticksql).await,
        None => Err(Unobserved {
            why: "the archive is on the server's machine".to_owned(),
            advice: "run tickctl doctor there, with --data-dir".to_owned(),
        }),
    };
    let address = view.process.as_ref().and_then(|it| it.url.parse().ok());
    let certificate = certificate(address, process).await;
    Ok(lines(&view, &writes, &sql, certificate.as_ref()))
}

/// The line of the certificate only exists where there is an address.
async fn certificate(
    address: Option<Uri>,
    process: &ProcessContext,
) -> Option<Observed<doctor::Certificate>> {
    Some(tls_probe::probe(&address?, (process.now_ms)()).await)
}

async fn writes(access: &DataAccess) -> Observed<WriteProbe> {
    match access {
        DataAccess::Server(server) => {
            observe::probe_write(server)
                .await
                .map_err(|error| Unobserved {
                    why: error.to_string(),
                    advice: format!(
                        "see whether the process answers at all: `curl -s {}/healthz`",
                        server.base()
                    ),
                })
        }
        DataAccess::Store(opened) => {
            let asked = Instant::now();
            let written = opened.store.committed_ledger().await;
            let took_ms = asked.elapsed().as_millis();
            Ok(match written {
                Ok(_) => WriteProbe::Works(format!("the store committed in {took_ms} ms")),
                Err(error) => WriteProbe::Failed(error.to_string()),
            })
        }
    }
}

fn lines(
    view: &MachineView,
    writes: &Observed<WriteProbe>,
    sql: &Observed<Result<doctor::SqlAnswer, String>>,
    certificate: Option<&Observed<doctor::Certificate>>,
) -> Vec<CheckLine> {
    let place = view.place();
    let running = view.process.as_ref();
    let running = running.map(|it| (it.url.as_str(), it.pid, it.uptime_ms));
    let mut lines = vec![
        doctor::process(&place, running),
        doctor::receiving(&place, &view.receiving()),
        doctor::files(&place, &view.files),
        doctor::errors(&place, &view.traffic),
        doctor::writes(&place, writes),
        doctor::broadcasts(&place, &view.broadcasts),
        doctor::sql(&place, sql),
        doctor::lag(&place, &view.lag),
        doctor::ledger(&place, &view.ledger),
        doctor::outbox(&place, &view.backlog),
        doctor::quarantine(&place, &view.quarantined),
        doctor::clocks(&place, &view.clocks),
        doctor::disk(&place, &view.disk),
        doctor::versions(&place, &view.versions),
        doctor::backups(&place, &view.backups),
    ];
    lines.extend(certificate.map(doctor::certificate));
    lines
}
