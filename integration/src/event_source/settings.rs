//! The settings of an event source mapping, by AWS's names and within AWS's limits.

use serde::Deserialize;

/// Most records of a batch for a stream (Lambda's limit: 10,000).
pub const BATCH_RECORDS_MAX: usize = 10_000;
/// Longest batching window, in seconds (Lambda's limit: 300).
pub const WINDOW_SECONDS_MAX: u64 = 300;
/// Most retries that can be set (Lambda's limit: 10,000; -1 is for ever).
pub const RETRIES_MAX: i64 = 10_000;
/// Bounds of the record age, in seconds (Lambda's limits: 60 to 604,800; -1 is for ever).
pub const RECORD_AGE_SECONDS: std::ops::RangeInclusive<i64> = 60..=604_800;

/// How batches are made of a shard's records, and what happens to those that fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Most records of a batch: `BatchSize`.
    pub batch_records_max: usize,
    /// How long records are gathered before a batch that is not full goes out:
    /// `MaximumBatchingWindowInSeconds`.
    pub window_ms: i64,
    /// A failing batch of several records is split in two: `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// Retries of the same batch before it is given up; `None` is for ever: `MaximumRetryAttempts`.
    pub retries_max: Option<u32>,
    /// Records older than this are given up; `None` is never: `MaximumRecordAgeInSeconds`.
    pub record_age_max_ms: Option<i64>,
    /// The answer's `batchItemFailures` counts: `ReportBatchItemFailures`.
    pub partial_failures: bool,
    /// First delay before a retry; it doubles up to 60 s. AWS does not publish its own.
    pub retry_delay_ms: i64,
}

impl Default for Settings {
    /// What a mapping has when nothing is set.
    fn default() -> Self {
        Self {
            batch_records_max: 100,
            window_ms: 0,
            bisect: false,
            retries_max: None,
            record_age_max_ms: None,
            partial_failures: false,
            retry_delay_ms: 100,
        }
    }
}

/// Why a mapping cannot be run by the model.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A value is outside what AWS allows.
    #[error("{name} is {value}, and AWS allows {allowed}")]
    OutOfRange {
        /// AWS's name of the setting.
        name: &'static str,
        /// What was given.
        value: i64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A setting that the model does not play.
    #[error("the model of the event source does not play {name} = {value}")]
    NotModelled {
        /// AWS's name of the setting.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// Not the JSON of a mapping.
    #[error("this is not an event source mapping: {0}")]
    Unreadable(String),
}

/// The part of a mapping that the model reads: the same names in a template's properties and in the
/// answer of `aws lambda get-event-source-mapping`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mapping {
    batch_size: Option<i64>,
    maximum_batching_window_in_seconds: Option<i64>,
    bisect_batch_on_function_error: Option<bool>,
    maximum_retry_attempts: Option<i64>,
    maximum_record_age_in_seconds: Option<i64>,
    function_response_types: Option<Vec<String>>,
    parallelization_factor: Option<i64>,
    tumbling_window_in_seconds: Option<i64>,
}

impl Settings {
    /// Reads a mapping as a template or Lambda's API writes it, so that the model plays what is
    /// deployed. Intrinsic functions must be resolved before.
    ///
    /// # Errors
    ///
    /// A value outside AWS's limits, or a setting that the model does not play (more than one batch
    /// in flight a shard, tumbling windows).
    pub fn from_mapping(mapping: &serde_json::Value) -> Result<Self, SettingsError> {
        let mapping = Mapping::deserialize(mapping)
            .map_err(|error| SettingsError::Unreadable(error.to_string()))?;
        not_modelled(
            "ParallelizationFactor",
            mapping.parallelization_factor,
            &[1],
        )?;
        not_modelled(
            "TumblingWindowInSeconds",
            mapping.tumbling_window_in_seconds,
            &[0],
        )?;
        let defaults = Self::default();
        let records = mapping.batch_size.unwrap_or(100);
        let window_s = mapping.maximum_batching_window_in_seconds.unwrap_or(0);
        let retries = mapping.maximum_retry_attempts.unwrap_or(-1);
        let age_s = mapping.maximum_record_age_in_seconds.unwrap_or(-1);
        let settings = Self {
            batch_records_max: usize::try_from(records).map_err(|_| batch_size(records))?,
            window_ms: window_s.saturating_mul(1000),
            bisect: mapping.bisect_batch_on_function_error.unwrap_or(false),
            retries_max: match retries {
                -1 => None,
                retries => Some(u32::try_from(retries).map_err(|_| retry_attempts(retries))?),
            },
            record_age_max_ms: (age_s != -1).then(|| age_s.saturating_mul(1000)),
            partial_failures: mapping
                .function_response_types
                .is_some_and(|types| types.iter().any(|name| name == "ReportBatchItemFailures")),
            retry_delay_ms: defaults.retry_delay_ms,
        };
        settings.checked()
    }

    /// The settings, if AWS would take them.
    ///
    /// # Errors
    ///
    /// The first value outside AWS's limits.
    pub fn checked(self) -> Result<Self, SettingsError> {
        let records = i64::try_from(self.batch_records_max).unwrap_or(i64::MAX);
        if self.batch_records_max == 0 || self.batch_records_max > BATCH_RECORDS_MAX {
            return Err(batch_size(records));
        }
        let window_s = self.window_ms.div_euclid(1000);
        if self.window_ms < 0 || window_s.unsigned_abs() > WINDOW_SECONDS_MAX {
            return Err(SettingsError::OutOfRange {
                name: "MaximumBatchingWindowInSeconds",
                value: window_s,
                allowed: "0 to 300",
            });
        }
        if let Some(retries) = self.retries_max.map(i64::from)
            && retries > RETRIES_MAX
        {
            return Err(retry_attempts(retries));
        }
        if let Some(age_ms) = self.record_age_max_ms
            && !RECORD_AGE_SECONDS.contains(&age_ms.div_euclid(1000))
        {
            return Err(SettingsError::OutOfRange {
                name: "MaximumRecordAgeInSeconds",
                value: age_ms.div_euclid(1000),
                allowed: "60 to 604800, or -1",
            });
        }
        Ok(self)
    }
}

fn batch_size(value: i64) -> SettingsError {
    SettingsError::OutOfRange {
        name: "BatchSize",
        value,
        allowed: "1 to 10000",
    }
}

fn retry_attempts(value: i64) -> SettingsError {
    SettingsError::OutOfRange {
        name: "MaximumRetryAttempts",
        value,
        allowed: "0 to 10000, or -1",
    }
}

fn not_modelled(
    name: &'static str,
    value: Option<i64>,
    played: &[i64],
) -> Result<(), SettingsError> {
    match value {
        Some(value) if !played.contains(&value) => Err(SettingsError::NotModelled {
            name,
            value: value.to_string(),
        }),
        _ => Ok(()),
    }
}
