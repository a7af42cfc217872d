//! Which forms of a call of a function are on both engines.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, UnaryOperator, Value, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{Checked, here_only, invalid, refuse};
use super::{expanded, signatures};
use crate::ast_names::last_name;
use crate::position::Position;
use crate::unknown_function;

/// Functions that look at the whole partition, and take no frame.
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

/// The window of a call, where names of windows have become what they stand for.
fn of_window(name: &str, window: &WindowType, span: Span) -> Checked {
    let spec = match window {
        WindowType::WindowSpec(spec) if spec.window_name.is_none() => spec,
        WindowType::WindowSpec(_) => {
            let what = "a window made of another one";
            return Err(here_only(what, "write it out", span));
        }
        WindowType::NamedWindow(window) => {
            let message = format!("`{window}` is not a window of this SELECT: write OVER (…)");
            return Err(invalid(message, window.span));
        }
    };
    if WITHOUT_FRAME.contains(&name) && spec.window_frame.is_some() {
        return refuse(
            &format!("{name} over a window with ROWS, RANGE or GROUPS"),
            &format!("write a window without it for {name}"),
            span,
        );
    }
    if matches!(name, "lag" | "lead") && spec.order_by.is_empty() {
        return refuse(
            &format!("{name} without an order"),
            "write OVER (ORDER BY …)",
            span,
        );
    }
    Ok(())
}

/// Functions with IGNORE NULLS.
const TAKES_NULLS: [&str; 5] = ["first_value", "lag", "last_value", "lead", "nth_value"];

/// Aggregates of which the engine ignores DISTINCT.
const WITHOUT_DISTINCT: [&str; 6] = [
    "approx_percentile",
    "corr",
    "covar_pop",
    "covar_samp",
    "regr_intercept",
    "regr_slope",
];

/// A second argument that has to be a constant.
fn of_second(name: &str, argument: &Expr, span: Span) -> Checked {
    let is_null = matches!(argument, Expr::Value(value) if value.value == Value::Null);
    let is_zero = matches!(argument, Expr::Value(value) if matches!(&value.value, Value::Number(digits, _) if digits.bytes().all(|b| b == b'0')));
    match (name, argument) {
        (
            "lag" | "lead" | "nth_value",
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                ..
            },
        ) => refuse(
            &format!("a negative number in {name}"),
            "write lead for lag, and the reverse",
            span,
        ),
        ("lag" | "lead" | "nth_value", _) if is_null => {
            refuse(&format!("NULL as the number of {name}"), "write 1", span)
        }
        ("nth_value", _) if is_zero => refuse(
            "0 in nth_value",
            "write the number of a row, from 1 on",
            span,
        ),
        ("listagg", Expr::Value(value)) if matches!(value.value, Value::SingleQuotedString(_)) => {
            Ok(())
        }
        ("listagg", _) => refuse(
            "a separator of listagg that is not a literal",
            "write listagg(x, ',')",
            span,
        ),
        _ => Ok(()),
    }
}

fn is_lambda(argument: &FunctionArg) -> bool {
    matches!(
        argument,
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(_)))
    )
}

pub(super) fn of_function(function: &Function, span: Span) -> Checked {
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
    if let FunctionArguments::List(list) = &function.args {
        if name == "approx_percentile" && list.args.len() > 2 {
            let instead = "write sum(w) OVER (ORDER BY x) in a subquery";
            return Err(here_only("approx_percentile with weights", instead, span));
        }
        if listagg && list.args.len() == 1 {
            let instead = "write listagg(x, '') WITHIN GROUP (ORDER BY y)";
            return Err(here_only("listagg without a separator", instead, span));
        }
        if name == "regexp_replace" && list.args.iter().any(is_lambda) {
            let instead = "write regexp_extract and concat";
            return Err(here_only("regexp_replace with a lambda", instead, span));
        }
    }
    // An expansion refuses what it does not take by itself.
    let is_aggregate = signatures::is_aggregate(&name) || expanded::is_known(&name);
    if function.over.is_none() && signatures::needs_window(&name) {
        return refuse(
            &format!("{name} without OVER"),
            "write OVER (ORDER BY …), or max_by and min_by",
            span,
        );
    }
    if let Some(window) = &function.over {
        of_window(&name, window, span)?;
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
    if function.over.is_some() && !is_aggregate && !signatures::needs_window(&name) {
        return refuse(
            &format!("OVER after {name}"),
            "write an aggregate or a function of windows",
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
    if matches!(
        name.as_str(),
        "current_date" | "current_time" | "current_timestamp" | "localtime" | "localtimestamp"
    ) {
        return refuse(
            &format!("{name} with parentheses"),
            "write it without, or now()",
            span,
        );
    }
    let is_column = |arg: &FunctionArg| {
        matches!(
            arg,
            FunctionArg::Unnamed(FunctionArgExpr::Expr(
                Expr::Identifier(_) | Expr::CompoundIdentifier(_)
            ))
        )
    };
    if name == "grouping" && !list.args.iter().all(is_column) {
        return refuse(
            "grouping of an expression",
            "name the columns in a subquery",
            span,
        );
    }
    if !is_aggregate && (list.duplicate_treatment.is_some() || !list.clauses.is_empty()) {
        return refuse(
            &format!("DISTINCT or ORDER BY in {name}"),
            "write an aggregate",
            span,
        );
    }
    for argument in &list.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(_)) => {}
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard)
                if name == "count" && list.duplicate_treatment.is_none() => {}
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => {
                let instead = "write count(DISTINCT ROW(a, b))";
                return refuse("count(DISTINCT *)", instead, span);
            }
            _ => return refuse("this argument", "write an expression", span),
        }
    }
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(second))) = list.args.get(1) {
        of_second(&name, second, span)?;
    }
    if function.null_treatment.is_some() && !TAKES_NULLS.contains(&name.as_str()) {
        return refuse(
            &format!("IGNORE or RESPECT NULLS of {name}"),
            "write FILTER (WHERE x IS NOT NULL), or CASE",
            span,
        );
    }
    if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
        && WITHOUT_DISTINCT.contains(&name.as_str())
    {
        return Err(here_only(
            &format!("DISTINCT in {name}"),
            "write SELECT DISTINCT in a subquery",
            span,
        ));
    }
    if matches!(list.duplicate_treatment, Some(DuplicateTreatment::All)) && function.over.is_some()
    {
        return refuse("ALL in a window", "leave it out", span);
    }
    for clause in &list.clauses {
        match clause {
            FunctionArgumentClause::OrderBy(_) if !listagg => {}
            FunctionArgumentClause::OnOverflow(_) => {
                return Err(here_only("ON OVERFLOW", "leave it out", span));
            }
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
