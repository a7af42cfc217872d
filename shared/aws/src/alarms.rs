//! The alarms of a project, for operators.

use app::ports::PortError;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};

use crate::error::port_error;

/// Every alarm of the templates that blocks a step up, without the project's name. Full names are
/// used instead of a prefix: with a prefix, the project `prices` would see the alarms of
/// `prices-eu`.
pub const NAMES: [&str; 44] = [
    "analytics-errors",
    "analytics-failed",
    "analytics-iterator-age",
    "analytics-read-throttles",
    "analytics-source",
    "analytics-states-set-aside",
    "analytics-write-throttles",
    "archive-conversion-failures",
    "archive-errors",
    "archive-freshness",
    "archive-partitions",
    "archive-silent",
    "broadcast-age",
    "broadcast-dlq",
    "broadcast-errors",
    "broadcast-source",
    "connections-read-throttles",
    "connections-write-throttles",
    "ledger-difference",
    "malformed-share",
    "ramp-blocked",
    "redrive-age",
    "redrive-dlq",
    "redrive-errors",
    "redrive-source",
    "scaler-errors",
    "stream-read-throttles",
    "stream-silent",
    "stream-write-throttles",
    "stream-write-throughput",
    "ticks-pending",
    "ticks-read-throttles",
    "ticks-system-errors",
    "ticks-write-throttles",
    "webhook-client-errors",
    "webhook-errors",
    "webhook-latency",
    "webhook-server-errors",
    "webhook-silent",
    "webhook-stale-secrets",
    "webhook-throttles",
    "webhook-url-client-errors",
    "webhook-url-errors",
    "webhook-url-latency",
];

/// Those that are only deployed with the parameter `WebhookFunctionUrl`.
pub const OPTIONAL: [&str; 3] = [
    "webhook-url-client-errors",
    "webhook-url-errors",
    "webhook-url-latency",
];

/// The most names per request; CloudWatch's own limit.
const NAMES_PER_REQUEST_MAX: usize = 100;

/// The most alarms per response; CloudWatch's own limit.
const ALARMS_PER_PAGE_MAX: i32 = 100;

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// `OK`.
    Off,
    /// `ALARM`.
    On,
    /// `INSUFFICIENT_DATA`: it has not been evaluated yet, mostly because it is new.
    Undecided,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Its description, which says what to do; empty if it has none.
    pub description: String,
    /// The reason for its state, in CloudWatch's words; empty if there is none.
    pub state_reason: String,
}

/// The names of a project's alarms.
#[must_use]
pub fn names(project: &str) -> Vec<String> {
    NAMES.map(|name| format!("{project}-{name}")).into()
}

/// The states of the alarms with these names, including composite ones, sorted by name. Names
/// without an alarm are ignored.
///
/// # Errors
/// [`PortError`] if CloudWatch does not respond, which does not mean that no alarm is on.
pub async fn states(client: &Client, names: &[String]) -> Result<Vec<Alarm>, PortError> {
    let mut alarms = Vec::new();
    for names_chunk in names.chunks(NAMES_PER_REQUEST_MAX) {
        let mut pages = client
            .describe_alarms()
            .set_alarm_names(Some(names_chunk.to_vec()))
            // By default, composite alarms are omitted.
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .max_records(ALARMS_PER_PAGE_MAX)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error("read the alarms", &error))?;
            alarms.extend(page.metric_alarms().iter().map(|alarm| {
                of(
                    alarm.alarm_name(),
                    alarm.state_value(),
                    alarm.alarm_description(),
                    alarm.state_reason(),
                )
            }));
            alarms.extend(page.composite_alarms().iter().map(|alarm| {
                of(
                    alarm.alarm_name(),
                    alarm.state_value(),
                    alarm.alarm_description(),
                    alarm.state_reason(),
                )
            }));
        }
    }
    alarms.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(alarms)
}

fn of(
    name: Option<&str>,
    state: Option<&StateValue>,
    description: Option<&str>,
    state_reason: Option<&str>,
) -> Alarm {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Alarm {
        name: text(name),
        state: match state {
            Some(StateValue::Alarm) => State::On,
            Some(StateValue::Ok) => State::Off,
            Some(_) | None => State::Undecided,
        },
        description: text(description),
        state_reason: text(state_reason),
    }
}
