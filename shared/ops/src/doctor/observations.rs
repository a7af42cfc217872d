//! What the checks judge: plain numbers, wherever they come from.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::shares_in_force::SharesInForce;

/// What arrived in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Traffic {
    /// The length of the period.
    pub seconds: u64,
    /// Entries that came in.
    pub received: u64,
    /// Ticks that were stored.
    pub stored: u64,
    /// Ticks whose delivery was completed, so that it is counted which of them are in the cohort: those that were
    /// stored in the period, and those that were stored before it and are drained from the outbox. `None` if that
    /// is not counted.
    #[serde(default)]
    pub completed: Option<u64>,
    /// The most of the completed ticks that were stored before the period, when another share may have been in force.
    #[serde(default)]
    pub stored_before_max: u64,
    /// Of the completed ticks, those of the cohort.
    pub in_cohort: u64,
    /// Of the cohort, offered to the stream and accepted.
    pub streamed: u64,
    /// Of the cohort, in the redrive queue.
    #[serde(default)]
    pub redriven: u64,
    /// Records that the stream itself counted.
    pub stream_records: u64,
    /// Malformed entries by reason; on AWS, where metrics have no reasons, under `any`.
    pub rejected_by_reason: BTreeMap<String, u64>,
    /// Deliveries that were answered with a 5xx; `None` if nobody counts them.
    pub server_errors: Option<u64>,
}

impl Traffic {
    /// The ticks of which [`Traffic::in_cohort`] are in the cohort.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.completed
            .unwrap_or_else(|| self.stored.max(self.in_cohort))
    }

    /// Malformed entries of any reason.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.rejected_by_reason.values().sum()
    }
}

/// What arrived lately, and in the period before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct TrafficPeriods {
    /// The last minutes.
    pub recent: Traffic,
    /// The time before them.
    pub before: Traffic,
}

/// What goes to the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiving {
    /// What arrived lately.
    pub recent: Traffic,
    /// The share of ticks for the stream in percent; 0 if the stream is off.
    pub share_percent: f64,
    /// The shares that were in force in the period.
    pub shares: SharesInForce,
}

/// How far a consumer of the stream is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerLag {
    /// Its name.
    pub name: String,
    /// Records that it has not read; `None` if nobody counts them.
    pub records: Option<u64>,
    /// The age of the oldest of them.
    pub age_ms: i64,
    /// How often it reads by its setting; 0 if it reads at once, or that is not known.
    pub every_ms: i64,
    /// Since when it has been down, as an age; `None` if it is up.
    pub down_ms: Option<i64>,
    /// Ticks that it went on without, since it fails for them.
    pub set_aside: u64,
}

/// The counters of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Entries that came in.
    pub received: u64,
    /// Ticks that were stored.
    pub stored: u64,
    /// Ticks that were stored before.
    pub duplicate: u64,
    /// Malformed entries.
    pub rejected: u64,
    /// Entries that are not prices.
    pub ignored: u64,
    /// By how much the counters do not reconcile.
    pub difference: u64,
}

/// Ticks that are stored, and whose delivery is not completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// How many there are.
    pub pending: u64,
    /// The fewest there were at any time of the last minute, or since the start: those that nobody works on.
    pub pending_min: u64,
    /// How long they have been looked at, at most a minute; `None` if no process runs that would drain them.
    pub observed_ms: Option<i64>,
}

/// The files of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// How long ago the last one was written; `None` if that is not known.
    pub newest_age_ms: Option<i64>,
    /// Ticks that are not in a file yet; `None` if nobody counts them.
    pub waiting: Option<u64>,
    /// How long the oldest of them has waited; `None` if whoever writes the files reports nothing.
    pub waiting_ms: Option<i64>,
    /// How often files are written, if that is set: 0 if it is not known, or not a setting.
    pub every_ms: i64,
    /// Ticks that went to the stream in the last minutes.
    pub streamed: u64,
    /// What is wrong with their folder, if that is known.
    pub problem: Option<String>,
    /// Since when the consumer that writes them has been down, as an age; `None` if it is up.
    pub down_ms: Option<i64>,
}

/// What a statement on the archive returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlAnswer {
    /// Where it ran: `local` or `athena`.
    pub engine: &'static str,
    /// The ticks of today and yesterday that it counted.
    pub ticks: u64,
    /// How long it took.
    pub took_ms: u64,
}

/// The backups of a data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupAge {
    /// Their folder.
    pub folder: String,
    /// How many there are.
    pub count: u64,
    /// The age of the newest one.
    pub newest_ms: Option<i64>,
}

/// What a try of a write showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteProbe {
    /// Writes work, and what shows it.
    Works(String),
    /// Writes work, but health checks fail, since consumers are down: which.
    ConsumersDown(String),
    /// Writes do not work, and why.
    Failed(String),
}

/// The live feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broadcasts {
    /// Who listens; `None` if nobody counts them.
    pub readers: Option<u64>,
    /// How old the oldest update is that was not sent yet.
    pub waiting_ms: i64,
    /// Updates that could not be sent and were given up.
    pub given_up: u64,
    /// Failures in the last minutes.
    pub failures: u64,
}

/// Malformed entries that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quarantined {
    /// How many are kept; `None` if nobody counts them.
    pub total: Option<u64>,
    /// Those of the last minutes, by reason.
    pub recent: BTreeMap<String, u64>,
    /// Those that a consumer could not process, since the start.
    pub unprocessable: u64,
}

/// A clock against ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// How far it is ahead of ours.
    pub ahead_ms: i64,
    /// How exactly that is known.
    pub within_ms: i64,
    /// How far the event time of the latest ticks was ahead of the clock that received them, at most.
    pub event_ahead_ms: Option<i64>,
}

/// The disk of the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Disk {
    /// The room that is left.
    pub free_bytes: u64,
    /// The room below which new ticks are refused; 0 if it is not checked, `None` if nobody knows.
    pub min_free_bytes: Option<u64>,
    /// What the store takes.
    pub store_bytes: u64,
}

/// The versions of the tool and of what it looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// This tool's.
    pub tool: String,
    /// What runs.
    pub running: String,
    /// The hash of the code that runs, if it says so.
    pub code_sha256: Option<String>,
}

/// How the address is protected on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// It is not, and it does not leave the machine.
    Loopback,
    /// It is not.
    Plain,
    /// By a certificate that will be valid for at least [`Certificate::DAYS_TRIED`]'s last number of days.
    Valid,
    /// By one that is refused, or will soon be.
    Refused {
        /// After how many days at the latest; 0 if it is refused now.
        in_days: u32,
        /// The reason.
        why: String,
    },
}

impl Certificate {
    /// For which days from now on a certificate is tried.
    pub const DAYS_TRIED: [u32; 3] = [0, 14, 30];
}

/// What a month costs at the present load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// In USD, from list prices.
    pub month_usd: f64,
    /// New ticks a day, at the rate of the last hour.
    pub ticks_per_day: f64,
    /// What it may cost.
    pub budget_usd: f64,
}

/// Requests that a quota refused in the last minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttles {
    /// Invocations of functions.
    pub invocations: u64,
    /// Writes of tables.
    pub writes: u64,
    /// Records of the stream.
    pub records: u64,
}

/// What waits in queues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queues {
    /// Ticks that the stream refused, offered again.
    pub redrive: u64,
    /// Those that were given up.
    pub redrive_dlq: u64,
    /// Batches of the stream that analytics gave up.
    pub analytics_failed: u64,
}
