//! Rows that go from core to core once where two operators in a row want them by key: groups by token and
//! time, then a window over the times of a token. The engine sends the groups by both keys, and again by
//! token alone; what is together by token is so by token and time as well.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties as _, Partitioning,
    ReplaceChildrenOptions,
};

/// The key with many values. By others alone, such as the quote, most groups might go to one core.
const MANY: &str = "token";

/// A plan whose groups are sent as the operator after them wants them.
pub(super) fn sent_once(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let sent = match sending(&node) {
            Some(sending) => grouped_by(sending.input, &sending.columns, sending.parts)?,
            None => None,
        };
        // What stands above was made for the rows as they come, and may look at it.
        let sent = sent.filter(|sent| sent.output_partitioning() == node.output_partitioning());
        Ok(sent.map_or_else(|| Transformed::no(node), Transformed::yes))
    })
    .map(|done| done.data)
}

/// A sending of rows by columns.
struct Sending<'a> {
    input: &'a Arc<dyn ExecutionPlan>,
    columns: Vec<usize>,
    parts: usize,
}

fn sending(node: &Arc<dyn ExecutionPlan>) -> Option<Sending<'_>> {
    let sending = node.downcast_ref::<RepartitionExec>()?;
    let Partitioning::Hash(keys, parts) = sending.partitioning() else {
        return None;
    };
    (!sending.preserve_order()).then_some(())?;
    Some(Sending {
        input: sending.input(),
        columns: keys.iter().map(column).collect::<Option<_>>()?,
        parts: *parts,
    })
}

fn column(of: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    of.downcast_ref::<Column>().map(Column::index)
}

/// A grouping, or columns of one, with its rows sent by some of its keys: these columns of the plan.
/// `None` where it is none, or they are no keys of it.
fn grouped_by(
    plan: &Arc<dyn ExecutionPlan>,
    columns: &[usize],
    parts: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let below = if let Some(shown) = plan.downcast_ref::<ProjectionExec>() {
        let inputs = columns.iter();
        let inputs = inputs.map(|place| column(&shown.expr().get(*place)?.expr));
        match inputs.collect::<Option<Vec<_>>>() {
            Some(inputs) => grouped_by(shown.input(), &inputs, parts)?,
            None => None,
        }
    } else {
        sent_by(plan, columns, parts)?
    };
    let anew = |below| {
        let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Arc::clone(plan).replace_children(vec![below], anew)
    };
    below.map(anew).transpose()
}

/// The input of a grouping's second stage, sent by some of its keys.
fn sent_by(
    plan: &Arc<dyn ExecutionPlan>,
    columns: &[usize],
    parts: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let grouping = plan.downcast_ref::<AggregateExec>().filter(|grouping| {
        *grouping.mode() == AggregateMode::FinalPartitioned && grouping.group_expr().is_single()
    });
    let Some((grouping, all)) = grouping.and_then(|it| Some((it, sending(it.input())?))) else {
        return Ok(None);
    };
    let schema = all.input.schema();
    let names = columns
        .iter()
        .filter_map(|column| schema.fields().get(*column));
    let by_many = names.clone().any(|field| field.name() == MANY);
    let keys = grouping.group_expr().expr().len();
    if !by_many || all.parts != parts || !columns.iter().all(|column| *column < keys) {
        return Ok(None);
    }
    let columns = names.zip(columns);
    let columns = columns.map(|(field, column)| Arc::new(Column::new(field.name(), *column)) as _);
    let by_fewer = Partitioning::Hash(columns.collect(), parts);
    let sent = RepartitionExec::try_new(Arc::clone(all.input), by_fewer)?;
    Ok(Some(Arc::new(sent)))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    const GROUPS: &str =
        "SELECT token, quote, n / 7 AS span, min(n) AS low FROM ticks GROUP BY token, quote, span";

    fn ticks() -> SessionContext {
        let batch = |from: i64| {
            let numbers = from..from + 500;
            let token = numbers.clone().map(|n| format!("token {}", n % 13));
            let quote = numbers
                .clone()
                .map(|n| if n % 2 == 0 { "USD" } else { "EUR" });
            let columns: [(&str, ArrayRef); 3] = [
                ("token", Arc::new(StringViewArray::from_iter_values(token))),
                ("quote", Arc::new(StringViewArray::from_iter_values(quote))),
                ("n", Arc::new(Int64Array::from_iter_values(numbers))),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let parts = vec![vec![batch(0), batch(500)], vec![batch(250)]];
        let table = MemTable::try_new(parts[0][0].schema(), parts).unwrap();
        let config = SessionConfig::new().with_target_partitions(3);
        let context = SessionContext::new_with_config(config);
        let _none = context.register_table("ticks", Arc::new(table)).unwrap();
        context
    }

    async fn planned(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
        let frame = context.sql(sql).await.unwrap();
        frame.create_physical_plan().await.unwrap()
    }

    fn sendings(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        shown.matches("partitioning=Hash").count()
    }

    async fn rows(context: &SessionContext, plan: Arc<dyn ExecutionPlan>) -> Vec<String> {
        let batches = collect(plan, context.task_ctx()).await.unwrap();
        let shown = pretty_format_batches(&batches).unwrap().to_string();
        let mut rows: Vec<String> = shown.lines().map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    }

    #[tokio::test]
    async fn groups_go_where_the_window_wants_them() {
        let context = ticks();
        for window in ["token, quote", "quote, token", "token"] {
            let sql = format!(
                "SELECT *, lead(low) OVER (PARTITION BY {window} ORDER BY span, quote) AS next,
                 sum(low) OVER (PARTITION BY {window}) AS total FROM ({GROUPS})"
            );
            let engines = planned(&context, &sql).await;
            let ours = sent_once(Arc::clone(&engines)).unwrap();
            assert_eq!((sendings(&engines), sendings(&ours)), (2, 1), "{sql}");
            assert_eq!(rows(&context, ours).await, rows(&context, engines).await);
        }
    }

    #[tokio::test]
    async fn a_union_whose_parts_are_sent_alike_can_still_be_planned() {
        let context = ticks();
        let counted = |of: &str| {
            format!(
                "SELECT a, b, count(*) OVER (PARTITION BY b) AS n
                 FROM (SELECT token AS a, token AS b FROM {of})"
            )
        };
        let groups = counted("(SELECT token, quote FROM ticks GROUP BY token, quote)");
        let sql = format!("{groups} UNION ALL {}", counted("ticks"));
        // A plan runs once.
        let engines = planned(&context, &sql).await;
        let ours = sent_once(planned(&context, &sql).await).unwrap();
        assert_eq!(rows(&context, ours).await, rows(&context, engines).await);
    }

    #[tokio::test]
    async fn other_plans_stay_as_they_are() {
        let context = ticks();
        for sql in [
            // Few values, no key, a key of something else, and what is not grouped.
            &format!("SELECT *, sum(low) OVER (PARTITION BY quote) AS total FROM ({GROUPS})"),
            &format!("SELECT *, sum(span) OVER (PARTITION BY low, token) AS total FROM ({GROUPS})"),
            &format!(
                "SELECT *, sum(low) OVER (PARTITION BY upper(token)) AS total FROM ({GROUPS})"
            ),
            "SELECT *, sum(n) OVER (PARTITION BY token) AS total FROM ticks",
            GROUPS,
        ] {
            let engines = planned(&context, sql).await;
            let shown = |plan: &Arc<dyn ExecutionPlan>| {
                displayable(plan.as_ref()).indent(false).to_string()
            };
            let before = shown(&engines);
            let ours = sent_once(engines).unwrap();
            assert_eq!(shown(&ours), before);
        }
    }
}
