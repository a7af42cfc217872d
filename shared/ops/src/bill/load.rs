//! What a bill is for: the traffic, and the parameters of the stacks that matter.

use serde::Serialize;

/// The most ticks a day: 1.2 million a second, more than the default quotas of an account allow by far.
pub const TICKS_PER_DAY_MAX: f64 = 1e11;

/// The most tokens.
pub const TOKENS_MAX: f64 = 1e7;

/// The most ticks of a delivery, which is the webhook's limit.
pub const BATCH_MAX: f64 = 10_000.0;

/// The most connections of the live feed.
pub const WATCHERS_MAX: f64 = 1e6;

/// The most bytes of a body for each of its ticks.
pub const BODY_BYTES_MAX: f64 = 3e6;

/// The most shards.
pub const SHARDS_MAX: f64 = 10_000.0;

/// The most days that ticks or files are kept.
pub const DAYS_MAX: f64 = 3_650.0;

/// The longest invocation, in milliseconds.
pub const MS_MAX: f64 = 900_000.0;

/// How the stream is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamMode {
    /// By what goes in and out.
    OnDemand,
    /// By shard and hour.
    Provisioned,
}

/// The candles that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CandleInterval {
    /// 1 second.
    #[serde(rename = "1s")]
    OneSecond,
    /// 1 minute.
    #[serde(rename = "1m")]
    OneMinute,
    /// 5 minutes.
    #[serde(rename = "5m")]
    FiveMinutes,
}

impl CandleInterval {
    /// How many of them are in the ten minutes of a stored item.
    #[must_use]
    pub fn per_block(self) -> f64 {
        match self {
            Self::OneSecond => 600.0,
            Self::OneMinute => 10.0,
            Self::FiveMinutes => 2.0,
        }
    }
}

/// A month's traffic and parameters. The numbers are means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Load {
    /// New ticks a day.
    pub ticks_per_day: f64,
    /// Tokens with ticks, each with one quote. The ticks are spread evenly over them, which costs the most.
    pub tokens: f64,
    /// Ticks of a delivery.
    pub batch: f64,
    /// The share of the ticks that goes to the stream, in percent.
    pub percent: f64,
    /// Connections of the live feed.
    pub watchers: f64,
    /// How many tokens each of them names; all if there is none.
    pub watched_tokens: Option<f64>,
    /// Whether senders use the function's own address, without API Gateway.
    pub function_url: bool,
    /// Bytes of a body for each of its ticks; those of the source `ticks` if there is none.
    pub body_bytes: Option<f64>,
    /// How the stream is paid.
    pub stream: StreamMode,
    /// Its shards; as many as the load needs if there is none.
    pub shards: Option<f64>,
    /// Whether files are in folders by event time, for which Firehose partitions dynamically.
    pub archive_by_event: bool,
    /// The candles that are stored.
    pub candles: CandleInterval,
    /// Days that DynamoDB keeps ticks and candles.
    pub retention_days: f64,
    /// Days that the archive has already.
    pub archive_days: f64,
    /// Memory of the webhook, in MB.
    pub webhook_memory_mb: f64,
    /// Mean duration of an invocation of the webhook, in milliseconds; estimated if there is none.
    pub webhook_ms: Option<f64>,
    /// The same for analytics.
    pub analytics_ms: Option<f64>,
    /// The same for broadcast.
    pub broadcast_ms: Option<f64>,
}

impl Default for Load {
    /// No traffic, with the templates' default parameters.
    fn default() -> Self {
        Self {
            ticks_per_day: 0.0,
            tokens: 1.0,
            batch: 1.0,
            percent: 100.0,
            watchers: 0.0,
            watched_tokens: None,
            function_url: false,
            body_bytes: None,
            stream: StreamMode::OnDemand,
            shards: None,
            archive_by_event: true,
            candles: CandleInterval::OneMinute,
            retention_days: 30.0,
            archive_days: 365.0,
            webhook_memory_mb: 512.0,
            webhook_ms: None,
            analytics_ms: None,
            broadcast_ms: None,
        }
    }
}

/// A number that no stack has.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{what}: {value} is not between {min} and {max}")]
pub struct LoadError {
    what: &'static str,
    value: f64,
    min: f64,
    max: f64,
}

impl Load {
    /// Checks that each number is possible.
    ///
    /// # Errors
    /// [`LoadError`] for the first that is not.
    pub fn check(&self) -> Result<(), LoadError> {
        let optional = |value: Option<f64>, default: f64| value.unwrap_or(default);
        let ranges = [
            ("ticks a day", self.ticks_per_day, 0.0, TICKS_PER_DAY_MAX),
            ("tokens", self.tokens, 1.0, TOKENS_MAX),
            ("ticks of a delivery", self.batch, 1.0, BATCH_MAX),
            ("percent of the ticks", self.percent, 0.0, 100.0),
            ("watchers", self.watchers, 0.0, WATCHERS_MAX),
            (
                "tokens that a watcher names",
                optional(self.watched_tokens, 1.0),
                1.0,
                self.tokens,
            ),
            (
                "bytes of a body for each tick",
                optional(self.body_bytes, 1.0),
                1.0,
                BODY_BYTES_MAX,
            ),
            ("shards", optional(self.shards, 1.0), 1.0, SHARDS_MAX),
            (
                "days that DynamoDB keeps",
                self.retention_days,
                1.0,
                DAYS_MAX,
            ),
            ("days of the archive", self.archive_days, 0.0, DAYS_MAX),
            (
                "memory of the webhook in MB",
                self.webhook_memory_mb,
                128.0,
                10_240.0,
            ),
            (
                "milliseconds of the webhook",
                optional(self.webhook_ms, 1.0),
                1.0,
                MS_MAX,
            ),
            (
                "milliseconds of analytics",
                optional(self.analytics_ms, 1.0),
                1.0,
                MS_MAX,
            ),
            (
                "milliseconds of broadcast",
                optional(self.broadcast_ms, 1.0),
                1.0,
                MS_MAX,
            ),
        ];
        let impossible = ranges
            .into_iter()
            .find(|(_, value, min, max)| !(min..=max).contains(&value));
        match impossible {
            None => Ok(()),
            Some((what, value, min, max)) => Err(LoadError {
                what,
                value,
                min,
                max,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_number_is_named_with_its_limits() {
        assert_eq!(Load::default().check(), Ok(()));
        let base = Load::default;
        for (load, expected) in [
            (
                Load {
                    ticks_per_day: 1e12,
                    ..base()
                },
                "ticks a day: 1000000000000 is not between 0 and 100000000000",
            ),
            (
                Load {
                    ticks_per_day: f64::NAN,
                    ..base()
                },
                "ticks a day: NaN is not between 0 and 100000000000",
            ),
            (
                Load {
                    tokens: 5.0,
                    watched_tokens: Some(6.0),
                    ..base()
                },
                "tokens that a watcher names: 6 is not between 1 and 5",
            ),
            (
                Load {
                    percent: 100.5,
                    ..base()
                },
                "percent of the ticks: 100.5 is not between 0 and 100",
            ),
        ] {
            assert_eq!(load.check().unwrap_err().to_string(), expected);
        }
    }
}
