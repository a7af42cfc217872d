//! Columns of USING in a SELECT: names, `*` and `a.*` as the columns that Athena has there.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, ObjectName, Query, SelectItem, SelectItemQualifiedWildcardKind,
    Spanned as _, VisitorMut, WildcardAdditionalOptions,
};

use super::known_columns::{Columns, lower};
use super::refusal::{here_only, refused};
use super::same_column::USING;
use crate::ast_names::last_name;
use crate::error::SqlError;

/// A table or subquery of FROM.
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) columns: Columns,
}

/// A column of USING.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) name: String,
    /// The relation whose column it is.
    pub(super) of: usize,
    /// All relations of which it is a column.
    pub(super) holders: Vec<usize>,
}

/// What `*` is: columns of USING, and relations without theirs.
#[derive(Clone)]
pub(super) enum Output {
    Key(Key),
    Others(usize),
}

/// The column with the name of its table.
pub(super) fn column_of(relations: &[Relation], of: usize, column: &Ident) -> Expr {
    let name = relations.get(of).map_or("", |relation| &relation.name);
    let table = Ident {
        value: name.to_owned(),
        quote_style: Some('"'),
        span: column.span,
    };
    Expr::CompoundIdentifier(vec![table, column.clone()])
}

/// Writes the columns of USING in the expressions of a SELECT with their tables.
pub(super) struct Keys {
    pub(super) relations: Vec<Relation>,
    pub(super) outputs: Vec<Output>,
    /// Names that are not columns.
    pub(super) results: Vec<String>,
    /// How deep in subqueries, whose columns come first, or in the comparison that USING has become.
    pub(super) depth: usize,
}

impl Keys {
    fn of_name(&self, name: &str) -> impl Iterator<Item = &Key> {
        self.outputs.iter().filter_map(move |output| match output {
            Output::Key(key) if key.name == name => Some(key),
            _ => None,
        })
    }

    fn holds(&self, of: usize, name: &str) -> bool {
        self.of_name(name).any(|key| key.holders.contains(&of))
    }

    /// `*` and `a.*` as the columns that Athena has there.
    pub(super) fn expand(&self, projection: &mut Vec<SelectItem>) -> Result<(), SqlError> {
        for item in std::mem::take(projection) {
            match &item {
                SelectItem::Wildcard(_) => {
                    projection.extend(self.outputs.iter().map(|output| match output {
                        Output::Key(key) => {
                            let name = Ident::with_quote('"', key.name.clone());
                            SelectItem::UnnamedExpr(column_of(&self.relations, key.of, &name))
                        }
                        Output::Others(of) => self.others(*of),
                    }));
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let table = last_name(name).map(lower);
                    let is_it = |relation: &Relation| Some(&relation.name) == table.as_ref();
                    let Some(of) = self.relations.iter().position(is_it) else {
                        projection.push(item);
                        continue;
                    };
                    let columns = self.relations.get(of).and_then(|it| it.columns.as_ref());
                    if columns.is_some_and(|it| it.iter().all(|name| self.holds(of, name))) {
                        let instead = "name the columns of USING";
                        return Err(refused(
                            &format!("`{name}.*` of no column"),
                            instead,
                            name.span(),
                        ));
                    }
                    projection.push(self.others(of));
                }
                _ => projection.push(item),
            }
        }
        Ok(())
    }

    fn others(&self, of: usize) -> SelectItem {
        let keys = self.outputs.iter().filter_map(|output| match output {
            Output::Key(key) if key.holders.contains(&of) => Some(key.name.clone()),
            _ => None,
        });
        let excluded: Vec<ObjectName> = keys
            .map(|name| ObjectName::from(vec![Ident::with_quote('"', name)]))
            .collect();
        let name = self.relations.get(of).map_or("", |it| &it.name);
        SelectItem::QualifiedWildcard(
            SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![Ident::with_quote(
                '"', name,
            )])),
            WildcardAdditionalOptions {
                opt_exclude: (!excluded.is_empty())
                    .then_some(ExcludeSelectItem::Multiple(excluded)),
                ..WildcardAdditionalOptions::default()
            },
        )
    }

    fn replaced(&self, column: &Ident) -> Result<Option<Expr>, SqlError> {
        let name = lower(column);
        let mut keys = self.of_name(&name);
        let Some(key) = keys.next().filter(|_| !self.results.contains(&name)) else {
            return Ok(None);
        };
        let may_have = |relation: &Relation| match &relation.columns {
            Some(columns) => columns.contains(&name),
            None => true,
        };
        let mut others = self.relations.iter().enumerate();
        let other = others.find(|(of, relation)| !key.holders.contains(of) && may_have(relation));
        if keys.next().is_some() || other.is_some() {
            return Err(here_only(
                &format!("`{name}`, a column of USING and perhaps of another table,"),
                "write ON, with the names of the tables",
                column.span,
            ));
        }
        Ok(Some(column_of(&self.relations, key.of, column)))
    }

    fn of_expr(&self, expr: &mut Expr) -> Result<(), SqlError> {
        match expr {
            Expr::Identifier(name) => {
                if let Some(column) = self.replaced(name)? {
                    *expr = column;
                }
            }
            Expr::CompoundIdentifier(names) => {
                if let [.., table, column] = names.as_slice()
                    && let (table, name) = (lower(table), lower(column))
                    && let Some(of) = self.relations.iter().position(|it| it.name == table)
                    && self.holds(of, &name)
                {
                    let span = column.span;
                    let what = format!("`{table}.{name}` of one table, a column of USING,");
                    return Err(refused(&what, "write it without the table", span));
                }
            }
            Expr::Lambda(lambda) => {
                let is_key = |name: &Ident| self.of_name(&lower(name)).next().is_some();
                if let Some(name) = lambda
                    .params
                    .iter()
                    .map(|it| &it.name)
                    .find(|it| is_key(it))
                {
                    return Err(here_only(
                        &format!("`{name}`, a column of USING, as a parameter"),
                        "choose another name",
                        name.span,
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl VisitorMut for Keys {
    type Break = SqlError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        self.depth += usize::from(is_comparison(expr));
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        match self.of_expr(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        self.depth -= usize::from(is_comparison(expr));
        ControlFlow::Continue(())
    }
}

/// Whether USING has become it.
fn is_comparison(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if function.name.to_string() == USING)
}
