//! The operator's desk on AWS: flag, alarms and stream of a project.

use std::sync::Arc;

use anyhow::Context as _;
use app::ports::{Alarms, Arrivals, Clock, RolloutStore};
use app::rollout::RolloutControl;
use aws::desk::{ProjectAlarms, StreamArrivals};
use aws::ssm::SsmRollout;
use domain::{Percentage, Rollout, RolloutKey};

/// What the flag is read over: a plain percentage in the parameter says nothing else.
const UNDER_THE_PARAMETER: Rollout = Rollout {
    use_kinesis: true,
    percentage: Percentage::ZERO,
    key: RolloutKey::Tick,
};

/// Flag, alarms and stream of a project.
pub(crate) struct Desk {
    pub(crate) control: RolloutControl,
    pub(crate) history: Arc<dyn RolloutStore>,
    pub(crate) alarms: Box<dyn Alarms>,
    pub(crate) arrivals: Box<dyn Arrivals>,
}

struct WorldClock(fn() -> i64);

impl Clock for WorldClock {
    fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl Desk {
    /// Opens the desk with the account and region of the environment.
    pub(crate) async fn open(project: &str, now_ms: fn() -> i64) -> anyhow::Result<Self> {
        let config = aws::client::config(aws::client::WORKING).await;
        aws::client::check(&config).await?;
        let parameter = format!("/{project}/rollout");
        let flag = SsmRollout::open(&aws::clients::ssm(&config), &parameter, UNDER_THE_PARAMETER)
            .await
            .with_context(|| {
                format!(
                    "cannot read the flag; is the project `{project}` deployed in this account and \
                 region?"
                )
            })?;
        let flag = Arc::new(flag);
        Ok(Self {
            control: RolloutControl {
                flag: Arc::clone(&flag) as _,
                store: Arc::clone(&flag) as _,
                clock: Arc::new(WorldClock(now_ms)),
            },
            history: flag,
            alarms: Box::new(ProjectAlarms::new(&config, format!("{project}-"))),
            arrivals: Box::new(StreamArrivals::new(&config, format!("{project}-ticks"))),
        })
    }
}
