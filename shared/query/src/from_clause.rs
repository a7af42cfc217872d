//! The FROM of a SELECT: what it reads, and which predicates narrow which part of it.

use std::ops::Range;

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, TableAlias, TableFactor,
    TableWithJoins,
};

use crate::ast_names::{column_names, last_name};
use crate::predicate::{Column, Comparison, Integer, Predicate};
use crate::predicate_from_expr::of_expr;

/// Rounds in which predicates pass from table to table: `a.day = b.day AND b.day = c.day`.
const ROUNDS_MAX: usize = 3;

/// A relation in FROM.
pub(crate) struct Relation<'a> {
    /// Its name or alias, in lower case.
    name: String,
    pub(crate) kind: RelationKind<'a>,
}

pub(crate) enum RelationKind<'a> {
    /// A table, a view, or a part of WITH.
    Named {
        name: &'a ObjectName,
        /// Other names for its columns.
        columns: Vec<String>,
    },
    Subquery {
        query: &'a Query,
        columns: Vec<String>,
    },
    Other(&'a TableFactor),
}

/// A predicate of WHERE or ON.
pub(crate) struct JoinedPredicate {
    pub(crate) predicate: Predicate,
    /// The relations that an outer join preserves: it filters out none of their rows.
    pub(crate) preserved_side: Range<usize>,
}

/// The relations of a SELECT and the predicates on them.
pub(crate) struct Scope<'a> {
    pub(crate) relations: Vec<Relation<'a>>,
    pub(crate) predicates: Vec<JoinedPredicate>,
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of SQL's many forms say something about a day"
)]
impl<'a> Scope<'a> {
    pub(crate) fn of(select: &'a Select) -> Self {
        let mut scope = Self {
            relations: Vec::new(),
            predicates: Vec::new(),
        };
        let mut ons = Vec::new();
        for joined in &select.from {
            scope.joined(joined, &mut ons);
        }
        for (constraint, sides, preserved_side) in ons {
            scope.constraint(constraint, sides, &preserved_side);
        }
        if let Some(condition) = &select.selection {
            let predicate = of_expr(condition, |column| scope.column(column));
            scope.add(predicate, 0..0);
        }
        scope
    }

    fn joined(&mut self, joined: &'a TableWithJoins, ons: &mut Vec<On<'a>>) {
        let start = self.relations.len();
        self.factor(&joined.relation, ons);
        for join in &joined.joins {
            let right = self.relations.len();
            self.factor(&join.relation, ons);
            let sides = JoinSides {
                left: start..right,
                right: right..self.relations.len(),
            };
            if let Some((constraint, preserved_side)) = on(join, &sides) {
                ons.push((constraint, sides, preserved_side));
            }
        }
    }

    fn factor(&mut self, factor: &'a TableFactor, ons: &mut Vec<On<'a>>) {
        let lower = |name: &str| name.to_lowercase();
        let alias_of = |alias: &Option<TableAlias>| match alias {
            Some(alias) => (Some(lower(&alias.name.value)), column_names(alias)),
            None => (None, Vec::new()),
        };
        let (name, kind) = match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => {
                let (called, columns) = alias_of(alias);
                let own = last_name(name).map(|name| lower(&name.value));
                (called.or(own), RelationKind::Named { name, columns })
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => {
                let (called, columns) = alias_of(alias);
                let query = subquery.as_ref();
                (called, RelationKind::Subquery { query, columns })
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => return self.joined(table_with_joins, ons),
            other => (None, RelationKind::Other(other)),
        };
        self.relations.push(Relation {
            name: name.unwrap_or_default(),
            kind,
        });
    }

    fn constraint(
        &mut self,
        constraint: &JoinConstraint,
        sides: JoinSides,
        preserved_side: &Range<usize>,
    ) {
        match constraint {
            JoinConstraint::On(condition) => {
                let predicate = of_expr(condition, |column| self.column(column));
                self.add(predicate, preserved_side.clone());
            }
            JoinConstraint::Using(names) => {
                for name in names.iter().filter_map(last_name) {
                    self.equal(&name.value.to_lowercase(), &sides, preserved_side);
                }
            }
            JoinConstraint::Natural => {
                for name in codec::tick_columns::PARTITIONS {
                    self.equal(name, &sides, preserved_side);
                }
            }
            JoinConstraint::None => {}
        }
    }

    fn equal(&mut self, name: &str, sides: &JoinSides, preserved_side: &Range<usize>) {
        let column = |relation| {
            Integer::Column(Column {
                relation: Some(relation),
                name: name.to_owned(),
            })
        };
        for left in sides.left.clone() {
            for right in sides.right.clone() {
                let equal = Predicate::Compare(column(left), Comparison::Equal, column(right));
                self.add(equal, preserved_side.clone());
            }
        }
    }

    fn add(&mut self, predicate: Predicate, preserved_side: Range<usize>) {
        if let Predicate::All(parts) = predicate {
            for part in parts {
                self.add(part, preserved_side.clone());
            }
        } else {
            self.predicates.push(JoinedPredicate {
                predicate,
                preserved_side,
            });
        }
    }

    /// The number of the relation of a name.
    pub(crate) fn relation(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.relations.iter().position(|r| r.name == name)
    }

    /// The column that an expression is.
    pub(crate) fn column(&self, expression: &Expr) -> Option<Column> {
        match expression {
            Expr::Nested(inner) => self.column(inner),
            Expr::Identifier(name) => Some(Column {
                relation: None,
                name: name.value.to_lowercase(),
            }),
            Expr::CompoundIdentifier(names) => {
                let [.., relation, name] = names.as_slice() else {
                    return None;
                };
                Some(Column {
                    relation: Some(self.relation(&relation.value)?),
                    name: name.value.to_lowercase(),
                })
            }
            _ => None,
        }
    }

    /// If `a.day = b.day`, a predicate on the one holds for the other.
    pub(crate) fn spread_over_equal_columns(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut more = Vec::new();
            for target in 0..self.relations.len() {
                let equal = self.equal_columns(target);
                for joined in &self.predicates {
                    let Some(source) = only_relation(&joined.predicate) else {
                        continue;
                    };
                    if source == target || joined.preserved_side.contains(&target) {
                        continue;
                    }
                    let rename = |column: &Column| {
                        let mut pairs = equal.iter();
                        pairs
                            .find(|(other, _)| other == column)
                            .map(|(_, own)| own.clone())
                    };
                    let predicate = joined.predicate.renamed(&rename);
                    let known = |other: &JoinedPredicate| other.predicate == predicate;
                    let new = !predicate.is_unknown()
                        && !self.predicates.iter().any(known)
                        && !more.iter().any(known);
                    if new {
                        let preserved_side = joined.preserved_side.clone();
                        more.push(JoinedPredicate {
                            predicate,
                            preserved_side,
                        });
                    }
                }
            }
            if more.is_empty() {
                return;
            }
            self.predicates.extend(more);
        }
    }

    /// Columns of other relations, each with the one of `target` that it equals.
    fn equal_columns(&self, target: usize) -> Vec<(Column, Column)> {
        let mut pairs = Vec::new();
        for joined in &self.predicates {
            if joined.preserved_side.contains(&target) {
                continue;
            }
            if let Predicate::Compare(Integer::Column(a), Comparison::Equal, Integer::Column(b)) =
                &joined.predicate
            {
                for (other, own) in [(a, b), (b, a)] {
                    if own.relation == Some(target) && other.relation.is_some_and(|r| r != target) {
                        pairs.push((other.clone(), own.clone()));
                    }
                }
            }
        }
        pairs
    }

    /// The predicates that narrow a relation, on its own column names.
    pub(crate) fn predicates_of(&self, number: usize) -> Vec<Predicate> {
        let own = |column: &Column| {
            let is_own = column.relation.is_none_or(|relation| relation == number);
            is_own.then(|| Column {
                relation: None,
                name: column.name.clone(),
            })
        };
        let narrowing = self
            .predicates
            .iter()
            .filter(|j| !j.preserved_side.contains(&number));
        narrowing
            .map(|joined| joined.predicate.renamed(&own))
            .filter(|predicate| !predicate.is_unknown())
            .collect()
    }
}

type On<'a> = (&'a JoinConstraint, JoinSides, Range<usize>);

struct JoinSides {
    left: Range<usize>,
    right: Range<usize>,
}

/// A join's constraint, and the relations that the join preserves.
fn on<'a>(join: &'a Join, sides: &JoinSides) -> Option<(&'a JoinConstraint, Range<usize>)> {
    let (left, right) = (sides.left.clone(), sides.right.clone());
    match &join.join_operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::CrossJoin(on)
        | JoinOperator::StraightJoin(on)
        | JoinOperator::Semi(on)
        | JoinOperator::LeftSemi(on)
        | JoinOperator::RightSemi(on) => Some((on, 0..0)),
        JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Anti(on)
        | JoinOperator::LeftAnti(on) => Some((on, left)),
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) | JoinOperator::RightAnti(on) => {
            Some((on, right))
        }
        JoinOperator::FullOuter(on) => Some((on, left.start..right.end)),
        JoinOperator::CrossApply
        | JoinOperator::OuterApply
        | JoinOperator::AsOf { .. }
        | JoinOperator::ArrayJoin
        | JoinOperator::LeftArrayJoin
        | JoinOperator::InnerArrayJoin => None,
    }
}

/// The only relation that a predicate refers to.
fn only_relation(predicate: &Predicate) -> Option<usize> {
    let columns = predicate.columns();
    let first = columns.first()?.relation?;
    columns
        .iter()
        .all(|column| column.relation == Some(first))
        .then_some(first)
}
