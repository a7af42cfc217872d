//! The archive as a table of the engine: lists the folders of days, leaves out those that the
//! query's conditions on year, month and day exclude, and hands the files of the rest to the
//! engine's Parquet reader.
//!
//! The engine's own table over folders is not used: it looks for `month=3` where the folder is
//! `month=03`, and keeps a list of files that new ones are missing from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
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
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path as StorePath;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::archive::{Day, days, is_data_file, names};

/// Footers that are read at the same time while a query is planned.
const FOOTERS_AT_A_TIME: usize = 16;

/// The table `price_archive`.
#[derive(Debug)]
pub(super) struct ArchiveTable {
    folder: PathBuf,
    store: ObjectStoreUrl,
    schema: TableSchema,
}

impl ArchiveTable {
    pub(super) fn new(folder: &Path, store: ObjectStoreUrl) -> Self {
        let partition = |name| Field::new(name, DataType::Int32, false);
        let schema = TableSchema::builder(file_schema())
            .with_table_partition_cols(PARTITIONS.map(partition).into_iter().collect::<Fields>())
            .build();
        Self {
            folder: folder.to_owned(),
            store,
            schema,
        }
    }

    /// The days that conditions on the partition columns leave.
    fn days(&self, state: &dyn Session, conditions: &[Expr]) -> Result<Vec<Day>> {
        let days = days(&self.folder)?;
        let Some(condition) = conjunction(conditions.iter().cloned()) else {
            return Ok(days);
        };
        let column = |of: fn(&Day) -> i32| Arc::new(days.iter().map(of).collect::<Int32Array>());
        let schema = Arc::new(Schema::new(self.schema.table_partition_cols().clone()));
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

    /// The files of a day. One that retention or compaction removes meanwhile is passed over.
    fn files(&self, day: &Day) -> Result<Vec<PartitionedFile>> {
        let mut files = Vec::new();
        for name in names(&day.path)?
            .into_iter()
            .filter(|name| is_data_file(name))
        {
            let path = day.path.join(name);
            let Ok(metadata) = path.metadata() else {
                continue;
            };
            let inside = path.strip_prefix(&self.folder).unwrap_or(&path);
            let location = StorePath::parse(inside.to_string_lossy())?;
            let object = ObjectMeta {
                location,
                last_modified: metadata.modified()?.into(),
                size: metadata.len(),
                e_tag: None,
                version: None,
            };
            let values =
                [day.year, day.month, day.day].map(|value| ScalarValue::Int32(Some(value)));
            files.push(
                PartitionedFile::new_from_meta(object).with_partition_values(values.to_vec()),
            );
        }
        files.sort_by(|a, b| a.object_meta.location.cmp(&b.object_meta.location));
        Ok(files)
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
                let meta = meta.await.map_err(|error| in_file(error, &file))?;
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

/// Keeps the file's name with an error of its footer.
fn in_file(error: DataFusionError, file: &PartitionedFile) -> DataFusionError {
    error.context(format!("{}", file.object_meta.location))
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
        let pushdown = |filter: &&Expr| match expr_applicable_for_cols(&PARTITIONS, filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
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
        for day in self.days(state, &conditions)? {
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
        let all = files.iter().filter_map(|file| file.statistics.as_deref());
        let statistics = Statistics::try_merge_iter(all, self.schema.table_schema())?;
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        // A limit ends the reading early only where no condition is left to check.
        let limit = limit.filter(|_| conditions.len() == filters.len());
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        let scan = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        format.create_physical_plan(state, scan).await
    }
}

/// The files that a node of a plan looks into, and the bytes that it read of them.
pub(super) fn reads(node: &Arc<dyn ExecutionPlan>) -> (usize, u64) {
    let Some(source) = node.downcast_ref::<DataSourceExec>() else {
        return (0, 0);
    };
    let Some(scan) = source.data_source().downcast_ref::<FileScanConfig>() else {
        return (0, 0);
    };
    let names = scan.file_groups.iter().flat_map(FileGroup::iter);
    // A large file may stand in several groups, a part in each.
    let names: HashMap<_, ()> = names.map(|file| (&file.object_meta.location, ())).collect();
    let read = node
        .metrics()
        .and_then(|metrics| metrics.sum_by_name("bytes_scanned"));
    (names.len(), read.map_or(0, |bytes| bytes.as_usize() as u64))
}
