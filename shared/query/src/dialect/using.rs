//! `JOIN … USING (k)`. Athena has one column `k` of all tables, before the others of `*`, and the planner one for each:
//! `k` becomes that of the first table, which in an inner join and in a LEFT JOIN is Athena's.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, OrderBy, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Spanned as _, TableFactor,
    TableWithJoins, VisitMut as _, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{here_only, refused};
use crate::ast_names::{last_name, lower};
use crate::error::SqlError;

/// The planner does not find the column of the left side of a join of more.
const TABLES_MAX: usize = 3;

/// Writes the columns of USING in the SELECTs of a query with their table.
pub(super) fn with_tables(query: &mut Query) -> Result<(), SqlError> {
    of_body(&mut query.body, query.order_by.as_mut())
}

fn of_body(body: &mut SetExpr, order_by: Option<&mut OrderBy>) -> Result<(), SqlError> {
    match body {
        SetExpr::Select(select) => of_select(select, order_by),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left, None)?;
            of_body(right, None)
        }
        // A query in parentheses is visited by itself.
        _ => Ok(()),
    }
}

fn of_select(select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<(), SqlError> {
    let Some(mut using) = Using::of(&select.from)? else {
        return Ok(());
    };
    let rewritten = select.visit(&mut using);
    let rewritten = match (rewritten, order_by) {
        (ControlFlow::Continue(()), Some(order_by)) => order_by.visit(&mut using),
        (rewritten, _) => rewritten,
    };
    if let ControlFlow::Break(error) = rewritten {
        return Err(error);
    }
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(_) => select.projection.extend(using.all_columns()),
            SelectItem::QualifiedWildcard(..) => {
                let instead = "name the columns, or write ON";
                return Err(here_only("`a.*` with USING", instead, item.span()));
            }
            SelectItem::ExprWithAlias { expr, alias }
                if using.is_key(&alias) && !using.is_key_of_first(&expr) =>
            {
                let what = format!("`{alias}`, the name of a result and a column of USING,");
                return Err(here_only(&what, "choose another name", alias.span));
            }
            item => select.projection.push(item),
        }
    }
    Ok(())
}

/// Whether a join in FROM has USING.
pub(super) fn has_using(joined: &TableWithJoins) -> bool {
    joined.joins.iter().any(|join| {
        matches!(
            constraint(&join.join_operator),
            Some(JoinConstraint::Using(_))
        )
    })
}

/// The constraint of an inner join or a LEFT JOIN.
fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    use JoinOperator as Op;
    match operator {
        Op::Join(on) | Op::Inner(on) | Op::Left(on) | Op::LeftOuter(on) => Some(on),
        _ => None,
    }
}

/// Tables of which all have the columns of USING.
struct Using {
    tables: Vec<Ident>,
    /// In lower case.
    keys: Vec<String>,
    /// How deep in subqueries, whose columns come first.
    depth: usize,
}

impl Using {
    /// `None` if FROM has no USING.
    fn of(from: &[TableWithJoins]) -> Result<Option<Self>, SqlError> {
        let Some(with_using) = from.iter().find(|joined| has_using(joined)) else {
            return Ok(None);
        };
        let mut all_keys = with_using
            .joins
            .iter()
            .map(|join| keys(&join.join_operator));
        let keys = all_keys.next().flatten();
        let factors = with_using.joins.iter().map(|join| &join.relation);
        let tables = std::iter::once(&with_using.relation).chain(factors);
        let tables: Option<Vec<Ident>> = tables.map(name).collect();
        match (keys, tables) {
            (Some(keys), Some(tables))
                if from.len() == 1
                    && tables.len() <= TABLES_MAX
                    && all_keys.all(|others| others.as_ref() == Some(&keys)) =>
            {
                let depth = 0;
                Ok(Some(Self {
                    tables,
                    keys,
                    depth,
                }))
            }
            _ => Err(here_only(
                "USING of other than two or three tables with names, and the same in each join,",
                "write ON, with the names of the tables",
                with_using.span(),
            )),
        }
    }

    fn is_key(&self, name: &Ident) -> bool {
        self.keys.contains(&lower(name))
    }

    /// Whether an expression has become the column of the first table.
    fn is_key_of_first(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::CompoundIdentifier(names)
            if names.first() == self.tables.first() && names.last().is_some_and(|name| self.is_key(name)))
    }

    fn of_first(&self, key: &Ident) -> Expr {
        let mut names = Vec::from_iter(self.tables.first().cloned());
        names.push(key.clone());
        Expr::CompoundIdentifier(names)
    }

    /// `*` as the columns that Athena has there: those of USING, and the others of each table.
    fn all_columns(&self) -> impl Iterator<Item = SelectItem> {
        let names = self.keys.iter().map(|key| Ident::with_quote('"', key));
        let keys = names
            .clone()
            .map(|key| SelectItem::UnnamedExpr(self.of_first(&key)));
        let excluded: Vec<ObjectName> = names.map(ObjectName::from).collect();
        let others = self.tables.iter().map(move |table| {
            let table = SelectItemQualifiedWildcardKind::ObjectName(table.clone().into());
            let options = WildcardAdditionalOptions {
                opt_exclude: Some(ExcludeSelectItem::Multiple(excluded.clone())),
                ..WildcardAdditionalOptions::default()
            };
            SelectItem::QualifiedWildcard(table, options)
        });
        keys.chain(others)
    }

    fn of_expr(&self, expr: &mut Expr) -> Result<(), SqlError> {
        match expr {
            Expr::Identifier(name) if self.is_key(name) => *expr = self.of_first(name),
            Expr::CompoundIdentifier(names) => {
                if let Some(name) = names.last().filter(|name| self.is_key(name)) {
                    let what = format!("`{name}` of one table, a column of USING,");
                    return Err(refused(&what, "write it without the table", name.span));
                }
            }
            Expr::Lambda(lambda) => {
                let mut names = lambda.params.iter().map(|param| &param.name);
                if let Some(name) = names.find(|name| self.is_key(name)) {
                    let what = format!("`{name}`, a column of USING, as a parameter");
                    return Err(here_only(&what, "choose another name", name.span));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The columns of USING, in lower case; `None` without it, or if one is there twice.
fn keys(operator: &JoinOperator) -> Option<Vec<String>> {
    match constraint(operator)? {
        JoinConstraint::Using(columns) => {
            let names: Vec<String> = columns.iter().filter_map(last_name).map(lower).collect();
            let different: BTreeSet<&String> = names.iter().collect();
            (different.len() == names.len()).then_some(names)
        }
        _ => None,
    }
}

/// The name of a table or subquery.
fn name(factor: &TableFactor) -> Option<Ident> {
    let name = match factor {
        TableFactor::Table {
            alias: None, name, ..
        } => last_name(name)?,
        TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } => {
            &alias.as_ref()?.name
        }
        _ => return None,
    };
    Some(Ident {
        value: lower(name),
        quote_style: Some('"'),
        span: Span::empty(),
    })
}

impl VisitorMut for Using {
    type Break = SqlError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        match self.of_expr(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
