//! Names of windows: `OVER w`, `OVER (w …)` and `w2 AS (w …)` as what they stand for. The planner forgets the `w` in
//! parentheses.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowExpr, OrderByKind, Query, Select, SetExpr, Statement, VisitMut,
    VisitorMut, WindowSpec, WindowType,
};

use super::known_columns::lower;
use super::refusal::{here_only, invalid, refused};
use crate::error::SqlError;

/// Writes the windows of a statement without names.
pub(super) fn expand(statement: &mut Statement) -> Result<(), SqlError> {
    match statement.visit(&mut Statements) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Statements;

impl VisitorMut for Statements {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        let SetExpr::Select(select) = query.body.as_mut() else {
            return ControlFlow::Continue(());
        };
        let mut windows = match Windows::of(select) {
            Ok(windows) => windows,
            Err(error) => return ControlFlow::Break(error),
        };
        select.visit(&mut windows)?;
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order_by.kind
        {
            keys.visit(&mut windows)?;
        }
        windows.all_used()
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        match Windows::of(select) {
            Ok(mut windows) => {
                select.visit(&mut windows)?;
                windows.all_used()
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// The named windows of a SELECT.
#[derive(Default)]
struct Windows {
    by_name: BTreeMap<String, WindowSpec>,
    unused: Vec<Ident>,
    /// How deep in subqueries, which have windows of their own.
    depth: usize,
}

impl Windows {
    /// Takes them out of the SELECT.
    fn of(select: &mut Select) -> Result<Self, SqlError> {
        let mut windows = Self::default();
        for definition in std::mem::take(&mut select.named_window) {
            let (name, expr) = (definition.0, definition.1);
            let NamedWindowExpr::WindowSpec(mut spec) = expr else {
                return Err(refused(
                    "a window that is a name",
                    "write (name)",
                    name.span,
                ));
            };
            windows.resolve(&mut spec)?;
            if windows.by_name.insert(lower(&name), spec).is_some() {
                return Err(invalid(
                    format!("the window `{name}` is there twice"),
                    name.span,
                ));
            }
            windows.unused.push(name);
        }
        Ok(windows)
    }

    fn named(&mut self, name: &Ident) -> Result<WindowSpec, SqlError> {
        self.unused.retain(|unused| lower(unused) != lower(name));
        match self.by_name.get(&lower(name)) {
            Some(spec) => Ok(spec.clone()),
            None => Err(invalid(format!("there is no window `{name}`"), name.span)),
        }
    }

    /// Adds what the window that it names has.
    fn resolve(&mut self, spec: &mut WindowSpec) -> Result<(), SqlError> {
        let Some(name) = spec.window_name.take() else {
            return Ok(());
        };
        let named = self.named(&name)?;
        let refused = |what: &str| {
            let what = format!("{what} `{name}`");
            Err(refused(&what, "write the whole window", name.span))
        };
        if !spec.partition_by.is_empty() {
            return refused("PARTITION BY after the window");
        }
        if !spec.order_by.is_empty() && !named.order_by.is_empty() {
            return refused("another ORDER BY for the window");
        }
        if named.window_frame.is_some() {
            return refused("a window made of one with a frame,");
        }
        spec.partition_by = named.partition_by;
        if spec.order_by.is_empty() {
            spec.order_by = named.order_by;
        }
        Ok(())
    }

    fn all_used(&self) -> ControlFlow<SqlError> {
        match self.unused.first() {
            Some(name) => ControlFlow::Break(here_only(
                &format!("the unused window `{name}`"),
                "leave it out",
                name.span,
            )),
            None => ControlFlow::Continue(()),
        }
    }
}

impl VisitorMut for Windows {
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
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let over = match &mut function.over {
            Some(WindowType::NamedWindow(name)) => {
                let name = name.clone();
                self.named(&name)
                    .map(|spec| function.over = Some(WindowType::WindowSpec(spec)))
            }
            Some(WindowType::WindowSpec(spec)) => self.resolve(spec),
            None => Ok(()),
        };
        match over {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }
}
