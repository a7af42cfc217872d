//! ORDER BY after SELECT DISTINCT and after set operations. Athena orders the rows of SELECT DISTINCT by what is selected,
//! and knows it again where it is an expression.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Ident, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr,
    Spanned as _, Value,
};

use super::refusal::{Checked, here_only, refuse};
use super::sort_key::{identifiers, is_place, without_parentheses};

/// Refuses an expression that SELECT DISTINCT does not select, and every one after a set operation, of whose first branch
/// the planner would take the columns.
pub(super) fn check(query: &Query) -> Checked {
    for key in keys(query) {
        let bare = without_parentheses(&key.expr);
        // Of a column, the planner knows whether it is there.
        if is_column(bare) || is_place(bare) {
            continue;
        }
        match query.body.as_ref() {
            SetExpr::Select(select)
                if matches!(select.distinct, Some(Distinct::Distinct))
                    && place(bare, select).is_none() =>
            {
                return refuse(
                    "ORDER BY of an expression that SELECT DISTINCT does not select",
                    "select it too, or order in a query around this one",
                    key.expr.span(),
                );
            }
            SetExpr::SetOperation { .. } => {
                return Err(here_only(
                    "ORDER BY of an expression after UNION, INTERSECT or EXCEPT",
                    "write SELECT * FROM (…) around it, and order there",
                    key.expr.span(),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_column(key: &Expr) -> bool {
    matches!(key, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// Puts the places of results for expressions that are selected: the planner would look for their columns.
pub(super) fn by_places(query: &mut Query) {
    let Query { body, order_by, .. } = query;
    let (SetExpr::Select(select), Some(order_by)) = (body.as_ref(), order_by) else {
        return;
    };
    let OrderByKind::Expressions(keys) = &mut order_by.kind else {
        return;
    };
    if !matches!(select.distinct, Some(Distinct::Distinct)) {
        return;
    }
    for key in keys {
        let bare = without_parentheses(&key.expr);
        if let Some(place) = place(bare, select) {
            key.expr = Expr::value(Value::Number(place.to_string(), false));
        }
    }
}

fn keys(query: &Query) -> &[OrderByExpr] {
    match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(keys)) => keys,
        _ => &[],
    }
}

/// The place of the result that is this expression, from 1 on.
fn place(key: &Expr, select: &Select) -> Option<usize> {
    if is_column(key) || is_place(key) || key.to_string().to_lowercase().contains("rand") {
        return None;
    }
    // A name is in ORDER BY first that of a result, so that the expression is another one than it was.
    let names = identifiers(key);
    let is_result = |name: &Ident| names.contains(&name.value.to_lowercase());
    let mut place = None;
    for (index, item) in select.projection.iter().enumerate() {
        let (expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, column_name(expr)),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
            // Its columns have the names.
            _ => return None,
        };
        if name.is_some_and(is_result) {
            return None;
        }
        if place.is_none() && is_same(expr, key) {
            place = Some(index + 1);
        }
    }
    place
}

fn column_name(expr: &Expr) -> Option<&Ident> {
    match without_parentheses(expr) {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    }
}

fn is_same(one: &Expr, other: &Expr) -> bool {
    let (one, other) = (
        without_parentheses(one).to_string(),
        without_parentheses(other).to_string(),
    );
    one == other || (!one.contains('\'') && one.eq_ignore_ascii_case(&other))
}
