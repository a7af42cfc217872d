//! Frames of windows, which some functions do not have.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowExpr, OrderBy, Select, SetExpr, Spanned as _, Visit, WindowSpec,
    WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{Checked, refused};
use crate::ast_names::last_name;

/// Functions that look at the whole partition.
const WITHOUT_FRAME: [&str; 8] = [
    "cume_dist",
    "dense_rank",
    "lag",
    "lead",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
];

/// Refuses such a function over a window with a frame, in the body of a query and in its ORDER BY.
pub(super) fn check(body: &SetExpr, order_by: Option<&OrderBy>) -> Checked {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { left, right, .. } => {
            check(left, None)?;
            return check(right, None);
        }
        // A query in parentheses is checked by itself.
        _ => return Ok(()),
    };
    let in_order = || order_by.and_then(|keys| function(keys, select));
    match function(select.as_ref(), select).or_else(in_order) {
        None => Ok(()),
        Some((name, span)) => Err(refused(
            &format!("{name} over a window with ROWS, RANGE or GROUPS"),
            &format!("write a window without it for {name}"),
            span,
        )),
    }
}

fn function(part: &impl Visit, select: &Select) -> Option<(String, Span)> {
    let found = datafusion::sql::sqlparser::ast::visit_expressions(part, |expr| {
        if let Expr::Function(function) = expr
            && let Some(name) = last_name(&function.name).map(|name| name.value.to_lowercase())
            && WITHOUT_FRAME.contains(&name.as_str())
            && function.over.as_ref().is_some_and(|over| match over {
                WindowType::WindowSpec(spec) => of_spec(spec, select),
                WindowType::NamedWindow(window) => of_window(window, select),
            })
        {
            return ControlFlow::Break((name, expr.span()));
        }
        ControlFlow::Continue(())
    });
    found.break_value()
}

fn of_spec(spec: &WindowSpec, select: &Select) -> bool {
    let is_of = |window: &Ident| of_window(window, select);
    spec.window_frame.is_some() || spec.window_name.as_ref().is_some_and(is_of)
}

/// Whether a window has a frame. A window refers to those before it.
fn of_window(name: &Ident, select: &Select) -> bool {
    let windows = &select.named_window;
    let Some(place) = windows
        .iter()
        .position(|window| window.0.value.eq_ignore_ascii_case(&name.value))
    else {
        return false;
    };
    let before = |name: &Ident| {
        windows
            .iter()
            .position(|window| window.0.value.eq_ignore_ascii_case(&name.value))
            < Some(place)
            && of_window(name, select)
    };
    match windows.get(place).map(|window| &window.1) {
        Some(NamedWindowExpr::WindowSpec(spec)) => {
            spec.window_frame.is_some() || spec.window_name.as_ref().is_some_and(before)
        }
        Some(NamedWindowExpr::NamedWindow(other)) => before(other),
        None => false,
    }
}
