//! The engine's session: its settings, rules, tables and views, and nothing else in reach.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;

use crate::compact_string_views::CompactStringViews;
use crate::cooperative_yield::CooperativeYield;
use crate::dialect::exact_doubles::ExactDoubles;
use crate::dialect::failing_constants::FailingConstants;
use crate::dialect::rule::AthenaTypes;
use crate::error::{self, SqlError, UnknownTable};
use crate::filters_by_name::{FiltersByName, PUSHES_FILTERS};
use crate::limits::Limits;
use crate::recursion_depth::RecursionDepth;
use crate::suggestions::suggestions;
use crate::table_names::{ANOMALIES, PRICE_ARCHIVE, QUARANTINE, VIEWS, folder_of};
use crate::{archive_table, dialect, functions, quarantine_table, read_only};

/// The engine's own store of the whole file system, which is removed.
const FILE_SYSTEM_URL: &str = "file:///";

/// Memory for the footers of files that were read before.
const FOOTER_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The rule after which DataFusion's own rules have all run, and which checks the plan.
const LAST_RULE: &str = "SanityCheckPlan";

pub(crate) async fn open(
    archive_folder: &Path,
    limits: Limits,
) -> Result<SessionContext, SqlError> {
    let engine = |error| SqlError::Engine(error::message(&error));
    let runtime = RuntimeEnvBuilder::new()
        // Operators that can spill share the memory fairly, so that each of them can run.
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes_max)))
        .with_disk_manager_builder(
            DiskManagerBuilder::default()
                .with_mode(DiskManagerMode::OsTmpDirectory)
                .with_max_temp_directory_size(limits.spill_bytes_max),
        )
        .with_metadata_cache_limit(FOOTER_CACHE_BYTES)
        .build_arc()
        .map_err(engine)?;
    let types = Arc::new(AthenaTypes::default());
    let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![Arc::clone(&types) as _];
    rules.extend(Analyzer::new().rules);
    rules.push(Arc::new(ExactDoubles));
    rules.push(Arc::new(FailingConstants));
    let state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config(limits))
        .with_runtime_env(runtime)
        .with_analyzer_rules(rules)
        .with_physical_optimizer_rules(optimizer_rules())
        .build();
    let context = SessionContext::new_with_state(state);
    confine(&context).map_err(engine)?;
    functions::register(&context).map_err(engine)?;
    add_tables(&context, archive_folder).await.map_err(engine)?;
    types.know(&context);
    Ok(context)
}

fn config(limits: Limits) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_target_partitions(limits.threads)
        .with_batch_size(limits.batch_rows);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.sql_parser.parse_float_as_decimal = true;
    options.execution.time_zone = Some("UTC".to_owned());
    // As in Trino, for both directions.
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    config
}

/// DataFusion's rules and ours, before the one that checks the plan.
fn optimizer_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let by_name = |rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>| match rule
        .name()
        .starts_with(PUSHES_FILTERS)
    {
        true => Arc::new(FiltersByName(rule)),
        false => rule,
    };
    let rules = PhysicalOptimizer::new().rules.into_iter();
    let mut rules: Vec<_> = rules.map(by_name).collect();
    let last = rules.iter().position(|rule| rule.name() == LAST_RULE);
    let ours: [Arc<dyn PhysicalOptimizerRule + Send + Sync>; 3] = [
        Arc::new(CompactStringViews),
        Arc::new(CooperativeYield),
        Arc::new(RecursionDepth),
    ];
    let at = last.unwrap_or(rules.len());
    rules.splice(at..at, ours);
    rules
}

async fn add_tables(
    context: &SessionContext,
    archive_folder: &Path,
) -> datafusion::error::Result<()> {
    context.register_table(
        PRICE_ARCHIVE,
        Arc::new(archive_table::of_ticks(archive_folder)?),
    )?;
    let folder = folder_of(ANOMALIES, archive_folder);
    context.register_table(ANOMALIES, Arc::new(archive_table::of_anomalies(&folder)?))?;
    let folder = folder_of(QUARANTINE, archive_folder);
    context.register_table(QUARANTINE, Arc::new(quarantine_table::table(&folder)))?;
    for view in VIEWS {
        let sql = view.query();
        let planned =
            |error: SqlError| datafusion::error::DataFusionError::External(Box::new(error));
        let mut statement = read_only::parse_unbound(sql).map_err(planned)?.statement;
        dialect::rewrite(&mut statement, sql, &[]).map_err(planned)?;
        let plan = context.state().statement_to_plan(statement).await?;
        let table: Arc<dyn TableProvider> = Arc::new(ViewTable::new(plan, Some(sql.to_owned())));
        context.register_table(view.name, table)?;
    }
    Ok(())
}

/// Tables and views with their columns, by name.
pub(crate) async fn tables(state: &SessionState) -> Vec<(String, SchemaRef)> {
    let Ok(schema) = state.schema_for_ref(PRICE_ARCHIVE) else {
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

/// Leaves the engine no store: each table adds its folder when it is read.
fn confine(context: &SessionContext) -> datafusion::error::Result<()> {
    context.deregister_object_store(ObjectStoreUrl::parse(FILE_SYSTEM_URL)?.as_ref())?;
    Ok(())
}

/// The first table that a statement names and the session does not have.
pub(crate) async fn unknown_table(
    state: &SessionState,
    statement: &Statement,
) -> Option<UnknownTable> {
    for reference in state.resolve_table_references(statement).ok()? {
        if !known(state, &reference).await {
            let names = state
                .schema_for_ref(PRICE_ARCHIVE)
                .map(|schema| schema.table_names())
                .unwrap_or_default();
            return Some(UnknownTable {
                suggestions: suggestions(reference.table(), names.iter().map(String::as_str)),
                name: reference.to_string(),
            });
        }
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    /// If DataFusion renames its last rule, ours would run after it, and nothing would check their plans.
    #[test]
    fn our_rules_run_right_before_the_plan_is_checked() {
        let rules = optimizer_rules();
        let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
        let ours = [
            CompactStringViews.name(),
            CooperativeYield.name(),
            RecursionDepth.name(),
        ];
        let last = [&ours[..], &[LAST_RULE]].concat();
        assert!(names.ends_with(&last), "{names:?}");
        let theirs = PhysicalOptimizer::new().rules.len();
        assert_eq!(names.len(), theirs + ours.len());
    }
}
