//! The archive as a table of the engine: lists the folders of days, leaves out those that the
//! query's conditions on year, month and day exclude, and hands the files of the rest to the
//! engine's Parquet reader.
//!
//! The engine's own table over folders is not used: it looks for `month=3` where the folder is
//! `month=03`, and keeps a list of files that new ones are missing from.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{Day, DayFile, day_files, days};
use async_trait::async_trait;
use chrono::NaiveDate;
use codec::column::PARTITIONS;
use datafusion::arrow::array::{AsArray, BooleanArray, Int32Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, ScalarValue, Statistics, project_schema};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::{Error as StoreError, ObjectMeta};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::covered;
use super::error::{UnreadableFile, message};

/// Footers that are read at the same time while a query is planned.
const FOOTERS_AT_A_TIME: usize = 16;

/// The name of the reader of Parquet files.
const PARQUET: &str = "parquet";

/// The table `price_archive`.
#[derive(Debug)]
pub(super) struct ArchiveTable {
    folder: PathBuf,
    store: ObjectStoreUrl,
    schema: TableSchema,
}

impl ArchiveTable {
    pub(super) fn new(folder: &Path, store: ObjectStoreUrl) -> Self {
        let schema = TableSchema::builder(file_schema())
            .with_table_partition_cols(partition_fields())
            .build();
        Self {
            folder: folder.to_owned(),
            store,
            schema,
        }
    }

    /// The files of a day, as they count at one moment.
    fn files(&self, day: &Day) -> Result<Vec<PartitionedFile>> {
        let mut files = Vec::new();
        for DayFile { name, metadata } in day_files(&day.path)? {
            files.push(file_of_day(&self.folder, day, &name, &metadata)?);
        }
        files.sort_by(|a, b| a.object_meta.location.cmp(&b.object_meta.location));
        Ok(files)
    }

    /// The columns to read: those that are asked for, and behind them the event time where conditions on
    /// it are to be checked.
    fn columns(&self, asked: Option<&Vec<usize>>, with_time: bool) -> Result<Option<Vec<usize>>> {
        let time = self.schema.table_schema().index_of(covered::TIME)?;
        let mut read = asked.cloned();
        if let Some(read) = &mut read
            && with_time
            && !read.contains(&time)
        {
            read.push(time);
        }
        Ok(read)
    }

    /// Reads the footers, so that the engine knows row counts and the range of each column.
    async fn with_statistics(
        &self,
        state: &dyn Session,
        format: &ParquetFormat,
        files: Vec<PartitionedFile>,
    ) -> Result<Vec<PartitionedFile>> {
        let store = state.runtime_env().object_store(&self.store)?;
        let read = |file: PartitionedFile| {
            let store = Arc::clone(&store);
            async move {
                let schema = Arc::clone(self.schema.file_schema());
                let meta =
                    format.infer_stats_and_ordering(state, &store, schema, &file.object_meta);
                let meta = meta
                    .await
                    .map_err(|error| in_file(error, &self.folder, &file))?;
                Ok::<_, DataFusionError>(file.with_statistics(Arc::new(meta.statistics)))
            }
        };
        stream::iter(files)
            .map(read)
            .buffered(FOOTERS_AT_A_TIME)
            .try_collect()
            .await
    }
}

/// The days of a table that conditions on its partition columns leave.
pub(super) fn days_left(
    folder: &Path,
    partitions: &Fields,
    state: &dyn Session,
    conditions: &[Expr],
) -> Result<Vec<Day>> {
    let days = days(folder)?;
    let Some(condition) = conjunction(conditions.iter().cloned()) else {
        return Ok(days);
    };
    let column = |of: fn(&Day) -> i32| Arc::new(days.iter().map(of).collect::<Int32Array>());
    let schema = Arc::new(Schema::new(partitions.clone()));
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            column(|day| day.year),
            column(|day| day.month),
            column(|day| day.day),
        ],
    )?;
    let condition = state.create_physical_expr(condition, &DFSchema::try_from(schema)?)?;
    let kept = condition.evaluate(&batch)?.into_array(days.len())?;
    let kept: &BooleanArray = kept.as_boolean();
    let days = days.into_iter().zip(kept);
    Ok(days
        .filter_map(|(day, kept)| (kept == Some(true)).then_some(day))
        .collect())
}

/// The partition columns as the engine sees them.
pub(super) fn partition_fields() -> Fields {
    let partition = |name| Field::new(name, DataType::Int32, false);
    PARTITIONS.map(partition).into_iter().collect()
}

/// A file of a table, with the day that its folder says.
pub(super) fn file_of_day(
    folder: &Path,
    day: &Day,
    name: &str,
    metadata: &Metadata,
) -> Result<PartitionedFile> {
    let path = day.path.join(name);
    let inside = path.strip_prefix(folder).unwrap_or(&path);
    let object = ObjectMeta {
        location: StorePath::parse(inside.to_string_lossy())?,
        last_modified: metadata.modified()?.into(),
        size: metadata.len(),
        e_tag: None,
        version: None,
    };
    let values = [day.year, day.month, day.day].map(|value| ScalarValue::Int32(Some(value)));
    Ok(PartitionedFile::new_from_meta(object).with_partition_values(values.to_vec()))
}

/// The schema of the files as the engine reads them: texts as views, which are not copied, and
/// every column nullable, so that files of other writers and older ones fit.
fn file_schema() -> SchemaRef {
    let field = |field: &FieldRef| {
        let texts = *field.data_type() == DataType::Utf8;
        let data_type = if texts {
            DataType::Utf8View
        } else {
            field.data_type().clone()
        };
        Field::new(field.name(), data_type, true)
    };
    let fields = codec::columnar::schema();
    Arc::new(Schema::new(
        fields.fields().iter().map(field).collect::<Vec<_>>(),
    ))
}

/// Names the file with an error of its footer. One that is gone since it was listed is not broken.
fn in_file(error: DataFusionError, folder: &Path, file: &PartitionedFile) -> DataFusionError {
    let gone = |error: &DataFusionError| matches!(error, DataFusionError::ObjectStore(cause) if matches!(**cause, StoreError::NotFound { .. }));
    if gone(error.find_root()) {
        return error;
    }
    DataFusionError::External(Box::new(UnreadableFile {
        path: folder.join(file.object_meta.location.as_ref()),
        cause: message(&error),
    }))
}

#[async_trait]
impl TableProvider for ArchiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let pushdown = |filter: &&Expr| {
            if expr_applicable_for_cols(&PARTITIONS, filter) || covered::is_on_time(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        };
        Ok(filters.iter().map(pushdown).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let on_partitions = |filter: &&Expr| expr_applicable_for_cols(&PARTITIONS, filter);
        let conditions: Vec<Expr> = filters.iter().filter(on_partitions).cloned().collect();
        let mut files = Vec::new();
        let partitions = self.schema.table_partition_cols();
        for day in days_left(&self.folder, partitions, state, &conditions)? {
            files.extend(self.files(&day)?);
        }
        if files.is_empty() {
            let projected = project_schema(&self.schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        let parquet = state.config_options().execution.parquet.clone();
        let mut options = state.default_table_options().parquet;
        options.global = parquet;
        let format = ParquetFormat::new().with_options(options);
        let files = self.with_statistics(state, &format, files).await?;
        let time = self.schema.file_schema().index_of(covered::TIME)?;
        let told = || files.iter().map(|file| file.statistics.as_deref());
        let times = covered::left(filters, time, told);
        let all = told().flatten();
        let statistics = Statistics::try_merge_iter(all, self.schema.table_schema())?;
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        // A limit ends the reading early only where no condition is left to check.
        let limit = limit.filter(|_| conditions.len() == filters.len());
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        let columns = self.columns(projection, !times.is_empty())?;
        let scan = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(columns)?
            .with_limit(limit)
            .build();
        let scan = format.create_physical_plan(state, scan).await?;
        let Some(times) = conjunction(times) else {
            return Ok(scan);
        };
        let schema = DFSchema::try_from(scan.schema())?;
        let times = state.create_physical_expr(times, &schema)?;
        let asked = projection.map(|columns| (0..columns.len()).collect());
        let filter = FilterExecBuilder::new(times, scan).apply_projection(asked)?;
        Ok(Arc::new(filter.build()?))
    }
}

/// What a query would read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The days whose files it would look into, in their order.
    pub days: Vec<NaiveDate>,
    /// The files of these days, once for each time that the query reads them.
    pub files: usize,
    /// Their bytes: an upper bound, since columns that are not asked for are not read.
    pub bytes: u64,
}

impl Estimate {
    pub(super) fn of(plan: &Arc<dyn ExecutionPlan>) -> Self {
        let mut estimate = Self::default();
        estimate.add(plan);
        estimate.days.sort_unstable();
        estimate.days.dedup();
        estimate
    }

    fn add(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(scan) = scan_of(plan) {
            for file in files_of(scan).values() {
                self.files += 1;
                self.bytes += file.object_meta.size;
                self.days.extend(day_of(file));
            }
        }
        for child in plan.children() {
            self.add(child);
        }
    }
}

fn day_of(file: &PartitionedFile) -> Option<NaiveDate> {
    let [
        ScalarValue::Int32(Some(year)),
        ScalarValue::Int32(Some(month)),
        ScalarValue::Int32(Some(day)),
    ] = file.partition_values.as_slice()
    else {
        return None;
    };
    let (month, day) = (u32::try_from(*month).ok()?, u32::try_from(*day).ok()?);
    NaiveDate::from_ymd_opt(*year, month, day)
}

/// The days for which an archive has files, in their order.
pub(super) fn days_with_files(folder: &Path) -> std::io::Result<Vec<NaiveDate>> {
    let mut found = Vec::new();
    for day in days(folder)? {
        let date = u32::try_from(day.month)
            .ok()
            .zip(u32::try_from(day.day).ok());
        let date =
            date.and_then(|(month, of_month)| NaiveDate::from_ymd_opt(day.year, month, of_month));
        if !day_files(&day.path)?.is_empty() {
            found.extend(date);
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn scan_of(node: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let source = node.downcast_ref::<DataSourceExec>()?;
    source.data_source().downcast_ref::<FileScanConfig>()
}

/// The files of a scan. A large one may stand in several groups, a part in each.
fn files_of(scan: &FileScanConfig) -> HashMap<&StorePath, &PartitionedFile> {
    let files = scan.file_groups.iter().flat_map(FileGroup::iter);
    files
        .map(|file| (&file.object_meta.location, file))
        .collect()
}

/// The files that a node of a plan looks into, and the bytes that it read of them.
pub(super) fn reads(node: &Arc<dyn ExecutionPlan>) -> (usize, u64) {
    let Some(scan) = scan_of(node) else {
        return (0, 0);
    };
    let files = files_of(scan);
    let metrics = node.metrics();
    let read = match scan.file_source().file_type() {
        PARQUET => metrics
            .and_then(|metrics| metrics.sum_by_name("bytes_scanned"))
            .map_or(0, |bytes| bytes.as_usize() as u64),
        // Other readers do not count; they read files whole, once they have begun.
        _ if metrics.is_some_and(|metrics| metrics.iter().next().is_some()) => {
            files.values().map(|file| file.object_meta.size).sum()
        }
        _ => 0,
    };
    (files.len(), read)
}

/// The Parquet files that a plan looks into, below the folder of their table.
pub(super) fn files(plan: &Arc<dyn ExecutionPlan>, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(scan) = scan_of(plan)
        && scan.file_source().file_type() == PARQUET
    {
        let locations = files_of(scan).into_keys();
        found.extend(locations.map(|location| folder.join(location.as_ref())));
    }
    for child in plan.children() {
        found.extend(files(child, folder));
    }
    found.sort_unstable();
    found.dedup();
    found
}
