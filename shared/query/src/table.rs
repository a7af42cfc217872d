//! The archive as a table of the engine: lists the folders of days, leaves out those that the
//! query's conditions on year, month and day exclude, and hands the files of the rest to the
//! engine's Parquet reader.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{Day, DayFile, day_files, readable};
use async_trait::async_trait;
use codec::column::PARTITIONS;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Statistics, project_schema};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::Error as StoreError;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;

use super::covered;
use super::error::{UnreadableFile, message};
use super::partitions::{days_left, file_of_day, partition_fields};

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

    /// Reads the footers, so that the engine knows row counts and the range of each column, and so
    /// that no file is read whose columns are of other types.
    async fn with_statistics(
        &self,
        state: &dyn Session,
        format: &ParquetFormat,
        files: Vec<PartitionedFile>,
    ) -> Result<Vec<PartitionedFile>> {
        let runtime = state.runtime_env();
        let store = runtime.object_store(&self.store)?;
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let read = |file: PartitionedFile| {
            let (store, footers) = (Arc::clone(&store), Arc::clone(&footers));
            async move {
                let footer = DFParquetMetadata::new(&store, &file.object_meta)
                    .with_metadata_size_hint(format.metadata_size_hint())
                    .with_file_metadata_cache(Some(footers))
                    .fetch_metadata()
                    .await;
                let statistics = footer
                    .and_then(|footer| self.statistics(&footer))
                    .map_err(|error| in_file(error, &self.folder, &file))?;
                Ok::<_, DataFusionError>(file.with_statistics(Arc::new(statistics)))
            }
        };
        stream::iter(files)
            .map(read)
            .buffered(FOOTERS_AT_A_TIME)
            .try_collect()
            .await
    }

    /// What a footer tells of its file. The engine would cast columns of other types, texts to numbers
    /// too: such a file is refused, as compaction does.
    fn statistics(&self, footer: &ParquetMetaData) -> Result<Statistics> {
        let file = footer.file_metadata();
        let columns = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
        readable(&columns).map_err(DataFusionError::Execution)?;
        DFParquetMetadata::statistics_from_parquet_metadata(footer, self.schema.file_schema())
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
