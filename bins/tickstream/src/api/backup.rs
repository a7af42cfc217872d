//! `POST /api/backup`: makes a backup of the data folder while it is in use.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use runtime::problem::Problem;
use serde_json::{Value, json};
use store::{BackedUp, BackupError};

use super::params::{NoParameters, Query};
use super::{Api, Shared};

/// Returns once the backup is complete and checked. The server chooses its name, so no request can choose a
/// path.
pub(super) async fn make(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    api.operator.check(&headers)?;
    let made = make_detached(&api).await?;
    tracing::info!(
        path = %made.path.display(),
        ticks = made.ticks,
        bytes = made.bytes,
        "a backup was made"
    );
    Ok(Json(json!({
        "path": made.path.display().to_string(),
        "ticks": made.ticks,
        "files": made.files,
        "bytes": made.bytes,
        "elapsed_ms": u64::try_from(made.elapsed.as_millis()).unwrap_or(u64::MAX),
        "writes_paused_ms": u64::try_from(made.paused.as_millis()).unwrap_or(u64::MAX),
    })))
}

/// Runs in its own task, since a caller that disconnects must not stop it halfway.
async fn make_detached(api: &Api) -> Result<BackedUp, Problem> {
    let backups = Arc::clone(&api.backups);
    let made = tokio::spawn(async move { backups.run(runtime::clock::now_ms()).await }).await;
    match made {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(error @ BackupError::Running(_))) => {
            Err(Problem::new(StatusCode::CONFLICT, error.to_string()).with_code("backup_running"))
        }
        Ok(Err(error)) => Err(failed(&error)),
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %runtime::causes::joined(error), "the backup failed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "there is no backup, and nothing is left of it; the cause is in the log",
    )
}
