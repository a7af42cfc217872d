//! The ledger, the state of the process, and its metrics.

use std::fmt::Display;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use runtime::problem::Problem;
use serde_json::{Value, json};
use store::BackupsMade;

use super::params::{NoParameters, Query};
use super::read_error::unreadable;
use super::{Api, Shared};

/// How long a request may wait for a commit. A commit takes milliseconds; a disk that takes longer than this is not
/// able to store deliveries in time, and load balancers wait no longer than 5 s for a health check.
const COMMIT_WITHIN: Duration = Duration::from_secs(2);

/// The pairs whose latest ticks are compared with the clock: those that are in memory anyway.
const LATEST_TICKS: usize = 1_000;

/// How long a look at the disk and its folders may take.
const LOOK_WITHIN: Duration = Duration::from_millis(500);

/// The ledger; its `difference` is 0 if the counters reconcile.
pub(super) async fn ledger(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Value>, Problem> {
    let view = api.store.current_ledger(COMMIT_WITHIN).await;
    let streamed = api.store.stream_records();
    Ok(Json(json!({
        "received": view.received(),
        "stored": view.stored_rows,
        "duplicate": view.committed.duplicate,
        "rejected": view.committed.rejected(),
        "rejected_by_reason": view.committed.rejected_by_reason,
        "ignored": view.committed.ignored,
        "in_cohort": view.committed.in_cohort,
        "streamed": view.committed.streamed,
        "redriven": view.committed.redriven,
        "pending": view.pending_rows,
        "difference": view.difference(),
        "quarantined": view.quarantined,
        "stream_records": streamed,
    })))
}

/// The state of the process.
pub(super) async fn status(
    State(api): Shared,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<Json<Value>, Problem> {
    let now_ms = runtime::clock::now_ms();
    let FoldersLookedAt {
        disk,
        backups,
        archive,
    } = api.look_at_folders().await;
    let shards: Vec<_> = (0_u8..)
        .zip(api.store.end_offsets())
        .map(|(shard, end)| json!({"shard": shard, "head": end.count()}))
        .collect();
    let analysis = api.store.analysis_counters();
    let mut consumers = Vec::new();
    for name in store::CONSUMERS {
        consumers.push(api.lag(name, now_ms).await?);
    }
    let ledger = api.store.ledger();
    // Of the pairs with the latest ticks: how far their event time was ahead of our clock.
    let latest = api.store.recent_ticks(LATEST_TICKS);
    let ahead_ms = latest.iter().map(|it| it.timestamp_ms - it.ingested_at_ms);
    let traffic = &api.metrics.traffic;
    let (pending_min, pending_seconds) = traffic.pending_min(now_ms, &ledger);
    let health = api.supervisor.health().into_iter().map(|it| {
        json!({
            "name": it.name, "up": it.down_since_ms.is_none(), "down_since": it.down_since_ms,
            "restarts": it.restarts,
        })
    });
    Ok(Json(json!({
        "version": api.process.version,
        "pid": api.process.pid,
        "started_at": api.process.started_at_ms,
        "uptime_seconds": (now_ms - api.process.started_at_ms) / 1_000,
        "now": now_ms,
        "ticks_per_second": api.metrics.ticks_per_second(now_ms, ledger.stored_rows),
        "traffic": traffic.periods(now_ms, &ledger, api.store.stream_records()),
        "pending_min": pending_min,
        "pending_seconds": pending_seconds,
        "event_ahead_ms": ahead_ms.max(),
        "pairs": api.store.pairs_live(),
        "stream": {"shards": shards, "blocks_unreadable": api.store.unreadable_blocks()},
        "consumers": consumers,
        "health": health.collect::<Vec<_>>(),
        "analysis": {
            "late": analysis.late, "too_late": analysis.too_late,
            "states_resumed": analysis.states_resumed,
        },
        "archive": {
            "last_file_at": api.archiver.last_written_ms(), "every_seconds": api.archive_every.as_secs(),
            "folder": archive,
        },
        "disk": disk,
        "backups": backups,
        "readers": api.live.readers(),
        "feed_waiting_ms": api.live.waiting_ms(now_ms),
        "demo": api.demo,
    })))
}

impl Api {
    /// How far a consumer is behind: in records, and by the age of its oldest unread record.
    async fn lag(&self, consumer: &str, now_ms: i64) -> Result<Value, Problem> {
        let lag = self.store.consumer_lag(consumer, now_ms).await;
        let lag = lag.map_err(unreadable)?;
        Ok(json!({
            "name": consumer, "lag_records": lag.records, "lag_ms": lag.age_ms,
            "set_aside": self.store.set_aside(consumer),
        }))
    }

    /// The disk and the folders on it: whoever asks for the status of a process whose disk hangs must get an answer.
    async fn look_at_folders(&self) -> FoldersLookedAt {
        // One look at a time, so that a disk that hangs holds one thread and not one for each request.
        let Ok(turn) = std::sync::Arc::clone(&self.disk_look).try_lock_owned() else {
            return FoldersLookedAt::default();
        };
        let (store, folder) = (self.store.clone(), self.backups.folder().to_owned());
        let archive = std::sync::Arc::clone(&self.archive);
        let look = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let disk = store.disk_bytes().map(|store_bytes| {
                json!({
                    "free_bytes": store.free_disk_bytes(),
                    "min_free_bytes": store.min_free_disk_bytes(),
                    "store_bytes": store_bytes,
                })
            });
            let backups = BackupsMade::read(&folder).map(|made| {
                let shown = folder.display().to_string();
                json!({ "folder": shown, "count": made.count, "newest_at": made.newest_ms })
            });
            let is_written = store.archived_records().is_ok_and(|it| it > 0);
            let problem = archive.folder_problem(is_written);
            FoldersLookedAt {
                disk: disk.unwrap_or_default(),
                backups: backups.unwrap_or_default(),
                archive: json!({ "problem": problem }),
            }
        });
        match tokio::time::timeout(LOOK_WITHIN, look).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => FoldersLookedAt::default(),
        }
    }
}

/// The disk and the folders on it; each is `null` if it cannot be looked at, or not in time.
#[derive(Default)]
struct FoldersLookedAt {
    disk: Value,
    backups: Value,
    archive: Value,
}

/// Returns 200 if the store accepts writes, which it tests with a write, and no consumer is down.
pub(super) async fn health(State(api): Shared) -> Result<Json<Value>, Problem> {
    if let Err(full) = api.store.check_disk() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            full.to_string(),
        ));
    }
    let unhealthy = |why: &dyn Display, detail: &str| {
        tracing::error!(error = %why, "the store does not accept writes");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    let ledger = tokio::time::timeout(COMMIT_WITHIN, api.store.committed_ledger())
        .await
        .map_err(|late| {
            let detail = "the disk does not finish a write within 2 s: see whether it is overloaded or fails";
            unhealthy(&late, detail)
        })?
        .map_err(|error| {
            let detail = "the store does not accept writes; the cause is in the log";
            unhealthy(&error, detail)
        })?;
    let down = api.supervisor.down();
    if !down.is_empty() {
        let detail = format!(
            "writes work, and deliveries are accepted, but these consumers are down: {}. They are restarted; the causes are \
             in the log",
            down.join(", ")
        );
        return Err(
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_code("consumer_down")
        );
    }
    Ok(Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "difference": ledger.difference(),
    })))
}

/// Metrics in Prometheus' text format.
pub(super) async fn metrics(State(api): Shared) -> Result<Response, Problem> {
    let text = api.metrics.render().map_err(unreadable)?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
