//! What the conditions of a statement say.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Query, UnaryOperator, Value as Literal, Visit as _,
    Visitor,
};

use super::Scope;
use crate::sql::condition::{Column, Comparison, Condition, Number};

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of SQL's many forms say something about a day"
)]
impl<'a> Scope<'a> {
    /// What a condition says, as far as it is understood.
    pub(in crate::sql) fn condition(&self, expression: &Expr) -> Condition {
        match expression {
            Expr::Nested(inner) => self.condition(inner),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => negated(self.condition(expr), true),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, expression),
            Expr::Between {
                expr,
                negated: not,
                low,
                high,
            } => negated(
                Condition::All(vec![
                    self.comparison(expr, Comparison::GreaterOrEqual, low, expression),
                    self.comparison(expr, Comparison::LessOrEqual, high, expression),
                ]),
                *not,
            ),
            Expr::InList {
                expr,
                list,
                negated: not,
            } => {
                let equal =
                    |item: &Expr| self.comparison(expr, Comparison::Equal, item, expression);
                negated(Condition::Any(list.iter().map(equal).collect()), *not)
            }
            Expr::Value(value) => match value.value {
                Literal::Boolean(value) => Condition::Compare(
                    Number::Literal(i64::from(value)),
                    Comparison::Equal,
                    Number::Literal(1),
                ),
                _ => Condition::Unknown,
            },
            other => self.opaque(other),
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr, whole: &Expr) -> Condition {
        let comparison = match op {
            BinaryOperator::And => {
                return Condition::All(vec![self.condition(left), self.condition(right)]);
            }
            BinaryOperator::Or => {
                return Condition::Any(vec![self.condition(left), self.condition(right)]);
            }
            BinaryOperator::Eq => Comparison::Equal,
            BinaryOperator::NotEq => Comparison::NotEqual,
            BinaryOperator::Lt => Comparison::Less,
            BinaryOperator::LtEq => Comparison::LessOrEqual,
            BinaryOperator::Gt => Comparison::Greater,
            BinaryOperator::GtEq => Comparison::GreaterOrEqual,
            _ => return self.opaque(whole),
        };
        self.comparison(left, comparison, right, whole)
    }

    fn comparison(&self, a: &Expr, by: Comparison, b: &Expr, whole: &Expr) -> Condition {
        match (self.number(a), self.number(b)) {
            (Some(a), Some(b)) => Condition::Compare(a, by, b),
            _ => self.opaque(whole),
        }
    }

    fn number(&self, expression: &Expr) -> Option<Number> {
        match expression {
            Expr::Nested(inner) => self.number(inner),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                self.column(expression).map(Number::Column)
            }
            Expr::Value(value) => match &value.value {
                Literal::Number(digits, _) => digits.parse().ok().map(Number::Literal),
                _ => None,
            },
            Expr::TypedString(typed) => match &typed.value.value {
                Literal::SingleQuotedString(digits) => digits.parse().ok().map(Number::Literal),
                _ => None,
            },
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                ..
            } if is_integer(data_type) => self.number(expr),
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => {
                let zero = Box::new(Number::Literal(0));
                Some(Number::Difference(zero, Box::new(self.number(expr)?)))
            }
            Expr::BinaryOp { left, op, right } => {
                let (a, b) = (Box::new(self.number(left)?), Box::new(self.number(right)?));
                match op {
                    BinaryOperator::Plus => Some(Number::Sum(a, b)),
                    BinaryOperator::Minus => Some(Number::Difference(a, b)),
                    BinaryOperator::Multiply => Some(Number::Product(a, b)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// A condition of which no more is known than the columns that it depends on.
    fn opaque(&self, expression: &Expr) -> Condition {
        struct Columns<'s, 'a> {
            scope: &'s Scope<'a>,
            found: Vec<Column>,
        }
        impl Visitor for Columns<'_, '_> {
            type Break = ();
            fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
                ControlFlow::Break(())
            }
            fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
                if matches!(
                    expression,
                    Expr::Identifier(_) | Expr::CompoundIdentifier(_)
                ) {
                    match self.scope.column(expression) {
                        Some(column) => self.found.push(column),
                        None => return ControlFlow::Break(()),
                    }
                }
                ControlFlow::Continue(())
            }
        }
        let mut columns = Columns {
            scope: self,
            found: Vec::new(),
        };
        let stopped = expression.visit(&mut columns).is_break();
        if stopped || columns.found.is_empty() {
            Condition::Unknown
        } else {
            Condition::Opaque(columns.found)
        }
    }
}

fn negated(condition: Condition, not: bool) -> Condition {
    // Not known stays not known.
    let known = !matches!(condition, Condition::Opaque(_) | Condition::Unknown);
    if not && known {
        Condition::Not(Box::new(condition))
    } else {
        condition
    }
}

fn is_integer(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::BigInt(_) | DataType::Int(_) | DataType::Integer(_)
    )
}
