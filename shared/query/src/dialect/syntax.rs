//! Refuses what Athena's grammar does not have, with what to write instead.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, LimitClause, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SetExpr, SetOperator, SetQuantifier, Spanned as _, Statement, TableFactor, Value,
    Visit as _, Visitor, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{Checked, here_only, refuse};
use super::sort_key::{identifiers, is_count, is_place, without_parentheses};
use super::{expr_syntax, from_syntax, order_by};
use crate::error::SqlError;

/// Refuses a statement with a construct that Athena does not have, or that means something else there.
pub(crate) fn check(statement: &Statement) -> Result<(), SqlError> {
    match statement.visit(&mut Syntax) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Syntax;

impl Visitor for Syntax {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        flow(of_query(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<SqlError> {
        flow(of_select(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<SqlError> {
        flow(from_syntax::of_table(factor))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<SqlError> {
        flow(expr_syntax::of_expr(expr))
    }
}

fn flow(checked: Checked) -> ControlFlow<SqlError> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

fn of_query(query: &Query) -> Checked {
    let span = query.span();
    if !query.locks.is_empty() || query.for_clause.is_some() {
        return refuse("FOR", "leave it out", span);
    }
    if query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty()
    {
        return refuse("this clause after a query", "leave it out", span);
    }
    if let Some(with) = query.with.as_ref().filter(|with| with.recursive)
        && let Some(cte) = with
            .cte_tables
            .iter()
            .find(|cte| cte.alias.columns.is_empty())
    {
        // On Athena, only one that reads itself has to have them.
        let instead = "write WITH RECURSIVE t (n) AS (…)";
        let what = "a part of WITH RECURSIVE without names of its columns";
        return Err(here_only(what, instead, cte.alias.name.span));
    }
    let recursive = query.with.iter().filter(|with| with.recursive);
    let mut parts = recursive.flat_map(|with| &with.cte_tables);
    // The planner leaves them out.
    if let Some(cut) = parts.find(|cte| {
        let part = &cte.query;
        matches!(*part.body, SetExpr::SetOperation { .. })
            && (part.order_by.is_some() || part.limit_clause.is_some() || part.fetch.is_some())
    }) {
        let what = "ORDER BY, LIMIT or FETCH in a recursive query";
        return refuse(what, "write it behind the query", cut.query.span());
    }
    if let Some(order_by) = &query.order_by {
        let OrderByKind::Expressions(keys) = &order_by.kind else {
            return refuse("ORDER BY ALL", "name the columns", order_by.span());
        };
        for key in keys {
            order_by::check(without_parentheses(&key.expr), &query.body)?;
        }
        if order_by.interpolate.is_some() || keys.iter().any(|key| key.with_fill.is_some()) {
            return refuse("WITH FILL", "join with a sequence", order_by.span());
        }
    }
    if let Some(fetch) = &query.fetch
        && (fetch.with_ties || fetch.percent)
    {
        return Err(here_only(
            "FETCH … WITH TIES",
            "filter by rank() in a subquery",
            span,
        ));
    }
    if let Some(Expr::Value(count)) = query
        .fetch
        .as_ref()
        .and_then(|fetch| fetch.quantity.as_ref())
        && matches!(&count.value, Value::Number(digits, _) if digits.bytes().all(|b| b == b'0'))
    {
        return refuse("FETCH of no rows", "write LIMIT 0", span);
    }
    if query.fetch.is_some()
        && matches!(
            &query.limit_clause,
            Some(LimitClause::LimitOffset { limit: Some(_), .. })
        )
    {
        return refuse("LIMIT and FETCH", "write one of them", span);
    }
    of_set_expr(&query.body)?;
    match &query.limit_clause {
        Some(LimitClause::OffsetCommaLimit { limit, .. }) => {
            refuse("LIMIT a, b", "write OFFSET a LIMIT b", limit.span())
        }
        Some(LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        }) => {
            if !limit_by.is_empty() {
                return refuse("LIMIT … BY", "filter by row_number() in a subquery", span);
            }
            let counts = limit
                .iter()
                .chain(offset.iter().map(|offset| &offset.value));
            for count in counts {
                if !matches!(count, Expr::Value(value) if is_count(&value.value)) {
                    return refuse("this LIMIT or OFFSET", "write a whole number", count.span());
                }
                let is_large = |digits: &str| digits.parse::<i32>().is_err();
                if query.order_by.is_some()
                    && matches!(count, Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if is_large(digits)))
                {
                    return refuse(
                        "more than 2147483647 rows with ORDER BY",
                        "leave it out",
                        count.span(),
                    );
                }
            }
            match (limit, offset) {
                (Some(limit), Some(offset)) if is_before(limit.span(), offset.value.span()) => {
                    refuse(
                        "LIMIT before OFFSET",
                        "write OFFSET a LIMIT b",
                        limit.span(),
                    )
                }
                _ => Ok(()),
            }
        }
        None => Ok(()),
    }
}

fn is_before(one: Span, other: Span) -> bool {
    one.start.line > 0 && one.start < other.start
}

fn of_set_expr(body: &SetExpr) -> Checked {
    let SetExpr::SetOperation {
        left,
        set_quantifier,
        right,
        op,
    } = body
    else {
        return Ok(());
    };
    if matches!(
        set_quantifier,
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName
    ) {
        return refuse("BY NAME", "name the columns in the same order", body.span());
    }
    if *op == SetOperator::Minus {
        return refuse("MINUS", "write EXCEPT", body.span());
    }
    of_set_expr(left)?;
    of_set_expr(right)
}

fn of_select(select: &Select) -> Checked {
    let span = select.span();
    if let Some(Distinct::On(_)) = &select.distinct {
        return refuse(
            "DISTINCT ON",
            "filter by row_number() in a subquery, or write max_by",
            span,
        );
    }
    if let Some(qualify) = &select.qualify {
        return refuse(
            "QUALIFY",
            "filter in a subquery around this one",
            qualify.span(),
        );
    }
    let others = [
        select.top.is_some(),
        select.exclude.is_some(),
        select.into.is_some(),
        !select.lateral_views.is_empty(),
        select.prewhere.is_some(),
        !select.connect_by.is_empty(),
        !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty(),
        select.value_table_mode.is_some(),
        select.select_modifiers.is_some(),
        select.flavor != SelectFlavor::Standard,
        select.projection.is_empty(),
    ];
    if others.contains(&true) {
        return refuse(
            "this form of SELECT",
            "write SELECT … FROM … WHERE … GROUP BY … HAVING …",
            span,
        );
    }
    for item in &select.projection {
        of_item(item)?;
    }
    for joined in &select.from {
        from_syntax::of_joined(joined)?;
    }
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
        return refuse("GROUP BY ALL", "name the columns, by name or place", span);
    };
    if !modifiers.is_empty() {
        return refuse(
            "WITH ROLLUP, CUBE or TOTALS",
            "write GROUP BY ROLLUP (…)",
            span,
        );
    }
    for key in keys {
        if matches!(key, Expr::Tuple(keys) if keys.is_empty()) {
            return Err(here_only("GROUP BY ()", "leave it out", key.span()));
        }
        if let Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) = key
            && let Some(other) = sets.iter().flatten().find(|key| !is_column(key))
        {
            return refuse(
                "ROLLUP, CUBE or GROUPING SETS of an expression",
                "name the columns in a subquery",
                other.span(),
            );
        }
        let bare = without_parentheses(key);
        if matches!(bare, Expr::UnaryOp { .. } | Expr::Value(_)) && !is_place(bare) {
            return Err(here_only(
                "GROUP BY of a constant",
                "leave it out",
                key.span(),
            ));
        }
        if let Some(name) = only_an_alias(key, select) {
            let instead = "write its expression, or t.name if it is a column of t";
            return refuse(
                &format!("GROUP BY `{name}`, the name of a result,"),
                instead,
                key.span(),
            );
        }
    }
    if let Some(having) = &select.having
        && let Some(name) = only_an_alias(having, select)
    {
        let instead = "write the expression, or give the result a name that no column has";
        return refuse(
            &format!("HAVING with `{name}`, the name of a result,"),
            instead,
            having.span(),
        );
    }
    Ok(())
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Tuple(columns) => columns.iter().all(is_column),
        expr => matches!(
            without_parentheses(expr),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_)
        ),
    }
}

/// The name of a result that an expression refers to, if the rest of the SELECT does not show that it is also
/// a column. Athena looks for columns only.
fn only_an_alias(expr: &Expr, select: &Select) -> Option<String> {
    let names = identifiers(expr);
    let is_alias_of_another = |name: &String| {
        select.projection.iter().any(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                alias.value.eq_ignore_ascii_case(name)
                    && !matches!(expr, Expr::Identifier(of) if of.value.eq_ignore_ascii_case(name))
            }
            _ => false,
        })
    };
    let is_column = |name: &String| {
        let items = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        });
        let mut others = items.chain(&select.selection);
        others.any(|expr| identifiers(expr).contains(name))
    };
    let mut found = names.into_iter();
    found.find(|name| is_alias_of_another(name) && !is_column(name))
}

/// Athena's reserved words, in lower case.
const RESERVED: &str = " alter and as between by case cast constraint create cross cube current_catalog current_date \
    current_path current_role current_schema current_time current_timestamp current_user deallocate delete describe \
    distinct drop else end escape except execute exists extract false for from full group grouping having in inner \
    insert intersect into is join json_array json_exists json_object json_query json_table json_value left like listagg \
    localtime localtimestamp natural normalize not null on or order outer prepare recursive right rollup select skip \
    table then trim true uescape union unnest using values when where with ";

fn is_reserved(name: &Ident) -> bool {
    name.quote_style.is_none() && RESERVED.contains(&format!(" {} ", name.value.to_lowercase()))
}

fn of_item(item: &SelectItem) -> Checked {
    let options = match item {
        SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => options,
        SelectItem::ExprWithAliases { expr, .. } => {
            return refuse(
                "more than one name for a result",
                "name each column",
                expr.span(),
            );
        }
        SelectItem::ExprWithAlias { alias, .. } if is_reserved(alias) => {
            let what = format!("the name {}", alias.value);
            return refuse(
                &what,
                "put it in double quotes, or choose another one",
                alias.span,
            );
        }
        SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => return Ok(()),
    };
    match *options == WildcardAdditionalOptions::default() {
        true => Ok(()),
        false => refuse(
            "`*` with a change of its columns",
            "name the columns",
            item.span(),
        ),
    }
}
