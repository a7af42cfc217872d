//! Athena's SQL on this engine: what runs here runs there and means the same, and everything else is refused.
//!
//! The parser takes Athena's grammar ([`grammar`], [`syntax`]), and the statement is rewritten where the engine's planner
//! would read it in another way ([`rewrite`]). Of the plan, a rule of the analyzer checks the types of operators and
//! functions, and gives operators and casts Athena's results ([`rule`]).

mod aggregate_types;
pub(crate) mod arithmetic;
pub(crate) mod array_function;
pub(crate) mod array_items;
mod ast_builder;
mod call_rewrite;
mod call_syntax;
mod casts;
mod derived_table;
mod double_text;
mod double_to_decimal;
mod error_place;
pub(crate) mod exact_doubles;
mod expanded;
mod expr_rewrite;
mod expr_syntax;
pub(crate) mod failing_constants;
mod from_syntax;
mod from_text;
mod function_types;
pub(crate) mod grammar;
mod like;
pub(crate) mod moments;
mod multisets;
pub(crate) mod nan;
mod operands;
mod operator_types;
mod order_by;
mod plan_columns;
mod present;
pub(crate) mod random_below;
mod refusal;
mod replaced;
pub(crate) mod rewrite;
mod row_comparison;
pub(crate) mod rule;
mod set_operations;
mod shows;
pub(crate) mod signatures;
mod sort_key;
mod stale_types;
mod subqueries;
pub(crate) mod syntax;
pub(crate) mod to_text;
pub(crate) mod tokens;
mod type_names;
pub(crate) mod types;
mod using;
mod windows;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::parser::Statement;

use crate::error::SqlError;

/// Refuses a statement that Athena does not run, or for which this engine has no such meaning. Its windows are written
/// out.
pub(crate) fn check(statement: &mut Statement) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(standard) => {
            windows::expand(standard)?;
            syntax::check(standard)
        }
        Statement::Explain(explain) => check(&mut explain.statement),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => Ok(()),
    }
}

/// Rewrites a statement for the engine's planner. `sql` is its text, `tables` those that it may describe.
pub(crate) fn rewrite(
    statement: &mut Statement,
    sql: &str,
    tables: &[(String, SchemaRef)],
) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(standard) => rewrite::rewrite(standard, sql, tables),
        Statement::Explain(explain) => rewrite(&mut explain.statement, sql, tables),
        Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => Ok(()),
    }
}
