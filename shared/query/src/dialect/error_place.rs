//! Where in the statement an expression of the plan is.

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Diagnostic, Span};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;

/// Where the first column of an expression is in the statement.
pub(super) fn first_span(expr: &Expr) -> Option<Span> {
    let mut span = None;
    let looked = expr.apply(|expr| {
        if let Expr::Column(column) = expr
            && let Some(first) = column.spans().first()
        {
            span = Some(first);
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(looked.is_ok());
    span
}

/// The error with its place, unless it has one.
pub(super) fn placed(error: DataFusionError, span: Option<Span>) -> DataFusionError {
    match (error.diagnostic(), span) {
        (None, Some(span)) => {
            let diagnostic = Diagnostic::new_error(error.strip_backtrace(), Some(span));
            error.with_diagnostic(diagnostic)
        }
        _ => error,
    }
}
