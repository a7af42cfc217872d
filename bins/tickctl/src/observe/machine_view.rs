//! A tickstream on this machine, or at an address, as it was observed.

use std::path::PathBuf;

use ops::doctor::{
    Backlog, BackupAge, Broadcasts, Clocks, ConsumerLag, Deployment, Disk, Files, Ledger,
    Quarantined, Receiving, Seen, TrafficPeriods, Unseen, Versions,
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
}

impl RolloutView {
    /// The share in force: 0 if the stream is off.
    pub(crate) fn share_percent(&self) -> f64 {
        if self.use_kinesis {
            self.percentage
        } else {
            0.0
        }
    }
}

/// Everything that was observed on this machine, or of a server.
#[derive(Debug)]
pub(crate) struct MachineView {
    pub(crate) process: Option<RunningProcess>,
    /// The folder of the archive, if it is on this machine.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) rollout: Seen<RolloutView>,
    pub(crate) traffic: Seen<TrafficPeriods>,
    pub(crate) ticks_per_second: Seen<f64>,
    pub(crate) lag: Seen<Vec<ConsumerLag>>,
    pub(crate) ledger: Seen<Ledger>,
    pub(crate) backlog: Seen<Backlog>,
    pub(crate) files: Seen<Files>,
    pub(crate) broadcasts: Seen<Broadcasts>,
    pub(crate) quarantined: Seen<Quarantined>,
    pub(crate) clocks: Seen<Clocks>,
    pub(crate) disk: Seen<Disk>,
    pub(crate) versions: Seen<Versions>,
    pub(crate) backups: Seen<BackupAge>,
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
    pub(crate) fn receiving(&self) -> Seen<Receiving> {
        let share_percent = self.rollout.as_ref().map(RolloutView::share_percent);
        Ok(Receiving {
            recent: self.traffic.clone()?.recent,
            share_percent: share_percent.map_err(Clone::clone)?,
        })
    }
}

/// Why something was not seen, and what would help.
pub(super) fn unseen(why: impl Into<String>, advice: impl Into<String>) -> Unseen {
    Unseen {
        why: why.into(),
        advice: advice.into(),
    }
}
