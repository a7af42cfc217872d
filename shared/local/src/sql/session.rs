//! The engine's session: the archive's table and views, and nothing else in reach.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::execution::SessionState;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;

use super::error::{SqlError, UnknownTable};
use super::nearest::nearest;
use super::table::ArchiveTable;
use super::{Limits, error};

/// The address under which the engine sees the archive's folder, and only that.
const STORE_URL: &str = "archive://local/";

/// The engine's own store of the whole file system, which is taken away.
const FILE_SYSTEM_URL: &str = "file:///";

/// Memory for the footers of files that were read before.
const FOOTER_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The name of the table.
const TABLE: &str = "price_archive";

/// The view with the column names of the JSON record, as on Athena.
const PRICE_HISTORY_SQL: &str = include_str!("../../../../sql/views/price_history.sql");

/// The view with a real timestamp.
const TICKS_SQL: &str =
    "SELECT to_timestamp_millis(ts) AS time, price_archive.* FROM price_archive";

/// Rows of a batch. The memory limit counts what operators hold, and not the batches under way
/// between them: an expression that makes long texts of short ones makes as many of them at once.
/// The engine's own default is 8,192.
const BATCH_ROWS: usize = 1_024;

/// Functions that make a large value out of a small one: the memory limit counts what operators
/// hold, not single values, and one call could take all of the machine's memory.
const FUNCTIONS_OFF: [&str; 7] = [
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
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes_max)))
        .with_disk_manager_builder(
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled),
        )
        .with_metadata_cache_limit(FOOTER_CACHE_BYTES)
        .build_arc()
        .map_err(engine)?;
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_target_partitions(limits.threads)
        .with_batch_size(BATCH_ROWS);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    let context = SessionContext::new_with_config_rt(config, runtime);
    confine(&context, table).map_err(engine)?;
    FUNCTIONS_OFF
        .iter()
        .for_each(|name| context.deregister_udf(name));

    let store = ObjectStoreUrl::parse(STORE_URL).map_err(engine)?;
    context
        .register_table(TABLE, Arc::new(ArchiveTable::new(table, store)))
        .map_err(engine)?;
    for (name, sql) in [
        ("price_history", view_query(PRICE_HISTORY_SQL)),
        ("ticks", TICKS_SQL),
    ] {
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
