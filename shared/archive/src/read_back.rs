//! Reads ticks back by the time of their receipt, from the files of any writer, in a folder or on S3.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::day_folder::{day_folder, day_of_folder, month_folder, year_folder};
use app::objects::Objects;
use app::ports::PortError;
use app::read_back::{
    ArchivedTick, ArchivedTicks, Page, PageSender, Pages, ReceiptRange, UnseenPart, channel,
    sent_by,
};
use arrow::array::{Array, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use chrono::NaiveDate;
use domain::{Pair, SourceName, TickId, Token};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use crate::manifest::{MANIFEST, Manifest, visible};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8_192;

/// How often the files of a day are fetched if a compaction replaces them meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// The column by which the files are not sorted, but whose statistics tell whether a part may have ticks of a range.
const INGESTED_AT: &str = "ingested_at";

/// Reads the ticks of an archive.
#[derive(Clone)]
pub struct ArchiveReader {
    objects: Arc<dyn Objects>,
    /// A folder for copies of a day's files: links, if it is on the file system of a local archive.
    work: PathBuf,
}

impl ArchiveReader {
    /// A reader of an archive, with an existing folder for temporary files.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, work: PathBuf) -> Self {
        Self { objects, work }
    }

    /// How many files the folders of these days have, and their size in bytes.
    ///
    /// # Errors
    /// [`PortError`].
    pub async fn size(&self, days: &BTreeSet<NaiveDate>) -> Result<(u64, u64), PortError> {
        let (mut files, mut bytes) = (0, 0);
        for day in self.existing(days).await? {
            let folder = day_folder(day);
            for object in self.objects.list(&format!("{folder}/")).await? {
                files += 1;
                bytes += object.bytes;
            }
        }
        Ok((files, bytes))
    }

    async fn send(
        &self,
        range: Option<ReceiptRange>,
        days: BTreeSet<NaiveDate>,
        sender: &PageSender<ArchivedTick>,
    ) -> Result<(), PortError> {
        for day in self.existing(&days).await? {
            // A day without ticks of the range sends nothing.
            if sender.is_closed() {
                return Ok(());
            }
            let folder = day_folder(day);
            let (copies, names) = match self.fetch(&folder).await? {
                Ok(fetched) => fetched,
                Err(what) => {
                    if unseen(sender, what).await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
            };
            let sender = sender.clone();
            let read = tokio::task::spawn_blocking(move || {
                for (number, name) in names.iter().enumerate() {
                    let path = copies.path().join(number.to_string());
                    let read = read_file(&path, range, &sender);
                    let what = match read {
                        Ok(Sent::All) => continue,
                        Ok(Sent::Unwanted) => return,
                        Err(cause) => format!(
                            "{name} cannot be read: {cause}. Restore it from a backup, or move it out of the archive and \
                             run `tickctl verify --repair`, which writes its ticks again while the store has them"
                        ),
                    };
                    let page = Page::Unseen(UnseenPart {
                        before_ms: None,
                        what,
                    });
                    if sender.blocking_send(Ok(page)).is_err() {
                        return;
                    }
                }
            });
            read.await.map_err(failed)?;
        }
        Ok(())
    }

    /// Those of the days that have a folder. Years and months without one are not listed, so a long range costs few
    /// requests.
    async fn existing(&self, days: &BTreeSet<NaiveDate>) -> Result<BTreeSet<NaiveDate>, PortError> {
        let mut folders = vec![String::new()];
        for label in [year_folder, month_folder] {
            let wanted: BTreeSet<String> = days.iter().map(|day| label(*day)).collect();
            let mut below = Vec::new();
            for folder in folders {
                below.extend(self.objects.folders(&folder).await?);
            }
            below.retain(|folder| wanted.contains(folder));
            folders = below;
        }
        let mut found = BTreeSet::new();
        for month in folders {
            let of_month = self.objects.folders(&month).await?;
            found.extend(of_month.iter().filter_map(|folder| day_of_folder(folder)));
        }
        found.retain(|day| days.contains(day));
        Ok(found)
    }

    /// Copies the visible files of a day, all as of one moment, and returns their names; or why they could not be seen.
    async fn fetch(
        &self,
        folder: &str,
    ) -> Result<Result<(tempfile::TempDir, Vec<String>), String>, PortError> {
        for _ in 0..ATTEMPTS_MAX {
            let before = self.manifest(folder).await?;
            let manifest = match &before {
                None => Manifest::none(),
                Some(content) => match Manifest::parse(content) {
                    Ok(manifest) => manifest,
                    Err(error) => return Ok(Err(format!("{folder}/{MANIFEST}: {error}"))),
                },
            };
            let prefix = format!("{folder}/");
            let listed = self.objects.list(&prefix).await?;
            let names: Vec<String> = listed
                .iter()
                .filter_map(|object| object.name.strip_prefix(&prefix))
                .map(str::to_owned)
                .collect();
            let names: Vec<String> = visible(&manifest, &names)
                .into_iter()
                .map(|name| format!("{prefix}{name}"))
                .collect();
            let copies = tempfile::Builder::new()
                .prefix("archive-")
                .tempdir_in(&self.work)
                .map_err(failed)?;
            let mut is_complete = true;
            for (number, name) in names.iter().enumerate() {
                let path = copies.path().join(number.to_string());
                is_complete &= self.objects.fetch(name, &path).await?;
            }
            if is_complete && self.manifest(folder).await? == before {
                return Ok(Ok((copies, names)));
            }
        }
        Ok(Err(format!(
            "the files of {folder} were replaced {ATTEMPTS_MAX} times while they were read: a compaction is running"
        )))
    }

    async fn manifest(&self, folder: &str) -> Result<Option<Vec<u8>>, PortError> {
        let read = self.objects.read(&format!("{folder}/{MANIFEST}")).await?;
        Ok(read.map(|(content, _)| content))
    }
}

/// The ticks in one file with the archive's columns, such as the result of a query: those of a range, or all.
#[must_use]
pub fn ticks_of_file(path: PathBuf, range: Option<ReceiptRange>) -> Pages<'static, ArchivedTick> {
    let (sender, pages) = channel();
    tokio::task::spawn_blocking(move || {
        if let Err(cause) = read_file(&path, range, &sender) {
            let error: Box<dyn std::error::Error + Send + Sync> = cause.into();
            drop(sender.blocking_send(Err(PortError {
                operation: "read the archive",
                retryable: false,
                source: error,
            })));
        }
    });
    pages
}

impl ArchivedTicks for ArchiveReader {
    fn archived(
        &self,
        range: Option<ReceiptRange>,
        days: BTreeSet<NaiveDate>,
    ) -> Pages<'_, ArchivedTick> {
        let reader = self.clone();
        sent_by(|sender| async move { reader.send(range, days, &sender).await })
    }
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> PortError {
    PortError {
        operation: "read the archive",
        retryable: false,
        source: Box::new(error),
    }
}

/// The pages are not wanted any more.
struct Unwanted;

async fn unseen(sender: &PageSender<ArchivedTick>, what: String) -> Result<(), Unwanted> {
    let page = Page::Unseen(UnseenPart {
        before_ms: None,
        what,
    });
    sender.send(Ok(page)).await.map_err(|_| Unwanted)
}

/// Whether all ticks of a file were sent.
enum Sent {
    All,
    Unwanted,
}

fn read_file(
    path: &Path,
    range: Option<ReceiptRange>,
    sender: &PageSender<ArchivedTick>,
) -> Result<Sent, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| e.to_string())?;
    crate::schema::readable(builder.schema())?;
    let groups = range.map(|range| groups_with(builder.metadata(), range));
    let mut builder = builder.with_batch_size(BATCH_ROWS);
    if let Some(groups) = groups {
        builder = builder.with_row_groups(groups);
    }
    let reader = builder.build().map_err(|error| error.to_string())?;
    for batch in reader {
        let batch = batch.map_err(|error| error.to_string())?;
        let ticks = Rows::of(&batch)?.ticks(range)?;
        if sender.blocking_send(Ok(Page::Ticks(ticks))).is_err() {
            return Ok(Sent::Unwanted);
        }
    }
    Ok(Sent::All)
}

/// The row groups that may have ticks of a range.
fn groups_with(metadata: &ParquetMetaData, range: ReceiptRange) -> Vec<usize> {
    let may_have = |group: &usize| {
        let columns = metadata.row_group(*group).columns();
        let column = columns
            .iter()
            .find(|it| it.column_path().string() == INGESTED_AT);
        let Some(Statistics::Int64(values)) = column.and_then(|column| column.statistics()) else {
            return true;
        };
        match (values.min_opt(), values.max_opt()) {
            (Some(min), Some(max)) => *min < range.to_ms && *max >= range.from_ms,
            _ => true,
        }
    };
    (0..metadata.num_row_groups()).filter(may_have).collect()
}

/// The columns of a batch in the table's types. Columns that a file lacks are NULL.
struct Rows {
    tick_id: StringArray,
    token: StringArray,
    quote: StringArray,
    price: Float64Array,
    volume: Option<Float64Array>,
    ts: Int64Array,
    ingested_at: Int64Array,
    source: StringArray,
    slot: Option<Int64Array>,
    method: StringArray,
    sequence: Option<Int64Array>,
    quality: Option<StringArray>,
}

impl Rows {
    fn of(batch: &RecordBatch) -> Result<Self, String> {
        let column = |name: &str, kind: &DataType| {
            let column = batch.column_by_name(name);
            let cast = column.map(|column| cast(column, kind));
            cast.transpose()
                .map_err(|error| format!("its column `{name}`: {error}"))
        };
        let needed = |name: &str| format!("it has no column `{name}`");
        let texts = |name: &str| {
            let column = column(name, &DataType::Utf8)?;
            Ok::<_, String>(column.map(|column| column.as_string::<i32>().clone()))
        };
        let doubles = |name: &str| {
            let column = column(name, &DataType::Float64)?;
            Ok::<_, String>(column.map(|column| column.as_primitive::<Float64Type>().clone()))
        };
        let integers = |name: &str| {
            let column = column(name, &DataType::Int64)?;
            Ok::<_, String>(column.map(|column| column.as_primitive::<Int64Type>().clone()))
        };
        Ok(Self {
            tick_id: texts("tick_id")?.ok_or_else(|| needed("tick_id"))?,
            token: texts("token")?.ok_or_else(|| needed("token"))?,
            quote: texts("quote")?.ok_or_else(|| needed("quote"))?,
            price: doubles("price")?.ok_or_else(|| needed("price"))?,
            volume: doubles("volume")?,
            ts: integers("ts")?.ok_or_else(|| needed("ts"))?,
            ingested_at: integers(INGESTED_AT)?.ok_or_else(|| needed(INGESTED_AT))?,
            source: texts("source")?.ok_or_else(|| needed("source"))?,
            slot: integers("slot")?,
            method: texts("method")?.ok_or_else(|| needed("method"))?,
            sequence: integers("sequence")?,
            quality: texts("quality")?,
        })
    }

    /// The ticks of a range, or all.
    fn ticks(&self, range: Option<ReceiptRange>) -> Result<Vec<ArchivedTick>, String> {
        let mut ticks = Vec::with_capacity(self.tick_id.len());
        let mut names = LastNames::default();
        for row in 0..self.tick_id.len() {
            let received_ms = integer(Some(&self.ingested_at), row);
            if range.is_none_or(|range| received_ms.is_some_and(|at| range.contains(at))) {
                let tick = self.tick(row, &mut names);
                ticks.push(tick.map_err(|cause| format!("row {row} of a batch: {cause}"))?);
            }
        }
        Ok(ticks)
    }

    fn tick(&self, row: usize, names: &mut LastNames) -> Result<ArchivedTick, String> {
        let whole = |name: &str, value: Option<i64>| {
            let value = value.map(u64::try_from).transpose();
            value.map_err(|_| format!("`{name}` is negative"))
        };
        if self.price.is_null(row) || self.ts.is_null(row) {
            return Err("`price` or `ts` is NULL".to_owned());
        }
        let quality = self.quality.as_ref().and_then(|column| value(column, row));
        Ok(ArchivedTick {
            tick_id: TickId::parse(value(&self.tick_id, row).unwrap_or_default())
                .map_err(|error| error.to_string())?,
            pair: names.pair(
                value(&self.token, row).unwrap_or_default(),
                value(&self.quote, row).unwrap_or_default(),
            )?,
            price: self.price.value(row),
            volume: optional(self.volume.as_ref(), row),
            timestamp_ms: self.ts.value(row),
            ingested_at_ms: integer(Some(&self.ingested_at), row),
            source: names.source(value(&self.source, row).unwrap_or_default())?,
            slot: whole("slot", integer(self.slot.as_ref(), row))?,
            method: value(&self.method, row)
                .unwrap_or_default()
                .parse()
                .map_err(|error: domain::MethodError| error.to_string())?,
            sequence: whole("sequence", integer(self.sequence.as_ref(), row))?,
            quality: quality
                .map(str::parse)
                .transpose()
                .map_err(|error: domain::QualityError| error.to_string())?,
        })
    }
}

fn value(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

fn optional(column: Option<&Float64Array>, row: usize) -> Option<f64> {
    column.filter(|it| it.is_valid(row)).map(|it| it.value(row))
}

fn integer(column: Option<&Int64Array>, row: usize) -> Option<i64> {
    column.filter(|it| it.is_valid(row)).map(|it| it.value(row))
}

/// The names of the row before: files are sorted by token, so most rows need no new text.
#[derive(Default)]
struct LastNames {
    pair: Option<Pair>,
    source: Option<SourceName>,
}

impl LastNames {
    fn pair(&mut self, token: &str, quote: &str) -> Result<Pair, String> {
        let known = self.pair.as_ref();
        if let Some(pair) =
            known.filter(|it| it.token.as_str() == token && it.quote.as_str() == quote)
        {
            return Ok(pair.clone());
        }
        let name = |text: &str| Token::new(text).map_err(|error| error.to_string());
        let pair = Pair {
            token: name(token)?,
            quote: name(quote)?,
        };
        self.pair = Some(pair.clone());
        Ok(pair)
    }

    fn source(&mut self, text: &str) -> Result<SourceName, String> {
        if let Some(source) = self.source.as_ref().filter(|it| it.as_str() == text) {
            return Ok(source.clone());
        }
        let source = SourceName::new(text).map_err(|error| error.to_string())?;
        self.source = Some(source.clone());
        Ok(source)
    }
}
