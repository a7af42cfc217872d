//! The rows of a result, from the object and page by page.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use athena::error::AthenaError;
use futures_util::TryStreamExt as _;
use serde_json::json;

use super::answers::{execution, object, page, s3_refusal};
use super::athena;
use aws_client::scripted_http::{Answer, Call, Wire};

const COLUMNS: [(&str, &str); 3] = [
    ("token", "varchar"),
    ("price", "double"),
    ("trades", "bigint"),
];

/// A wire with a finished query and these responses for its pages and its object.
fn wire(
    pages: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    objects: impl Fn(&Call) -> Answer + Send + Sync + 'static,
    parts: serde_json::Value,
) -> Wire {
    Wire::new(move |_, call| match call.operation.as_str() {
        "GetQueryExecution" => execution(parts.clone()),
        "GetQueryResults" => pages(call),
        "" => objects(call),
        other => panic!("{other}"),
    })
}

fn header(_: &Call) -> Answer {
    page(
        &COLUMNS,
        &[&[Some("token"), Some("price"), Some("trades")]],
        Some("more"),
    )
}

/// The rows as texts, NULL as `None`.
async fn read(wire: &Wire) -> Result<Vec<Vec<Option<String>>>, AthenaError> {
    let athena = athena(wire);
    let ended = athena.poll("q1").await?;
    let rows = athena.rows(&ended).await?;
    let batches: Vec<RecordBatch> = rows.batches.try_collect().await?;
    let mut texts = Vec::new();
    for batch in &batches {
        assert_eq!(batch.schema(), rows.schema);
        let options = FormatOptions::default();
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                let shown = ArrayFormatter::try_new(column, &options).unwrap();
                (!column.is_null(row)).then(|| shown.value(row).to_string())
            });
            texts.push(cells.collect());
        }
    }
    Ok(texts)
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn a_result_is_read_from_its_object() {
    let csv = "\"token\",\"price\",\"trades\"\n\"SOL\",\"1.5\",\"7\"\n\"\",,\"0\"\n,\"2.0\",\n";
    let wire = wire(header, move |_| object(csv), json!({}));
    let rows = read(&wire).await.unwrap();
    assert_eq!(
        rows,
        [
            some(&["SOL", "1.5", "7"]),
            vec![Some(String::new()), None, Some("0".to_owned())],
            vec![None, Some("2.0".to_owned()), None],
        ]
    );
    let calls = wire.calls();
    let pages: Vec<&Call> = calls
        .iter()
        .filter(|call| call.operation == "GetQueryResults")
        .collect();
    assert_eq!(pages.len(), 1, "only the columns are requested");
    assert_eq!(pages[0].body["MaxResults"], 1);
    let object = calls.last().unwrap();
    assert!(
        object.path.starts_with("/athena-results/q1.csv"),
        "{}",
        object.path
    );
}

/// An object whose connection breaks after some bytes.
fn cut_after(csv: String, bytes: usize) -> impl Fn(&Call) -> Answer + Send + Sync + 'static {
    move |call| {
        let from: usize = call.range.as_deref().map_or(0, |range| {
            let digits = range.trim_start_matches("bytes=").trim_end_matches('-');
            digits.parse().unwrap()
        });
        let rest = &csv.as_bytes()[from..];
        let status = if from == 0 { 200 } else { 206 };
        Answer::Object(status, rest.len(), rest[..bytes.min(rest.len())].to_vec())
    }
}

#[tokio::test]
async fn reading_resumes_after_a_broken_connection() {
    let mut csv = "\"token\",\"price\",\"trades\"\n".to_owned();
    for n in 0..1_000 {
        csv += &format!("\"TOKEN-{n}\",\"{n}.5\",\"{n}\"\n");
    }
    let length = csv.len();
    let gets = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&gets);
    let cut = cut_after(csv, 10_000);
    let wire = wire(
        header,
        move |call| {
            counted.fetch_add(1, Ordering::Relaxed);
            cut(call)
        },
        json!({}),
    );
    let rows = read(&wire).await.unwrap();
    assert_eq!(rows.len(), 1_000);
    assert_eq!(rows[999], some(&["TOKEN-999", "999.5", "999"]));
    assert_eq!(gets.load(Ordering::Relaxed), length.div_ceil(10_000));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_further_is_named_in_the_error() {
    let nothing = |call: &Call| match call.range {
        None => Answer::Object(200, 100, b"\"token\",\"price\",\"trades\"\n\"S".to_vec()),
        Some(_) => Answer::Object(206, 70, Vec::new()),
    };
    let error = read(&wire(header, nothing, json!({}))).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("s3://results/athena-results/q1.csv") && text.contains("of 100 bytes"),
        "{text}"
    );
}

#[tokio::test]
async fn an_object_that_is_truncated_in_a_value_is_an_error() {
    let csv = "\"token\",\"price\",\"trades\"\n\"SOL\",\"1.5";
    let error = read(&wire(header, move |_| object(csv), json!({}))).await;
    let text = error.unwrap_err().to_string();
    assert!(text.contains("ends in the middle"), "{text}");
}

#[tokio::test]
async fn an_object_that_may_not_be_read_names_the_missing_permission() {
    let denied = |_: &Call| s3_refusal(403, "AccessDenied");
    let error = read(&wire(header, denied, json!({}))).await.unwrap_err();
    let text = error.to_string();
    for part in ["s3://results/athena-results/q1.csv", "s3:GetObject"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_result_whose_object_is_missing_is_read_page_by_page() {
    let pages = |call: &Call| {
        let rows: &[&[Option<&str>]] = &[
            &[Some("token"), Some("price"), Some("trades")],
            &[Some(""), None, Some("1")],
        ];
        match call.body.get("NextToken") {
            None => page(&COLUMNS, rows, Some("more")),
            Some(_) => page(&COLUMNS, &[&[Some("SOL"), Some("2.5"), Some("2")]], None),
        }
    };
    let gone = |_: &Call| s3_refusal(404, "NoSuchKey");
    let rows = read(&wire(pages, gone, json!({}))).await.unwrap();
    assert_eq!(
        rows,
        [
            vec![Some(String::new()), None, Some("1".to_owned())],
            some(&["SOL", "2.5", "2"]),
        ]
    );
}

#[tokio::test]
async fn results_that_are_not_csv_are_read_page_by_page() {
    let pages = |_: &Call| {
        let rows: &[&[Option<&str>]] = &[&[Some("price_archive")], &[Some("ticks")]];
        page(&[("tab_name", "string")], rows, None)
    };
    let unasked = |_: &Call| panic!("there is no object of rows");
    let parts = json!({
        "StatementType": "UTILITY",
        "ResultConfiguration": {"OutputLocation": "s3://results/athena-results/q1.txt"},
    });
    let rows = read(&wire(pages, unasked, parts)).await.unwrap();
    assert_eq!(rows, [some(&["price_archive"]), some(&["ticks"])]);
}

#[tokio::test]
async fn a_statement_without_columns_has_no_rows() {
    let pages = |_: &Call| Answer::Good(json!({"UpdateCount": 0}));
    let unasked = |_: &Call| panic!("there is no object of rows");
    let parts = json!({"StatementType": "DDL"});
    assert!(read(&wire(pages, unasked, parts)).await.unwrap().is_empty());
}
