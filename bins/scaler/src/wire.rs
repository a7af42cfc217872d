//! The parts that the scaler needs of the event of an alarm's Lambda action.

use ops::scaling::Load;
use serde::Deserialize;

/// The suffixes of the two alarms' names.
const UP_SUFFIX: &str = "-shards-up";
const DOWN_SUFFIX: &str = "-shards-down";

/// The state of an alarm that is on.
const ALARM: &str = "ALARM";

/// The event that CloudWatch sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmEvent {
    alarm_data: AlarmData,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlarmData {
    alarm_name: String,
    state: AlarmState,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlarmState {
    value: String,
    /// JSON as text, in an unspecified format.
    #[serde(default)]
    reason_data: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReasonData {
    recent_datapoints: Vec<Option<f64>>,
    threshold: Option<f64>,
}

/// The event comes from an unknown alarm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the scaler does not know the alarm `{0}`: use this function as an action only for alarms \
     whose name ends with {UP_SUFFIX} or {DOWN_SUFFIX}"
)]
pub struct UnknownAlarm(String);

impl AlarmEvent {
    /// The alarm's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.alarm_data.alarm_name
    }

    /// The load that the alarm reports; `None` if it has ended.
    ///
    /// # Errors
    /// [`UnknownAlarm`].
    pub fn load(&self) -> Result<Option<Load>, UnknownAlarm> {
        let AlarmData { alarm_name, state } = &self.alarm_data;
        let load = if alarm_name.ends_with(UP_SUFFIX) {
            Load::High {
                excess: state.excess().unwrap_or(1.0),
            }
        } else if alarm_name.ends_with(DOWN_SUFFIX) {
            Load::Low
        } else {
            return Err(UnknownAlarm(alarm_name.clone()));
        };
        Ok((state.value == ALARM).then_some(load))
    }
}

impl AlarmState {
    /// The newest measured value divided by the threshold.
    fn excess(&self) -> Option<f64> {
        let data: ReasonData = serde_json::from_str(self.reason_data.as_deref()?).ok()?;
        let newest = data.recent_datapoints.into_iter().flatten().next_back()?;
        let threshold = data.threshold.filter(|threshold| *threshold > 0.0)?;
        Some(newest / threshold)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(name: &str, state: &str, reason_data: Option<&str>) -> AlarmEvent {
        serde_json::from_value(json!({
            "source": "aws.cloudwatch",
            "alarmArn": format!("arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"),
            "accountId": "000000000000",
            "time": "2026-01-01T00:00:00.000+0000",
            "region": "us-east-1",
            "alarmData": {
                "alarmName": name,
                "state": {
                    "value": state, "reason": "Threshold Crossed", "reasonData": reason_data,
                    "timestamp": "2026-01-01T00:00:00.000+0000",
                },
                "previousState": {"value": "OK"},
                // A metric of an expression has no `metricStat`.
                "configuration": {"metrics": [{"id": "used", "expression": "m1 / 60"}]},
            },
        }))
        .unwrap()
    }

    #[test]
    fn an_alarm_is_recognized_by_its_name() {
        let load = |name, state| event(name, state, None).load();
        assert_eq!(
            load("tickstream-shards-up", "ALARM"),
            Ok(Some(Load::High { excess: 1.0 }))
        );
        assert_eq!(load("tickstream-shards-down", "ALARM"), Ok(Some(Load::Low)));
        assert_eq!(load("tickstream-shards-up", "OK"), Ok(None));
        assert_eq!(
            load("tickstream-shards-down", "INSUFFICIENT_DATA"),
            Ok(None)
        );
        let unknown = load("tickstream-iterator-age", "ALARM").unwrap_err();
        assert!(unknown.to_string().contains("tickstream-iterator-age"));
    }

    #[track_caller]
    fn check(reason_data: &str, excess: f64) {
        let load = event("x-shards-up", "ALARM", Some(reason_data)).load();
        assert_eq!(load, Ok(Some(Load::High { excess })), "{reason_data}");
    }

    #[test]
    fn the_measured_load_is_compared_with_the_threshold() {
        check(
            r#"{"version":"1.0","recentDatapoints":[85.0,120.0],"threshold":80.0}"#,
            1.5,
        );
        check(r#"{"recentDatapoints":[100.0,null],"threshold":80}"#, 1.25);
        check(r#"{"recentDatapoints":[],"threshold":80}"#, 1.0);
        check(r#"{"recentDatapoints":[100],"threshold":0}"#, 1.0);
        check("not JSON", 1.0);
    }
}
