//! The value of the rollout parameter: a change as JSON, or a plain percentage.

use chrono::{DateTime, SecondsFormat};
use domain::{Percentage, Rollout, RolloutKey};
use ops::flag_record::{FlagChange, FlagValue};
use serde::{Deserialize, Serialize};

/// The most characters of a refused value that are shown.
const SHOWN_CHARS_MAX: usize = 120;

/// A valid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutValue {
    /// The whole flag, with who set it, when and why.
    Change(FlagChange),
    /// A share; everything else is as the process was started.
    Percentage(Percentage),
}

/// A value that is not valid. It is never taken for 0 or 100.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{value}`, which is not a rollout: {reason}. Use a percentage from 0 to 100 with at most two \
     decimals, such as `12.5`, or JSON such as \
     `{{\"use_kinesis\":true,\"percentage\":\"12.5\",\"key\":\"tick\",\"by\":\"alice\",\"reason\":\"canary\",\"at\":\"2026-01-02T03:04:05.000Z\"}}` with all of these fields; without `key` the processes keep theirs"
)]
pub struct RolloutValueError {
    value: String,
    reason: String,
}

/// The time of a change is outside the calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} ms since the epoch is outside the calendar")]
pub struct RolloutTimeError(i64);

/// The fields of the JSON text. An unknown one is refused, since it may be a misspelled one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    use_kinesis: bool,
    percentage: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    by: String,
    reason: String,
    at: String,
}

impl RolloutValue {
    /// Reads a parameter's value.
    ///
    /// # Errors
    /// [`RolloutValueError`] shows the value, what is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, RolloutValueError> {
        // A file that is passed as the value may begin with a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let read = if text.starts_with('{') {
            change(text).map(Self::Change)
        } else {
            text.parse()
                .map(Self::Percentage)
                .map_err(|_| "it is neither a percentage nor a JSON object".to_owned())
        };
        read.map_err(|reason| RolloutValueError {
            value: text.chars().take(SHOWN_CHARS_MAX).collect(),
            reason,
        })
    }

    /// Writes the value in a form that [`RolloutValue::parse`] reads.
    ///
    /// # Errors
    /// [`RolloutTimeError`] for a time before year 0 or after year 9999.
    pub fn render(&self) -> Result<String, RolloutTimeError> {
        let change = match self {
            Self::Percentage(percentage) => return Ok(percentage.to_string()),
            Self::Change(change) => change,
        };
        let no_time = RolloutTimeError(change.at_ms);
        let at = DateTime::from_timestamp_millis(change.at_ms).ok_or(no_time.clone())?;
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        if at.starts_with(['+', '-']) {
            return Err(no_time);
        }
        let fields = Fields {
            use_kinesis: change.value.use_kinesis,
            percentage: change.value.percentage.to_string(),
            key: change.value.key.map(|key| key.to_string()),
            by: change.who.clone(),
            reason: change.why.clone(),
            at,
        };
        serde_json::to_string(&fields).map_err(|_| no_time)
    }

    /// The value of the flag.
    #[must_use]
    pub fn value(&self) -> FlagValue {
        match self {
            Self::Change(change) => change.value,
            Self::Percentage(percentage) => FlagValue {
                use_kinesis: true,
                percentage: *percentage,
                key: None,
            },
        }
    }

    /// The rollout of a process that was started with `env`.
    #[must_use]
    pub fn rollout(&self, env: Rollout) -> Rollout {
        self.value().rollout(env)
    }
}

fn change(text: &str) -> Result<FlagChange, String> {
    let fields: Fields = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let percentage = fields.percentage.parse::<Percentage>();
    let at = DateTime::parse_from_rfc3339(&fields.at)
        .map_err(|_| format!("`{}` in `at` is not an RFC 3339 time", fields.at))?;
    let key = fields.key.map(|key| key.parse::<RolloutKey>()).transpose();
    Ok(FlagChange {
        at_ms: at.timestamp_millis(),
        who: fields.by,
        why: fields.reason,
        value: FlagValue {
            use_kinesis: fields.use_kinesis,
            percentage: percentage.map_err(|error| error.to_string())?,
            key: key.map_err(|error| error.to_string())?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ON: Rollout = Rollout {
        use_kinesis: true,
        percentage: Percentage::ZERO,
        key: RolloutKey::Token,
    };

    const GOOD: &str = r#"{"use_kinesis":true,"percentage":"12.5","key":"tick","by":"alice","reason":"canary","at":"2026-01-02T03:04:05Z"}"#;

    fn percentage(text: &str) -> Percentage {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_has_everything_and_a_percentage_only_the_share() {
        let expected = Rollout {
            use_kinesis: true,
            percentage: percentage("12.5"),
            key: RolloutKey::Tick,
        };
        let change = RolloutValue::parse(GOOD).unwrap();
        assert_eq!(change.rollout(ON), expected);
        for text in ["10", "0", "100", "0.01", "12.50"] {
            let share = RolloutValue::parse(text).unwrap().rollout(ON);
            assert_eq!(share.percentage, percentage(text));
            assert_eq!((share.use_kinesis, share.key), (true, RolloutKey::Token));
        }
    }

    #[test]
    fn a_byte_order_mark_in_front_of_a_value_is_skipped() {
        let change = r#"{"use_kinesis":true,"percentage":"5","by":"ann","reason":"x","at":"2026-01-01T00:00:00Z"}"#;
        for text in ["12.5", change] {
            let value = RolloutValue::parse(text).unwrap();
            assert_eq!(RolloutValue::parse(&format!("\u{feff}{text}")), Ok(value));
        }
    }

    #[test]
    fn a_change_without_a_key_keeps_that_of_the_process() {
        let text = GOOD.replace("\"key\":\"tick\",", "");
        let said = RolloutValue::parse(&text).unwrap();
        assert_eq!(said.value().key, None);
        assert_eq!(said.rollout(ON).key, RolloutKey::Token);
        assert!(!said.render().unwrap().contains("key"));
    }

    #[test]
    fn a_stream_that_is_off_at_the_start_stays_off() {
        let off = Rollout {
            use_kinesis: false,
            ..ON
        };
        for text in [GOOD, "100"] {
            assert!(!RolloutValue::parse(text).unwrap().rollout(off).use_kinesis);
        }
    }

    #[test]
    fn an_invalid_value_is_refused_and_shown() {
        let with = |from: &str, to: &str| {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            text
        };
        for (text, reason) in [
            (String::new(), "neither"),
            (" 10".to_owned(), "neither"),
            ("10\n".to_owned(), "neither"),
            ("10%".to_owned(), "neither"),
            ("101".to_owned(), "neither"),
            ("-1".to_owned(), "neither"),
            ("true".to_owned(), "neither"),
            ("\"10\"".to_owned(), "neither"),
            ("[10]".to_owned(), "neither"),
            ("null".to_owned(), "neither"),
            ("{}".to_owned(), "missing field"),
            ("{".to_owned(), "EOF"),
            (format!("{GOOD}x"), "trailing"),
            (with("true", "\"true\""), "invalid type"),
            (with("true", "1"), "invalid type"),
            (with("\"12.5\"", "12.5"), "invalid type"),
            (with("12.5", "1e1"), "not a percentage"),
            (with("12.5", "100.01"), "not a percentage"),
            (with("\"by\":\"alice\",", ""), "missing field `by`"),
            (with("\"tick\"", "\"Tick\""), "not a rollout key"),
            (with("\"by\"", "\"who\""), "unknown field `who`"),
            (with("\"by\":\"alice\"", "\"by\":null"), "invalid type"),
            (with("\"by\"", "\"reason\""), "duplicate field"),
            (with("2026-01-02T03:04:05Z", "yesterday"), "RFC 3339"),
            (with("2026-01-02T03:04:05Z", "1767323045000"), "RFC 3339"),
        ] {
            let message = RolloutValue::parse(&text).unwrap_err().to_string();
            assert!(message.contains(reason), "{text}: {message}");
            let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            assert!(message.starts_with(&format!("`{shown}`")), "{message}");
            assert!(message.contains("Use a percentage"), "{message}");
        }
    }

    #[test]
    fn a_time_outside_the_calendar_is_not_written() {
        for at_ms in [i64::MIN, i64::MAX, 253_402_300_800_000, -70_000_000_000_000] {
            let change = FlagChange {
                at_ms,
                who: "alice".to_owned(),
                why: "canary".to_owned(),
                value: FlagValue {
                    use_kinesis: true,
                    percentage: Percentage::ZERO,
                    key: None,
                },
            };
            let rendered = RolloutValue::Change(change).render();
            assert_eq!(rendered, Err(RolloutTimeError(at_ms)));
        }
    }

    fn any_percentage() -> impl Strategy<Value = Percentage> {
        (0u32..=10_000)
            .prop_map(|points| percentage(&format!("{}.{:02}", points / 100, points % 100)))
    }

    fn any_value() -> impl Strategy<Value = RolloutValue> {
        let change = (
            0i64..253_402_300_800_000,
            any::<String>(),
            any::<String>(),
            any::<bool>(),
            any_percentage(),
            prop_oneof![
                Just(None),
                Just(Some(RolloutKey::Tick)),
                Just(Some(RolloutKey::Token))
            ],
        );
        prop_oneof![
            any_percentage().prop_map(RolloutValue::Percentage),
            change.prop_map(|(at_ms, who, why, use_kinesis, percentage, key)| {
                RolloutValue::Change(FlagChange {
                    at_ms,
                    who,
                    why,
                    value: FlagValue {
                        use_kinesis,
                        percentage,
                        key,
                    },
                })
            }),
        ]
    }

    proptest! {
        #[test]
        fn values_round_trip(value in any_value()) {
            prop_assert_eq!(RolloutValue::parse(&value.render().unwrap()), Ok(value));
        }

        #[test]
        fn no_text_is_read_as_another_share(text in "[0-9.{}\" a-z:,-]{0,12}") {
            if let Ok(RolloutValue::Percentage(read)) = RolloutValue::parse(&text) {
                prop_assert_eq!(read.to_string().parse::<f64>(), text.parse::<f64>());
            }
        }
    }
}
