//! Which tables and joins of FROM are on both engines.

use datafusion::sql::sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, ObjectName, Spanned as _, TableFactor,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{Checked, here_only, refuse};

pub(super) fn of_join(operator: &JoinOperator, span: Span) -> Checked {
    use JoinOperator as Op;
    match operator {
        Op::CrossJoin(JoinConstraint::None) => Ok(()),
        Op::FullOuter(JoinConstraint::Using(_)) => Err(here_only(
            "FULL JOIN … USING",
            "write ON, and coalesce(a.k, b.k)",
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
        | TableFactor::Function { .. } => refuse("a function in FROM", "write UNNEST(…)", span),
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
        TableFactor::Derived { .. }
        | TableFactor::UNNEST { .. }
        | TableFactor::NestedJoin { .. } => Ok(()),
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

/// The columns of USING.
pub(super) fn using(join: &Join) -> Option<&[ObjectName]> {
    match &join.join_operator {
        JoinOperator::Join(JoinConstraint::Using(columns))
        | JoinOperator::Inner(JoinConstraint::Using(columns))
        | JoinOperator::Left(JoinConstraint::Using(columns))
        | JoinOperator::LeftOuter(JoinConstraint::Using(columns))
        | JoinOperator::Right(JoinConstraint::Using(columns))
        | JoinOperator::RightOuter(JoinConstraint::Using(columns)) => Some(columns),
        _ => None,
    }
}
