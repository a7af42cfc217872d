//! Whether a tickstream works: each check judges what was observed, and says so in a line with its evidence and what
//! to do. The checks are pure functions; `tickctl doctor` gathers the observations, on this machine or on AWS.

mod archive_checks;
mod check_line;
mod cloud_checks;
mod cloud_observations;
mod delivery_checks;
mod machine_checks;
mod observations;
mod receiving_check;
mod shares_in_force;
mod stream_checks;
#[cfg(test)]
mod tests;

pub use archive_checks::{backups, files, sql};
pub use check_line::{CheckLine, CheckState, Deployment, Observed, Unobserved, overall};
pub use cloud_checks::{alarms, cost, queues, throttles};
pub use cloud_observations::CloudObservations;
pub use delivery_checks::{broadcasts, by_reason, errors, quarantine, writes};
pub use machine_checks::{certificate, clocks, disk, process, process_unobserved, versions};
pub use observations::{
    Backlog, BackupAge, Broadcasts, Certificate, Clocks, ConsumerLag, Cost, Disk, Files, Ledger,
    Quarantined, Queues, Receiving, SqlAnswer, Throttles, Traffic, TrafficPeriods, Versions,
    WriteProbe,
};
pub use receiving_check::receiving;
pub use shares_in_force::{PastShare, SharesInForce};
pub use stream_checks::{lag, ledger, outbox};
