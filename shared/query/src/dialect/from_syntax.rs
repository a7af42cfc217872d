//! Which tables and joins of FROM are on both engines.

use datafusion::sql::sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, Spanned as _, TableFactor, TableWithJoins, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{Checked, here_only, refuse};
use super::using;

pub(super) fn of_joined(joined: &TableWithJoins) -> Checked {
    let mut each = joined.joins.iter();
    each.try_for_each(|join| of_join(join, join.span()))
}

fn of_join(join: &Join, span: Span) -> Checked {
    use JoinOperator as Op;
    let on_true = |on: &JoinConstraint| matches!(on, JoinConstraint::On(on) if is_true(on));
    match &join.join_operator {
        Op::Join(on)
        | Op::Inner(on)
        | Op::Left(on)
        | Op::LeftOuter(on)
        | Op::Right(on)
        | Op::RightOuter(on)
        | Op::FullOuter(on)
            if is_unnest(&join.relation) && !on_true(on) =>
        {
            let instead = "write CROSS JOIN UNNEST(…) and WHERE, or LEFT JOIN UNNEST(…) ON TRUE";
            refuse("UNNEST with a condition", instead, span)
        }
        Op::CrossJoin(JoinConstraint::None) => Ok(()),
        Op::Right(JoinConstraint::Using(_))
        | Op::RightOuter(JoinConstraint::Using(_))
        | Op::FullOuter(JoinConstraint::Using(_)) => Err(here_only(
            "RIGHT or FULL JOIN with USING",
            "write ON; in a FULL JOIN, coalesce(a.k, b.k) is the column",
            span,
        )),
        Op::Join(on)
        | Op::Inner(on)
        | Op::Left(on)
        | Op::LeftOuter(on)
        | Op::Right(on)
        | Op::RightOuter(on)
        | Op::FullOuter(on) => match on {
            JoinConstraint::None => refuse("JOIN without ON or USING", "write CROSS JOIN", span),
            JoinConstraint::Natural => refuse("NATURAL JOIN", "write USING (column)", span),
            JoinConstraint::On(_) | JoinConstraint::Using(_) => Ok(()),
        },
        Op::Semi(_) | Op::LeftSemi(_) | Op::RightSemi(_) => {
            refuse("SEMI JOIN", "write EXISTS or IN", span)
        }
        Op::Anti(_) | Op::LeftAnti(_) | Op::RightAnti(_) => {
            refuse("ANTI JOIN", "write NOT EXISTS", span)
        }
        _ => refuse("this kind of JOIN", "write JOIN … ON or CROSS JOIN", span),
    }
}

pub(super) fn of_table(factor: &TableFactor) -> Checked {
    let span = factor.span();
    match factor {
        TableFactor::Table { args: Some(_), .. }
        | TableFactor::TableFunction { .. }
        | TableFactor::Function { .. } => {
            Err(here_only("a function in FROM", "write UNNEST(…)", span))
        }
        TableFactor::Table {
            sample: Some(_), ..
        }
        | TableFactor::Derived {
            sample: Some(_), ..
        } => Err(here_only(
            "TABLESAMPLE",
            "filter by a hash of tick_id",
            span,
        )),
        TableFactor::Table {
            with_hints,
            version: None,
            partitions,
            json_path: None,
            index_hints,
            ..
        } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => Ok(()),
        TableFactor::UNNEST {
            with_offset: true, ..
        } => refuse("WITH OFFSET", "write WITH ORDINALITY", span),
        TableFactor::Derived { .. } | TableFactor::UNNEST { .. } => Ok(()),
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => match using::has_using(table_with_joins) {
            true => Err(here_only("USING in parentheses", "write ON", span)),
            false => of_joined(table_with_joins),
        },
        TableFactor::MatchRecognize { .. } => {
            Err(here_only("MATCH_RECOGNIZE", "use window functions", span))
        }
        _ => refuse(
            "this kind of table in FROM",
            "name a table or a subquery",
            span,
        ),
    }
}

fn is_true(on: &Expr) -> bool {
    match on {
        Expr::Nested(on) => is_true(on),
        Expr::Value(value) => value.value == Value::Boolean(true),
        _ => false,
    }
}

fn is_unnest(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::NestedJoin {
            table_with_joins, ..
        } => table_with_joins.joins.is_empty() && is_unnest(&table_with_joins.relation),
        factor => matches!(factor, TableFactor::UNNEST { .. }),
    }
}
