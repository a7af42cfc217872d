//! What a running tickstream says of itself.

use std::time::{Duration, Instant};

use ops::doctor::{
    Backlog, BackupAge, Broadcasts, Clocks, ConsumerLag, Disk, Files, Ledger, Observed,
    Quarantined, TrafficPeriods, Unobserved, Versions, WriteProbe,
};
use serde::Deserialize;
use serde_json::Value;

use super::machine_view::{MachineView, RolloutView, RunningProcess, unobserved};
use crate::client::PostError;
use crate::server_client::ServerClient;

/// The consumer that sends the live feed.
const LIVE: &str = "live";

/// The code of an answer of `/healthz` if writes work, and consumers are down.
const CONSUMER_DOWN: &str = "consumer_down";

/// The consumer that writes files.
const ARCHIVE: &str = "archive";

/// `/api/status`, as far as it is used. What a release before did not have is optional.
#[derive(Deserialize)]
struct Status {
    version: String,
    #[serde(default)]
    pid: u32,
    uptime_seconds: i64,
    now: Option<i64>,
    ticks_per_second: f64,
    traffic: Option<TrafficPeriods>,
    pending_min: Option<u64>,
    pending_seconds: Option<i64>,
    event_ahead_ms: Option<i64>,
    consumers: Vec<Consumer>,
    health: Vec<Health>,
    archive: Option<Archive>,
    disk: Option<Disk>,
    backups: Option<Backups>,
    readers: u64,
    feed_waiting_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Consumer {
    name: String,
    lag_records: u64,
    lag_ms: i64,
    set_aside: u64,
}

#[derive(Deserialize)]
struct Health {
    name: String,
    down_since: Option<i64>,
    restarts: u64,
}

#[derive(Deserialize)]
struct Archive {
    last_file_at: Option<i64>,
    #[serde(default)]
    every_seconds: i64,
    folder: Option<ArchiveFolder>,
}

#[derive(Deserialize)]
struct ArchiveFolder {
    problem: Option<String>,
}

#[derive(Deserialize)]
struct Backups {
    folder: String,
    count: u64,
    newest_at: Option<i64>,
}

/// `/api/ledger`.
#[derive(Deserialize)]
struct LedgerRow {
    received: u64,
    stored: u64,
    duplicate: u64,
    rejected: u64,
    ignored: u64,
    pending: u64,
    difference: u64,
    quarantined: u64,
}

/// Observes a running process.
pub(super) async fn observe(
    server: &ServerClient,
    now_ms: fn() -> i64,
) -> Result<MachineView, PostError> {
    let (asked_ms, asked) = (now_ms(), Instant::now());
    let status: Status = server.get("/api/status").await?;
    let round_trip = asked.elapsed();
    let ledger: LedgerRow = server.get("/api/ledger").await?;
    let rollout: RolloutView = server.get("/api/rollout").await?;
    Ok(view(
        server.base(),
        status,
        ledger,
        rollout,
        asked_ms,
        round_trip,
    ))
}

fn view(
    url: &str,
    status: Status,
    ledger: LedgerRow,
    rollout: RolloutView,
    asked_ms: i64,
    round_trip: Duration,
) -> MachineView {
    let half_ms = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
    let server_ms = status.now.unwrap_or(asked_ms);
    let down_ms = |name: &str| {
        let of_name = |it: &&Health| it.name == name || it.name.starts_with(&format!("{name}-"));
        let down = status.health.iter().filter(of_name);
        let since = down.filter_map(|it| it.down_since).min();
        since.map(|since_ms| (server_ms - since_ms).max(0))
    };
    let every_seconds = status.archive.as_ref().map_or(0, |it| it.every_seconds);
    let archive_every_ms = every_seconds.saturating_mul(1_000);
    let lag: Vec<ConsumerLag> = status
        .consumers
        .iter()
        .map(|it| ConsumerLag {
            name: it.name.clone(),
            records: Some(it.lag_records),
            age_ms: it.lag_ms,
            every_ms: if it.name == ARCHIVE {
                archive_every_ms
            } else {
                0
            },
            down_ms: down_ms(&it.name),
            set_aside: it.set_aside,
        })
        .collect();
    let archive_lag = lag.iter().find(|it| it.name == ARCHIVE);
    let traffic: Observed<TrafficPeriods> = status.traffic.ok_or_else(older);
    let files = match (&status.archive, archive_lag) {
        (Some(archive), Some(lag)) => match &archive.folder {
            Some(folder) => Ok(Files {
                newest_age_ms: archive.last_file_at.map(|at_ms| (server_ms - at_ms).max(0)),
                waiting: lag.records,
                waiting_ms: Some(lag.age_ms),
                every_ms: archive_every_ms,
                streamed: traffic.as_ref().map_or(0, |it| it.recent.streamed),
                problem: folder.problem.clone(),
                down_ms: lag.down_ms,
            }),
            None => Err(not_looked_at("the archive's folder")),
        },
        _ => Err(older()),
    };
    let live = status.health.iter().find(|it| it.name == LIVE);
    MachineView {
        process: Some(RunningProcess {
            url: url.to_owned(),
            pid: status.pid,
            uptime_ms: status.uptime_seconds.saturating_mul(1_000),
        }),
        at_ms: server_ms,
        data_dir: None,
        rollout: Ok(rollout),
        ticks_per_second: Ok(status.ticks_per_second),
        ledger: Ok(Ledger {
            received: ledger.received,
            stored: ledger.stored,
            duplicate: ledger.duplicate,
            rejected: ledger.rejected,
            ignored: ledger.ignored,
            difference: ledger.difference,
        }),
        backlog: match status.pending_min {
            Some(pending_min) => Ok(Backlog {
                pending: ledger.pending,
                pending_min: pending_min.min(ledger.pending),
                // An earlier release says it of a minute, or of the time since its start.
                observed_ms: Some(status.pending_seconds.map_or_else(
                    || status.uptime_seconds.clamp(0, 60).saturating_mul(1_000),
                    |seconds| seconds.saturating_mul(1_000),
                )),
            }),
            None => Err(older()),
        },
        files,
        broadcasts: match status.feed_waiting_ms {
            Some(waiting_ms) => Ok(Broadcasts {
                readers: Some(status.readers),
                waiting_ms,
                given_up: 0,
                failures: live.map_or(0, |it| it.restarts),
            }),
            None => Err(older()),
        },
        quarantined: match &traffic {
            Ok(periods) => Ok(Quarantined {
                total: Some(ledger.quarantined),
                recent: periods.recent.rejected_by_reason.clone(),
                unprocessable: lag.iter().map(|it| it.set_aside).sum(),
            }),
            Err(unseen) => Err(unseen.clone()),
        },
        clocks: match status.now {
            Some(at_ms) => Ok(Clocks {
                ahead_ms: at_ms - (asked_ms + half_ms),
                within_ms: half_ms,
                event_ahead_ms: status.event_ahead_ms,
            }),
            None => Err(older()),
        },
        disk: status.disk.ok_or_else(|| not_looked_at("its disk")),
        versions: Ok(Versions {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            running: status.version,
            code_sha256: None,
        }),
        backups: match status.backups {
            Some(it) => Ok(BackupAge {
                folder: it.folder,
                count: it.count,
                newest_ms: it.newest_at.map(|at_ms| (server_ms - at_ms).max(0)),
            }),
            None => Err(unobserved(
                "the folder of the backups cannot be read",
                "see whether the --backup-dir of tickstream is there",
            )),
        },
        lag: Ok(lag),
        traffic,
    }
}

fn not_looked_at(what: &str) -> Unobserved {
    unobserved(
        format!("the server did not look at {what} in time, or is of an earlier version"),
        "look again; if it stays so, the disk may hang: see the log",
    )
}

fn older() -> Unobserved {
    unobserved(
        "the running version does not report it",
        "update tickstream to the version of this tickctl",
    )
}

/// Has a running process try a write.
///
/// # Errors
/// If the process does not answer.
pub(crate) async fn probe_write(server: &ServerClient) -> Result<WriteProbe, PostError> {
    let asked = Instant::now();
    match server.get::<Value>("/healthz").await {
        Ok(_) => Ok(WriteProbe::Works(format!(
            "a write was confirmed in {} ms",
            asked.elapsed().as_millis()
        ))),
        Err(PostError::Status {
            detail,
            status,
            reason,
            ..
        }) if status.as_u16() == 503 => Ok(match reason.as_str() {
            CONSUMER_DOWN => WriteProbe::ConsumersDown(detail),
            _ => WriteProbe::Failed(detail),
        }),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "version": "0.1.0", "pid": 7, "uptime_seconds": 60, "now": 1_000_500, "ticks_per_second": 2.5,
            "traffic": {
                "recent": {
                    "seconds": 300, "received": 10, "stored": 9, "in_cohort": 9, "streamed": 9, "redriven": 0,
                    "stream_records": 9, "rejected_by_reason": {"invalid_price": 1}, "server_errors": 0,
                },
                "before": {
                    "seconds": 0, "received": 0, "stored": 0, "in_cohort": 0, "streamed": 0, "redriven": 0,
                    "stream_records": 0, "rejected_by_reason": {}, "server_errors": 0,
                },
            },
            "pending_min": 3, "pending_seconds": 12, "event_ahead_ms": -20,
            "consumers": [
                {"name": "analytics", "lag_records": 0, "lag_ms": 0, "set_aside": 1},
                {"name": "archive", "lag_records": 4, "lag_ms": 900, "set_aside": 0},
            ],
            "health": [
                {"name": "analytics-2", "up": false, "down_since": 990_500, "restarts": 2},
                {"name": "archive", "up": true, "down_since": null, "restarts": 0},
                {"name": "live", "up": true, "down_since": null, "restarts": 1},
            ],
            "archive": {"last_file_at": 998_500, "folder": {"problem": null}},
            "disk": {"free_bytes": 1, "min_free_bytes": 2, "store_bytes": 3},
            "backups": {"folder": "/d/backups", "count": 1, "newest_at": 900_500},
            "readers": 5, "feed_waiting_ms": 40,
        })
    }

    fn seen(status: Value) -> MachineView {
        let ledger = json!({
            "received": 10, "stored": 9, "duplicate": 0, "rejected": 1, "ignored": 0, "pending": 2,
            "difference": 0, "quarantined": 1,
        });
        let rollout =
            json!({"use_kinesis": false, "percentage": 10.0, "key": "tick", "history": []});
        view(
            "http://h",
            serde_json::from_value(status).unwrap(),
            serde_json::from_value(ledger).unwrap(),
            serde_json::from_value(rollout).unwrap(),
            1_000_000,
            Duration::from_millis(200),
        )
    }

    #[test]
    fn the_status_of_a_server_becomes_observations() {
        let view = seen(status());
        let clocks = view.clocks.unwrap();
        assert_eq!((clocks.ahead_ms, clocks.within_ms), (400, 100));
        let lag = view.lag.unwrap();
        assert_eq!(lag[0].down_ms, Some(10_000), "one of its shards is down");
        assert_eq!((lag[1].records, lag[1].down_ms), (Some(4), None));
        let files = view.files.unwrap();
        assert_eq!((files.newest_age_ms, files.waiting), (Some(2_000), Some(4)));
        let backlog = view.backlog.unwrap();
        assert_eq!(backlog.pending_min, 2, "not more than there are");
        assert_eq!(backlog.observed_ms, Some(12_000));
        assert_eq!(view.quarantined.unwrap().unprocessable, 1);
        assert_eq!(view.broadcasts.unwrap().failures, 1);
        assert_eq!(view.backups.unwrap().newest_ms, Some(100_000));
        assert!(
            view.rollout.unwrap().share_percent().abs() < f64::EPSILON,
            "it is off"
        );
    }

    #[test]
    fn what_an_earlier_release_does_not_report_is_not_seen() {
        let mut earlier = status();
        let names = [
            "now",
            "traffic",
            "archive",
            "disk",
            "pid",
            "pending_min",
            "feed_waiting_ms",
        ];
        for name in names {
            earlier.as_object_mut().unwrap().remove(name);
        }
        let view = seen(earlier);
        assert!(view.traffic.is_err() && view.files.is_err());
        assert!(view.clocks.is_err() && view.disk.is_err());
        assert!(view.receiving().is_err() && view.quarantined.is_err());
        assert!(view.backlog.is_err() && view.broadcasts.is_err());
        assert!(view.lag.is_ok() && view.ledger.is_ok());
    }
}
