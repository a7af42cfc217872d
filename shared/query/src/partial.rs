//! Groupings in two stages: the first, close to the files, hands its groups on before its table outgrows
//! the processor's caches. Ticks of a token stand together in a file, so that a table for some of them
//! finds most of their groups; one for all of them is slower at every row, and the second stage keeps
//! them all in any case.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

use super::around::{Change, around};

/// Most bytes of a table of the first stage: some 400,000 groups by token and time.
const TABLE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Aggregates whose state of a group has a few bytes. Others may fill memory with few groups, which
/// handing them on does not empty.
const OF_FEW_BYTES: [&str; 5] = ["avg", "count", "max", "min", "sum"];

/// A plan whose groupings hand their groups on in parts. Where the groups come again and again without an
/// order, the second stage has the more to do; the engine's first stage gives up by itself where it
/// finds next to no row of a group that it has.
pub(super) fn with_small_tables(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let small = |node: Arc<dyn ExecutionPlan>| {
        let grouping = node.downcast_ref::<AggregateExec>();
        Ok(if grouping.is_some_and(hands_on) {
            Transformed::yes(around(SmallTable(TABLE_BYTES_MAX), node))
        } else {
            Transformed::no(node)
        })
    };
    plan.transform_up(small).map(|done| done.data)
}

/// Whether a grouping hands its groups on where its memory is full: others end with an error then.
pub(super) fn hands_on(grouping: &AggregateExec) -> bool {
    let of_few_bytes = |aggregate: &AggregateFunctionExpr| {
        !aggregate.is_distinct() && OF_FEW_BYTES.contains(&aggregate.fun().name())
    };
    *grouping.mode() == AggregateMode::Partial
        && !grouping.group_expr().is_empty()
        && *grouping.input_order_mode() == InputOrderMode::Linear
        && grouping
            .aggr_expr()
            .iter()
            .all(|aggregate| of_few_bytes(aggregate))
        && only_reads(grouping.input())
}

/// Whether a plan keeps no rows, so that all memory of a grouping over it is that of its table.
fn only_reads(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let reads =
        plan.is::<DataSourceExec>() || plan.is::<FilterExec>() || plan.is::<ProjectionExec>();
    reads && plan.children().into_iter().all(only_reads)
}

/// Gives an operator so many bytes of memory, for each part of its input.
#[derive(Debug, Clone, Copy)]
struct SmallTable(usize);

impl Change for SmallTable {
    fn name(&self) -> &'static str {
        "SmallTable"
    }

    fn context(&self, given: Arc<TaskContext>) -> Arc<TaskContext> {
        let runtime = given.runtime_env();
        let share = Share {
            pool: Arc::clone(&runtime.memory_pool),
            bytes_max: self.0,
            bytes: AtomicUsize::new(0),
            refused: AtomicBool::new(false),
        };
        let runtime = RuntimeEnv {
            memory_pool: Arc::new(share),
            ..(*runtime).clone()
        };
        Arc::new(TaskContext::new(
            given.task_id(),
            given.session_id(),
            given.session_config().clone(),
            given.scalar_functions().clone(),
            given.higher_order_functions().clone(),
            given.aggregate_functions().clone(),
            given.window_functions().clone(),
            Arc::new(runtime),
        ))
    }
}

/// A part of a pool, with a limit of its own below the pool's.
#[derive(Debug)]
struct Share {
    pool: Arc<dyn MemoryPool>,
    bytes_max: usize,
    bytes: AtomicUsize,
    /// Whether the last growth was refused.
    refused: AtomicBool,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {}", self.bytes_max, self.pool)
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &'static str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.bytes.fetch_add(additional, Ordering::Relaxed);
        self.pool.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.bytes.fetch_sub(shrink, Ordering::Relaxed);
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        // One operator reserves from it, in one thread at a time: its input reserves nothing (`only_reads`).
        // It hands on what it has and tries again with what is left, however much that is.
        let full = self.reserved().saturating_add(additional) > self.bytes_max;
        if full && !self.refused.swap(full, Ordering::Relaxed) {
            let full = format!("a table of {} bytes is full", self.bytes_max);
            return Err(DataFusionError::ResourcesExhausted(full));
        }
        self.refused.store(false, Ordering::Relaxed);
        self.pool.try_grow(reservation, additional)?;
        self.bytes.fetch_add(additional, Ordering::Relaxed);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, RecordBatch};
    use datafusion::datasource::MemTable;
    use datafusion::execution::memory_pool::GreedyMemoryPool;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext, col};

    use super::*;

    /// Numbers in batches of 1,000, in two parts, each in order: `ordered` tells so, `numbers` does not.
    fn numbers() -> SessionContext {
        let batch = |from: i64| {
            let numbers = Int64Array::from_iter_values(from..from + 1_000);
            RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).unwrap()
        };
        let part = |from: i64| (0..20).map(|n| batch(from + n * 1_000)).collect();
        let parts: Vec<Vec<_>> = vec![part(0), part(10_000)];
        let schema = parts[0][0].schema();
        let numbers = MemTable::try_new(Arc::clone(&schema), parts.clone()).unwrap();
        let ordered = MemTable::try_new(schema, parts).unwrap();
        let ordered = ordered.with_sort_order(vec![vec![col("n").sort(true, false)]]);
        let context =
            SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
        for (name, table) in [("numbers", numbers), ("ordered", ordered)] {
            let _none = context.register_table(name, Arc::new(table)).unwrap();
        }
        context
    }

    async fn planned(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
        let frame = context.sql(sql).await.unwrap();
        frame.create_physical_plan().await.unwrap()
    }

    /// A plan with tables of so many bytes, where tables are small.
    fn with_tables_of(bytes: usize, plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        let small = |node: Arc<dyn ExecutionPlan>| {
            let grouping = node.downcast_ref::<AggregateExec>();
            Ok(match grouping.is_some_and(hands_on) {
                true => Transformed::yes(around(SmallTable(bytes), node)),
                false => Transformed::no(node),
            })
        };
        plan.transform_up(small).unwrap().data
    }

    #[tokio::test]
    async fn a_full_table_is_handed_on_and_nothing_is_lost() {
        let context = numbers();
        let rows = async |sql: &str, bytes: Option<usize>| {
            let plan = planned(&context, sql).await;
            let plan = match bytes {
                Some(bytes) => with_tables_of(bytes, plan),
                None => plan,
            };
            let batches = collect(Arc::clone(&plan), context.task_ctx())
                .await
                .unwrap();
            let shown = datafusion::arrow::util::pretty::pretty_format_batches(&batches).unwrap();
            (shown.to_string(), handed_on(&plan))
        };
        let thirds = "SELECT n / 3 AS third, count(*) AS rows, min(n) AS first FROM numbers GROUP BY third ORDER BY third";
        let (all, groups) = rows(thirds, None).await;
        // However few bytes, even fewer than an empty table has.
        for bytes in [64 * 1024, 1] {
            let (same, handed_on) = rows(thirds, Some(bytes)).await;
            assert_eq!(same, all);
            // A group whose rows were in two tables was handed on twice.
            assert!(handed_on > groups, "{handed_on} of {groups}");
        }
        // No groups, states that grow, or an order: what would not hand on has all memory.
        for sql in [
            "SELECT count(*) AS a, count(DISTINCT n) AS b, count(DISTINCT n % 7) AS c FROM numbers",
            "SELECT n % 2 AS parity, count(DISTINCT n) AS d FROM numbers GROUP BY parity ORDER BY parity",
            "SELECT n % 2 AS parity, median(n) AS m FROM numbers GROUP BY parity ORDER BY parity",
            "SELECT n, count(*) AS a FROM (SELECT * FROM numbers ORDER BY n) GROUP BY n ORDER BY n",
        ] {
            assert_eq!(rows(sql, Some(1)).await.0, rows(sql, None).await.0, "{sql}");
        }
    }

    /// The rows that the first stage gave.
    fn handed_on(plan: &Arc<dyn ExecutionPlan>) -> usize {
        let own = plan
            .downcast_ref::<AggregateExec>()
            .filter(|grouping| *grouping.mode() == AggregateMode::Partial);
        let own = own
            .and_then(|_| plan.metrics())
            .and_then(|metrics| metrics.output_rows());
        own.unwrap_or(0) + plan.children().into_iter().map(handed_on).sum::<usize>()
    }

    #[tokio::test]
    async fn only_groupings_over_what_is_read_have_small_tables() {
        let context = numbers();
        let shown = async |sql: &str| {
            let plan = with_small_tables(planned(&context, sql).await).unwrap();
            displayable(plan.as_ref()).indent(false).to_string()
        };
        let grouped = shown("SELECT n % 7, count(*) FROM numbers WHERE n > 5 GROUP BY n % 7").await;
        assert_eq!(grouped.matches("SmallTable").count(), 1, "{grouped}");
        // By their order a group is handed on when the next one begins, whatever memory there is.
        let ordered = shown("SELECT n, count(*) FROM ordered GROUP BY n").await;
        assert!(ordered.contains("ordering_mode=Sorted"), "{ordered}");
        assert!(!ordered.contains("SmallTable"), "{ordered}");
        let whole = shown("SELECT count(*), sum(n) FROM numbers WHERE n > 5").await;
        assert!(!whole.contains("SmallTable"), "{whole}");
        let joined =
            "SELECT a.n % 7, count(*) FROM numbers a JOIN numbers b ON a.n = b.n GROUP BY a.n % 7";
        assert!(!shown(joined).await.contains("SmallTable"));
        assert!(
            !shown("SELECT n FROM numbers ORDER BY n")
                .await
                .contains("SmallTable")
        );
    }

    #[test]
    fn a_share_counts_and_is_counted() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(150));
        let share = |bytes_max| -> Arc<dyn MemoryPool> {
            Arc::new(Share {
                pool: Arc::clone(&pool),
                bytes_max,
                bytes: AtomicUsize::new(0),
                refused: AtomicBool::new(false),
            })
        };
        let (one, other) = (share(100), share(100));
        let first = MemoryConsumer::new("first").register(&one);
        first.try_grow(100).unwrap();
        assert!(first.try_grow(1).is_err(), "over its share");
        assert!(
            first.try_grow(51).is_err(),
            "tried again, and over the pool"
        );
        assert!(first.try_grow(1).is_err(), "over its share");
        // What is left of a table that was handed on.
        first.try_grow(1).unwrap();
        first.shrink(1);
        let second = MemoryConsumer::new("second").register(&other);
        assert!(second.try_grow(60).is_err(), "over the pool");
        second.try_grow(50).unwrap();
        assert_eq!(
            (one.reserved(), other.reserved(), pool.reserved()),
            (100, 50, 150)
        );
        drop(first);
        assert_eq!((one.reserved(), pool.reserved()), (0, 50));
    }
}
