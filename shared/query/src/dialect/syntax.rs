//! Refuses what Athena's grammar does not have, with what to write instead.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, CeilFloorKind, DateTimeField, Distinct,
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, GroupByExpr, Ident, Interval, JoinConstraint, JoinOperator, LimitClause,
    ObjectName, OrderByKind, Query, Select, SelectFlavor, SelectItem, SetExpr, SetOperator,
    SetQuantifier, Spanned as _, Statement, Subscript, TableFactor, UnaryOperator, Value,
    Visit as _, Visitor, WildcardAdditionalOptions, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::refused;
use super::{expanded, signatures, type_names};
use crate::ast_names::last_name;
use crate::error::SqlError;
use crate::position::Position;
use crate::unknown_function;

/// Refuses a statement with a construct that Athena does not have, or that means something else there.
pub(crate) fn check(statement: &Statement) -> Result<(), SqlError> {
    match statement.visit(&mut Syntax) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

type Checked = Result<(), SqlError>;

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
        flow(of_table(factor))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<SqlError> {
        flow(of_expr(expr))
    }
}

fn flow(checked: Checked) -> ControlFlow<SqlError> {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

fn refuse(what: &str, instead: &str, span: Span) -> Checked {
    Err(refused(what, instead, span))
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
    for cte in query
        .with
        .iter()
        .filter(|with| with.recursive)
        .flat_map(|with| &with.cte_tables)
    {
        let recurses = relations(&cte.query).iter().any(|name| {
            last_name(name)
                .is_some_and(|name| name.value.eq_ignore_ascii_case(&cte.alias.name.value))
        });
        if recurses && cte.alias.columns.is_empty() {
            let instead = "name its columns: WITH RECURSIVE t (n) AS (…)";
            return refuse(
                "a recursive query without column names",
                instead,
                cte.alias.name.span,
            );
        }
    }
    if let Some(order_by) = &query.order_by {
        let OrderByKind::Expressions(keys) = &order_by.kind else {
            return refuse("ORDER BY ALL", "name the columns", order_by.span());
        };
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

fn is_count(value: &Value) -> bool {
    matches!(value, Value::Number(digits, _) if digits.bytes().all(|b| b.is_ascii_digit()))
        || matches!(value, Value::Placeholder(_))
}

fn is_before(one: Span, other: Span) -> bool {
    one.start.line > 0 && one.start < other.start
}

/// What Athena has and the local engine has not.
fn here_only(what: &str, instead: &str, span: Span) -> SqlError {
    SqlError::Invalid {
        message: format!("{what} runs on Athena, but not on this engine: {instead}"),
        position: Position::new(span.start.line, span.start.column),
    }
}

fn relations(query: &Query) -> Vec<ObjectName> {
    let mut names = Vec::new();
    let visited = datafusion::sql::sqlparser::ast::visit_relations(query, |name| {
        names.push(name.clone());
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(visited.is_continue());
    names
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
    if *set_quantifier == SetQuantifier::All && *op != SetOperator::Union {
        let instead = "count the rows of each side with GROUP BY";
        return Err(here_only(
            "EXCEPT ALL and INTERSECT ALL",
            instead,
            body.span(),
        ));
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
        for join in &joined.joins {
            of_join(&join.join_operator, join.span())?;
        }
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
        if matches!(key, Expr::UnaryOp { .. } | Expr::Value(_)) && !is_place(key) {
            return refuse("GROUP BY of a constant", "leave it out", key.span());
        }
        if let Some(name) = only_an_alias(key, select) {
            let instead = "write the expression, or its place: GROUP BY 1";
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

/// Whether it is the place of a result, such as 1.
fn is_place(key: &Expr) -> bool {
    matches!(key, Expr::Value(value) if is_count(&value.value))
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

/// The names without a table in an expression, in lower case.
fn identifiers(expr: &Expr) -> Vec<String> {
    let mut names = Vec::new();
    let visited = datafusion::sql::sqlparser::ast::visit_expressions(expr, |expr| {
        if let Expr::Identifier(name) = expr {
            names.push(name.value.to_lowercase());
        }
        ControlFlow::<()>::Continue(())
    });
    debug_assert!(visited.is_continue());
    names
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
    let WildcardAdditionalOptions {
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
        ..
    } = options;
    let plain = opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none();
    match plain {
        true => Ok(()),
        false => refuse(
            "`*` with a change of its columns",
            "name the columns",
            item.span(),
        ),
    }
}

fn of_join(operator: &JoinOperator, span: Span) -> Checked {
    use JoinOperator as Op;
    match operator {
        Op::CrossJoin(JoinConstraint::None) => Ok(()),
        Op::FullOuter(JoinConstraint::Using(_)) => Err(here_only(
            "FULL JOIN … USING",
            "write ON, and coalesce(a.k, b.k)",
            span,
        )),
        Op::Join(on)
        | Op::Inner(on)
        | Op::Left(on)
        | Op::LeftOuter(on)
        | Op::Right(on)
        | Op::RightOuter(on)
        | Op::FullOuter(on) => match on {
            JoinConstraint::None => refuse("JOIN without ON or USING", "write CROSS JOIN", span),
            JoinConstraint::Natural => refuse("NATURAL JOIN", "write USING (column)", span),
            JoinConstraint::On(_) | JoinConstraint::Using(_) => Ok(()),
        },
        Op::Semi(_) | Op::LeftSemi(_) | Op::RightSemi(_) => {
            refuse("SEMI JOIN", "write EXISTS or IN", span)
        }
        Op::Anti(_) | Op::LeftAnti(_) | Op::RightAnti(_) => {
            refuse("ANTI JOIN", "write NOT EXISTS", span)
        }
        _ => refuse("this kind of JOIN", "write JOIN … ON or CROSS JOIN", span),
    }
}

fn of_table(factor: &TableFactor) -> Checked {
    let span = factor.span();
    match factor {
        TableFactor::Table { args: Some(_), .. }
        | TableFactor::TableFunction { .. }
        | TableFactor::Function { .. } => refuse("a function in FROM", "write UNNEST(…)", span),
        TableFactor::Table {
            sample: Some(_), ..
        }
        | TableFactor::Derived {
            sample: Some(_), ..
        } => Err(here_only(
            "TABLESAMPLE",
            "filter by a hash of tick_id",
            span,
        )),
        TableFactor::Table {
            with_hints,
            version: None,
            partitions,
            json_path: None,
            index_hints,
            ..
        } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => Ok(()),
        TableFactor::UNNEST {
            with_offset: true, ..
        } => refuse("WITH OFFSET", "write WITH ORDINALITY", span),
        TableFactor::UNNEST {
            with_ordinality: true,
            ..
        } => {
            let instead = "UNNEST the array and sequence(1, cardinality(array)) together";
            Err(here_only("WITH ORDINALITY", instead, span))
        }
        TableFactor::Derived { .. }
        | TableFactor::UNNEST { .. }
        | TableFactor::NestedJoin { .. } => Ok(()),
        TableFactor::MatchRecognize { .. } => {
            Err(here_only("MATCH_RECOGNIZE", "use window functions", span))
        }
        _ => refuse(
            "this kind of table in FROM",
            "name a table or a subquery",
            span,
        ),
    }
}

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

fn of_expr(expr: &Expr) -> Checked {
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
            refuse("a minus of a minus", "leave both out")
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
            let is_key = access_chain.iter().any(|access| {
                matches!(access, AccessExpr::Subscript(Subscript::Index { index: Expr::Value(value) })
                    if matches!(value.value, Value::SingleQuotedString(_)))
            });
            if is_key {
                return Err(here_only(
                    "a key of a map in brackets",
                    "write CASE, or UNNEST",
                    span,
                ));
            }
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
        Expr::InUnnest { .. } => refuse("IN UNNEST", "write contains(array, x)"),
        Expr::Like { any: true, .. } => refuse("LIKE ANY", "write x LIKE 'a' OR x LIKE 'b'"),
        Expr::ILike { .. } => refuse("ILIKE", "write lower(x) LIKE 'pattern in lower case'"),
        Expr::SimilarTo { .. } | Expr::RLike { .. } => refuse(
            "SIMILAR TO, RLIKE and REGEXP",
            "write regexp_like(x, 'pattern')",
        ),
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
        Expr::Function(function) => of_function(function, span),
        Expr::Identifier(name) => match name.value.to_lowercase().as_str() {
            "current_user" | "localtime" | "current_time" | "current_catalog"
            | "current_schema"
                if name.quote_style.is_none() =>
            {
                Err(here_only(&format!("`{name}`"), "leave it out", span))
            }
            _ => Ok(()),
        },
        Expr::CompoundIdentifier(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::InList { .. }
        | Expr::InSubquery { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::AtTimeZone { .. }
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
        | Expr::Lambda(_)
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..) => Ok(()),
        _ => refuse(&format!("`{expr}`"), "docs/sql.md lists what runs on both"),
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
    match super::rewrite::field_function(field) {
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
                true => refuse(
                    &format!("`{value}`"),
                    "write it as a decimal or a double",
                    span,
                ),
                false => Ok(()),
            }
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

/// Athena's intervals have one field, with the number in quotes.
fn of_interval(interval: &Interval, span: Span) -> Checked {
    let text = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.as_str()),
            _ => None,
        },
        _ => None,
    };
    use DateTimeField as Field;
    let field = matches!(
        interval.leading_field,
        Some(Field::Year | Field::Month | Field::Day | Field::Hour | Field::Minute | Field::Second)
    );
    let seconds = matches!(interval.leading_field, Some(Field::Second));
    let number = text.is_some_and(|text| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        match digits.split_once('.') {
            Some((whole, part)) if seconds => {
                is_digits(whole) && is_digits(part) && part.len() <= 3
            }
            _ => is_digits(digits),
        }
    });
    match field && number && interval.last_field.is_none() {
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

fn is_ordered(over: Option<&WindowType>) -> bool {
    match over {
        Some(WindowType::WindowSpec(spec)) => {
            !spec.order_by.is_empty() || spec.window_name.is_some()
        }
        Some(WindowType::NamedWindow(_)) => true,
        None => false,
    }
}

fn of_function(function: &Function, span: Span) -> Checked {
    let name = last_name(&function.name)
        .map(|name| name.value.to_lowercase())
        .unwrap_or_default();
    if !signatures::is_known(&name) && !expanded::is_known(&name) && !name.starts_with("localtime")
    {
        return Err(unknown_function::error(
            &name,
            Position::new(span.start.line, span.start.column),
        ));
    }
    if function.uses_odbc_syntax || function.parameters != FunctionArguments::None {
        return refuse(
            &format!("this form of `{name}`"),
            "write name(arguments)",
            span,
        );
    }
    let listagg = name == "listagg";
    if function.within_group.is_empty() == listagg {
        return match listagg {
            true => refuse(
                "listagg without WITHIN GROUP",
                "write listagg(x, ',') WITHIN GROUP (ORDER BY y)",
                span,
            ),
            false => refuse("WITHIN GROUP", "write approx_percentile(x, 0.5)", span),
        };
    }
    let is_aggregate = signatures::is_aggregate(&name);
    if function.over.is_none() && signatures::needs_window(&name) {
        return refuse(
            &format!("{name} without OVER"),
            "write OVER (ORDER BY …), or max_by and min_by",
            span,
        );
    }
    if matches!(name.as_str(), "lag" | "lead") && !is_ordered(function.over.as_ref()) {
        return refuse(
            &format!("{name} without an order"),
            "write OVER (ORDER BY …)",
            span,
        );
    }
    if !is_aggregate && function.filter.is_some() {
        return refuse(
            &format!("FILTER of {name}"),
            "write CASE WHEN … THEN … END",
            span,
        );
    }
    if function.over.is_some() && function.filter.is_some() {
        return refuse(
            "FILTER in a window",
            "write an aggregate of CASE WHEN … THEN x END",
            span,
        );
    }
    let FunctionArguments::List(list) = &function.args else {
        return match function.args {
            FunctionArguments::None
                if name.starts_with("current_") || name.starts_with("local") =>
            {
                Ok(())
            }
            _ => refuse(
                &format!("this form of `{name}`"),
                "write name(arguments)",
                span,
            ),
        };
    };
    if !is_aggregate && (list.duplicate_treatment.is_some() || !list.clauses.is_empty()) {
        return refuse(
            &format!("DISTINCT or ORDER BY in {name}"),
            "write an aggregate",
            span,
        );
    }
    for argument in &list.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::UnaryOp {
                op: UnaryOperator::Minus,
                ..
            })) if matches!(name.as_str(), "lag" | "lead" | "nth_value") && list.args.len() > 1 => {
                return refuse(
                    &format!("a negative number in {name}"),
                    "write lead for lag, and the reverse",
                    span,
                );
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(_)) => {}
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => {}
            _ => return refuse("this argument", "write an expression", span),
        }
    }
    if matches!(list.duplicate_treatment, Some(DuplicateTreatment::All)) && function.over.is_some()
    {
        return refuse("ALL in a window", "leave it out", span);
    }
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(_) if !listagg => {}
            FunctionArgumentClause::IgnoreOrRespectNulls(_) => {
                return refuse(
                    "NULLS inside the parentheses",
                    "write lag(x) IGNORE NULLS OVER (…)",
                    span,
                );
            }
            _ => return refuse("this clause of an argument", "leave it out", span),
        }
    }
    Ok(())
}
