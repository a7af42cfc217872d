//! Anomalies as a table: a Parquet file for each UTC day of their event time, in a local folder or on S3.
//!
//! ```text
//! anomalies/year=2026/month=03/day=07/anomalies.parquet
//! ```
//!
//! They are few. New ones of a day are added by replacing its file, under the condition that nobody else has replaced
//! it meanwhile. An anomaly that the file has is not added again, so a caller repeats what may not have succeeded.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use app::day_folder::day_folder;
use app::objects::{Condition, Objects, Replaced};
use app::ports::PortError;
use app::unarchived_anomalies::{UnarchivedAnomalies, UnarchivedDay};
use arrow::array::RecordBatch;
use bytes::Bytes;
use chrono::{DateTime, Datelike as _, NaiveDate};
use codec::anomaly_batch::{identities, record_batch, schema};
use domain::TickIdentity;
use domain::analytics::Anomaly;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use crate::file::{about, compression};

/// The folder of the files, beside the archive's: in a data folder, and in the archive's bucket.
pub const ANOMALIES_FOLDER: &str = "anomalies";

/// The name of a day's file.
const FILE: &str = "anomalies.parquet";

/// How often a day's file is read again if somebody else replaces it meanwhile.
const ATTEMPTS_MAX: u32 = 10;

const OPERATION: &str = "archive anomalies";

/// A day's file cannot be read or written as one of anomalies.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{name}: {source}")]
    Parquet { name: String, source: ParquetError },
    #[error("{name}: {source}")]
    Columns {
        name: String,
        source: codec::error::CodecError,
    },
    #[error("{0} was replaced by somebody else {ATTEMPTS_MAX} times in a row")]
    Contended(String),
}

/// The files of anomalies.
#[derive(Clone)]
pub struct AnomalyArchive {
    objects: Arc<dyn Objects>,
}

impl AnomalyArchive {
    /// The files below [`ANOMALIES_FOLDER`], which is the root of the objects.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// Adds the anomalies that the files lack, each to that of its day, and returns how many these were. One whose event
    /// time is not in the years 1 to 9999 has no folder and is left out; ticks cannot have such a time.
    ///
    /// # Errors
    /// [`PortError`]; some days may have their anomalies then, and the call may be repeated.
    pub async fn add(&self, anomalies: &[Anomaly]) -> Result<u64, PortError> {
        let mut days: BTreeMap<NaiveDate, Vec<&Anomaly>> = BTreeMap::new();
        for anomaly in anomalies {
            let time = DateTime::from_timestamp_millis(anomaly.timestamp_ms);
            if let Some(day) = time.map(|time| time.date_naive())
                && (1..=9999).contains(&day.year())
            {
                days.entry(day).or_default().push(anomaly);
            }
        }
        let mut added = 0;
        for (day, anomalies) in days {
            let name = format!("{}/{FILE}", day_folder(day));
            added += self.add_to(&name, &anomalies).await?;
        }
        Ok(added)
    }

    /// Adds those that are not archived yet. Returns how many the files lacked.
    ///
    /// # Errors
    /// [`PortError`] of the first day that fails, after the others: the next call tries it again.
    pub async fn add_unarchived(&self, source: &dyn UnarchivedAnomalies) -> Result<u64, PortError> {
        let (mut added, mut failed) = (0, None);
        for day in source.days().await? {
            match self.add_day(source, &day).await {
                Ok(of_day) => added += of_day,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(added), Err)
    }

    async fn add_day(
        &self,
        source: &dyn UnarchivedAnomalies,
        day: &UnarchivedDay,
    ) -> Result<u64, PortError> {
        let added = self.add(&source.of_day(&day.day).await?).await?;
        source.archived(day).await?;
        Ok(added)
    }

    async fn add_to(&self, name: &str, anomalies: &[&Anomaly]) -> Result<u64, PortError> {
        for _ in 0..ATTEMPTS_MAX {
            let held = self.objects.read(name).await?;
            let (content, version) = held.unzip();
            let Some((content, added)) = extended(name, content, anomalies).map_err(failed)? else {
                return Ok(0);
            };
            let condition = match &version {
                Some(version) => Condition::Is(version),
                None => Condition::Absent,
            };
            match self.objects.replace(name, content, condition).await? {
                Replaced::Done(_) => return Ok(added),
                Replaced::Changed => {}
            }
        }
        Err(PortError {
            retryable: true,
            ..failed(FileError::Contended(name.to_owned()))
        })
    }
}

fn failed(error: FileError) -> PortError {
    PortError {
        operation: OPERATION,
        retryable: false,
        source: Box::new(error),
    }
}

/// The content of a file with the anomalies that it lacks at its end, and how many these are; `None` if it has them all.
fn extended(
    name: &str,
    held: Option<Vec<u8>>,
    anomalies: &[&Anomaly],
) -> Result<Option<(Vec<u8>, u64)>, FileError> {
    let parquet = |source| FileError::Parquet {
        name: name.to_owned(),
        source,
    };
    let columns = |source| FileError::Columns {
        name: name.to_owned(),
        source,
    };
    let mut batches: Vec<RecordBatch> = Vec::new();
    if let Some(held) = held {
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(held));
        for batch in reader.and_then(|reader| reader.build()).map_err(parquet)? {
            batches.push(batch.map_err(|error| parquet(error.into()))?);
        }
    }
    let mut known = HashSet::new();
    for batch in &batches {
        known.extend(identities(batch).map_err(columns)?);
    }
    let mut lacking = anomalies.to_vec();
    lacking.retain(|anomaly| known.insert(identity(anomaly)));
    if lacking.is_empty() {
        return Ok(None);
    }
    batches.push(record_batch(&lacking).map_err(columns)?);
    let properties = WriterProperties::builder()
        .set_compression(compression().map_err(parquet)?)
        .set_key_value_metadata(Some(about(&[])))
        .build();
    let writer = ArrowWriter::try_new(Vec::new(), schema(), Some(properties));
    let mut writer = writer.map_err(parquet)?;
    for batch in &batches {
        writer.write(batch).map_err(parquet)?;
    }
    let content = writer.into_inner().map_err(parquet)?;
    Ok(Some((content, lacking.len() as u64)))
}

/// The tick that shows an anomaly: it shows no other one.
fn identity(anomaly: &Anomaly) -> TickIdentity {
    TickIdentity {
        pair: anomaly.pair(),
        timestamp_ms: anomaly.timestamp_ms,
        tick_id: anomaly.tick_id,
    }
}
