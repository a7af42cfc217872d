//! Rewrites a statement that Athena accepts into one that means the same to the engine: literals have Athena's types,
//! names are in lower case, and forms that the planner reads in another way become functions.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{
    Expr, Fetch, GroupByExpr, Ident, LimitClause, ObjectName, ObjectNamePart, OrderByKind, Query,
    Select, SelectItem, SetExpr, Statement, TableAlias, TableAliasColumnDef, TableFactor, Value,
    Values, VisitMut as _, VisitorMut,
};

use super::call_rewrite::bare;
use super::derived_table::selected_from;
use super::{derived_table, order_by, shows, using};
use crate::error::SqlError;
use crate::result_columns::UNNAMED;
use crate::table_names::is_table;

/// Rewrites a statement. `sql` is its text.
pub(crate) fn rewrite(
    statement: &mut Statement,
    sql: &str,
    tables: &[(String, SchemaRef)],
) -> Result<(), SqlError> {
    let mut rewriter = Rewriter {
        sql,
        tables,
        unnamed: 0,
        is_table: false,
    };
    match statement.visit(&mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

pub(super) struct Rewriter<'a> {
    pub(super) sql: &'a str,
    tables: &'a [(String, SchemaRef)],
    unnamed: usize,
    /// Whether the next query is VALUES in FROM.
    is_table: bool,
}

impl VisitorMut for Rewriter<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            lower_alias(&mut cte.alias);
        }
        // The columns of VALUES in FROM are named by the alias.
        if !std::mem::take(&mut self.is_table) {
            self.name_values(&mut query.body);
        }
        order_by::by_places(query);
        if let Err(error) = using::with_tables(query) {
            return ControlFlow::Break(error);
        }
        if let Some(Fetch { quantity, .. }) = query.fetch.take() {
            let one = Expr::value(Value::Number("1".to_owned(), false));
            let limit = Some(quantity.unwrap_or(one));
            let offset = match query.limit_clause.take() {
                Some(LimitClause::LimitOffset { offset, .. }) => offset,
                _ => None,
            };
            let limit_by = Vec::new();
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            limit.iter_mut().for_each(bare);
            offset.iter_mut().for_each(|offset| bare(&mut offset.value));
        }
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order_by.kind
        {
            keys.iter_mut().for_each(|key| bare(&mut key.expr));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut Statement) -> ControlFlow<SqlError> {
        match shows::as_query(statement, self.tables) {
            Ok(Some(query)) => *statement = query,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) if !has_name(expr) => {
                    self.unnamed += 1;
                    let alias = Ident::with_quote('"', format!("{UNNAMED}{}", self.unnamed));
                    let expr = std::mem::replace(expr, Expr::value(Value::Null));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
                SelectItem::ExprWithAlias { alias, .. } => lower(alias),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            let all = std::mem::take(keys).into_iter();
            keys.extend(all.flat_map(|key| match key {
                Expr::Tuple(keys) => keys,
                key => vec![key],
            }));
            keys.iter_mut().for_each(bare);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<SqlError> {
        if name.0.iter().any(|part| {
            part.as_ident()
                .is_some_and(|it| it.value.eq_ignore_ascii_case("information_schema"))
        }) {
            return ControlFlow::Break(SqlError::Invalid {
                message: "information_schema is not on this engine: write SHOW TABLES, or DESCRIBE and a table".to_owned(),
                position: None,
            });
        }
        let parts = std::mem::take(&mut name.0);
        let of_ours = match parts.as_slice() {
            [_, table] => part_is_table(table),
            [catalog, _, table] => {
                let catalog = catalog
                    .as_ident()
                    .is_some_and(|it| it.value.eq_ignore_ascii_case("awsdatacatalog"));
                catalog && part_is_table(table)
            }
            _ => false,
        };
        let skipped = if of_ours { parts.len() - 1 } else { 0 };
        name.0 = parts.into_iter().skip(skipped).collect();
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                lower(ident);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        }
        | TableFactor::UNNEST {
            alias: Some(alias), ..
        }
        | TableFactor::NestedJoin {
            alias: Some(alias), ..
        } = factor
        {
            lower_alias(alias);
        }
        if let TableFactor::UNNEST {
            array_exprs,
            with_ordinality,
            ..
        } = factor
            && std::mem::take(with_ordinality)
        {
            array_exprs.extend(derived_table::ordinality(array_exprs));
        }
        // What has no names on Athena.
        let (alias, columns) = match factor {
            TableFactor::Derived {
                alias, subquery, ..
            } => match subquery.body.as_ref() {
                SetExpr::Values(values) => {
                    self.is_table = true;
                    let columns = values.rows.first().map_or(0, |row| row.content.len());
                    (alias, columns)
                }
                body => {
                    if alias.is_none() && derived_table::has_own_names(body) {
                        *alias = Some(self.unnamed_alias(0));
                    }
                    return ControlFlow::Continue(());
                }
            },
            TableFactor::UNNEST {
                alias, array_exprs, ..
            } => (alias, array_exprs.len()),
            _ => return ControlFlow::Continue(()),
        };
        if alias.as_ref().is_none_or(|alias| alias.columns.is_empty()) {
            let mut named = self.unnamed_alias(columns);
            if let Some(alias) = alias {
                named.name = alias.name.clone();
            }
            *alias = Some(named);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let span = datafusion::sql::sqlparser::ast::Spanned::span(expr);
        let taken = std::mem::replace(expr, Expr::value(Value::Null));
        match self.rewritten(taken, span) {
            Ok(rewritten) => {
                *expr = rewritten;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Rewriter<'_> {
    /// Wraps VALUES in a query whose columns have no names. The planner would name them `column1` and so on.
    fn name_values(&mut self, body: &mut SetExpr) {
        match body {
            SetExpr::Values(values) => {
                let columns = values.rows.first().map_or(0, |row| row.content.len());
                let alias = self.unnamed_alias(columns);
                let nothing = SetExpr::Values(Values {
                    explicit_row: false,
                    value_keyword: false,
                    rows: Vec::new(),
                });
                if let Some(named) = selected_from(std::mem::replace(body, nothing), alias) {
                    *body = named;
                }
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.name_values(left);
                self.name_values(right);
            }
            // A query in parentheses is visited by itself.
            _ => {}
        }
    }

    /// Names for the columns of VALUES, which have none on Athena.
    fn unnamed_alias(&mut self, columns: usize) -> TableAlias {
        let mut name = || {
            self.unnamed += 1;
            Ident::with_quote('"', format!("{UNNAMED}{}", self.unnamed))
        };
        let columns = (0..columns)
            .map(|_| TableAliasColumnDef {
                name: name(),
                data_type: None,
            })
            .collect();
        TableAlias {
            explicit: true,
            name: name(),
            columns,
            at: None,
        }
    }
}

fn part_is_table(part: &ObjectNamePart) -> bool {
    part.as_ident().is_some_and(|name| is_table(&name.value))
}

/// Whether Athena names a result after the expression.
fn has_name(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => {
            name.quote_style.is_some() || !name.value.eq_ignore_ascii_case("localtimestamp")
        }
        Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => has_name(inner),
        _ => false,
    }
}

pub(super) fn lower(name: &mut Ident) {
    if name.quote_style.is_some() {
        name.value = name.value.to_lowercase();
    }
}

fn lower_alias(alias: &mut TableAlias) {
    lower(&mut alias.name);
    alias
        .columns
        .iter_mut()
        .for_each(|column| lower(&mut column.name));
}
