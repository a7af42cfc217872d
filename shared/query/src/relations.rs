//! The FROM of a SELECT: what it reads, and which conditions narrow which part of it.

mod meaning;

use std::ops::Range;

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, TableFactor,
    TableWithJoins,
};

use super::condition::{Column, Comparison, Condition, Number};
use super::scans::{column_names, last_name};

/// Rounds in which conditions pass from table to table: `a.day = b.day AND b.day = c.day`.
const ROUNDS_MAX: usize = 3;

/// Something in FROM.
pub(super) struct Relation<'a> {
    /// What the statement calls it, in lower case.
    name: String,
    pub(super) kind: Kind<'a>,
}

pub(super) enum Kind<'a> {
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

/// A condition of WHERE or ON.
pub(super) struct Joined {
    pub(super) condition: Condition,
    /// The relations of which it leaves out no rows: those that an outer join keeps.
    pub(super) spared: Range<usize>,
}

/// The relations of a SELECT and the conditions on them.
pub(super) struct Scope<'a> {
    pub(super) relations: Vec<Relation<'a>>,
    pub(super) conditions: Vec<Joined>,
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of SQL's many forms say something about a day"
)]
impl<'a> Scope<'a> {
    pub(super) fn of(select: &'a Select) -> Self {
        let mut scope = Self {
            relations: Vec::new(),
            conditions: Vec::new(),
        };
        let mut ons = Vec::new();
        for joined in &select.from {
            scope.joined(joined, &mut ons);
        }
        for (constraint, sides, spared) in ons {
            scope.constraint(constraint, sides, &spared);
        }
        if let Some(condition) = &select.selection {
            let condition = scope.condition(condition);
            scope.add(condition, 0..0);
        }
        scope
    }

    fn joined(&mut self, joined: &'a TableWithJoins, ons: &mut Vec<On<'a>>) {
        let start = self.relations.len();
        self.factor(&joined.relation, ons);
        for join in &joined.joins {
            let right = self.relations.len();
            self.factor(&join.relation, ons);
            let sides = Sides {
                left: start..right,
                right: right..self.relations.len(),
            };
            if let Some((constraint, spared)) = on(join, &sides) {
                ons.push((constraint, sides, spared));
            }
        }
    }

    fn factor(&mut self, factor: &'a TableFactor, ons: &mut Vec<On<'a>>) {
        let lower = |name: &str| name.to_lowercase();
        let alias_of = |alias: &Option<_>| match alias {
            Some(alias) => (Some(lower(alias_name(alias))), column_names(alias)),
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
                (called.or(own), Kind::Named { name, columns })
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => {
                let (called, columns) = alias_of(alias);
                let query = subquery.as_ref();
                (called, Kind::Subquery { query, columns })
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => return self.joined(table_with_joins, ons),
            other => (None, Kind::Other(other)),
        };
        self.relations.push(Relation {
            name: name.unwrap_or_default(),
            kind,
        });
    }

    fn constraint(&mut self, constraint: &JoinConstraint, sides: Sides, spared: &Range<usize>) {
        match constraint {
            JoinConstraint::On(condition) => {
                let condition = self.condition(condition);
                self.add(condition, spared.clone());
            }
            JoinConstraint::Using(names) => {
                for name in names.iter().filter_map(last_name) {
                    self.equal(&name.value.to_lowercase(), &sides, spared);
                }
            }
            JoinConstraint::Natural => {
                for name in codec::column::PARTITIONS {
                    self.equal(name, &sides, spared);
                }
            }
            JoinConstraint::None => {}
        }
    }

    fn equal(&mut self, name: &str, sides: &Sides, spared: &Range<usize>) {
        let column = |relation| {
            Number::Column(Column {
                relation: Some(relation),
                name: name.to_owned(),
            })
        };
        for left in sides.left.clone() {
            for right in sides.right.clone() {
                let equal = Condition::Compare(column(left), Comparison::Equal, column(right));
                self.add(equal, spared.clone());
            }
        }
    }

    fn add(&mut self, condition: Condition, spared: Range<usize>) {
        if let Condition::All(parts) = condition {
            for part in parts {
                self.add(part, spared.clone());
            }
        } else {
            self.conditions.push(Joined { condition, spared });
        }
    }

    /// The number of the relation of a name.
    pub(super) fn relation(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.relations.iter().position(|r| r.name == name)
    }

    /// The column that an expression is.
    pub(super) fn column(&self, expression: &Expr) -> Option<Column> {
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

    /// Where `a.day = b.day`, what is asked of the one is asked of the other.
    pub(super) fn spread_over_equal_columns(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut more = Vec::new();
            for target in 0..self.relations.len() {
                let equal = self.equal_columns(target);
                for joined in &self.conditions {
                    let Some(source) = only_relation(&joined.condition) else {
                        continue;
                    };
                    if source == target || joined.spared.contains(&target) {
                        continue;
                    }
                    let rename = |column: &Column| {
                        let mut pairs = equal.iter();
                        pairs
                            .find(|(other, _)| other == column)
                            .map(|(_, own)| own.clone())
                    };
                    let condition = joined.condition.renamed(&rename);
                    let known = |other: &Joined| other.condition == condition;
                    let new = !condition.is_unknown()
                        && !self.conditions.iter().any(known)
                        && !more.iter().any(known);
                    if new {
                        let spared = joined.spared.clone();
                        more.push(Joined { condition, spared });
                    }
                }
            }
            if more.is_empty() {
                return;
            }
            self.conditions.extend(more);
        }
    }

    /// Columns of other relations, each with the one of `target` that it equals.
    fn equal_columns(&self, target: usize) -> Vec<(Column, Column)> {
        let mut pairs = Vec::new();
        for joined in &self.conditions {
            if joined.spared.contains(&target) {
                continue;
            }
            if let Condition::Compare(Number::Column(a), Comparison::Equal, Number::Column(b)) =
                &joined.condition
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

    /// The conditions that narrow a relation, on its own column names.
    pub(super) fn conditions_of(&self, number: usize) -> Vec<Condition> {
        let own = |column: &Column| {
            let is_own = column.relation.is_none_or(|relation| relation == number);
            is_own.then(|| Column {
                relation: None,
                name: column.name.clone(),
            })
        };
        let narrowing = self
            .conditions
            .iter()
            .filter(|j| !j.spared.contains(&number));
        narrowing
            .map(|joined| joined.condition.renamed(&own))
            .filter(|condition| !condition.is_unknown())
            .collect()
    }
}

type On<'a> = (&'a JoinConstraint, Sides, Range<usize>);

struct Sides {
    left: Range<usize>,
    right: Range<usize>,
}

/// A join's constraint, and the relations that it leaves no rows out of.
fn on<'a>(join: &'a Join, sides: &Sides) -> Option<(&'a JoinConstraint, Range<usize>)> {
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

fn alias_name(alias: &datafusion::sql::sqlparser::ast::TableAlias) -> &str {
    &alias.name.value
}

/// The one relation whose columns a condition has.
fn only_relation(condition: &Condition) -> Option<usize> {
    let columns = condition.columns();
    let first = columns.first()?.relation?;
    columns
        .iter()
        .all(|column| column.relation == Some(first))
        .then_some(first)
}
