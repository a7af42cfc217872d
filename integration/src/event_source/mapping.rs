//! The settings of an event source mapping, with AWS's names and limits.

use serde::Deserialize;

/// The most records of a batch for a stream (Lambda's limit: 10,000).
pub const BATCH_RECORDS_MAX: usize = 10_000;
/// Longest batching window, in seconds (Lambda's limit: 300).
pub const WINDOW_SECONDS_MAX: u64 = 300;
/// The most retries that can be set (Lambda's limit: 10,000; -1 is forever).
pub const RETRIES_MAX: i64 = 10_000;
/// Bounds of the record age, in seconds (Lambda's limits: 60 to 604,800; -1 is forever).
pub const RECORD_AGE_SECONDS: std::ops::RangeInclusive<i64> = 60..=604_800;

/// How a shard's records are batched, and what happens to failing batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSettings {
    /// Most records of a batch: `BatchSize`.
    pub batch_records_max: usize,
    /// How long records are gathered before an incomplete batch is sent:
    /// `MaximumBatchingWindowInSeconds`.
    pub window_ms: i64,
    /// Whether a failing batch of several records is split in two: `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// Retries of the same batch before it is given up; `None` means forever:
    /// `MaximumRetryAttempts`.
    pub retries_max: Option<u32>,
    /// Records older than this are given up; `None` means never: `MaximumRecordAgeInSeconds`.
    pub record_age_max_ms: Option<i64>,
    /// Whether the response's `batchItemFailures` is used: `ReportBatchItemFailures`.
    pub partial_failures: bool,
    /// The first delay before a retry, which doubles up to 60 s. AWS does not publish its delays.
    pub retry_delay_ms: i64,
}

impl Default for MappingSettings {
    /// The defaults of a mapping.
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

/// Why the model does not support a mapping.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MappingError {
    /// A value is outside AWS's limits.
    #[error("{name} is {value}, but AWS only allows {allowed}")]
    OutOfRange {
        /// AWS's name of the setting.
        name: &'static str,
        /// What was given.
        value: i64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A setting that the model does not implement.
    #[error("the model of the event source does not implement {name} = {value}")]
    NotModelled {
        /// AWS's name of the setting.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// Not the JSON of a mapping.
    #[error("the JSON is not an event source mapping: {0}")]
    Unreadable(String),
}

/// The part of a mapping that the model reads. The names are the same in a template's properties
/// and in the output of `aws lambda get-event-source-mapping`.
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

impl MappingSettings {
    /// The mapping of analytics as `infra/service.yaml` has it by default; a test of the templates compares both.
    #[must_use]
    pub fn deployed() -> Self {
        Self {
            batch_records_max: 500,
            window_ms: 1_000,
            bisect: true,
            retries_max: Some(10_000),
            record_age_max_ms: Some(82_800_000),
            partial_failures: true,
            ..Self::default()
        }
    }

    /// Reads a mapping from a template or Lambda's API, so the model uses the deployed settings.
    /// Intrinsic functions must be resolved before.
    ///
    /// # Errors
    ///
    /// A value outside AWS's limits, or a setting that the model does not implement (more than one
    /// batch in flight per shard, tumbling windows).
    pub fn from_mapping(mapping: &serde_json::Value) -> Result<Self, MappingError> {
        let mapping = Mapping::deserialize(mapping)
            .map_err(|error| MappingError::Unreadable(error.to_string()))?;
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

    /// The settings, if AWS would accept them.
    ///
    /// # Errors
    ///
    /// The first value outside AWS's limits.
    pub fn checked(self) -> Result<Self, MappingError> {
        let records = i64::try_from(self.batch_records_max).unwrap_or(i64::MAX);
        if self.batch_records_max == 0 || self.batch_records_max > BATCH_RECORDS_MAX {
            return Err(batch_size(records));
        }
        let window_s = self.window_ms.div_euclid(1000);
        if self.window_ms < 0 || window_s.unsigned_abs() > WINDOW_SECONDS_MAX {
            return Err(MappingError::OutOfRange {
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
            return Err(MappingError::OutOfRange {
                name: "MaximumRecordAgeInSeconds",
                value: age_ms.div_euclid(1000),
                allowed: "60 to 604800, or -1",
            });
        }
        Ok(self)
    }
}

fn batch_size(value: i64) -> MappingError {
    MappingError::OutOfRange {
        name: "BatchSize",
        value,
        allowed: "1 to 10000",
    }
}

fn retry_attempts(value: i64) -> MappingError {
    MappingError::OutOfRange {
        name: "MaximumRetryAttempts",
        value,
        allowed: "0 to 10000, or -1",
    }
}

fn not_modelled(
    name: &'static str,
    value: Option<i64>,
    implemented: &[i64],
) -> Result<(), MappingError> {
    match value {
        Some(value) if !implemented.contains(&value) => Err(MappingError::NotModelled {
            name,
            value: value.to_string(),
        }),
        _ => Ok(()),
    }
}
