//! Queries around a part of a statement, which give its columns names.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor,
};
use datafusion::sql::sqlparser::parser::Parser;

use super::ast_builder;
use super::grammar::AthenaDialect;

/// The name of the column that ANY and ALL compare with.
const COMPARED: &str = "__compared";

/// `SELECT * FROM (body) AS alias`
pub(super) fn selected_from(body: SetExpr, alias: TableAlias) -> Option<SetExpr> {
    let mut outer = parsed("SELECT * FROM (SELECT 1) AS t")?;
    let SetExpr::Select(select) = outer.body.as_mut() else {
        return None;
    };
    let TableFactor::Derived {
        subquery,
        alias: named,
        ..
    } = &mut select.from.first_mut()?.relation
    else {
        return None;
    };
    *subquery.body = body;
    *named = Some(alias);
    Some(*outer.body)
}

fn parsed(sql: &str) -> Option<Box<Query>> {
    let parser = Parser::new(&AthenaDialect).try_with_sql(sql);
    parser.ok()?.parse_query().ok()
}

/// Whether a query in FROM has columns of different names that it gives them itself. It needs a name, then: without one,
/// the planner takes its columns for results of the same names around it, and orders by them.
pub(super) fn has_own_names(body: &SetExpr) -> bool {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::Query(query) => return has_own_names(&query.body),
        SetExpr::SetOperation { .. } => return true,
        _ => return false,
    };
    let mut names = BTreeSet::new();
    select.projection.iter().all(|item| {
        let name = match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name),
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last(),
            SelectItem::UnnamedExpr(_) => None,
            _ => return false,
        };
        name.is_none_or(|name| names.insert(name.value.to_lowercase()))
    })
}

/// The numbers of the rows of UNNEST, as one more array.
pub(super) fn ordinality(arrays: &[Expr]) -> Option<Expr> {
    let lengths = arrays
        .iter()
        .map(|array| format!("coalesce(CAST(cardinality({array}) AS BIGINT), 0)"));
    let longest = lengths.reduce(|one, other| format!("greatest({one}, {other})"))?;
    ast_builder::parsed(&format!("if({longest} > 0, sequence(1, {longest}))")).ok()
}

/// The subquery of ANY or ALL under a name of its own: the planner's EXISTS takes a column of the statement around it
/// for one of the subquery with the same name and table.
pub(super) fn name_column(subquery: &mut Expr) {
    let Expr::Subquery(query) = subquery else {
        return;
    };
    let name = || Ident::with_quote('"', COMPARED);
    let alias = TableAlias {
        explicit: true,
        name: name(),
        columns: vec![TableAliasColumnDef {
            name: name(),
            data_type: None,
        }],
        at: None,
    };
    if let Some(mut outer) = parsed("SELECT 1")
        && let Some(body) = selected_from(SetExpr::Query(query.clone()), alias)
    {
        *outer.body = body;
        *query = outer;
    }
}
