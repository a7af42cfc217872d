//! Athena: statements, their rows, their history, and known differences of the emulator.

use std::time::Duration;

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use athena::catalog::NewWorkgroup;
use athena::error::AthenaError;
use athena::{Athena, Execution, Query, State};
use aws_sdk_s3::primitives::ByteStream;
use futures_util::TryStreamExt as _;
use integration::emulator;

/// Rows of a result object: some megabytes, which arrive in many chunks.
const ROWS: usize = 200_000;

const TWO_ROWS: &str = "SELECT token, price, n FROM \
    (VALUES ('a', 1.5e0, BIGINT '1'), ('', NULL, NULL)) AS t (token, price, n) ORDER BY n NULLS LAST";

struct Fixture {
    athena: Athena,
    s3: aws_sdk_s3::Client,
    bucket: String,
}

/// A new workgroup, with a bucket for its results.
async fn fixture() -> Fixture {
    let emulator = emulator::start().await.unwrap();
    let name = emulator.unique_project();
    let (s3, bucket) = (emulator.s3(), format!("{name}-archive"));
    s3.create_bucket().bucket(&bucket).send().await.unwrap();
    let athena = Athena::new(&emulator.sdk_config(), &name, "default");
    assert_eq!(athena.find_workgroup().await.unwrap(), None);
    let group = NewWorkgroup {
        description: "a test".to_owned(),
        results: format!("s3://{bucket}/athena-results/"),
        scan_bytes_max: 10_000_000,
    };
    athena.create_workgroup(&group).await.unwrap();
    let found = athena.find_workgroup().await.unwrap().unwrap();
    let settings = found.settings.unwrap();
    assert_eq!(settings.results.as_deref(), Some(group.results.as_str()));
    assert_eq!(settings.scan_bytes_max, Some(group.scan_bytes_max));
    Fixture { athena, s3, bucket }
}

async fn rows(athena: &Athena, ended: &Execution) -> Vec<RecordBatch> {
    let rows = athena.rows(ended).await.unwrap();
    rows.batches.try_collect().await.unwrap()
}

fn check_two_rows(batch: &RecordBatch) {
    let types: Vec<DataType> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(types, [DataType::Utf8, DataType::Float64, DataType::Int64]);
    assert_eq!(batch.num_rows(), 2);
    let tokens = batch.column(0).as_string::<i32>();
    assert_eq!((tokens.value(0), tokens.value(1)), ("a", ""));
    assert!(tokens.is_valid(1), "the empty text is not NULL");
    let prices = batch.column(1).as_primitive::<Float64Type>();
    assert!((prices.value(0) - 1.5).abs() < f64::EPSILON && prices.is_null(1));
    let numbers = batch.column(2).as_primitive::<Int64Type>();
    assert!(numbers.value(0) == 1 && numbers.is_null(1));
}

#[tokio::test]
async fn a_statement_runs_and_its_rows_are_read_page_by_page_and_from_the_object() {
    let Fixture { athena, s3, bucket } = fixture().await;
    let id = athena.start(&Query::new(TWO_ROWS)).await.unwrap();
    let mut seen = Vec::new();
    let ended = athena.wait(&id, |execution| seen.push(execution.state));
    let mut ended = ended.await.unwrap();
    assert_eq!(seen.last(), Some(&State::Succeeded));
    assert!(ended.is_query && !ended.reused);
    // The emulator reports a wrong location for the object, so these rows are read by page.
    let [batch] = &rows(&athena, &ended).await[..] else {
        panic!()
    };
    check_two_rows(batch);

    // A large object, in the form that Athena writes.
    let mut csv = "\"token\",\"price\",\"n\"\n\"a\",\"1.5\",\"1\"\n\"\",,\n".to_owned();
    for n in 2..ROWS {
        csv += &format!("\"say \"\"{n}\"\"\",\"{n}.25\",\"{n}\"\n");
    }
    let put = s3.put_object().bucket(&bucket).key("own/answer.csv");
    put.body(ByteStream::from(csv.into_bytes()))
        .send()
        .await
        .unwrap();
    ended.result = Some(format!("s3://{bucket}/own/answer.csv"));
    let batches = rows(&athena, &ended).await;
    assert_eq!(
        batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
        ROWS
    );
    check_two_rows(&batches.first().unwrap().slice(0, 2));
    let last = batches.last().unwrap();
    let tokens = last.column(0).as_string::<i32>();
    assert_eq!(tokens.value(last.num_rows() - 1), "say \"199999\"");
}

#[tokio::test]
async fn failures_have_a_reason_and_the_history_has_all_queries() {
    let Fixture { athena, .. } = fixture().await;
    athena.run(&Query::new(TWO_ROWS)).await.unwrap();
    let failing = Query::new("SELECT CAST('many' AS bigint)");
    let error = athena.run(&failing).await.unwrap_err();
    assert!(matches!(error, AthenaError::Failed { .. }), "{error:?}");
    assert!(error.to_string().contains("many"), "{error}");
    let missing = Query::new("SELECT 1 FROM nothing");
    let error = athena.run(&missing).await.unwrap_err();
    assert!(matches!(error, AthenaError::Missing { .. }), "{error:?}");

    let history = athena.history(10).await.unwrap();
    let mut states: Vec<&str> = history.iter().map(|one| one.state.as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, ["failed", "failed", "succeeded"]);
    assert_eq!(athena.history(1).await.unwrap().len(), 1);
    // A query that has ended is unchanged.
    let ended = history.iter().find(|one| one.state == State::Succeeded);
    let id = &ended.unwrap().id;
    athena.stop(id).await.unwrap();
    assert_eq!(athena.poll(id).await.unwrap().state, State::Succeeded);
    assert!(athena.poll("no-such-query").await.is_err());
}

/// The reason why parameters are written into the statement on an emulator. If this test fails, the
/// emulator supports them, and `ticksql` no longer needs to distinguish it.
#[tokio::test]
async fn the_emulator_still_does_not_support_execution_parameters() {
    let Fixture { athena, .. } = fixture().await;
    let query = Query {
        parameters: vec!["'a'".to_owned()],
        reuse_age: Some(Duration::from_secs(3_600)),
        ..Query::new("SELECT 1 AS one WHERE 'a' = ?")
    };
    assert!(athena.run(&query).await.is_err());
}

/// The reason why views are written into the statement on an emulator.
#[tokio::test]
async fn the_emulator_still_does_not_keep_views() {
    let Fixture { athena, .. } = fixture().await;
    let view = Query::new("CREATE OR REPLACE VIEW ones AS SELECT 1 AS one");
    athena.run(&view).await.unwrap();
    let error = athena.run(&Query::new("SELECT one FROM ones")).await;
    assert!(error.is_err());
}
