//! ORDER BY after SELECT DISTINCT and after set operations, whose rows are ordered by their results.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned as _, Value,
};

use super::refusal::{Checked, here_only, refuse};
use super::sort_key::{identifiers, is_place, without_parentheses};
use crate::ast_names::lower;

/// Refuses an expression of which the planner would take the columns for those of the tables, or of the first branch.
pub(super) fn check(key: &Expr, body: &SetExpr) -> Checked {
    if let Expr::UnaryOp { expr, .. } = key
        && is_place(without_parentheses(expr))
    {
        let instead = "write the place of a result, from 1 on";
        return refuse("ORDER BY of a number with a sign", instead, key.span());
    }
    if is_result(key) {
        return Ok(());
    }
    let after = match body {
        SetExpr::Select(select) if is_distinct(select) && place(key, select).is_none() => {
            "SELECT DISTINCT"
        }
        SetExpr::SetOperation { .. } => "UNION, INTERSECT or EXCEPT",
        _ => return Ok(()),
    };
    Err(here_only(
        &format!("ORDER BY of an expression after {after}"),
        "select the expression, and write its place: ORDER BY 1",
        key.span(),
    ))
}

/// Puts the places of results for the expressions that SELECT DISTINCT selects.
pub(super) fn by_places(query: &mut Query) {
    let Query { body, order_by, .. } = query;
    let (SetExpr::Select(select), Some(order_by)) = (body.as_ref(), order_by) else {
        return;
    };
    let OrderByKind::Expressions(keys) = &mut order_by.kind else {
        return;
    };
    for key in keys.iter_mut().filter(|_| is_distinct(select)) {
        let bare = without_parentheses(&key.expr);
        if !is_result(bare)
            && let Some(place) = place(bare, select)
        {
            key.expr = Expr::value(Value::Number(place.to_string(), false));
        }
    }
}

fn is_distinct(select: &Select) -> bool {
    matches!(select.distinct, Some(Distinct::Distinct))
}

fn is_result(key: &Expr) -> bool {
    matches!(key, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) || is_place(key)
}

/// The place of the result that is written as the key is, from 1 on. Athena takes a name in the key for a result of that
/// name, and then the key is another expression, even if the result is the column itself.
fn place(key: &Expr, select: &Select) -> Option<usize> {
    let names = identifiers(key);
    let mut place = None;
    for (item, number) in select.projection.iter().zip(1..) {
        let (expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => match without_parentheses(expr) {
                Expr::Identifier(name) => (expr, Some(name)),
                Expr::CompoundIdentifier(parts) => (expr, parts.last()),
                _ => (expr, None),
            },
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
            _ => return None,
        };
        if name.is_some_and(|name| names.contains(&lower(name))) {
            return None;
        }
        if without_parentheses(expr).to_string() == key.to_string() {
            place = place.or(Some(number));
        }
    }
    // Two calls of random() are two values.
    place.filter(|_| !key.to_string().to_lowercase().contains("rand"))
}
