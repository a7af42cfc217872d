//! The clients of an operator on AWS: flag, alarms and stream of a project.

use app::ports::Clock;
use aws::operator_ports::{ProjectAlarms, StreamArrivals};
use aws::ssm::record::SsmFlagRecord;

/// Flag, alarms and stream of a project. Nothing is read before it is asked for, so that none of
/// them stands in the way of another.
pub(crate) struct OperatorClients {
    pub(crate) flag: SsmFlagRecord,
    pub(crate) alarms: ProjectAlarms,
    pub(crate) arrivals: StreamArrivals,
    pub(crate) clock: WorldClock,
}

/// The process's clock.
pub(crate) struct WorldClock(fn() -> i64);

impl Clock for WorldClock {
    fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl OperatorClients {
    /// Builds the clients with the account and region of the environment.
    pub(crate) async fn open(project: &str, now_ms: fn() -> i64) -> anyhow::Result<Self> {
        let config = aws::client::config(aws::client::WORKING).await;
        aws::client::check(&config).await?;
        let flag = SsmFlagRecord::new(&aws::clients::ssm(&config), format!("/{project}/rollout"));
        let streams = aws::clients::kinesis(&config);
        Ok(Self {
            flag,
            alarms: ProjectAlarms::new(&config, project),
            arrivals: StreamArrivals::new(&streams, format!("{project}-ticks")),
            clock: WorldClock(now_ms),
        })
    }
}
