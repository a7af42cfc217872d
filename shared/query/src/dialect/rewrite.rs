//! Rewrites a statement that Athena accepts into one that means the same to the engine: literals have Athena's types,
//! names are in lower case, and forms that the planner reads in another way become functions.

use std::ops::ControlFlow;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, CharacterLength, DataType, ExactNumberInfo, Expr, Fetch, GroupByExpr, Ident,
    LimitClause, ObjectName, ObjectNamePart, OrderByKind, Query, Select, SelectItem, SetExpr,
    Statement, Subscript, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value,
    ValueWithSpan, Values, VisitMut as _, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::ast_builder::{call, cast, typed};
use super::call_rewrite::{bare, bare_bounds, local_timestamp};
use super::derived_table::{named, selected_from};
use super::unnamed::UNNAMED;
use super::{call_rewrite, derived_table, like, moments, shows, type_names};
use crate::error::SqlError;
use crate::table_names::is_table;

/// Rewrites a statement. `sql` is its text.
pub(crate) fn rewrite(
    statement: &mut Statement,
    sql: &str,
    tables: &[(String, SchemaRef)],
) -> Result<(), SqlError> {
    let mut rewriter = Rewriter {
        sql,
        tables,
        unnamed: 0,
    };
    match statement.visit(&mut rewriter) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter<'a> {
    sql: &'a str,
    tables: &'a [(String, SchemaRef)],
    unnamed: usize,
}

impl VisitorMut for Rewriter<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            lower_alias(&mut cte.alias);
        }
        if let Some(Fetch { quantity, .. }) = query.fetch.take() {
            let one = Expr::value(Value::Number("1".to_owned(), false));
            let limit = Some(quantity.unwrap_or(one));
            let offset = match query.limit_clause.take() {
                Some(LimitClause::LimitOffset { offset, .. }) => offset,
                _ => None,
            };
            let limit_by = Vec::new();
            query.limit_clause = Some(LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            });
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            limit.iter_mut().for_each(bare);
            offset.iter_mut().for_each(|offset| bare(&mut offset.value));
        }
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order_by.kind
        {
            keys.iter_mut().for_each(|key| bare(&mut key.expr));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &mut Statement) -> ControlFlow<SqlError> {
        match shows::as_query(statement, self.tables) {
            Ok(Some(query)) => *statement = query,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        if let Statement::Query(query) = statement
            && let SetExpr::Values(values) = query.body.as_ref()
        {
            let columns = values.rows.first().map_or(0, |row| row.content.len());
            let alias = self.unnamed_alias(columns);
            let inner = std::mem::replace(
                query.body.as_mut(),
                SetExpr::Values(Values {
                    explicit_row: false,
                    value_keyword: false,
                    rows: Vec::new(),
                }),
            );
            if let Some(outer) = selected_from(inner, alias) {
                *query.body = outer;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) if !has_name(expr) => {
                    self.unnamed += 1;
                    let alias = Ident::with_quote('"', format!("{UNNAMED}{}", self.unnamed));
                    let expr = std::mem::replace(expr, Expr::value(Value::Null));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
                SelectItem::ExprWithAlias { alias, .. } => lower(alias),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.iter_mut().for_each(bare);
        }
        for window in &mut select.named_window {
            if let datafusion::sql::sqlparser::ast::NamedWindowExpr::WindowSpec(spec) =
                &mut window.1
            {
                bare_bounds(&mut spec.window_frame);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<SqlError> {
        if name.0.iter().any(|part| {
            part.as_ident()
                .is_some_and(|it| it.value.eq_ignore_ascii_case("information_schema"))
        }) {
            return ControlFlow::Break(SqlError::Invalid {
                message: "information_schema is not on this engine: write SHOW TABLES, or DESCRIBE and a table".to_owned(),
                position: None,
            });
        }
        let parts = std::mem::take(&mut name.0);
        let of_ours = match parts.as_slice() {
            [_, table] => part_is_table(table),
            [catalog, _, table] => {
                let catalog = catalog
                    .as_ident()
                    .is_some_and(|it| it.value.eq_ignore_ascii_case("awsdatacatalog"));
                catalog && part_is_table(table)
            }
            _ => false,
        };
        let skipped = if of_ours { parts.len() - 1 } else { 0 };
        name.0 = parts.into_iter().skip(skipped).collect();
        for part in &mut name.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                lower(ident);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        if let TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        }
        | TableFactor::UNNEST {
            alias: Some(alias), ..
        }
        | TableFactor::NestedJoin {
            alias: Some(alias), ..
        } = factor
        {
            lower_alias(alias);
        }
        if let TableFactor::UNNEST {
            array_exprs,
            with_ordinality,
            ..
        } = factor
            && std::mem::take(with_ordinality)
        {
            array_exprs.extend(derived_table::ordinality(array_exprs));
        }
        // What has no names on Athena.
        let (alias, columns) = match factor {
            TableFactor::Derived {
                alias, subquery, ..
            } => match subquery.body.as_ref() {
                SetExpr::Values(values) => {
                    let columns = values.rows.first().map_or(0, |row| row.content.len());
                    (alias, columns)
                }
                _ => return ControlFlow::Continue(()),
            },
            TableFactor::UNNEST {
                alias, array_exprs, ..
            } => (alias, array_exprs.len()),
            _ => return ControlFlow::Continue(()),
        };
        if alias.as_ref().is_none_or(|alias| alias.columns.is_empty()) {
            let mut named = self.unnamed_alias(columns);
            if let Some(alias) = alias {
                named.name = alias.name.clone();
            }
            *alias = Some(named);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        let span = datafusion::sql::sqlparser::ast::Spanned::span(expr);
        let taken = std::mem::replace(expr, Expr::value(Value::Null));
        match self.rewritten(taken, span) {
            Ok(rewritten) => {
                *expr = rewritten;
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

impl Rewriter<'_> {
    /// Names for the columns of VALUES, which have none on Athena.
    fn unnamed_alias(&mut self, columns: usize) -> TableAlias {
        let mut name = || {
            self.unnamed += 1;
            Ident::with_quote('"', format!("{UNNAMED}{}", self.unnamed))
        };
        let columns = (0..columns)
            .map(|_| TableAliasColumnDef {
                name: name(),
                data_type: None,
            })
            .collect();
        TableAlias {
            explicit: true,
            name: name(),
            columns,
            at: None,
        }
    }

    fn rewritten(&self, expr: Expr, span: Span) -> Result<Expr, SqlError> {
        Ok(match expr {
            Expr::Identifier(mut name) => {
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("localtimestamp") {
                    return Ok(local_timestamp());
                }
                lower(&mut name);
                Expr::Identifier(name)
            }
            Expr::CompoundIdentifier(mut names) => {
                if let [.., table, _] = names.as_slice()
                    && names.len() > 2
                    && is_table(&table.value)
                {
                    names.drain(..names.len() - 2);
                }
                names.iter_mut().for_each(lower);
                Expr::CompoundIdentifier(names)
            }
            // As an integer, which the planner would make a bigint.
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr: ref inner,
            } if is_2_to_the_31(inner) => typed("-2147483648", DataType::Integer(None)),
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(typed) => {
                let text = typed.value.value.clone().into_string().unwrap_or_default();
                moments::typed_literal(&typed.data_type, text, span)?
            }
            Expr::Cast {
                expr,
                data_type: DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. })),
                ..
            } => call(
                "varchar_of_length",
                vec![*expr, typed(&length.to_string(), DataType::BigInt(None))],
            ),
            Expr::Cast {
                kind,
                expr,
                data_type,
                array,
                format,
            } => {
                let data_type = type_names::planned(&data_type);
                Expr::Cast {
                    kind,
                    expr,
                    data_type,
                    array,
                    format,
                }
            }
            Expr::Extract { field, expr, .. } => call(
                call_rewrite::field_function(&field).unwrap_or_default(),
                vec![*expr],
            ),
            Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => call("at_timezone", vec![*timestamp, *time_zone]),
            Expr::Position { expr, r#in } => call("strpos", vec![*r#in, *expr]),
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let mut args = vec![*expr];
                args.push(
                    substring_from.map_or_else(|| typed("1", DataType::BigInt(None)), |from| *from),
                );
                args.extend(substring_for.map(|length| *length));
                call("substr", args)
            }
            Expr::Like {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            } => {
                let pattern = Box::new(like::pattern(*pattern, escape_char.as_ref(), span)?);
                Expr::Like {
                    negated,
                    any,
                    expr,
                    pattern,
                    escape_char: None,
                }
            }
            Expr::AnyOp {
                left,
                compare_op,
                right,
                is_some,
            } => {
                let right = Box::new(named(*right));
                Expr::AnyOp {
                    left,
                    compare_op,
                    right,
                    is_some,
                }
            }
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => {
                let right = Box::new(named(*right));
                Expr::AllOp {
                    left,
                    compare_op,
                    right,
                }
            }
            Expr::CompoundFieldAccess { root, access_chain } => subscripts(*root, access_chain),
            Expr::BinaryOp { left, op, right } => Expr::BinaryOp {
                left: Box::new(row(*left)),
                op,
                right: Box::new(row(*right)),
            },
            Expr::InList {
                expr,
                list,
                negated,
            } => Expr::InList {
                expr: Box::new(row(*expr)),
                list: list.into_iter().map(row).collect(),
                negated,
            },
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => Expr::Between {
                expr: Box::new(row(*expr)),
                negated,
                low: Box::new(row(*low)),
                high: Box::new(row(*high)),
            },
            Expr::Function(function) => call_rewrite::of_function(function, span)?,
            other => other,
        })
    }

    fn literal(&self, value: ValueWithSpan) -> Expr {
        match &value.value {
            // The value of a parameter, which is a bigint.
            Value::Number(digits, true) => Expr::value(Value::Number(digits.clone(), false)),
            Value::Number(digits, false) if digits.contains(['e', 'E']) => typed(
                &digits.replace('_', ""),
                DataType::Double(ExactNumberInfo::None),
            ),
            Value::Number(digits, false) if digits.contains('_') => {
                let plain = Value::Number(digits.replace('_', ""), false).with_span(value.span);
                self.literal(plain)
            }
            Value::Number(digits, false) if digits.parse::<i32>().is_ok() => narrow(value),
            Value::HexStringLiteral(digits) if self.starts_with_zero(value.span) => {
                let number = i64::from_str_radix(digits, 16)
                    .unwrap_or(i64::MAX)
                    .to_string();
                let is_integer = number.parse::<i32>().is_ok();
                let value = Value::Number(number, false).with_span(value.span);
                if is_integer {
                    narrow(value)
                } else {
                    Expr::Value(value)
                }
            }
            Value::UnicodeStringLiteral(text) => {
                Expr::value(Value::SingleQuotedString(text.clone()))
            }
            _ => Expr::Value(value),
        }
    }

    /// Whether it is a number such as `0x1F`, and not bytes such as `X'1F'`.
    fn starts_with_zero(&self, span: Span) -> bool {
        let line = usize::try_from(span.start.line)
            .unwrap_or_default()
            .saturating_sub(1);
        let column = usize::try_from(span.start.column)
            .unwrap_or_default()
            .saturating_sub(1);
        let text = self.sql.split('\n').nth(line).unwrap_or_default();
        text.chars().nth(column) == Some('0')
    }
}

/// `(a, b)` as `ROW(a, b)`.
fn row(expr: Expr) -> Expr {
    match expr {
        Expr::Tuple(fields) => call("row", fields),
        other => other,
    }
}

/// `x[a][b]` as calls; the planner has other functions for some of them.
fn subscripts(root: Expr, access_chain: Vec<AccessExpr>) -> Expr {
    let is_subscript =
        |access: &AccessExpr| matches!(access, AccessExpr::Subscript(Subscript::Index { .. }));
    if !access_chain.iter().all(is_subscript) {
        let root = Box::new(root);
        return Expr::CompoundFieldAccess { root, access_chain };
    }
    access_chain
        .into_iter()
        .fold(root, |of, access| match access {
            AccessExpr::Subscript(Subscript::Index { index }) => call("subscript", vec![of, index]),
            _ => of,
        })
}

fn part_is_table(part: &ObjectNamePart) -> bool {
    part.as_ident().is_some_and(|name| is_table(&name.value))
}

/// Whether Athena names a result after the expression.
fn has_name(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(name) => {
            name.quote_style.is_some() || !name.value.eq_ignore_ascii_case("localtimestamp")
        }
        Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => has_name(inner),
        _ => false,
    }
}

fn is_2_to_the_31(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Number("2147483648".to_owned(), false))
}

fn lower(name: &mut Ident) {
    if name.quote_style.is_some() {
        name.value = name.value.to_lowercase();
    }
}

fn lower_alias(alias: &mut TableAlias) {
    lower(&mut alias.name);
    alias
        .columns
        .iter_mut()
        .for_each(|column| lower(&mut column.name));
}

/// An integer literal that fits into 32 bits: the planner would make it a bigint.
fn narrow(value: ValueWithSpan) -> Expr {
    cast(Expr::Value(value), DataType::Integer(None))
}
