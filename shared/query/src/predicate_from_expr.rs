//! The predicate that an expression of a statement is.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Query, UnaryOperator, Value as Literal, Visit as _, Visitor,
};

use crate::ast_names::last_name;
use crate::predicate::{Column, Comparison, DatePart, Integer, Operation, Predicate};

/// Functions that return today, or this moment.
const NOW: [&str; 3] = ["current_date", "current_timestamp", "now"];

/// Functions whose value differs from row to row.
const OF_EACH_ROW: [&str; 3] = ["random", "rand", "uuid"];

/// What an expression says, as far as it is understood. `column` resolves names.
pub(crate) fn of_expr(expression: &Expr, column: impl Fn(&Expr) -> Option<Column>) -> Predicate {
    Reader { column }.predicate(expression)
}

struct Reader<F> {
    column: F,
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of SQL's many forms say something about a day"
)]
impl<F: Fn(&Expr) -> Option<Column>> Reader<F> {
    fn predicate(&self, expression: &Expr) -> Predicate {
        match expression {
            Expr::Nested(inner) => self.predicate(inner),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => negated(self.predicate(expr), true),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::Between {
                expr,
                negated: not,
                low,
                high,
            } => negated(
                Predicate::All(vec![
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
                negated(Predicate::Any(list.iter().map(equal).collect()), *not)
            }
            Expr::Value(value) => match value.value {
                Literal::Boolean(value) => Predicate::Compare(
                    Integer::Literal(i64::from(value)),
                    Comparison::Equal,
                    Integer::Literal(1),
                ),
                _ => Predicate::Unknown,
            },
            // What is not computed here may be true on every day; so may `IS NULL` if an outer join
            // found no row.
            _ => Predicate::Unknown,
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Predicate {
        let comparison = match op {
            BinaryOperator::And => {
                return Predicate::All(vec![self.predicate(left), self.predicate(right)]);
            }
            BinaryOperator::Or => {
                return Predicate::Any(vec![self.predicate(left), self.predicate(right)]);
            }
            BinaryOperator::Eq => Comparison::Equal,
            BinaryOperator::NotEq => Comparison::NotEqual,
            BinaryOperator::Lt => Comparison::Less,
            BinaryOperator::LtEq => Comparison::LessOrEqual,
            BinaryOperator::Gt => Comparison::Greater,
            BinaryOperator::GtEq => Comparison::GreaterOrEqual,
            _ => return Predicate::Unknown,
        };
        self.comparison(left, comparison, right)
    }

    fn comparison(&self, a: &Expr, by: Comparison, b: &Expr) -> Predicate {
        match (self.integer(a), self.integer(b)) {
            (Some(a), Some(b)) => Predicate::Compare(a, by, b),
            (Some(Integer::Column(column)), None) if by == Comparison::Equal && is_one_value(b) => {
                Predicate::Pinned(column)
            }
            (None, Some(Integer::Column(column))) if by == Comparison::Equal && is_one_value(a) => {
                Predicate::Pinned(column)
            }
            _ => Predicate::Unknown,
        }
    }

    fn integer(&self, expression: &Expr) -> Option<Integer> {
        match expression {
            Expr::Nested(inner) => self.integer(inner),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                (self.column)(expression).map(Integer::Column)
            }
            Expr::Value(value) => match &value.value {
                Literal::Number(digits, _) => digits.parse().ok().map(Integer::Literal),
                _ => None,
            },
            Expr::TypedString(typed) => match &typed.value.value {
                Literal::SingleQuotedString(digits) => digits.parse().ok().map(Integer::Literal),
                _ => None,
            },
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                ..
            } if is_integer(data_type) => self.integer(expr),
            Expr::Function(function) => {
                let name = function_name(function)?;
                let part = DatePart::named(&name)?;
                argument(function)
                    .filter(|argument| is_now(argument))
                    .map(|_| Integer::Today(part))
            }
            Expr::Extract { field, expr, .. } if is_now(expr) => {
                DatePart::named(&field.to_string().to_lowercase()).map(Integer::Today)
            }
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => {
                let zero = Box::new(Integer::Literal(0));
                let number = Box::new(self.integer(expr)?);
                Some(Integer::Of(zero, Operation::Minus, number))
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
                let (a, b) = (
                    Box::new(self.integer(left)?),
                    Box::new(self.integer(right)?),
                );
                Some(Integer::Of(a, operation, b))
            }
            _ => None,
        }
    }
}

/// Whether an expression has one value for all rows: it depends on no column.
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

fn negated(predicate: Predicate, not: bool) -> Predicate {
    // Unknown stays unknown.
    if not && predicate != Predicate::Unknown {
        Predicate::Not(Box::new(predicate))
    } else {
        predicate
    }
}

fn is_integer(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::BigInt(_) | DataType::Int(_) | DataType::Integer(_)
    )
}
