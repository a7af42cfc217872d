//! Which forms of a call of a function are on both engines.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, UnaryOperator, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::refusal::{Checked, here_only, refuse};
use super::{expanded, signatures};
use crate::ast_names::last_name;
use crate::position::Position;
use crate::unknown_function;

fn is_ordered(over: Option<&WindowType>) -> bool {
    match over {
        Some(WindowType::WindowSpec(spec)) => {
            !spec.order_by.is_empty() || spec.window_name.is_some()
        }
        Some(WindowType::NamedWindow(_)) => true,
        None => false,
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
