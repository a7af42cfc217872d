//! The operator's AWS clients for a project: flag, alarms, metrics and stream.

use app::ports::Clock;
use aws::operator_ports::{ProjectAlarms, StreamArrivals};
use aws::project_metrics::CloudWatchProjectMetrics;
use aws::ssm::record::SsmFlagRecord;

/// Flag, alarms, metrics and stream of a project. Each is only accessed when it is needed, so a failure of
/// one does not block the others.
pub(crate) struct OperatorClients {
    pub(crate) project: String,
    pub(crate) flag: SsmFlagRecord,
    pub(crate) alarms: ProjectAlarms,
    pub(crate) arrivals: StreamArrivals,
    pub(crate) metrics: CloudWatchProjectMetrics,
    pub(crate) clock: ProcessClock,
}

/// The process's clock.
pub(crate) struct ProcessClock(fn() -> i64);

impl Clock for ProcessClock {
    fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl OperatorClients {
    /// Creates the clients for the account and region of the environment.
    pub(crate) async fn open(project: &str, now_ms: fn() -> i64) -> anyhow::Result<Self> {
        let config = aws::client::config(aws::client::BATCH).await;
        aws::client::check(&config).await?;
        let flag = SsmFlagRecord::new(&aws::clients::ssm(&config), format!("/{project}/rollout"));
        let streams = aws::clients::kinesis(&config);
        Ok(Self {
            project: project.to_owned(),
            flag,
            alarms: ProjectAlarms::new(&config, project),
            arrivals: StreamArrivals::new(&streams, format!("{project}-ticks")),
            clock: ProcessClock(now_ms),
            metrics: CloudWatchProjectMetrics::new(&aws::clients::cloudwatch(&config), project),
        })
    }
}
