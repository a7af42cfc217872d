//! The archive and the anomalies as tables of the engine: Parquet files in folders by the UTC day of the event, read by
//! the engine's own Parquet reader.

use std::io;
use std::path::Path;
use std::sync::Arc;

use archive::{DayFile, day_files, readable_as};
use async_trait::async_trait;
use chrono::NaiveDate;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchema, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::Error as StoreError;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExecBuilder;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;

use crate::day_table::{DayFormat, DayScan, DayTable};
use crate::dialect::arithmetic::FINITE;
use crate::error::{UnreadableFile, message};
use crate::implied_filters;
use crate::partitions::days_with_files;
use crate::table_names::{ANOMALIES, PRICE_ARCHIVE};

/// The address under which the engine sees the archive's folder, and only that.
const TICKS_URL: &str = "archive://local/";

/// The address of the anomalies' folder.
const ANOMALIES_URL: &str = "anomalies://local/";

/// Footers that are read at the same time when a query is planned.
const FOOTERS_AT_A_TIME: usize = 16;

/// The table `price_archive`.
pub(crate) fn of_ticks(folder: &Path) -> Result<DayTable<ParquetFiles>> {
    table(
        folder,
        TICKS_URL,
        codec::columnar::schema(),
        &["price", "volume"],
    )
}

/// The table `anomalies`.
pub(crate) fn of_anomalies(folder: &Path) -> Result<DayTable<ParquetFiles>> {
    let columns = codec::anomaly_batch::schema();
    table(folder, ANOMALIES_URL, columns, &["price"])
}

/// The table whose folder has an address.
pub(crate) fn at(store: &ObjectStoreUrl) -> &'static str {
    match store.as_str() {
        ANOMALIES_URL => ANOMALIES,
        _ => PRICE_ARCHIVE,
    }
}

/// A table of files with these columns. Those that are `finite` are checked when they are written.
fn table(
    folder: &Path,
    url: &str,
    columns: SchemaRef,
    finite: &[&str],
) -> Result<DayTable<ParquetFiles>> {
    let store = ObjectStoreUrl::parse(url)?;
    let schema = file_schema(&columns, finite);
    Ok(DayTable::new(
        folder,
        schema,
        ParquetFiles { store, columns },
    ))
}

/// The days for which there are files, in order.
pub(crate) fn days(folder: &Path) -> io::Result<Vec<NaiveDate>> {
    days_with_files(folder, day_files)
}

/// The schema of the files as the engine reads them: texts as views, which are not copied, and
/// every column nullable, so that files of other writers and older ones fit.
fn file_schema(columns: &Schema, finite: &[&str]) -> SchemaRef {
    let field = |field: &FieldRef| {
        let data_type = match *field.data_type() == DataType::Utf8 {
            true => DataType::Utf8View,
            false => field.data_type().clone(),
        };
        let own = Field::new(field.name(), data_type, true);
        match finite.contains(&field.name().as_str()) {
            true => own.with_metadata([(FINITE.to_owned(), String::new())].into()),
            false => own,
        }
    };
    Arc::new(Schema::new(
        columns.fields().iter().map(field).collect::<Vec<_>>(),
    ))
}

/// Parquet files.
#[derive(Debug)]
pub(crate) struct ParquetFiles {
    store: ObjectStoreUrl,
    /// As they are written.
    columns: SchemaRef,
}

#[async_trait]
impl DayFormat for ParquetFiles {
    fn files(&self, day: &Path) -> io::Result<Vec<DayFile>> {
        day_files(day)
    }

    fn applies(&self, filter: &Expr) -> TableProviderFilterPushDown {
        match implied_filters::is_on_time(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        }
    }

    async fn read(&self, scan: DayScan<'_>) -> Result<Arc<dyn ExecutionPlan>> {
        let state = scan.state;
        // Registered only now: the folder may not have existed when the session began.
        let folder = LocalFileSystem::new_with_prefix(scan.folder)?;
        let runtime = state.runtime_env();
        runtime.register_object_store(self.store.as_ref(), Arc::new(folder));
        let parquet = state.config_options().execution.parquet.clone();
        let mut options = state.default_table_options().parquet;
        options.global = parquet;
        let format = ParquetFormat::new().with_options(options);
        let time = scan.schema.file_schema().index_of(implied_filters::TIME)?;
        // A limit ends the reading early only if no filter is left to apply.
        let limit = scan.limit.filter(|_| scan.filters.is_empty());
        let (projection, filters) = (scan.projection, scan.filters.as_slice());
        let files = self.with_statistics(&scan, &format).await?;
        let statistics = || files.iter().map(|file| file.statistics.as_deref());
        let on_time = implied_filters::not_implied(filters, time, statistics);
        let all = statistics().flatten();
        let all = Statistics::try_merge_iter(all, scan.schema.table_schema())?;
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let source = Arc::new(ParquetSource::new(scan.schema.clone()));
        let config = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(all)
            .with_projection_indices(with_column(projection, time, !on_time.is_empty()))?
            .with_limit(limit)
            .build();
        let plan = format.create_physical_plan(state, config).await?;
        let Some(on_time) = conjunction(on_time) else {
            return Ok(plan);
        };
        let schema = DFSchema::try_from(plan.schema())?;
        let on_time = state.create_physical_expr(on_time, &schema)?;
        let requested = projection.map(|columns| (0..columns.len()).collect());
        let filter = FilterExecBuilder::new(on_time, plan).apply_projection(requested)?;
        Ok(Arc::new(filter.build()?))
    }
}

/// The projection, with a column appended if it is needed and not there.
fn with_column(projection: Option<&Vec<usize>>, column: usize, needed: bool) -> Option<Vec<usize>> {
    let mut columns = projection.cloned()?;
    if needed && !columns.contains(&column) {
        columns.push(column);
    }
    Some(columns)
}

impl ParquetFiles {
    /// Reads the footers, so that the engine knows row counts and the range of each column, and so
    /// that no file is read whose columns have other types.
    async fn with_statistics(
        &self,
        scan: &DayScan<'_>,
        format: &ParquetFormat,
    ) -> Result<Vec<PartitionedFile>> {
        let runtime = scan.state.runtime_env();
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
                    .and_then(|footer| self.statistics(&footer, scan.schema.file_schema()))
                    .map_err(|error| in_file(error, scan.folder, &file))?;
                Ok::<_, DataFusionError>(file.with_statistics(Arc::new(statistics)))
            }
        };
        stream::iter(scan.files.iter().cloned())
            .map(read)
            .buffered(FOOTERS_AT_A_TIME)
            .try_collect()
            .await
    }

    /// The statistics in a file's footer. The engine would cast columns of other types, even texts to
    /// numbers, so such a file is refused, as in compaction.
    fn statistics(&self, footer: &ParquetMetaData, schema: &SchemaRef) -> Result<Statistics> {
        let file = footer.file_metadata();
        let columns = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
        readable_as(&self.columns, &columns).map_err(DataFusionError::Execution)?;
        DFParquetMetadata::statistics_from_parquet_metadata(footer, schema)
    }
}

/// Names the file with an error of its footer. One that was removed since it was listed is not corrupt.
fn in_file(error: DataFusionError, folder: &Path, file: &PartitionedFile) -> DataFusionError {
    if let DataFusionError::ObjectStore(cause) = error.find_root()
        && let StoreError::NotFound { .. } = **cause
    {
        return error;
    }
    DataFusionError::External(Box::new(UnreadableFile {
        path: folder.join(file.object_meta.location.as_ref()),
        cause: message(&error),
    }))
}
