//! The names of the columns of tables and subqueries, where the statement shows them.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, SelectItem, SetExpr, TableAlias, TableFactor,
};

use super::rewrite::Rewriter;
use crate::ast_names::{column_names, last_name};

/// Names of columns, in lower case; `None` if only the planner knows them.
pub(super) type Columns = Option<Vec<String>>;

impl Rewriter<'_> {
    /// The columns of a relation, where the statement shows them.
    pub(super) fn columns_of(&self, factor: &TableFactor) -> Columns {
        let given = |alias: &Option<TableAlias>| {
            let given = alias.as_ref().map(column_names).unwrap_or_default();
            (!given.is_empty()).then_some(given)
        };
        match factor {
            TableFactor::Table { alias, name, .. } => {
                given(alias).or_else(|| self.columns_named(&lower(last_name(name)?)))
            }
            TableFactor::Derived {
                alias, subquery, ..
            } => given(alias).or_else(|| self.columns_of_query(subquery)),
            // Its columns have no names without those.
            TableFactor::UNNEST { alias, .. } => Some(given(alias).unwrap_or_default()),
            _ => None,
        }
    }

    fn columns_named(&self, name: &str) -> Columns {
        let mut scopes = self.ctes.iter().rev().flatten();
        if let Some((_, columns)) = scopes.find(|(of, _)| of == name) {
            return columns.clone();
        }
        let (_, schema): &(String, SchemaRef) = self.tables.iter().find(|(of, _)| of == name)?;
        let fields = schema.fields().iter();
        Some(fields.map(|field| field.name().to_lowercase()).collect())
    }

    /// The columns of the parts of WITH.
    pub(super) fn columns_of_with(&self, query: &Query) -> Vec<(String, Columns)> {
        let parts = query.with.iter().flat_map(|with| &with.cte_tables);
        let columns = parts.map(|cte| {
            let given = column_names(&cte.alias);
            let columns = match given.is_empty() {
                true => self.columns_of_query(&cte.query),
                false => Some(given),
            };
            (lower(&cte.alias.name), columns)
        });
        columns.collect()
    }

    fn columns_of_query(&self, query: &Query) -> Columns {
        let mut body = query.body.as_ref();
        loop {
            body = match body {
                SetExpr::SetOperation { left, .. } => left,
                SetExpr::Query(query) => query.body.as_ref(),
                SetExpr::Select(select) => {
                    let is_star = |item: &SelectItem| {
                        matches!(
                            item,
                            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
                        )
                    };
                    let items = &select.projection;
                    return (!items.iter().any(is_star))
                        .then(|| items.iter().filter_map(result_name).collect());
                }
                // Its columns have no names.
                SetExpr::Values(_) => return Some(Vec::new()),
                _ => return None,
            };
        }
    }
}

pub(super) fn lower(name: &Ident) -> String {
    name.value.to_lowercase()
}

/// The name of a result, in lower case.
pub(super) fn result_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(lower(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(lower(name)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last().map(lower),
        _ => None,
    }
}
