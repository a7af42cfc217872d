//! The alarms that are on, for operators.

use app::ports::PortError;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};

use crate::error::port_error;

/// An alarm that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its description, which says what to do; empty where it has none.
    pub description: String,
    /// Why it is on, in CloudWatch's words; empty where it does not say.
    pub state_reason: String,
}

/// The alarms in state ALARM whose names begin with `name_prefix`, composite ones too, by name.
///
/// # Errors
/// [`PortError`] where CloudWatch does not answer: that is no sign that all is quiet.
pub async fn in_alarm(client: &Client, name_prefix: &str) -> Result<Vec<Alarm>, PortError> {
    let mut alarms = Vec::new();
    let mut pages = client
        .describe_alarms()
        .alarm_name_prefix(name_prefix)
        .state_value(StateValue::Alarm)
        // Without it, composite alarms are left out.
        .alarm_types(AlarmType::MetricAlarm)
        .alarm_types(AlarmType::CompositeAlarm)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| port_error("read the alarms", &error))?;
        for alarm in page.metric_alarms() {
            alarms.push(of(
                alarm.alarm_name(),
                alarm.alarm_description(),
                alarm.state_reason(),
            ));
        }
        for alarm in page.composite_alarms() {
            alarms.push(of(
                alarm.alarm_name(),
                alarm.alarm_description(),
                alarm.state_reason(),
            ));
        }
    }
    alarms.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(alarms)
}

fn of(name: Option<&str>, description: Option<&str>, state_reason: Option<&str>) -> Alarm {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Alarm {
        name: text(name),
        description: text(description),
        state_reason: text(state_reason),
    }
}
