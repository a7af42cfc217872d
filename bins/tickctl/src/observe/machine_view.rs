//! A tickstream on this machine, or at an address, as it was observed.

use std::path::PathBuf;

use domain::RolloutKey;
use ops::doctor::{
    Backlog, BackupAge, Broadcasts, Clocks, ConsumerLag, Deployment, Disk, Files, Ledger, Observed,
    PastShare, Quarantined, Receiving, SharesInForce, TrafficPeriods, Unobserved, Versions,
};
use serde::Deserialize;

/// The process that has the data open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunningProcess {
    pub(crate) url: String,
    pub(crate) pid: u32,
    pub(crate) uptime_ms: i64,
}

/// The rollout and its changes, newest first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct RolloutView {
    pub(crate) use_kinesis: bool,
    pub(crate) percentage: f64,
    #[serde(default)]
    pub(crate) key: Option<RolloutKey>,
    pub(crate) history: Vec<PastChange>,
}

/// A change of the rollout.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct PastChange {
    #[serde(rename = "at")]
    pub(crate) at_ms: i64,
    pub(crate) who: String,
    pub(crate) why: String,
    pub(crate) use_kinesis: bool,
    pub(crate) percentage: f64,
    #[serde(default)]
    pub(crate) key: Option<RolloutKey>,
}

impl RolloutView {
    /// The share in force: 0 if the stream is off.
    pub(crate) fn share_percent(&self) -> f64 {
        percent_in_force(self.use_kinesis, self.percentage)
    }

    /// The shares that were in force since a time. Those before the oldest change in the history are not known.
    fn shares_since(&self, from_ms: i64) -> SharesInForce {
        // What is in force may differ from the newest change: a process can be started with the stream off.
        let present = PastShare {
            from_ms: self.history.first().map_or(i64::MIN, |it| it.at_ms),
            percent: self.share_percent(),
            key: self.key,
        };
        let past = self.history.iter().map(|it| PastShare {
            from_ms: it.at_ms,
            percent: percent_in_force(it.use_kinesis, it.percentage),
            key: it.key,
        });
        SharesInForce::since(from_ms, present, past.skip(1), None)
    }
}

fn percent_in_force(use_kinesis: bool, percentage: f64) -> f64 {
    if use_kinesis { percentage } else { 0.0 }
}

/// Everything that was observed on this machine, or of a server.
#[derive(Debug)]
pub(crate) struct MachineView {
    pub(crate) process: Option<RunningProcess>,
    /// When it was observed, by the clock of its process.
    pub(crate) at_ms: i64,
    /// The folder of the archive, if it is on this machine.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) rollout: Observed<RolloutView>,
    pub(crate) traffic: Observed<TrafficPeriods>,
    pub(crate) ticks_per_second: Observed<f64>,
    pub(crate) lag: Observed<Vec<ConsumerLag>>,
    pub(crate) ledger: Observed<Ledger>,
    pub(crate) backlog: Observed<Backlog>,
    pub(crate) files: Observed<Files>,
    pub(crate) broadcasts: Observed<Broadcasts>,
    pub(crate) quarantined: Observed<Quarantined>,
    pub(crate) clocks: Observed<Clocks>,
    pub(crate) disk: Observed<Disk>,
    pub(crate) versions: Observed<Versions>,
    pub(crate) backups: Observed<BackupAge>,
}

impl MachineView {
    /// Where it is.
    pub(crate) fn place(&self) -> Deployment {
        let data_dir = self.data_dir.as_ref().map(|it| it.display().to_string());
        match &self.process {
            Some(process) => Deployment::Process {
                url: process.url.clone(),
                data_dir,
            },
            None => Deployment::Folder {
                data_dir: data_dir.unwrap_or_default(),
            },
        }
    }

    /// What goes to the stream.
    pub(crate) fn receiving(&self) -> Observed<Receiving> {
        let recent = self.traffic.clone()?.recent;
        let rollout = self.rollout.as_ref().map_err(Clone::clone)?;
        let period_ms = i64::try_from(recent.seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        Ok(Receiving {
            share_percent: rollout.share_percent(),
            shares: rollout.shares_since(self.at_ms.saturating_sub(period_ms)),
            recent,
        })
    }
}

/// Why something was not seen, and what would help.
pub(super) fn unobserved(why: impl Into<String>, advice: impl Into<String>) -> Unobserved {
    Unobserved {
        why: why.into(),
        advice: advice.into(),
    }
}
