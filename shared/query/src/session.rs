//! The engine's session: the archive's table and views, and nothing else in reach.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, GreedyMemoryPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;

use super::error::{SqlError, UnknownTable};
use super::nearest::nearest;
use super::quarantine::QuarantineTable;
use super::table::ArchiveTable;
use super::{Limits, error, functions};

/// The address under which the engine sees the archive's folder, and only that.
const STORE_URL: &str = "archive://local/";

/// The engine's own store of the whole file system, which is taken away.
const FILE_SYSTEM_URL: &str = "file:///";

/// Memory for the footers of files that were read before.
const FOOTER_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The name of the archive's table.
const TABLE: &str = "price_archive";

/// The name of the quarantine's table, and of its folder beside the archive's.
const QUARANTINE: &str = "quarantine";

/// The views, from the files that make them on Athena.
const VIEWS: [(&str, &str); 2] = [
    (
        "price_history",
        include_str!("../../../sql/views/price_history.sql"),
    ),
    ("ticks", include_str!("../../../sql/views/ticks.sql")),
];

/// Functions that make a large value out of a small one: the memory limit counts what operators
/// hold, not single values, and one call could take all of the machine's memory.
pub(super) const FUNCTIONS_OFF: [&str; 7] = [
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "array_resize",
    "range",
    "generate_series",
];

pub(super) async fn open(table: &Path, limits: Limits) -> Result<SessionContext, SqlError> {
    let engine = |error| SqlError::Engine(error::message(&error));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(memory_pool(limits))
        .with_disk_manager_builder(spilling(limits))
        .with_metadata_cache_limit(FOOTER_CACHE_BYTES)
        .build_arc()
        .map_err(engine)?;
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_target_partitions(limits.threads)
        .with_batch_size(limits.batch_rows);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    // As in Trino, whichever way the order goes.
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    let context = SessionContext::new_with_config_rt(config, runtime);
    confine(&context, table).map_err(engine)?;
    functions::register(&context).map_err(engine)?;
    FUNCTIONS_OFF
        .iter()
        .for_each(|name| context.deregister_udf(name));

    let store = ObjectStoreUrl::parse(STORE_URL).map_err(engine)?;
    context
        .register_table(TABLE, Arc::new(ArchiveTable::new(table, store)))
        .map_err(engine)?;
    let quarantine = table.with_file_name(QUARANTINE);
    context
        .register_table(QUARANTINE, Arc::new(QuarantineTable::new(quarantine)))
        .map_err(engine)?;
    for (name, file) in VIEWS {
        let sql = view_query(file);
        let plan = context
            .state()
            .create_logical_plan(sql)
            .await
            .map_err(engine)?;
        let view: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plan, Some(sql.to_owned())));
        context.register_table(name, view).map_err(engine)?;
    }
    Ok(context)
}

/// Operators that can spill share fairly, so that each of them gets to it.
fn memory_pool(limits: Limits) -> Arc<dyn MemoryPool> {
    if limits.spill_bytes_max == 0 {
        Arc::new(GreedyMemoryPool::new(limits.memory_bytes_max))
    } else {
        Arc::new(FairSpillPool::new(limits.memory_bytes_max))
    }
}

fn spilling(limits: Limits) -> DiskManagerBuilder {
    let manager = DiskManagerBuilder::default();
    if limits.spill_bytes_max == 0 {
        manager.with_mode(DiskManagerMode::Disabled)
    } else {
        manager
            .with_mode(DiskManagerMode::OsTmpDirectory)
            .with_max_temp_directory_size(limits.spill_bytes_max)
    }
}

/// Tables and views with their columns, by name.
pub(super) async fn tables(state: &SessionState) -> Vec<(String, SchemaRef)> {
    let Ok(schema) = state.schema_for_ref(TABLE) else {
        return Vec::new();
    };
    let mut tables = Vec::new();
    for name in schema.table_names() {
        if let Ok(Some(table)) = schema.table(&name).await {
            tables.push((name, table.schema()));
        }
    }
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    tables
}

/// Leaves the engine one store: the archive's folder.
fn confine(context: &SessionContext, table: &Path) -> datafusion::error::Result<()> {
    let folder = LocalFileSystem::new_with_prefix(table)?;
    context.register_object_store(ObjectStoreUrl::parse(STORE_URL)?.as_ref(), Arc::new(folder));
    context.deregister_object_store(ObjectStoreUrl::parse(FILE_SYSTEM_URL)?.as_ref())?;
    Ok(())
}

/// The query of a file that creates a view.
fn view_query(sql: &str) -> &str {
    sql.split_once(" AS\n").map_or(sql, |(_, query)| query)
}

/// The tables that a statement names and the session does not have.
pub(super) async fn unknown_tables(
    state: &SessionState,
    statement: &Statement,
) -> Result<Vec<UnknownTable>, SqlError> {
    let Ok(references) = state.resolve_table_references(statement) else {
        return Ok(Vec::new());
    };
    let mut unknown = Vec::new();
    for reference in references {
        if !known(state, &reference).await {
            let names = state
                .schema_for_ref(TABLE)
                .map(|s| s.table_names())
                .unwrap_or_default();
            let nearest = nearest(reference.table(), names.iter().map(String::as_str));
            unknown.push(UnknownTable {
                name: reference.to_string(),
                nearest,
            });
        }
    }
    Ok(unknown)
}

async fn known(state: &SessionState, reference: &TableReference) -> bool {
    match state.schema_for_ref(reference.clone()) {
        Ok(schema) => schema
            .table(reference.table())
            .await
            .is_ok_and(|table| table.is_some()),
        Err(_) => false,
    }
}
