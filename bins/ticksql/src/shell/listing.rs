//! Tables, columns and kept values as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use crate::cli_error::CliError;
use crate::engine::TableColumns;

/// The names of a table's columns.
pub(super) fn column_names(table: &TableColumns) -> impl Iterator<Item = String> {
    table.columns.iter().map(|(name, _)| name.clone())
}

/// The tables as rows.
pub(super) fn tables(tables: &[TableColumns]) -> Result<RecordBatch, CliError> {
    let names = tables.iter().map(|table| table.name.clone());
    let columns = tables.iter().map(|table| {
        let names: Vec<String> = column_names(table).collect();
        names.join(", ")
    });
    text_columns([("table", names.collect()), ("columns", columns.collect())])
}

/// The values kept for parameters as rows.
pub(super) fn values(values: &[(String, String)]) -> Result<RecordBatch, CliError> {
    let (names, texts_of): (Vec<String>, Vec<String>) = values.iter().cloned().unzip();
    text_columns([("parameter", names), ("value", texts_of)])
}

/// The columns of a table as rows.
pub(super) fn columns(table: &TableColumns) -> Result<RecordBatch, CliError> {
    let names = column_names(table);
    let types = table.columns.iter().map(|(_, kind)| kind.clone());
    text_columns([("column", names.collect()), ("type", types.collect())])
}

fn text_columns(columns: [(&str, Vec<String>); 2]) -> Result<RecordBatch, CliError> {
    let array = |texts: Vec<String>| Arc::new(StringArray::from(texts)) as ArrayRef;
    let columns = columns.map(|(name, texts)| (name, array(texts)));
    Ok(RecordBatch::try_from_iter(columns)?)
}
