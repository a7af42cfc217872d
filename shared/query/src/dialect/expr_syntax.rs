//! Which expressions are on both engines.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Interval,
    SetExpr, Spanned as _, Subscript, UnaryOperator, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{Checked, here_only, invalid, refuse};
use super::{call_syntax, signatures, type_names, types};
use crate::ast_names::last_name;
use crate::table_names::is_table;

/// Whether it compares, so that Athena does not take it as an operand of another comparison.
fn compares(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op, .. } => is_comparison(op) || is_logical(op),
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. } => true,
        Expr::UnaryOp { op, .. } => matches!(op, UnaryOperator::Not),
        _ => false,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator as Op;
    matches!(
        op,
        Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq
    )
}

fn is_logical(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

pub(super) fn of_expr(expr: &Expr) -> Checked {
    let span = expr.span();
    let refuse = |what: &str, instead: &str| refuse(what, instead, span);
    let operands: &[&Expr] = match expr {
        Expr::BinaryOp { left, op, right } if is_comparison(op) => &[left, right],
        Expr::IsNull(operand) | Expr::IsNotNull(operand) => &[operand],
        Expr::InList { expr, .. } | Expr::InSubquery { expr, .. } => &[expr],
        Expr::Between {
            expr, low, high, ..
        } => &[expr, low, high],
        Expr::Like { expr, pattern, .. } => &[expr, pattern],
        Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } => &[left],
        _ => &[],
    };
    if operands.iter().any(|operand| compares(operand)) {
        return refuse(
            "a comparison of a comparison",
            "put the inner one in parentheses",
        );
    }
    match expr {
        Expr::BinaryOp { op, .. } => of_operator(op, span),
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } if matches!(
            expr.as_ref(),
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                ..
            }
        ) =>
        {
            Err(here_only("a minus of a minus", "leave both out", span))
        }
        Expr::UnaryOp {
            op: UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not,
            ..
        } => Ok(()),
        Expr::UnaryOp { op, .. } => refuse(&format!("`{op}`"), "write the function for it"),
        Expr::CompoundFieldAccess { access_chain, .. } => {
            let plain = access_chain.iter().all(|access| {
                matches!(
                    access,
                    AccessExpr::Dot(_) | AccessExpr::Subscript(Subscript::Index { .. })
                )
            });
            match plain {
                true => Ok(()),
                false => refuse("a part of an array", "write slice(array, start, length)"),
            }
        }
        Expr::JsonAccess { .. } => refuse("`:`", "write json_extract_scalar(json, '$.key')"),
        Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_) => refuse(
            "IS TRUE, IS FALSE and IS UNKNOWN",
            "write coalesce(x, false), or x IS NULL",
        ),
        Expr::InList { list, .. } if list.is_empty() => refuse("IN ()", "write false"),
        // On Athena this is a scalar subquery. The planner treats it as IN (SELECT …).
        Expr::InSubquery { subquery, .. } if matches!(*subquery.body, SetExpr::Query(_)) => {
            let instead = "write `= (SELECT …)`, or IN (SELECT …)";
            Err(here_only(
                "the value of a subquery in IN ((SELECT …))",
                instead,
                span,
            ))
        }
        Expr::InUnnest { .. } => refuse("IN UNNEST", "write contains(array, x)"),
        Expr::Like { any: true, .. } => refuse("LIKE ANY", "write x LIKE 'a' OR x LIKE 'b'"),
        Expr::ILike { .. } => refuse("ILIKE", "write lower(x) LIKE 'pattern in lower case'"),
        Expr::SimilarTo { .. } | Expr::RLike { .. } => refuse(
            "SIMILAR TO, RLIKE and REGEXP",
            "write regexp_like(x, 'pattern')",
        ),
        // Of a value that may be NULL, they have a meaning of their own on Athena.
        Expr::AnyOp {
            compare_op: BinaryOperator::NotEq,
            ..
        }
        | Expr::AllOp {
            compare_op: BinaryOperator::Eq,
            ..
        } => {
            let instead = "compare with min and max of the subquery";
            Err(here_only("`<> ANY` or `= ALL`", instead, span))
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => match right.as_ref() {
            Expr::Subquery(_) => Ok(()),
            _ => refuse(
                "ANY or ALL of an array",
                "write contains(array, x) or any_match",
            ),
        },
        Expr::Cast {
            kind,
            data_type,
            format,
            array,
            ..
        } => {
            if *array || format.is_some() {
                return refuse("this form of CAST", "write CAST(x AS type)");
            }
            match kind {
                CastKind::Cast | CastKind::TryCast if matches!(data_type, DataType::Time(..)) => {
                    Err(here_only(
                        "a cast to time",
                        "write date_format(x, '%H:%i:%s'), or hour(x) and minute(x)",
                        span,
                    ))
                }
                CastKind::Cast | CastKind::TryCast => type_names::check(data_type, span),
                CastKind::DoubleColon => refuse("`::`", "write CAST(x AS type)"),
                CastKind::SafeCast => refuse("SAFE_CAST", "write TRY_CAST(x AS type)"),
            }
        }
        Expr::TypedString(typed) => type_names::check(&typed.data_type, span),
        Expr::Substring {
            substring_from: None,
            ..
        } => refuse(
            "substring without a start",
            "write substr(text, start) or substr(text, start, length)",
        ),
        Expr::Extract { field, .. } => of_field(field, span),
        Expr::Ceil {
            field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            ..
        }
        | Expr::Floor {
            field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            ..
        } => Ok(()),
        Expr::Ceil { .. } | Expr::Floor { .. } => refuse(
            "CEIL or FLOOR to a unit",
            "write date_trunc, or divide and multiply",
        ),
        Expr::Value(value) => of_value(&value.value, span),
        Expr::Interval(interval) => of_interval(interval, span),
        Expr::Function(function) => call_syntax::of_function(function, span),
        Expr::Lambda(lambda) => of_lambda(&lambda.body),
        Expr::Identifier(name) => match name.value.to_lowercase().as_str() {
            "current_user" | "localtime" | "current_time" | "current_catalog"
            | "current_schema"
                if name.quote_style.is_none() =>
            {
                Err(here_only(&format!("`{name}`"), "leave it out", span))
            }
            _ => Ok(()),
        },
        _ if compares(expr) => Ok(()),
        // `schema.table.column` is of ours alone.
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [.., table, _] if names.len() > 2 && !is_table(&table.value) => refuse(
                &format!("`{expr}`, a name of {} parts,", names.len()),
                "write table.column",
            ),
            _ => Ok(()),
        },
        Expr::AtTimeZone { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Nested(_)
        | Expr::Case { .. }
        | Expr::Exists { .. }
        | Expr::Subquery(_)
        | Expr::GroupingSets(_)
        | Expr::Cube(_)
        | Expr::Rollup(_)
        | Expr::Tuple(_)
        | Expr::Array(_)
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..) => Ok(()),
        _ => refuse(&format!("`{expr}`"), "docs/sql.md lists what runs on both"),
    }
}

/// A lambda computes with its variables and with columns alone.
fn of_lambda(body: &Expr) -> Checked {
    let found = datafusion::sql::sqlparser::ast::visit_expressions(body, |expr| {
        let what = match expr {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => "a subquery",
            Expr::Function(function) if function.over.is_some() => "a window",
            Expr::Function(function) => {
                match last_name(&function.name).map(|name| name.value.to_lowercase()) {
                    Some(name) if signatures::is_aggregate(&name) => "an aggregate",
                    _ => return ControlFlow::Continue(()),
                }
            }
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break((what, expr.span()))
    });
    match found.break_value() {
        None => Ok(()),
        Some((what, span)) => Err(invalid(
            format!(
                "{what} in a lambda is not on this engine: compute it in a subquery, as a column"
            ),
            span,
        )),
    }
}

fn of_operator(op: &BinaryOperator, span: Span) -> Checked {
    use BinaryOperator as Op;
    let instead = match op {
        Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::StringConcat => {
            return Ok(());
        }
        _ if is_comparison(op) || is_logical(op) => return Ok(()),
        Op::Spaceship => "write IS NOT DISTINCT FROM",
        Op::BitwiseXor | Op::PGExp => "write power(x, y) or bitwise_xor(x, y)",
        Op::BitwiseAnd => "write bitwise_and(x, y)",
        Op::BitwiseOr => "write bitwise_or(x, y)",
        Op::PGBitwiseShiftLeft => "write bitwise_left_shift(x, n)",
        Op::PGBitwiseShiftRight => "write bitwise_right_shift(x, n)",
        Op::PGRegexMatch | Op::PGRegexIMatch | Op::PGRegexNotMatch | Op::PGRegexNotIMatch => {
            "write regexp_like(x, 'pattern')"
        }
        Op::Xor => "write a <> b",
        Op::Arrow | Op::LongArrow => "write json_extract_scalar(json, '$.key')",
        Op::DuckIntegerDivide | Op::MyIntegerDivide => {
            "the quotient of integers is one: write x / y"
        }
        _ => "write the function for it",
    };
    refuse(&format!("`{op}`"), instead, span)
}

fn of_field(field: &DateTimeField, span: Span) -> Checked {
    match super::call_rewrite::field_function(field) {
        Some(_) => Ok(()),
        None if matches!(field, DateTimeField::Epoch) => {
            refuse("extract(epoch FROM x)", "write to_unixtime(x)", span)
        }
        None => refuse(
            &format!("extract({field} FROM x)"),
            "see the functions of docs/sql.md",
            span,
        ),
    }
}

fn of_value(value: &Value, span: Span) -> Checked {
    match value {
        Value::Number(digits, long) => {
            let whole = digits.bytes().all(|b| b.is_ascii_digit());
            match *long || (whole && digits.parse::<i64>().is_err()) {
                true => Err(invalid(
                    format!(
                        "`{value}` does not fit into a bigint: write it as a decimal, or CAST('…' AS bigint)"
                    ),
                    span,
                )),
                false if has_too_many_digits(digits) => refuse(
                    "a number of more than 38 digits",
                    "write fewer, or an exponent: 1.5e0",
                    span,
                ),
                false => Ok(()),
            }
        }
        Value::HexStringLiteral(digits) if digits.contains(char::is_whitespace) => {
            Err(here_only("blanks between bytes", "leave them out", span))
        }
        Value::HexStringLiteral(digits) if digits.len() % 2 == 1 => refuse(
            "an odd number of digits",
            "write two for each byte: X'0A'",
            span,
        ),
        Value::SingleQuotedString(_)
        | Value::HexStringLiteral(_)
        | Value::UnicodeStringLiteral(_)
        | Value::Boolean(_)
        | Value::Null
        | Value::Placeholder(_) => Ok(()),
        Value::DoubleQuotedString(_) => refuse("a text in double quotes", "write 'text'", span),
        _ => refuse(&format!("`{value}`"), "write 'text'", span),
    }
}

/// Whether a decimal has more digits than a decimal can have. Leading zeros do not count.
fn has_too_many_digits(number: &str) -> bool {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let zeros = number.bytes().take_while(|byte| *byte == b'0').count();
    !number.contains(['e', 'E']) && digits - zeros > usize::from(types::DIGITS_MAX)
}

/// Athena's intervals have one field, with the number in quotes.
fn of_interval(interval: &Interval, span: Span) -> Checked {
    let text = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.as_str()),
            _ => None,
        },
        _ => None,
    };
    if matches!(interval.value.as_ref(), Expr::UnaryOp { .. }) {
        return Err(here_only(
            "a sign in front of the quotes of an INTERVAL",
            "write it inside of them: INTERVAL '-1' DAY",
            span,
        ));
    }
    use DateTimeField as Field;
    let field = matches!(
        interval.leading_field,
        Some(Field::Year | Field::Month | Field::Day | Field::Hour | Field::Minute | Field::Second)
    );
    if matches!(interval.leading_field, Some(Field::Year | Field::Month))
        && text.is_some_and(|text| text.trim_start_matches(['-', '+']).parse() == Ok(0))
    {
        return Err(here_only(
            "an INTERVAL of no months",
            "leave it out, or write INTERVAL '0' DAY",
            span,
        ));
    }
    let seconds = matches!(interval.leading_field, Some(Field::Second));
    let number = text.is_some_and(|text| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        match digits.split_once('.') {
            Some((whole, part)) if seconds => {
                is_digits(whole) && is_digits(part) && part.len() <= 3
            }
            // Athena rejects larger numbers.
            _ => is_digits(digits) && digits.parse::<i32>().is_ok(),
        }
    });
    if interval.last_field.is_some() {
        return Err(here_only(
            "an INTERVAL of several units",
            "write one of them, or date_add",
            span,
        ));
    }
    match field && number {
        true => Ok(()),
        false => refuse(
            "this INTERVAL",
            "write the number and the unit: INTERVAL '1' DAY",
            span,
        ),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
