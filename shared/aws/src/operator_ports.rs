//! The control plane's ports on AWS: the project's alarms, and the arrivals in its stream.

use std::time::Duration;

use app::ports::PortError;
use async_trait::async_trait;
use aws_config::SdkConfig;
use ops::ports::{AlarmStates, Alarms, Arrival, Arrivals, Poll};
use tokio::time::Instant;

use crate::alarms::{OPTIONAL, State, names, states};
use crate::kinesis::shard_reader::Begin;
use crate::kinesis::tail::StreamTail;

/// How long one poll may continue to read if the stream is written faster than it is read.
const POLL_DURATION_MAX: Duration = Duration::from_secs(2);

/// The alarms of a project, by their names.
pub struct ProjectAlarms {
    client: aws_sdk_cloudwatch::Client,
    names: Vec<String>,
    optional: Vec<String>,
    is_emulated: bool,
}

impl ProjectAlarms {
    /// The alarms of a project's templates. With an endpoint for all services, it is an emulator's project, where
    /// no state can be seen.
    #[must_use]
    pub fn new(config: &SdkConfig, project: &str) -> Self {
        Self {
            client: aws_sdk_cloudwatch::Client::new(config),
            names: names(project),
            optional: OPTIONAL.map(|name| format!("{project}-{name}")).into(),
            is_emulated: config.endpoint_url().is_some(),
        }
    }
}

#[async_trait]
impl Alarms for ProjectAlarms {
    async fn states(&self) -> Result<AlarmStates, PortError> {
        let found = states(&self.client, &self.names).await?;
        let of = |state: State| -> Vec<String> {
            let of_state = found.iter().filter(|alarm| alarm.state == state);
            of_state.map(|alarm| alarm.name.clone()).collect()
        };
        let is_found = |name: &&String| found.iter().any(|alarm| alarm.name == **name);
        let needed = self.names.iter().filter(|it| !self.optional.contains(it));
        let missing: Vec<String> = needed.filter(|it| !is_found(it)).cloned().collect();
        let mut states = AlarmStates {
            watched: found.len(),
            on: of(State::On),
            undecided: of(State::Undecided),
            missing,
            unseen: Vec::new(),
        };
        if self.is_emulated {
            states.undecided.clear();
            states.missing.clear();
            let unseen = self.names.iter().filter(|it| !states.on.contains(it));
            states.unseen = unseen.cloned().collect();
        }
        Ok(states)
    }
}

/// The arrivals in a stream.
pub struct StreamArrivals {
    client: aws_sdk_kinesis::Client,
    stream: String,
    tail: Option<StreamTail>,
}

impl StreamArrivals {
    /// A reader of a stream, not yet opened.
    #[must_use]
    pub fn new(client: &aws_sdk_kinesis::Client, stream: impl Into<String>) -> Self {
        Self {
            client: client.clone(),
            stream: stream.into(),
            tail: None,
        }
    }
}

#[async_trait]
impl Arrivals for StreamArrivals {
    async fn watch_from(&mut self, from_ms: i64) -> Result<(), PortError> {
        self.tail = None;
        let begin = Begin::AtTimestamp(from_ms);
        self.tail = Some(StreamTail::open(&self.client, &self.stream, begin).await?);
        Ok(())
    }

    async fn poll(&mut self) -> Result<Poll, PortError> {
        let Some(tail) = &mut self.tail else {
            return Ok(Poll {
                arrivals: Vec::new(),
                caught_up: false,
            });
        };
        let (records, caught_up) = tail
            .catch_up_until(Instant::now() + POLL_DURATION_MAX)
            .await?;
        let arrivals = records.into_iter().filter_map(|record| {
            // The analysis quarantines records that are not ticks.
            let tick = record.tick.ok()?;
            let arrived_ms = record.arrived_at_ms.unwrap_or(tick.ingested_at_ms);
            Some(Arrival { arrived_ms, tick })
        });
        Ok(Poll {
            arrivals: arrivals.collect(),
            caught_up,
        })
    }
}
