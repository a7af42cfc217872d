//! Ledger counters as metrics (EMF).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use app::ledger::LedgerEntry;
use app::ports::{Clock, LedgerWriter};
use aws::emf::{EmfLedger, InvocationMetrics, METRICS};
use domain::Reason;
use serde_json::json;
use testkit::written::Written;

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        1_767_225_600_000
    }
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn entry() -> LedgerEntry {
    LedgerEntry {
        received: 12,
        stored: 6,
        duplicate: 2,
        rejected_by_reason: BTreeMap::from([(Reason::InvalidPrice, 2), (Reason::MissingField, 1)]),
        ignored: 1,
        in_cohort: 5,
        streamed: 3,
        redriven: 1,
    }
}

#[tokio::test]
async fn a_delivery_is_one_line_whose_counts_balance() {
    let output = Written::default();
    let ledger = EmfLedger::new(output.clone(), Arc::new(Fixed), "prices-webhook");
    ledger.commit(None, entry()).await.unwrap();
    let one = LedgerEntry {
        received: 1,
        stored: 1,
        ..LedgerEntry::default()
    };
    ledger.commit(None, one).await.unwrap();
    let lines = output.json_lines();
    assert_eq!(lines.len(), 2);

    let line = &lines[0];
    let count = |name: &str| line[name].as_u64().unwrap();
    assert_eq!(
        count("Received"),
        count("Stored") + count("Duplicate") + count("Rejected") + count("Ignored")
    );
    assert_eq!(
        5,
        count("Streamed") + count("Redriven") + count("Pending"),
        "the cohort"
    );
    assert_eq!(
        (count("Received"), count("Rejected"), count("Pending")),
        (12, 3, 1)
    );
    assert_eq!(line["FunctionName"], "prices-webhook");
    assert_eq!(
        line["RejectedByReason"],
        json!({"invalid_price": 2, "missing_field": 1})
    );

    let metadata = &line["_aws"];
    assert_eq!(metadata["Timestamp"], 1_767_225_600_000_i64);
    let directive = &metadata["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Tickstream");
    assert_eq!(directive["Dimensions"], json!([["FunctionName"]]));
    let declared = directive["Metrics"].as_array().unwrap();
    assert_eq!(declared.len(), METRICS.len());
    for metric in declared {
        assert!(line[metric["Name"].as_str().unwrap()].is_u64(), "{metric}");
    }

    // What is 0 is left out.
    let line = lines[1].as_object().unwrap();
    let names: Vec<&str> = line.keys().map(String::as_str).collect();
    assert_eq!(names, ["FunctionName", "Received", "Stored", "_aws"]);
    assert_eq!(
        line["_aws"]["CloudWatchMetrics"][0]["Metrics"],
        json!([{"Name": "Received"}, {"Name": "Stored"}])
    );
}

#[test]
fn an_invocation_is_one_line_with_what_was_counted() {
    let output = Written::default();
    let metrics = InvocationMetrics::new(output.clone(), Arc::new(Fixed), "prices-analytics");
    metrics.flush();
    metrics.add("FailedItems", 0);
    metrics.flush();
    assert!(output.bytes().is_empty(), "nothing was counted");
    metrics.add("LateTicks", 2);
    metrics.add("FailedItems", 3);
    metrics.add("LateTicks", 1);
    metrics.flush();
    metrics.flush();
    let lines = output.json_lines();
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(
        (&line["FailedItems"], &line["LateTicks"]),
        (&json!(3), &json!(3))
    );
}

#[tokio::test]
async fn a_delivery_does_not_fail_if_its_metrics_cannot_be_written() {
    let ledger = EmfLedger::new(Full, Arc::new(Fixed), "prices-webhook");
    assert!(ledger.commit(None, entry()).await.is_ok());
}
