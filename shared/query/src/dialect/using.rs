//! `JOIN … USING (k)` as ON. Athena has one column `k` of both tables, before the others of `*`; the planner has that of
//! the left table, also where the right one is preserved.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName,
    OrderBy, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, Spanned as _, TableFactor,
    TableWithJoins, VisitMut as _, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::call;
use super::known_columns::{Columns, lower};
use super::refusal::{here_only, refused};
use super::rewrite::Rewriter;
use super::same_column::USING;
use crate::ast_names::last_name;
use crate::error::SqlError;

/// A table or subquery of FROM.
struct Relation {
    name: String,
    columns: Columns,
}

/// A column of USING.
#[derive(Clone)]
struct Key {
    name: String,
    /// The relation whose column it is.
    of: usize,
    /// All relations of which it is a column.
    holders: Vec<usize>,
}

/// What `*` is: columns of USING, and relations without theirs.
#[derive(Clone)]
enum Output {
    Key(Key),
    Others(usize),
}

impl Rewriter<'_> {
    /// Writes the USING of a SELECT as ON.
    pub(super) fn using_as_on(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<(), SqlError> {
        as_on(self, select, order_by)
    }
}

fn as_on(
    rewriter: &mut Rewriter<'_>,
    select: &mut Select,
    order_by: Option<&mut OrderBy>,
) -> Result<(), SqlError> {
    if !select.from.iter().any(has_using) {
        return Ok(());
    }
    let mut relations = Vec::new();
    let mut outputs = Vec::new();
    for joined in &mut select.from {
        outputs.extend(of_joined(joined, rewriter, &mut relations)?);
    }
    let mut keys = Keys {
        relations,
        outputs,
        results: Vec::new(),
        depth: 0,
    };
    if let ControlFlow::Break(error) = select.visit(&mut keys) {
        return Err(error);
    }
    // A result's name comes before a column's, unless it is that of the column.
    keys.results = select.projection.iter().filter_map(other_name).collect();
    keys.expand(&mut select.projection)?;
    match order_by.map(|order_by| order_by.visit(&mut keys)) {
        Some(ControlFlow::Break(error)) => Err(error),
        _ => Ok(()),
    }
}

/// The name that AS gives a result.
fn other_name(item: &SelectItem) -> Option<String> {
    let SelectItem::ExprWithAlias { expr, alias } = item else {
        return None;
    };
    let is_column = matches!(expr, Expr::CompoundIdentifier(names)
        if names.last().map(lower) == Some(lower(alias)));
    (!is_column).then(|| lower(alias))
}

fn has_using(joined: &TableWithJoins) -> bool {
    let nested = |factor: &TableFactor| match factor {
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => has_using(table_with_joins),
        _ => false,
    };
    nested(&joined.relation)
        || joined
            .joins
            .iter()
            .any(|join| is_using(&join.join_operator) || nested(&join.relation))
}

fn is_using(operator: &JoinOperator) -> bool {
    use JoinOperator as Op;
    matches!(
        operator,
        Op::Join(JoinConstraint::Using(_))
            | Op::Inner(JoinConstraint::Using(_))
            | Op::Left(JoinConstraint::Using(_))
            | Op::LeftOuter(JoinConstraint::Using(_))
            | Op::Right(JoinConstraint::Using(_))
            | Op::RightOuter(JoinConstraint::Using(_))
    )
}

fn of_joined(
    joined: &mut TableWithJoins,
    rewriter: &mut Rewriter<'_>,
    relations: &mut Vec<Relation>,
) -> Result<Vec<Output>, SqlError> {
    let mut outputs = of_factor(&mut joined.relation, rewriter, relations)?;
    for join in &mut joined.joins {
        let right = of_factor(&mut join.relation, rewriter, relations)?;
        use JoinOperator as Op;
        let of_right = matches!(join.join_operator, Op::Right(_) | Op::RightOuter(_));
        let constraint = match &mut join.join_operator {
            operator if !is_using(operator) => None,
            Op::Join(constraint)
            | Op::Inner(constraint)
            | Op::Left(constraint)
            | Op::LeftOuter(constraint)
            | Op::Right(constraint)
            | Op::RightOuter(constraint) => Some(constraint),
            _ => None,
        };
        let Some(constraint) = constraint else {
            outputs.extend(right);
            continue;
        };
        let JoinConstraint::Using(columns) = constraint else {
            continue;
        };
        let mut keys: Vec<Key> = Vec::new();
        let mut condition: Option<Expr> = None;
        for column in columns.iter().filter_map(last_name) {
            let name = lower(column);
            if keys.iter().any(|key| key.name == name) {
                let what = format!("`{name}` twice in USING");
                return Err(refused(&what, "write it once", column.span));
            }
            let (left, right) = (
                found(&outputs, &name, relations, column.span)?,
                found(&right, &name, relations, column.span)?,
            );
            let (of, other) = match of_right {
                true => (right.of, left.of),
                false => (left.of, right.of),
            };
            let sides = [of, other].map(|side| column_of(relations, side, column));
            let equal = call(USING, sides.to_vec());
            condition = Some(match condition {
                Some(condition) => Expr::BinaryOp {
                    left: Box::new(condition),
                    op: BinaryOperator::And,
                    right: Box::new(equal),
                },
                None => equal,
            });
            let holders = left.holders.into_iter().chain(right.holders).collect();
            keys.push(Key { name, of, holders });
        }
        let is_other = |output: &Output| match output {
            Output::Key(key) => keys.iter().all(|other| other.name != key.name),
            Output::Others(_) => true,
        };
        let others = outputs.into_iter().chain(right).filter(is_other);
        let others: Vec<Output> = others.collect();
        outputs = keys.into_iter().map(Output::Key).chain(others).collect();
        if let Some(condition) = condition {
            *constraint = JoinConstraint::On(condition);
        }
    }
    Ok(outputs)
}

fn of_factor(
    factor: &mut TableFactor,
    rewriter: &mut Rewriter<'_>,
    relations: &mut Vec<Relation>,
) -> Result<Vec<Output>, SqlError> {
    let columns = rewriter.columns_of(factor);
    let span = factor.span();
    let name = match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => return of_joined(table_with_joins, rewriter, relations),
        TableFactor::NestedJoin {
            table_with_joins, ..
        } if has_using(table_with_joins) => {
            let instead = "write it as a subquery";
            return Err(here_only("a name for a JOIN … USING", instead, span));
        }
        TableFactor::Table {
            alias: None, name, ..
        } => last_name(name).map(lower),
        TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            let alias = alias.get_or_insert_with(|| rewriter.unnamed_alias(0));
            Some(lower(&alias.name))
        }
        TableFactor::Table { alias, .. } | TableFactor::NestedJoin { alias, .. } => {
            alias.as_ref().map(|alias| lower(&alias.name))
        }
        _ => None,
    };
    let Some(name) = name else {
        return Err(here_only("this table and USING", "write ON", span));
    };
    relations.push(Relation { name, columns });
    Ok(vec![Output::Others(relations.len() - 1)])
}

/// The column of one side of a join.
fn found(side: &[Output], name: &str, relations: &[Relation], span: Span) -> Result<Key, SqlError> {
    let key = side.iter().find_map(|output| match output {
        Output::Key(key) if key.name == name => Some(key.clone()),
        _ => None,
    });
    if let Some(key) = key {
        return Ok(key);
    }
    let mut others = side.iter().filter_map(|output| match output {
        Output::Others(of) => Some(*of),
        Output::Key(_) => None,
    });
    let only_one = side.len() == 1;
    let may_have = |of: &usize| match relations.get(*of).map(|it| &it.columns) {
        Some(Some(columns)) => columns.iter().any(|column| column == name),
        _ => true,
    };
    let is_known = |of: usize| only_one || relations.get(of).is_some_and(|it| it.columns.is_some());
    let first = others.find(may_have);
    match (first, others.find(may_have)) {
        (Some(of), None) if is_known(of) => Ok(Key {
            name: name.to_owned(),
            of,
            holders: vec![of],
        }),
        _ => Err(here_only(
            &format!("USING (`{name}`) after several tables"),
            "write ON, with the names of the tables",
            span,
        )),
    }
}

fn column_of(relations: &[Relation], of: usize, column: &Ident) -> Expr {
    let name = relations.get(of).map_or("", |relation| &relation.name);
    let table = Ident {
        value: name.to_owned(),
        quote_style: Some('"'),
        span: column.span,
    };
    Expr::CompoundIdentifier(vec![table, column.clone()])
}

struct Keys {
    relations: Vec<Relation>,
    outputs: Vec<Output>,
    /// Names that are not columns.
    results: Vec<String>,
    /// How deep in subqueries, whose columns come first, or in the comparison that USING has become.
    depth: usize,
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
    fn expand(&self, projection: &mut Vec<SelectItem>) -> Result<(), SqlError> {
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
