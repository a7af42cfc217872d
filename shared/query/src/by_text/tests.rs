use datafusion::arrow::array::{DictionaryArray, Int32Array, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::Int32Type;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::{collect, displayable};
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;

use super::*;

/// Nothing, none, short ones, the longest that stands in its pointer, longer ones with one beginning.
const TEXTS: [Option<&str>; 8] = [
    None,
    Some(""),
    Some("a"),
    Some("binance"),
    Some("twelve bytes"),
    Some("helius:jupiter"),
    Some("helius:jupiteR"),
    Some("So11111111111111111111111111111111111111112"),
];

/// A batch of rows: the day, and which text. `shared` makes rows of one text point at the same bytes, as
/// a file's dictionary does.
fn batch(rows: &[(i32, usize)], shared: bool) -> RecordBatch {
    let texts = rows.iter().map(|(_, text)| TEXTS[*text]);
    let source: ArrayRef = if shared {
        let key = |text: usize| TEXTS[text].and(i32::try_from(text).ok());
        let keys = rows.iter().map(|(_, text)| key(*text));
        let values: ArrayRef = Arc::new(StringArray::from_iter(TEXTS));
        let keys = keys.collect::<Int32Array>();
        let dictionary = DictionaryArray::<Int32Type>::new(keys, values);
        cast(&dictionary, &DataType::Utf8View).unwrap()
    } else {
        Arc::new(texts.collect::<StringViewArray>())
    };
    let numbers = (0..rows.len()).map(|n| (n % 5 > 0).then_some(n as i64 - 7));
    let columns: [(&str, ArrayRef); 4] = [
        (
            "day",
            Arc::new(rows.iter().map(|(day, _)| *day).collect::<Int32Array>()),
        ),
        ("source", Arc::clone(&source)),
        ("tick_id", source),
        ("n", Arc::new(numbers.collect::<Int64Array>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn table(batches: Vec<RecordBatch>) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let context = SessionContext::new_with_config(config);
    let schema = batches[0].schema();
    let (one, other) = batches.split_at(batches.len().div_ceil(2));
    let table = MemTable::try_new(schema, vec![one.to_vec(), other.to_vec()]).unwrap();
    let _none = context.register_table("rows", Arc::new(table)).unwrap();
    context
}

async fn planned(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
    let frame = context.sql(sql).await.unwrap();
    frame.create_physical_plan().await.unwrap()
}

/// The rows of an answer, in order; with our first stage, of so many groups, or with the engine's.
async fn answer(context: &SessionContext, sql: &str, groups_max: Option<usize>) -> Vec<String> {
    let plan = planned(context, sql).await;
    let plan = plan.transform_up(|node| {
        let by_text = groups_max.and_then(|most| ByText::of(&node, most));
        Ok(by_text.map_or_else(
            || Transformed::no(node),
            |by_text| Transformed::yes(Arc::new(by_text) as _),
        ))
    });
    let plan = plan.unwrap();
    assert_eq!(plan.transformed, groups_max.is_some(), "{sql}");
    let batches = collect(plan.data, context.task_ctx()).await.unwrap();
    let shown = pretty_format_batches(&batches).unwrap().to_string();
    let mut rows: Vec<String> = shown.lines().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

const STATEMENTS: [&str; 4] = [
    "SELECT source, count(*) AS a, count(n) AS b, sum(n) AS c, min(n) AS d, max(n) AS e, avg(n) AS f FROM rows GROUP BY source",
    "SELECT day, source, count(*) FILTER (WHERE n % 2 = 0) AS a, max(n + 1) AS b FROM rows GROUP BY day, source",
    "SELECT source, day FROM rows GROUP BY source, day",
    "SELECT source, sum(n) AS a FROM rows WHERE n > 3 GROUP BY source",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_answers_are_the_engines(
        batches in proptest::collection::vec(
            (proptest::collection::vec((1..4_i32, 0..TEXTS.len()), 1..60), any::<bool>()),
            1..6,
        ),
        groups_max in prop_oneof![Just(1), Just(3), Just(GROUPS_MAX)],
    ) {
        let batches = batches.iter().map(|(rows, shared)| batch(rows, *shared)).collect();
        let context = table(batches);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for sql in STATEMENTS {
                let ours = answer(&context, sql, Some(groups_max)).await;
                assert_eq!(ours, answer(&context, sql, None).await, "{sql}");
            }
        });
    }
}

#[tokio::test]
async fn a_full_table_is_handed_on() {
    let rows: Vec<(i32, usize)> = (0..TEXTS.len()).map(|text| (1, text)).collect();
    // Two batches in one part, and one in the other.
    let context = table(
        [true, false, true]
            .map(|shared| batch(&rows, shared))
            .into(),
    );
    let all = context.task_ctx();
    let none = RuntimeEnvBuilder::new().with_memory_limit(1, 1.0);
    let none = none.build_arc().unwrap();
    let none = Arc::new(TaskContext::default().with_runtime(none));
    for (groups_max, memory, handed_on) in [
        (1, &all, 24),
        (GROUPS_MAX, &all, 16),
        // Where there is no memory for it, it is none too large.
        (GROUPS_MAX, &none, 24),
    ] {
        let grouping = planned(&context, STATEMENTS[0]).await;
        let mut first_stage = None;
        let _seen = grouping.transform_up(|node| {
            first_stage = first_stage.take().or(ByText::of(&node, groups_max));
            Ok(Transformed::no(node))
        });
        let first_stage: Arc<dyn ExecutionPlan> = Arc::new(first_stage.unwrap());
        let batches = collect(first_stage, Arc::clone(memory)).await.unwrap();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, handed_on, "{groups_max}");
    }
}

#[tokio::test]
async fn only_simple_groupings_by_one_text_that_comes_again() {
    let context = table(vec![batch(&[(1, 1)], true)]);
    for sql in STATEMENTS {
        let plan = by_text(planned(&context, sql).await).unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert_eq!(shown.matches("ByText").count(), 1, "{shown}");
    }
    for sql in [
        "SELECT tick_id, count(*) FROM rows GROUP BY tick_id",
        "SELECT source, tick_id, count(*) FROM rows GROUP BY source, tick_id",
        "SELECT source, count(DISTINCT n) FROM rows GROUP BY source",
        "SELECT source, n, count(*) FROM rows GROUP BY source, n",
        "SELECT upper(source), count(*) FROM rows GROUP BY upper(source)",
        "SELECT source, median(n) FROM rows GROUP BY source",
        "SELECT source, day, count(*) FROM rows GROUP BY ROLLUP (source, day)",
        "SELECT a.source, count(*) FROM rows a JOIN rows b ON a.n = b.n GROUP BY a.source",
        "SELECT count(*) FROM rows",
    ] {
        let plan = by_text(planned(&context, sql).await).unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        assert!(!shown.contains("ByText"), "{shown}");
    }
}
