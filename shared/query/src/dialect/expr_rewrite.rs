//! Rewrites one expression, whose parts are rewritten already.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, CharacterLength, DataType, ExactNumberInfo, Expr, Subscript, UnaryOperator, Value,
    ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::{call, cast, typed};
use super::call_rewrite::local_timestamp;
use super::derived_table::name_column;
use super::rewrite::{Rewriter, lower};
use super::{call_rewrite, like, moments, type_names};
use crate::error::SqlError;
use crate::table_names::is_table;

impl Rewriter<'_> {
    pub(super) fn rewritten(&self, mut expr: Expr, span: Span) -> Result<Expr, SqlError> {
        Ok(match expr {
            Expr::Identifier(mut name) => {
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("localtimestamp") {
                    return Ok(local_timestamp());
                }
                lower(&mut name);
                Expr::Identifier(name)
            }
            Expr::CompoundIdentifier(mut names) => {
                if let [.., table, _] = names.as_slice()
                    && names.len() > 2
                    && is_table(&table.value)
                {
                    names.drain(..names.len() - 2);
                }
                names.iter_mut().for_each(lower);
                Expr::CompoundIdentifier(names)
            }
            // As an integer, which the planner would make a bigint.
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: ref inner,
            } if is_2_to_the_31(inner) => typed("-2147483648", DataType::Integer(None)),
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(typed) => {
                let text = typed.value.value.clone().into_string().unwrap_or_default();
                moments::typed_literal(&typed.data_type, text, span)?
            }
            Expr::Cast {
                expr,
                data_type: DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. })),
                ..
            } => call(
                "varchar_of_length",
                vec![*expr, typed(&length.to_string(), DataType::BigInt(None))],
            ),
            Expr::Cast {
                ref mut data_type, ..
            } => {
                *data_type = type_names::planned(data_type);
                expr
            }
            Expr::Extract { field, expr, .. } => call(
                call_rewrite::field_function(&field).unwrap_or_default(),
                vec![*expr],
            ),
            Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => call("at_timezone", vec![*timestamp, *time_zone]),
            Expr::Position { expr, r#in } => call("strpos", vec![*r#in, *expr]),
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let mut args = vec![*expr];
                args.push(
                    substring_from.map_or_else(|| typed("1", DataType::BigInt(None)), |from| *from),
                );
                args.extend(substring_for.map(|length| *length));
                call("substr", args)
            }
            Expr::Like {
                ref mut pattern,
                ref mut escape_char,
                ..
            } => {
                let given = std::mem::replace(pattern.as_mut(), Expr::value(Value::Null));
                **pattern = like::pattern(given, escape_char.take().as_ref(), span)?;
                expr
            }
            Expr::AnyOp { ref mut right, .. } | Expr::AllOp { ref mut right, .. } => {
                name_column(right);
                expr
            }
            Expr::CompoundFieldAccess { root, access_chain } => subscripts(*root, access_chain),
            Expr::BinaryOp {
                ref mut left,
                ref mut right,
                ..
            } => {
                row(left);
                row(right);
                expr
            }
            Expr::InList {
                expr: ref mut one,
                ref mut list,
                ..
            } => {
                row(one);
                list.iter_mut().for_each(row);
                expr
            }
            Expr::Between {
                expr: ref mut one,
                ref mut low,
                ref mut high,
                ..
            } => {
                [one, low, high].into_iter().for_each(|it| row(it));
                expr
            }
            Expr::Function(function) => call_rewrite::of_function(function, span)?,
            other => other,
        })
    }

    fn literal(&self, value: ValueWithSpan) -> Expr {
        match &value.value {
            // The value of a parameter, which is a bigint.
            Value::Number(digits, true) => Expr::value(Value::Number(digits.clone(), false)),
            Value::Number(digits, false) if digits.contains(['e', 'E']) => typed(
                &digits.replace('_', ""),
                DataType::Double(ExactNumberInfo::None),
            ),
            Value::Number(digits, false) if digits.contains('_') => {
                let plain = Value::Number(digits.replace('_', ""), false).with_span(value.span);
                self.literal(plain)
            }
            Value::Number(digits, false) if digits.parse::<i32>().is_ok() => narrow(value),
            Value::HexStringLiteral(digits) if self.starts_with_zero(value.span) => {
                let number = i64::from_str_radix(digits, 16)
                    .unwrap_or(i64::MAX)
                    .to_string();
                let is_integer = number.parse::<i32>().is_ok();
                let value = Value::Number(number, false).with_span(value.span);
                if is_integer {
                    narrow(value)
                } else {
                    Expr::Value(value)
                }
            }
            Value::UnicodeStringLiteral(text) => {
                Expr::value(Value::SingleQuotedString(text.clone()))
            }
            _ => Expr::Value(value),
        }
    }

    /// Whether it is a number such as `0x1F`, and not bytes such as `X'1F'`.
    fn starts_with_zero(&self, span: Span) -> bool {
        let line = usize::try_from(span.start.line)
            .unwrap_or_default()
            .saturating_sub(1);
        let column = usize::try_from(span.start.column)
            .unwrap_or_default()
            .saturating_sub(1);
        let text = self.sql.split('\n').nth(line).unwrap_or_default();
        text.chars().nth(column) == Some('0')
    }
}

/// `(a, b)` as `ROW(a, b)`.
fn row(expr: &mut Expr) {
    if let Expr::Tuple(fields) = expr {
        *expr = call("row", std::mem::take(fields));
    }
}

/// `x[a][b]` as calls; the planner has other functions for some of them.
fn subscripts(root: Expr, access_chain: Vec<AccessExpr>) -> Expr {
    let is_subscript =
        |access: &AccessExpr| matches!(access, AccessExpr::Subscript(Subscript::Index { .. }));
    if !access_chain.iter().all(is_subscript) {
        let root = Box::new(root);
        return Expr::CompoundFieldAccess { root, access_chain };
    }
    access_chain
        .into_iter()
        .fold(root, |of, access| match access {
            AccessExpr::Subscript(Subscript::Index { index }) => call("subscript", vec![of, index]),
            _ => of,
        })
}

fn is_2_to_the_31(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Number("2147483648".to_owned(), false))
}

/// An integer literal that fits into 32 bits: the planner would make it a bigint.
fn narrow(value: ValueWithSpan) -> Expr {
    cast(Expr::Value(value), DataType::Integer(None))
}
