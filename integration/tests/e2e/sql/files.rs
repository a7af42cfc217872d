//! The archive's files on the emulator: writing, reading and downloading them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::ports::{Quarantine as _, Quarantined};
use archive::AnomalyArchive;
use arrow::array::{AsArray as _, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use aws::archive::S3Objects;
use aws::s3::S3Quarantine;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_sdk_s3::primitives::ByteStream;
use chrono::{DateTime, Datelike as _};
use codec::tick_columns::PARTITIONS;
use domain::Tick;
use domain::analytics::Anomaly;
use integration::emulator::Emulator;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::project::Project;

/// The prefix of ticks in the bucket.
const ARCHIVE: &str = "price-archive/";

/// The prefix of what could not become a tick.
const QUARANTINE: &str = "quarantine/";

/// The folder of the anomalies.
const ANOMALIES: &str = "anomalies/";

/// The suffix of files from the archive's writer.
const WRITTEN: &str = ".parquet";

/// Records per request: the service's limit is 500.
const RECORDS: usize = 100;

/// Appends ticks to the stream like the webhook.
pub(crate) async fn stream(project: &Project, ticks: &[Tick]) {
    for ticks in ticks.chunks(RECORDS) {
        let records = ticks.iter().map(|tick| {
            let mut data = Vec::new();
            codec::json::write_json(tick, &mut data);
            PutRecordsRequestEntry::builder()
                .data(Blob::new(data))
                .partition_key(tick.token.as_str())
                .build()
                .unwrap()
        });
        let put = project
            .kinesis
            .put_records()
            .stream_name(format!("{}-ticks", project.name))
            .set_records(Some(records.collect()))
            .send()
            .await
            .unwrap();
        assert_eq!(put.failed_record_count(), Some(0));
    }
}

/// A bucket with an archive.
pub(crate) struct Bucket {
    s3: aws_sdk_s3::Client,
    name: String,
}

impl Bucket {
    /// The bucket of a deployed project.
    pub(crate) async fn of(project: &Project) -> Self {
        Self {
            s3: project.s3.clone(),
            name: project.archive_bucket().await,
        }
    }

    /// A new bucket.
    pub(crate) async fn make(emulator: &Emulator, name: &str) -> Self {
        let s3 = emulator.s3();
        s3.create_bucket().bucket(name).send().await.unwrap();
        Self {
            s3,
            name: name.to_owned(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address of the archive's folder.
    pub(crate) fn archive(&self) -> String {
        format!("s3://{}/{ARCHIVE}", self.name)
    }

    /// Stores the files that the archive's writer creates for ranges of the stream.
    pub(crate) async fn put_archived(&self, ranges: &[Vec<Tick>]) {
        let folder = tempfile::tempdir().unwrap();
        let archive = archive::Archive::open(folder.path()).unwrap();
        let mut next = 1;
        for ticks in ranges {
            let last = next + ticks.len() as u64 - 1;
            let written = archive.write_range(0, next, last, ticks).unwrap();
            assert_eq!(written.rows, ticks.len() as u64);
            next = last + 1;
        }
        self.upload(folder.path()).await;
    }

    /// Stores the archive, the quarantine and the anomalies of a data folder.
    pub(crate) async fn upload(&self, data_dir: &Path) {
        for prefix in [ARCHIVE, QUARANTINE, ANOMALIES] {
            for path in files_below(&data_dir.join(prefix)) {
                let key = path.strip_prefix(data_dir).unwrap();
                let content = std::fs::read(&path).unwrap();
                self.put_object(key.to_str().unwrap(), content).await;
            }
        }
    }

    /// Stores a tick in a file with other columns.
    pub(crate) async fn put(&self, tick: &Tick, columns: impl Fn(RecordBatch) -> RecordBatch) {
        let batch = columns(codec::columnar::record_batch(&[tick]).unwrap());
        let mut content = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut content, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let key = format!("{}{}.parquet", day_of(tick.timestamp_ms), tick.tick_id);
        self.put_object(&key, content).await;
    }

    /// Stores entries like the webhook, each as one delivery.
    pub(crate) async fn quarantine(&self, entries: &[Quarantined]) {
        let quarantine = S3Quarantine::new(&self.s3, &self.name);
        for entry in entries {
            quarantine.keep(std::slice::from_ref(entry)).await.unwrap();
        }
    }

    /// Stores anomalies like the function that archives them.
    pub(crate) async fn anomalies(&self, anomalies: &[Anomaly]) {
        let objects = S3Objects::new(&self.s3, &self.name, ANOMALIES);
        let archive = AnomalyArchive::new(Arc::new(objects));
        let added = archive.add(anomalies).await.unwrap();
        assert_eq!(added, anomalies.len() as u64);
    }

    /// The event times in each object from Firehose.
    async fn of_firehose(&self) -> BTreeMap<String, Vec<i64>> {
        let mut found = BTreeMap::new();
        for key in self.keys(ARCHIVE).await {
            if key.ends_with(WRITTEN) && key.contains("/000-") {
                continue;
            }
            let content = self.content(&key).await;
            found.insert(key, times(content));
        }
        found
    }

    /// The event times of the ticks that Firehose wrote.
    pub(crate) async fn rows_of_firehose(&self) -> Vec<i64> {
        self.of_firehose().await.into_values().flatten().collect()
    }

    /// Moves Firehose's files to where AWS would write them: the emulator cannot compute the event's day,
    /// so it uses the day of arrival.
    pub(crate) async fn file_by_day_of_event(&self) {
        for (key, times) in self.of_firehose().await {
            let mut days: Vec<String> = times.iter().map(|time| day_of(*time)).collect();
            days.dedup();
            let [day] = &days[..] else {
                panic!("{key} has ticks of {days:?}")
            };
            let (_, name) = key.rsplit_once('/').unwrap();
            let content = self.content(&key).await;
            self.put_object(&format!("{day}{name}"), content).await;
            let deleted = self.s3.delete_object().bucket(&self.name).key(&key);
            deleted.send().await.unwrap();
        }
    }

    /// The Arrow columns of Firehose's files, which must all be the same.
    pub(crate) async fn columns_of_firehose(&self) -> Vec<(String, DataType)> {
        let mut columns = Vec::new();
        for key in self.of_firehose().await.into_keys() {
            let reader = reader(self.content(&key).await);
            let these = columns_of(reader.schema());
            assert!(columns.is_empty() || columns == these, "{key}: {these:?}");
            columns = these;
        }
        columns
    }

    /// Downloads archive, quarantine and anomalies into a data folder.
    pub(crate) async fn download(&self, data_dir: &Path) {
        for prefix in [ARCHIVE, QUARANTINE, ANOMALIES] {
            for key in self.keys(prefix).await {
                let path = data_dir.join(local_name(&key));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, self.content(&key).await).unwrap();
            }
        }
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let request = self.s3.list_objects_v2().bucket(&self.name).prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            keys.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        }
        keys
    }

    async fn content(&self, key: &str) -> Vec<u8> {
        let got = self.s3.get_object().bucket(&self.name).key(key);
        let got = got.send().await.unwrap();
        got.body.collect().await.unwrap().to_vec()
    }

    async fn put_object(&self, key: &str, content: Vec<u8>) {
        let put = self.s3.put_object().bucket(&self.name).key(key);
        put.body(ByteStream::from(content)).send().await.unwrap();
    }
}

/// The name that a file is downloaded to: local readers need the extension, Athena does not.
pub(crate) fn local_name(key: &str) -> String {
    match key.starts_with(ARCHIVE) && !key.ends_with(WRITTEN) {
        true => format!("{key}{WRITTEN}"),
        false => key.to_owned(),
    }
}

/// The folder of a time's UTC day.
fn day_of(time_ms: i64) -> String {
    let day = DateTime::from_timestamp_millis(time_ms).unwrap();
    let (year, month, day) = (day.year(), day.month(), day.day());
    format!("{ARCHIVE}year={year:04}/month={month:02}/day={day:02}/")
}

/// The files in a folder and below; none if it does not exist.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

fn reader(content: Vec<u8>) -> ParquetRecordBatchReaderBuilder<bytes::Bytes> {
    ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(content)).unwrap()
}

fn times(content: Vec<u8>) -> Vec<i64> {
    let batches = reader(content).build().unwrap();
    let times = batches.flat_map(|batch| {
        let batch = batch.unwrap();
        let column = batch.column_by_name("ts").unwrap();
        column.as_primitive::<Int64Type>().values().to_vec()
    });
    times.collect()
}

/// The archive's columns according to the codec, as Arrow columns.
pub(crate) fn columns_of_the_codec() -> Vec<(String, DataType)> {
    columns_of(&codec::columnar::schema())
}

fn columns_of(schema: &Schema) -> Vec<(String, DataType)> {
    let fields = schema.fields().iter();
    let own = fields.filter(|field| !PARTITIONS.contains(&field.name().as_str()));
    own.map(|field| (field.name().clone(), field.data_type().clone()))
        .collect()
}

/// A file without some columns.
pub(crate) fn without(columns: &'static [&'static str]) -> impl Fn(RecordBatch) -> RecordBatch {
    move |batch| {
        let fields = batch.schema();
        let kept: Vec<usize> = (0..batch.num_columns())
            .filter(|index| !columns.contains(&fields.field(*index).name().as_str()))
            .collect();
        assert_eq!(kept.len() + columns.len(), batch.num_columns());
        batch.project(&kept).unwrap()
    }
}

/// A file with a column that this program does not know.
pub(crate) fn with_a_column(name: &'static str) -> impl Fn(RecordBatch) -> RecordBatch {
    move |batch| {
        let mut fields: Vec<Field> = batch
            .schema()
            .fields()
            .iter()
            .map(|field| field.as_ref().clone())
            .collect();
        fields.push(Field::new(name, DataType::Float64, true));
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(Float64Array::from(vec![0.25; batch.num_rows()])));
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
    }
}
