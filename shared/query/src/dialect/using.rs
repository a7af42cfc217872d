//! `JOIN … USING (k)` as ON. Athena has one column `k` of both tables, before the others of `*`; the planner has that of
//! the left table, also where the right one is preserved.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, OrderBy, Select, SelectItem, Spanned as _,
    TableFactor, TableWithJoins, VisitMut as _,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::call;
use super::known_columns::lower;
use super::refusal::{here_only, refused};
use super::rewrite::Rewriter;
use super::same_column::USING;
use super::using_columns::{Key, Keys, Output, Relation, column_of};
use crate::ast_names::last_name;
use crate::error::SqlError;

impl Rewriter<'_> {
    /// Writes the USING of a SELECT as ON.
    pub(super) fn using_as_on(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<(), SqlError> {
        if !select.from.iter().any(has_using) {
            return Ok(());
        }
        let mut relations = Vec::new();
        let mut outputs = Vec::new();
        for joined in &mut select.from {
            outputs.extend(of_joined(joined, self, &mut relations)?);
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
