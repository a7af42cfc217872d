//! What the conditions of a statement say.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Query, UnaryOperator, Value as Literal, Visit as _, Visitor,
};

use super::{Scope, last_name};
use crate::condition::{Comparison, Condition, Number, Operation, Part};

/// Functions that give today, or this moment.
const NOW: [&str; 3] = ["current_date", "current_timestamp", "now"];

/// Functions whose value is another one for each row.
const OF_EACH_ROW: [&str; 3] = ["random", "rand", "uuid"];

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of SQL's many forms say something about a day"
)]
impl<'a> Scope<'a> {
    /// What a condition says, as far as it is understood.
    pub(crate) fn condition(&self, expression: &Expr) -> Condition {
        match expression {
            Expr::Nested(inner) => self.condition(inner),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => negated(self.condition(expr), true),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::Between {
                expr,
                negated: not,
                low,
                high,
            } => negated(
                Condition::All(vec![
                    self.comparison(expr, Comparison::GreaterOrEqual, low),
                    self.comparison(expr, Comparison::LessOrEqual, high),
                ]),
                *not,
            ),
            Expr::InList {
                expr,
                list,
                negated: not,
            } => {
                let equal = |item: &Expr| self.comparison(expr, Comparison::Equal, item);
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
            // A function of a column that is not worked out here may be true on every day, and so
            // may `IS NULL` where an outer join has no row.
            _ => Condition::Unknown,
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Condition {
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
            _ => return Condition::Unknown,
        };
        self.comparison(left, comparison, right)
    }

    fn comparison(&self, a: &Expr, by: Comparison, b: &Expr) -> Condition {
        match (self.number(a), self.number(b)) {
            (Some(a), Some(b)) => Condition::Compare(a, by, b),
            (Some(Number::Column(column)), None) if by == Comparison::Equal && is_one_value(b) => {
                Condition::Pinned(column)
            }
            (None, Some(Number::Column(column))) if by == Comparison::Equal && is_one_value(a) => {
                Condition::Pinned(column)
            }
            _ => Condition::Unknown,
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
            Expr::Function(function) => {
                let name = function_name(function)?;
                let part = Part::named(&name)?;
                argument(function)
                    .filter(|argument| is_now(argument))
                    .map(|_| Number::Today(part))
            }
            Expr::Extract { field, expr, .. } if is_now(expr) => {
                Part::named(&field.to_string().to_lowercase()).map(Number::Today)
            }
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => {
                let zero = Box::new(Number::Literal(0));
                let number = Box::new(self.number(expr)?);
                Some(Number::Of(zero, Operation::Minus, number))
            }
            Expr::BinaryOp { left, op, right } => {
                let operation = match op {
                    BinaryOperator::Plus => Operation::Plus,
                    BinaryOperator::Minus => Operation::Minus,
                    BinaryOperator::Multiply => Operation::Times,
                    BinaryOperator::Divide => Operation::Over,
                    BinaryOperator::Modulo => Operation::Modulo,
                    _ => return None,
                };
                let (a, b) = (Box::new(self.number(left)?), Box::new(self.number(right)?));
                Some(Number::Of(a, operation, b))
            }
            _ => None,
        }
    }
}

/// Whether an expression is of no column, so that it has one value for all rows.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of SQL's many forms are columns"
)]
fn is_one_value(expression: &Expr) -> bool {
    struct Changes;
    impl Visitor for Changes {
        type Break = ();
        fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            let changes = match expression {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
                Expr::Function(function) => {
                    function_name(function).is_none_or(|name| OF_EACH_ROW.contains(&name.as_str()))
                }
                _ => false,
            };
            match changes {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    expression.visit(&mut Changes).is_continue()
}

/// Whether an expression is today, or this moment.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of SQL's many forms are a time"
)]
fn is_now(expression: &Expr) -> bool {
    match expression {
        Expr::Nested(inner) => is_now(inner),
        Expr::Cast {
            expr,
            data_type: DataType::Date | DataType::Timestamp(..),
            ..
        } => is_now(expr),
        Expr::Function(function) => {
            function_name(function).is_some_and(|name| NOW.contains(&name.as_str()))
        }
        _ => false,
    }
}

fn function_name(function: &Function) -> Option<String> {
    last_name(&function.name).map(|name| name.value.to_lowercase())
}

/// The only argument of a function.
fn argument(function: &Function) -> Option<&Expr> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => Some(argument),
        _ => None,
    }
}

fn negated(condition: Condition, not: bool) -> Condition {
    // Not known stays not known.
    if not && condition != Condition::Unknown {
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
