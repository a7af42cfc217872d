//! Rewrites calls of functions, and literals that the planner needs as they are written.

use datafusion::sql::sqlparser::ast::{
    DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, Ident, ObjectName, TimezoneInfo, Value, WindowFrame, WindowFrameBound,
    WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::{call, cast};
use super::expanded;
use crate::error::SqlError;

/// Functions of which the planner takes only literals as further arguments.
const LITERAL_ARGUMENTS: [&str; 4] = ["lag", "lead", "nth_value", "ntile"];

/// A call as the engine takes it.
pub(super) fn of_function(mut function: Function, span: Span) -> Result<Expr, SqlError> {
    let name = function.name.to_string().to_lowercase();
    if name == "localtimestamp" {
        return Ok(local_timestamp());
    }
    if let Some(expr) = expanded::expanded(&function, &name, span)? {
        return Ok(expr);
    }
    let engines = match name.as_str() {
        "transform" => Some("array_transform"),
        "filter" => Some("array_filter"),
        "any_match" => Some("array_any_match"),
        "map" => Some("__map"),
        _ => None,
    };
    if let Some(engines) = engines {
        function.name = ObjectName::from(vec![Ident::new(engines)]);
    }
    if let Some(WindowType::WindowSpec(spec)) = &mut function.over {
        bare_bounds(&mut spec.window_frame);
    }
    if let FunctionArguments::List(list) = &mut function.args {
        if LITERAL_ARGUMENTS.contains(&name.as_str()) {
            for argument in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                    bare(expr);
                }
            }
        }
        // The planner has the order among the arguments.
        if !function.within_group.is_empty() {
            let order = std::mem::take(&mut function.within_group);
            list.clauses.push(FunctionArgumentClause::OrderBy(order));
        }
    }
    Ok(Expr::Function(function))
}

/// Takes a literal back to how it was written, without parentheses, where the planner needs it: as a place or a count.
pub(super) fn bare(expr: &mut Expr) {
    if let Expr::Nested(inner) = expr {
        bare(inner);
        if matches!(inner.as_ref(), Expr::Value(_)) {
            *expr = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
        }
    }
    if let Expr::Cast {
        expr: inner,
        data_type: DataType::Integer(None),
        ..
    } = expr
        && matches!(inner.as_ref(), Expr::Value(value) if is_narrow(&value.value))
    {
        *expr = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
    }
}

/// Whether the literal was written as an integer.
fn is_narrow(value: &Value) -> bool {
    matches!(value, Value::Number(digits, _) if digits.parse::<i32>().is_ok())
}

/// As [`bare`], of the bounds of a frame.
fn bare_bounds(frame: &mut Option<WindowFrame>) {
    if let Some(frame) = frame {
        let bounds = std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound);
        for bound in bounds {
            if let WindowFrameBound::Preceding(Some(count))
            | WindowFrameBound::Following(Some(count)) = bound
            {
                bare(count);
            }
        }
    }
}

/// `localtimestamp`
pub(super) fn local_timestamp() -> Expr {
    cast(
        call("now", Vec::new()),
        DataType::Timestamp(Some(3), TimezoneInfo::None),
    )
}

/// The function that takes a field out of a time.
pub(super) fn field_function(field: &DateTimeField) -> Option<&'static str> {
    use DateTimeField as Field;
    Some(match field {
        Field::Year => "year",
        Field::Quarter => "quarter",
        Field::Month => "month",
        Field::Week(None) => "week",
        Field::Day => "day",
        Field::Dow | Field::DayOfWeek => "day_of_week",
        Field::Doy | Field::DayOfYear => "day_of_year",
        Field::Hour => "hour",
        Field::Minute => "minute",
        Field::Second => "second",
        Field::Custom(name) => match name.value.to_lowercase().as_str() {
            "day_of_month" => "day",
            "day_of_week" => "day_of_week",
            "day_of_year" => "day_of_year",
            "year_of_week" | "yow" => "year_of_week",
            _ => return None,
        },
        _ => return None,
    })
}
