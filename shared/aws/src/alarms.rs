//! The alarms of a project, for operators.

use app::ports::PortError;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};

use crate::error::port_error;

/// Every alarm that the templates make and that speaks against going up, without the project's
/// name. By a beginning, a project would see the alarms of another one: `prices` those of
/// `prices-eu`. Names that are not deployed do not count.
pub const NAMES: [&str; 30] = [
    "analytics-errors",
    "analytics-failed",
    "analytics-iterator-age",
    "analytics-read-throttles",
    "analytics-write-throttles",
    "archive-conversion-failures",
    "archive-freshness",
    "broadcast-age",
    "broadcast-dlq",
    "broadcast-errors",
    "connections-read-throttles",
    "connections-write-throttles",
    "malformed-share",
    "ramp-blocked",
    "redrive-age",
    "redrive-dlq",
    "redrive-errors",
    "scaler-errors",
    "stream-read-throttles",
    "stream-write-throttles",
    "stream-write-throughput",
    "ticks-pending",
    "ticks-read-throttles",
    "ticks-system-errors",
    "ticks-write-throttles",
    "webhook-errors",
    "webhook-latency",
    "webhook-server-errors",
    "webhook-throttles",
    "webhook-url-errors",
];

/// Names in one question; CloudWatch's own limit.
const ASKED_MAX: usize = 100;

/// Alarms in one answer; CloudWatch's own limit.
const ANSWERED_MAX: i32 = 100;

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Whether it is in state ALARM.
    pub is_on: bool,
    /// Its description, which says what to do; empty where it has none.
    pub description: String,
    /// Why it stands as it does, in CloudWatch's words; empty where it does not say.
    pub state_reason: String,
}

/// The names of a project's alarms.
#[must_use]
pub fn names(project: &str) -> Vec<String> {
    NAMES.map(|name| format!("{project}-{name}")).into()
}

/// How the alarms of these names stand, composite ones too, by name. Those that do not exist are
/// left out.
///
/// # Errors
/// [`PortError`] where CloudWatch does not answer: that is no sign that all is quiet.
pub async fn states(client: &Client, names: &[String]) -> Result<Vec<Alarm>, PortError> {
    let mut alarms = Vec::new();
    for asked in names.chunks(ASKED_MAX) {
        let mut pages = client
            .describe_alarms()
            .set_alarm_names(Some(asked.to_vec()))
            // Without it, composite alarms are left out.
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .max_records(ANSWERED_MAX)
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
        is_on: state == Some(&StateValue::Alarm),
        description: text(description),
        state_reason: text(state_reason),
    }
}
