//! Predicates around a query, pushed down to the columns inside it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Visit as _, Visitor,
};

use crate::ast_names::last_name;
use crate::from_clause::Scope;
use crate::predicate::{Column, Predicate};

/// The names of a query's columns, if all are written out.
fn output_names(body: &SetExpr) -> Option<Vec<Option<String>>> {
    match body {
        SetExpr::Select(select) => select.projection.iter().map(written_name).collect(),
        SetExpr::Query(query) => output_names(&query.body),
        SetExpr::SetOperation { left, .. } => output_names(left),
        SetExpr::Values(_)
        | SetExpr::Table(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_) => None,
    }
}

fn written_name(item: &SelectItem) -> Option<Option<String>> {
    match item {
        SelectItem::UnnamedExpr(expression) => Some(plain_name(expression)),
        SelectItem::ExprWithAlias { alias, .. } => Some(Some(alias.value.to_lowercase())),
        SelectItem::ExprWithAliases { .. }
        | SelectItem::QualifiedWildcard(..)
        | SelectItem::Wildcard(_) => None,
    }
}

fn plain_name(expression: &Expr) -> Option<String> {
    let name = if let Expr::Identifier(name) = expression {
        Some(name)
    } else if let Expr::CompoundIdentifier(names) = expression {
        names.last()
    } else {
        None
    };
    name.map(|name| name.value.to_lowercase())
}

/// Predicates on the columns of a union's first branch, on those of the second: by position if the
/// columns are written out, by name if both are `*`.
pub(crate) fn by_position(
    predicates: &[Predicate],
    left: &SetExpr,
    right: &SetExpr,
) -> Vec<Predicate> {
    let rename = |column: &Column| match (output_names(left), output_names(right)) {
        (Some(left), Some(right)) => {
            let named = |name: &Option<String>| name.as_ref() == Some(&column.name);
            let position = left.iter().position(named)?;
            unnamed(right.get(position).cloned().flatten()?)
        }
        (None, None) if is_star(left) && is_star(right) => unnamed(column.name.clone()),
        _ => None,
    };
    predicates.iter().map(|c| c.renamed(&rename)).collect()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is used as a callback that may return no column"
)]
fn unnamed(name: String) -> Option<Column> {
    Some(Column {
        relation: None,
        name,
    })
}

fn is_star(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => {
            matches!(select.projection.as_slice(), [SelectItem::Wildcard(_)])
        }
        SetExpr::Query(query) => is_star(&query.body),
        SetExpr::SetOperation { left, right, .. } => is_star(left) && is_star(right),
        SetExpr::Table(_) => true,
        SetExpr::Values(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_) => false,
    }
}

/// Predicates on the columns of `t(a, b)`, on the names that the query itself gives them.
pub(crate) fn by_alias(
    predicates: Vec<Predicate>,
    columns: &[String],
    body: &SetExpr,
) -> Vec<Predicate> {
    if columns.is_empty() {
        return predicates;
    }
    let names = output_names(body);
    let rename = |column: &Column| {
        let position = columns.iter().position(|name| *name == column.name)?;
        unnamed(names.as_ref()?.get(position).cloned().flatten()?)
    };
    predicates.iter().map(|c| c.renamed(&rename)).collect()
}

/// Predicates on a SELECT's columns, on the columns of its FROM, if they narrow what it reads.
pub(crate) fn pushed(outer: &[Predicate], select: &Select, scope: &Scope<'_>) -> Vec<Predicate> {
    let chosen = matches!(select.distinct, Some(Distinct::On(_))) || select.top.is_some();
    if chosen || has_window(select) {
        return Vec::new();
    }
    let rename = |column: &Column| {
        let inner = source_of(column, select, scope)?;
        is_grouped(&inner, column, select, scope).then_some(inner)
    };
    outer.iter().map(|c| c.renamed(&rename)).collect()
}

/// The column of the FROM that a column of the SELECT returns as it is.
fn source_of(column: &Column, select: &Select, scope: &Scope<'_>) -> Option<Column> {
    let mut star = None;
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expression)
                if plain_name(expression).as_ref() == Some(&column.name) =>
            {
                return scope.column(expression);
            }
            SelectItem::ExprWithAlias { expr, alias }
                if alias.value.to_lowercase() == column.name =>
            {
                return scope.column(expr);
            }
            SelectItem::Wildcard(_) => star = unnamed(column.name.clone()),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                star = last_name(name).and_then(|name| {
                    Some(Column {
                        relation: Some(scope.relation(&name.value)?),
                        name: column.name.clone(),
                    })
                });
            }
            SelectItem::UnnamedExpr(_)
            | SelectItem::ExprWithAlias { .. }
            | SelectItem::ExprWithAliases { .. }
            | SelectItem::QualifiedWildcard(..) => {}
        }
    }
    star
}

/// Whether a predicate on a column filters out whole groups, or there are no groups.
fn is_grouped(inner: &Column, outer: &Column, select: &Select, scope: &Scope<'_>) -> bool {
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
        return true;
    };
    if !modifiers.is_empty() {
        return false;
    }
    let position = |number: &str| {
        let position: usize = number.parse().ok()?;
        let item = select.projection.get(position.checked_sub(1)?)?;
        written_name(item).flatten()
    };
    keys.is_empty()
        || keys.iter().any(|key| {
            if let Expr::Value(number) = key {
                return position(&number.to_string()).as_ref() == Some(&outer.name);
            }
            scope.column(key).is_some_and(|key| key == *inner)
                || plain_name(key).as_ref() == Some(&outer.name)
        })
}

fn has_window(select: &Select) -> bool {
    struct Windows;
    impl Visitor for Windows {
        type Break = ();
        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            if let Expr::Function(function) = expression
                && function.over.is_some()
            {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
    }
    select.qualify.is_some() || select.projection.visit(&mut Windows).is_break()
}
