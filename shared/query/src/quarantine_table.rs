//! The quarantine as a table of the engine: JSON lines in folders by the UTC day of receipt, with
//! the columns of `sql/tables/quarantine.sql`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use archive::DayFile;
use async_trait::async_trait;
use chrono::NaiveDate;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, JsonSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::object_store::local::LocalFileSystem;
use datafusion::physical_plan::ExecutionPlan;

use crate::day_table::{DayFormat, DayScan, DayTable};
use crate::partitions::days_with_files;

/// The address under which the engine sees the quarantine's folder, and only that.
const STORE_URL: &str = "quarantine://local/";

/// The extension of the files.
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

/// The table `quarantine`.
pub(crate) fn table(folder: &Path) -> DayTable<JsonLines> {
    let field = |(name, data_type)| Field::new(name, data_type, true);
    let schema = Schema::new(COLUMNS.map(field).to_vec());
    DayTable::new(folder, Arc::new(schema), JsonLines)
}

/// The days for which there are files, in order.
pub(crate) fn days(folder: &Path) -> io::Result<Vec<NaiveDate>> {
    days_with_files(folder, files)
}

/// The files of a day. One that is removed meanwhile is skipped.
fn files(day: &Path) -> io::Result<Vec<DayFile>> {
    let mut files = Vec::new();
    for entry in day.read_dir()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.ends_with(EXTENSION)
            && !name.starts_with(['.', '_'])
            && let Ok(metadata) = entry.metadata()
        {
            files.push(DayFile { name, metadata });
        }
    }
    Ok(files)
}

/// Files of JSON lines.
#[derive(Debug)]
pub(crate) struct JsonLines;

#[async_trait]
impl DayFormat for JsonLines {
    fn files(&self, day: &Path) -> io::Result<Vec<DayFile>> {
        files(day)
    }

    fn applies(&self, _filter: &Expr) -> TableProviderFilterPushDown {
        TableProviderFilterPushDown::Unsupported
    }

    async fn read(&self, scan: DayScan<'_>) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        // Registered only now: the folder may not have existed when the session began.
        let store = LocalFileSystem::new_with_prefix(scan.folder)?;
        let runtime = scan.state.runtime_env();
        runtime.register_object_store(url.as_ref(), Arc::new(store));
        let partitions = scan.state.config().target_partitions();
        let groups = FileGroup::new(scan.files).split_files(partitions);
        let source = Arc::new(JsonSource::new(scan.schema.clone()));
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_projection_indices(scan.projection.cloned())?
            .with_limit(scan.limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
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
