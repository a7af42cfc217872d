//! `OVER w` as the window that WINDOW gives this name.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, NamedWindowExpr, Query, Select, Statement, VisitMut, VisitorMut, WindowSpec, WindowType,
};

use super::refusal::here_only;
use crate::ast_names::lower;
use crate::error::SqlError;

/// Writes the windows of a statement without names.
pub(super) fn expand(statement: &mut Statement) -> Result<(), SqlError> {
    match statement.visit(&mut Selects) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Selects;

impl VisitorMut for Selects {
    type Break = SqlError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        for definition in std::mem::take(&mut select.named_window) {
            let name = &definition.0;
            let spec = match &definition.1 {
                NamedWindowExpr::WindowSpec(spec) if spec.window_name.is_none() => spec,
                _ => {
                    let what = "a window made of another one";
                    return ControlFlow::Break(here_only(what, "write it out", name.span));
                }
            };
            let mut window = Window {
                name: lower(name),
                spec,
                is_used: false,
                depth: 0,
            };
            select.visit(&mut window)?;
            if !window.is_used {
                let what = format!("the unused window `{name}`");
                return ControlFlow::Break(here_only(&what, "leave it out", name.span));
            }
        }
        ControlFlow::Continue(())
    }
}

/// A window to be put in the place of its name.
struct Window<'a> {
    name: String,
    spec: &'a WindowSpec,
    is_used: bool,
    /// How deep in subqueries, which have windows of their own.
    depth: usize,
}

impl VisitorMut for Window<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        if self.depth == 0
            && let Expr::Function(function) = expr
            && let Some(over) = &mut function.over
        {
            match over {
                WindowType::NamedWindow(name) if lower(name) == self.name => {
                    *over = WindowType::WindowSpec(self.spec.clone());
                    self.is_used = true;
                }
                // `OVER (w …)`, which is refused as such.
                WindowType::WindowSpec(spec) => self.is_used |= spec.window_name.is_some(),
                WindowType::NamedWindow(_) => {}
            }
        }
        ControlFlow::Continue(())
    }
}
