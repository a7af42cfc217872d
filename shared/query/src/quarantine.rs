//! The quarantine as a table of the engine: JSON lines in folders by the UTC day of receipt, with
//! the columns of `sql/tables/quarantine.sql`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use codec::column::PARTITIONS;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, JsonSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::object_store::local::LocalFileSystem;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::partitions::{days_left, file_of_day, partition_fields};

/// The address under which the engine sees the quarantine's folder, and only that.
const STORE_URL: &str = "quarantine://local/";

/// The end of a file's name.
const EXTENSION: &str = ".jsonl";

/// The columns of an entry: names and types.
const COLUMNS: [(&str, DataType); 8] = [
    ("received_at", DataType::Int64),
    ("source", DataType::Utf8),
    ("reason", DataType::Utf8),
    ("severity", DataType::Utf8),
    ("message", DataType::Utf8),
    ("raw", DataType::Utf8),
    ("raw_bytes", DataType::Int64),
    ("index", DataType::Int64),
];

/// The table `quarantine`. Its folder need not be there: then it has no rows.
#[derive(Debug)]
pub(super) struct QuarantineTable {
    folder: PathBuf,
    schema: TableSchema,
}

impl QuarantineTable {
    pub(super) fn new(folder: PathBuf) -> Self {
        let field = |(name, data_type)| Field::new(name, data_type, true);
        let schema = Schema::new(COLUMNS.map(field).to_vec());
        Self {
            folder,
            schema: TableSchema::builder(Arc::new(schema))
                .with_table_partition_cols(partition_fields())
                .build(),
        }
    }
}

/// The names of a day's files. One that is removed meanwhile is passed over.
fn files(folder: &Path) -> Result<Vec<(String, std::fs::Metadata)>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.ends_with(EXTENSION)
            && !name.starts_with(['.', '_'])
            && let Ok(metadata) = entry.metadata()
        {
            files.push((name, metadata));
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(files)
}

#[async_trait]
impl TableProvider for QuarantineTable {
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
            false => TableProviderFilterPushDown::Unsupported,
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
        let partitions = self.schema.table_partition_cols();
        let mut found = Vec::new();
        for day in days_left(&self.folder, partitions, state, filters)? {
            for (name, metadata) in files(&day.path)? {
                found.push(file_of_day(&self.folder, &day, &name, &metadata)?);
            }
        }
        if found.is_empty() {
            let projected = project_schema(&self.schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let store = LocalFileSystem::new_with_prefix(&self.folder)?;
        state
            .runtime_env()
            .register_object_store(url.as_ref(), Arc::new(store));
        let groups = FileGroup::new(found).split_files(state.config().target_partitions());
        let source = Arc::new(JsonSource::new(self.schema.clone()));
        let scan = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE_SQL: &str = include_str!("../../../sql/tables/quarantine.sql");

    #[test]
    fn the_table_file_has_the_columns() {
        let (_, list) = TABLE_SQL.split_once("quarantine (\n").unwrap();
        let (list, _) = list.split_once("\n)\n").unwrap();
        let listed: Vec<&str> = list
            .lines()
            .map(|line| line.trim().split(" COMMENT ").next().unwrap())
            .collect();
        let column = |(name, data_type): (&str, DataType)| {
            let is_number = data_type == DataType::Int64;
            format!("`{name}` {}", if is_number { "bigint" } else { "string" })
        };
        assert_eq!(listed, COLUMNS.map(column));
    }
}
