//! Names in a parsed statement.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, TableAlias};

/// `ticks` of `db.ticks`.
pub(crate) fn last_name(name: &ObjectName) -> Option<&Ident> {
    name.0.last().and_then(|part| part.as_ident())
}

/// A name in lower case.
pub(crate) fn lower(name: &Ident) -> String {
    name.value.to_lowercase()
}

/// The names that an alias gives to columns, in lower case.
pub(crate) fn column_names(alias: &TableAlias) -> Vec<String> {
    alias
        .columns
        .iter()
        .map(|column| lower(&column.name))
        .collect()
}
