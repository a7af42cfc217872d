//! Groupings by one text that comes again and again, such as a source or a token: the first of their two
//! stages. The engine hashes and compares the text of every row. But a file holds each of its texts once,
//! and rows of one text point at the same bytes: the group of a pointer that was seen is known by it alone.

mod groups;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use codec::column::PARTITIONS;
use datafusion::arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringViewArray};
use datafusion::arrow::compute::partition;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions,
};
use futures_util::{TryStreamExt as _, stream};

use self::groups::Groups;
use super::partial::hands_on;

/// Most groups of a table, which is handed on then. There is one for each thread.
const GROUPS_MAX: usize = 64 * 1024;

/// Most bytes of its texts and states.
const TABLE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The text that is another one in each row.
const UNIQUE: &str = "tick_id";

/// A plan whose first stages look at each text once, where that pays.
pub(super) fn by_text(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        Ok(match ByText::of(&node, GROUPS_MAX) {
            Some(by_text) => Transformed::yes(Arc::new(by_text) as _),
            None => Transformed::no(node),
        })
    })
    .map(|done| done.data)
}

/// A first stage in the place of the engine's.
#[derive(Debug, Clone)]
struct ByText {
    /// The engine's, which tells all but how it is done.
    grouping: Arc<dyn ExecutionPlan>,
    keys: Keys,
    groups_max: usize,
}

/// The columns of the input that are grouped by, in the order of the output.
#[derive(Debug, Clone)]
struct Keys {
    columns: Vec<usize>,
    /// Which of them is the text. The others are of the file's folder: a file has one value of each.
    text: usize,
}

impl Keys {
    fn of(grouping: &AggregateExec) -> Option<Self> {
        let input = grouping.input_schema();
        let mut columns = Vec::new();
        let mut text = None;
        for (place, (key, _)) in grouping.group_expr().expr().iter().enumerate() {
            let column = key.downcast_ref::<Column>()?;
            let field = input.fields().get(column.index())?;
            let of_type = field.data_type();
            if *of_type == DataType::Utf8View && field.name() != UNIQUE {
                if text.replace(place).is_some() {
                    return None;
                }
            } else if *of_type != DataType::Int32 || !PARTITIONS.contains(&field.name().as_str()) {
                return None;
            }
            columns.push(column.index());
        }
        text.map(|text| Self { columns, text })
    }
}

impl ByText {
    fn of(node: &Arc<dyn ExecutionPlan>, groups_max: usize) -> Option<Self> {
        let grouping = node.downcast_ref::<AggregateExec>()?;
        let simple = hands_on(grouping)
            && grouping.group_expr().is_single()
            && grouping.limit_options().is_none()
            && grouping.aggr_expr().iter().all(|aggregate| {
                aggregate.groups_accumulator_supported() && aggregate.order_bys().is_empty()
            });
        let keys = simple.then(|| Keys::of(grouping)).flatten()?;
        Some(Self {
            grouping: Arc::clone(node),
            keys,
            groups_max,
        })
    }

    fn aggregates(&self) -> Result<Vec<Aggregate>> {
        let grouping = self.grouping.downcast_ref::<AggregateExec>();
        let grouping = grouping.ok_or_else(|| internal("it stands for a grouping"))?;
        let filters = grouping.filter_expr().iter();
        let each = grouping.aggr_expr().iter().zip(filters);
        each.map(|(aggregate, filter)| {
            Ok(Aggregate {
                arguments: aggregate.expressions(),
                filter: filter.clone(),
                states: aggregate.create_groups_accumulator()?,
            })
        })
        .collect()
    }
}

fn internal(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("ByText: {what}"))
}

impl DisplayAs for ByText {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByText: ")?;
        self.grouping.fmt_as(form, f)
    }
}

impl ExecutionPlan for ByText {
    fn name(&self) -> &'static str {
        "ByText"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.grouping.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.grouping.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.grouping.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let grouping = Arc::clone(&self.grouping).replace_children(children, options)?;
        Ok(Arc::new(Self {
            grouping,
            ..(*self).clone()
        }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let anew = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, anew)
    }

    fn execute(&self, part: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = self.grouping.children();
        let input = inputs.first().ok_or_else(|| internal("it has one input"))?;
        let input = input.execute(part, Arc::clone(&context))?;
        let schema = self.grouping.schema();
        let table = Table {
            keys: self.keys.clone(),
            groups_max: self.groups_max,
            schema: Arc::clone(&schema),
            aggregates: self.aggregates()?,
            groups: Groups::default(),
            folder: Vec::new(),
            full: VecDeque::new(),
            memory: MemoryConsumer::new("ByText").register(context.memory_pool()),
        };
        let handed_on = stream::try_unfold((Some(input), table), async |(mut input, mut table)| {
            loop {
                if let Some(full) = table.full.pop_front() {
                    return Ok(Some((full, (input, table))));
                }
                let Some(rows) = &mut input else {
                    return Ok(None);
                };
                match rows.try_next().await? {
                    Some(batch) => table.take(&batch)?,
                    None => {
                        input = None;
                        table.hand_on()?;
                    }
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, handed_on)))
    }
}

/// An aggregate with its state of each group.
struct Aggregate {
    arguments: Vec<Arc<dyn PhysicalExpr>>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    states: Box<dyn GroupsAccumulator>,
}

impl Aggregate {
    fn update(&mut self, batch: &RecordBatch, rows: &[usize], groups: usize) -> Result<()> {
        let value = |of: &Arc<dyn PhysicalExpr>| of.evaluate(batch)?.into_array(batch.num_rows());
        let arguments: Vec<ArrayRef> = self.arguments.iter().map(value).collect::<Result<_>>()?;
        let filter = self.filter.as_ref().map(value).transpose()?;
        let filter = filter.as_ref().map(|filter| filter.as_boolean());
        self.states.update_batch(&arguments, rows, filter, groups)
    }
}

/// The groups of one folder's rows.
struct Table {
    keys: Keys,
    groups_max: usize,
    schema: SchemaRef,
    aggregates: Vec<Aggregate>,
    groups: Groups,
    /// What the folder's columns hold, in the order of the keys without the text.
    folder: Vec<ScalarValue>,
    /// What is to be handed on.
    full: VecDeque<RecordBatch>,
    memory: MemoryReservation,
}

impl Table {
    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let places = self.keys.columns.iter().enumerate();
        let folder = places.filter(|(place, _)| *place != self.keys.text);
        let folder: Vec<ArrayRef> = folder
            .map(|(_, column)| Arc::clone(batch.column(*column)))
            .collect();
        if folder.is_empty() {
            return self.take_of_folder(batch);
        }
        for rows in partition(&folder)?.ranges() {
            let values = folder.iter();
            let values = values.map(|column| ScalarValue::try_from_array(column, rows.start));
            let values: Vec<ScalarValue> = values.collect::<Result<_>>()?;
            if values != self.folder {
                self.hand_on()?;
                self.folder = values;
            }
            self.take_of_folder(&batch.slice(rows.start, rows.len()))?;
        }
        Ok(())
    }

    fn take_of_folder(&mut self, batch: &RecordBatch) -> Result<()> {
        let text = self.keys.columns.get(self.keys.text);
        let text = text.and_then(|column| batch.column(*column).as_string_view_opt());
        let text = text.ok_or_else(|| internal("its key is a text"))?;
        let groups = &mut self.groups;
        groups.of_rows(text);
        let count = groups.texts.len();
        for aggregate in &mut self.aggregates {
            aggregate.update(batch, &groups.rows, count)?;
        }
        let states = self.aggregates.iter();
        let states = states.map(|aggregate| aggregate.states.size());
        let bytes = states.sum::<usize>() + groups.bytes();
        let full = count >= self.groups_max || bytes >= TABLE_BYTES_MAX;
        if full || self.memory.try_resize(bytes).is_err() {
            self.hand_on()?;
        }
        Ok(())
    }

    fn hand_on(&mut self) -> Result<()> {
        let groups = self.groups.texts.len();
        if groups == 0 {
            return Ok(());
        }
        let texts = self.groups.texts.iter().map(Option::as_deref);
        let texts: ArrayRef = Arc::new(texts.collect::<StringViewArray>());
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for value in &self.folder {
            columns.push(value.to_array_of_size(groups)?);
        }
        columns.insert(self.keys.text, texts);
        for aggregate in &mut self.aggregates {
            columns.extend(aggregate.states.state(EmitTo::All)?);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.full.push_back(batch);
        self.groups.clear();
        self.memory.free();
        Ok(())
    }
}
