//! Texts that hold no more memory than themselves. Texts are views into buffers that many batches share:
//! whoever keeps batches (a sort, a queue between operators) counts those buffers once for each, and
//! writes to temporary files what memory would hold a hundred times.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures_util::StreamExt as _;

use super::around::{Change, around_inputs};

/// A plan whose operators that keep batches get them with texts of their own.
pub(super) fn with_own_texts(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let own_texts = |node: Arc<dyn ExecutionPlan>| {
        let keeps = node.is::<SortExec>() || node.is::<RepartitionExec>();
        if !keeps || !has_texts(&node) {
            return Ok(Transformed::no(node));
        }
        Ok(Transformed::yes(around_inputs(OwnTexts, node)?))
    };
    plan.transform_up(own_texts).map(|done| done.data)
}

fn has_texts(node: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = node.schema();
    let mut types = schema.fields().iter().map(|field| field.data_type());
    types.any(|data_type| *data_type == DataType::Utf8View)
}

/// Gathers the texts of each batch.
#[derive(Debug, Clone, Copy)]
struct OwnTexts;

impl Change for OwnTexts {
    fn name(&self) -> &'static str {
        "Gathering"
    }

    fn rows(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = rows.schema();
        let rows = rows.map(|batch| gathered(batch?));
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

/// A batch whose texts keep none of what was read around them.
pub(super) fn gathered(batch: RecordBatch) -> Result<RecordBatch> {
    let (schema, columns, rows) = batch.into_parts();
    let own = |column: ArrayRef| match column.as_string_view_opt() {
        Some(texts) if keeps_more_than_its_own(texts) => Arc::new(texts.gc()),
        _ => column,
    };
    let columns = columns.into_iter().map(own).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// Whether more than half of the buffers is of other rows.
fn keeps_more_than_its_own(texts: &StringViewArray) -> bool {
    let kept: usize = texts
        .data_buffers()
        .iter()
        .map(|buffer| buffer.capacity())
        .sum();
    kept / 2 > texts.total_buffer_bytes_used()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Array as _;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    fn texts(batch: &RecordBatch) -> &StringViewArray {
        batch.columns()[0].as_string_view()
    }

    fn batch_of(texts: StringViewArray) -> RecordBatch {
        RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap()
    }

    /// Texts too long to stand in their views.
    fn long_texts(count: usize) -> RecordBatch {
        let text = |n| format!("a text of more than twelve bytes, number {n}");
        batch_of((0..count).map(text).map(Some).collect())
    }

    #[test]
    fn a_slice_keeps_its_own_texts_alone() {
        let all = long_texts(1_000);
        let slice = all.slice(500, 2);
        let own = gathered(slice.clone()).unwrap();
        assert_eq!(own, slice);
        let kept = |batch: &RecordBatch| texts(batch).get_array_memory_size();
        assert!(
            kept(&own) < kept(&slice) / 100,
            "{} of {}",
            kept(&own),
            kept(&slice)
        );
    }

    #[test]
    fn what_is_used_is_not_copied() {
        let all = long_texts(1_000);
        let same = gathered(all.clone()).unwrap();
        let place = |batch: &RecordBatch| texts(batch).data_buffers()[0].as_ptr();
        assert_eq!(place(&same), place(&all));
        // Texts that stand in their views have no buffers.
        let short = batch_of(["a", "b"].into_iter().map(Some).collect());
        assert_eq!(gathered(short.clone()).unwrap(), short);
    }

    #[tokio::test]
    async fn sorts_and_queues_of_texts_are_gathered_for() {
        let shown = async |sql: &str| {
            let context =
                SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
            let _frame = context.register_batch("made", long_texts(3)).unwrap();
            let plan = context.sql(sql).await.unwrap();
            let plan = plan.create_physical_plan().await.unwrap();
            let plan = with_own_texts(plan).unwrap();
            displayable(plan.as_ref()).indent(false).to_string()
        };
        let sorted = shown("SELECT text FROM made ORDER BY text").await;
        assert!(sorted.contains("SortExec"), "{sorted}");
        assert_eq!(sorted.matches("Gathering").count(), 1, "{sorted}");
        let grouped = shown("SELECT text, count(*) FROM made GROUP BY text").await;
        assert!(grouped.contains("RepartitionExec"), "{grouped}");
        assert!(grouped.contains("Gathering"), "{grouped}");
        let numbers = shown("SELECT length(text) AS n FROM made ORDER BY n").await;
        assert!(!numbers.contains("Gathering"), "{numbers}");
    }
}
